"""The tables of alerts.db, and how their rows are checked.

`alert` has a row a key (source, device, model, head): its standing alert, or the last one that ended. `event` keeps
what some sink has not told yet, once for all sinks. `due` says what each sink is still to tell: an event, or, where
`event` is NULL, what stands of a key now, as the table has it then. `chain` is the key as JSON: the events of one key
leave in their order. `applied` has the entry of the journal up to which all changes are in these tables, where there
is a journal. `intervention` has what was done to machines, each once. `history` has the last event of each
alert that was raised, also of those that ended long ago, and `label` what people said of them. `hide` has whose alerts
are hidden: "" in its key stands for any.

SQLite has no checksum: a bit that flips within a value leaves a database that is whole for SQLite. So each event is
held against the columns beside it, and what is due against the events.
"""

import sqlite3
from contextlib import closing

import msgspec

from agent.errors import Unreadable
from agent.words import MAIN_MODEL, AlertEvent, AlertKey, AlertLabel, Hide, InterventionLabel

SCHEMA_VERSION = 7
IS_NEW = 1  # the application id of a database whose tables no start has come to its end with; later it is 0
FIRST_WITH_MODELS = 3  # version whose alerts have the model in their key
FIRST_WITH_LABELS = 5
FIRST_WITH_HIDES = 7
INTERVENTION_TABLE = """CREATE TABLE intervention (
    number INTEGER PRIMARY KEY AUTOINCREMENT, source TEXT NOT NULL, device TEXT NOT NULL, kind TEXT NOT NULL,
    t_ns INTEGER NOT NULL, time_unit TEXT NOT NULL, note TEXT NOT NULL, entry INTEGER NOT NULL,
    UNIQUE (source, device, kind, t_ns)
);
CREATE INDEX intervention_entry ON intervention (entry)"""
LABEL_TABLES = """CREATE TABLE history (
    number INTEGER PRIMARY KEY AUTOINCREMENT, alert TEXT NOT NULL UNIQUE, source TEXT NOT NULL, event BLOB NOT NULL
);
CREATE TABLE label (
    number INTEGER PRIMARY KEY AUTOINCREMENT, alert TEXT NOT NULL, label TEXT NOT NULL, t_ns INTEGER NOT NULL,
    note TEXT NOT NULL, said_by TEXT NOT NULL, UNIQUE (alert, label, t_ns)
)"""
APPLIED_TABLE = "CREATE TABLE applied (one INTEGER PRIMARY KEY CHECK (one = 1), entry INTEGER NOT NULL)"
HIDE_TABLE = """CREATE TABLE hide (
    source TEXT NOT NULL, device TEXT NOT NULL, model TEXT NOT NULL, head TEXT NOT NULL, kind TEXT NOT NULL,
    since_ns INTEGER NOT NULL, until_ns INTEGER NOT NULL, said_by TEXT NOT NULL, note TEXT NOT NULL,
    PRIMARY KEY (source, device, model, head, kind)
) WITHOUT ROWID"""
TABLES = f"""
CREATE TABLE alert (
    source TEXT NOT NULL, device TEXT NOT NULL, model TEXT NOT NULL, head TEXT NOT NULL, stands INTEGER NOT NULL,
    t_ns INTEGER NOT NULL, event BLOB NOT NULL, PRIMARY KEY (source, device, model, head)
) WITHOUT ROWID;
CREATE TABLE event (number INTEGER PRIMARY KEY, kind TEXT NOT NULL, event BLOB NOT NULL);
CREATE TABLE due (
    number INTEGER PRIMARY KEY AUTOINCREMENT, sink TEXT NOT NULL, event INTEGER, chain TEXT NOT NULL,
    parked INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX due_event ON due (event);
CREATE INDEX due_chain ON due (sink, chain, number);
CREATE INDEX due_parked ON due (sink, parked, number);
{INTERVENTION_TABLE};
{LABEL_TABLES};
{APPLIED_TABLE};
{HIDE_TABLE};
"""
ALERTS = "SELECT source, device, model, head, stands, t_ns, event FROM alert"
ALERTS_OF_OLDER = f"SELECT source, device, '{MAIN_MODEL}' AS model, head, stands, t_ns, event FROM alert"
INTERVENTIONS = "SELECT source, device, t_ns, kind, entry, time_unit, note FROM intervention"
HISTORY = "SELECT alert, source, event FROM history"
HIDES = "SELECT source, device, model, head, kind, since_ns, until_ns, said_by, note FROM hide"
VERDICT = "SELECT label FROM label WHERE alert = ? AND label != 'note' ORDER BY t_ns DESC, number DESC LIMIT 1"
LABELS = "SELECT alert, label, t_ns, note, said_by FROM label"
_COLUMNS = ("source", "device", "model", "head", "stands", "t_ns")


class Unusable(Exception):
    """The content is not an alert table of ours. A disk that is full or fails says nothing about the content."""


def chain_of(key: AlertKey) -> str:
    return msgspec.json.encode(key).decode()


def key_of(chain: str) -> AlertKey:
    """Raises what is `Unreadable`."""
    key: AlertKey = msgspec.json.decode(chain, type=AlertKey)
    return key


def read_event(data: bytes, where: str) -> AlertEvent:
    """Raises Unusable when it cannot be read."""
    try:
        return msgspec.json.decode(data, type=AlertEvent)
    except (*Unreadable, TypeError) as error:
        raise Unusable(f"{where} is broken: {error}") from None


def read_alert(row: tuple[str, str, str, str, int, int, bytes]) -> AlertEvent:
    """The event of a row of ALERTS. Raises Unusable when it cannot be read, or is not the one of its columns."""
    *columns, data = row
    where = f"the alert of {row[0]!r}, {row[1]!r}, {row[3]!r}"
    event = read_event(data, where)
    values = (*event.key, event.state != "normal", event.t_ns)
    for name, column, value in zip(_COLUMNS, columns, values, strict=True):
        if column != value:
            raise Unusable(f"{where} is broken: its event says {value!r} for {name}, the table {column!r}")
    return event


def read_intervention(row: tuple[str, str, int, str, int, str, str]) -> InterventionLabel:
    """The label of a row of INTERVENTIONS. Raises Unusable when it is none."""
    try:
        return msgspec.convert(row, InterventionLabel)
    except msgspec.ValidationError as error:
        raise Unusable(f"the intervention in {row[1]!r} of {row[0]!r} is broken: {error}") from None


def read_history(row: tuple[str, str, bytes]) -> AlertEvent:
    """The event of a row of HISTORY. Raises Unusable when it is not the one of its columns."""
    alert, source, data = row
    event = read_event(data, f"the alert {alert!r} of its history")
    if (event.alert, event.source) != (alert, source):
        raise Unusable(f"the alert {alert!r} of {source!r} is broken: its event says {event.alert!r}, {event.source!r}")
    return event


def read_label(row: tuple[str, str, int, str, str]) -> AlertLabel:
    """The label of a row of LABELS, without the source. Raises Unusable when it is none."""
    try:
        return msgspec.convert((*row, ""), AlertLabel)
    except msgspec.ValidationError as error:
        raise Unusable(f"the label of the alert {row[0]!r} is broken: {error}") from None


def read_hide(row: tuple[str, str, str, str, str, int, int, str, str]) -> tuple[AlertKey, Hide]:
    """A row of HIDES: whose alerts, and why. Raises Unusable when it is none."""
    try:
        return msgspec.convert((row[:4], row[4:]), tuple[AlertKey, Hide])
    except msgspec.ValidationError as error:
        raise Unusable(f"the hide of {row[1]!r} of {row[0]!r} is broken: {error}") from None


def other_version(version: int) -> str:
    """Why a database is `Unusable` that says it is of this version, which is neither today's nor an older one."""
    return f"its schema is version {version}, this forewarn reads version {SCHEMA_VERSION}"


def create(db: sqlite3.Connection) -> None:
    """The tables of a new database, and in the same transaction that they are new."""
    marks = f"PRAGMA user_version = {SCHEMA_VERSION}; PRAGMA application_id = {IS_NEW}"
    db.executescript(f"BEGIN; {TABLES} {marks}; COMMIT;")


def check_rows(db: sqlite3.Connection) -> None:
    """Raises Unusable for a row that is not as it was written, as far as that can be seen, or if none can be added."""
    read_rows(db)
    db.execute("SAVEPOINT before")
    db.execute("INSERT INTO event (kind, event) VALUES ('', x'')")
    db.execute("INSERT INTO due (sink, event, chain) VALUES ('', last_insert_rowid(), '')")
    db.execute("ROLLBACK TO before")
    db.execute("RELEASE before")


def read_rows(db: sqlite3.Connection) -> None:
    """Raises Unusable for a row that is not as it was written, as far as that can be seen. Writes nothing."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as fresh:
        create(fresh)
        expected = _columns(fresh)
        for table, columns in _columns(db).items():
            if columns != expected.get(table, columns):  # a bit has flipped in the text that made it
                raise Unusable(f"its table {table!r} has other columns than it was made with")
    for (entry,) in db.execute("SELECT entry FROM applied"):
        if not isinstance(entry, int) or entry < 0:
            raise Unusable(f"the entry that was applied last is {entry!r}")
    for row in db.execute(ALERTS):
        read_alert(row)
    chains: dict[int, str] = {}
    for number, kind, data in db.execute("SELECT number, kind, event FROM event"):
        event = read_event(data, f"event {number} of its outbox")
        if kind != event.kind:
            raise Unusable(f"event {number} of its outbox is broken: it says {event.kind!r}, the table {kind!r}")
        chains[number] = chain_of(event.key)
    for number, sink, event_number, chain in db.execute("SELECT number, sink, event, chain FROM due"):
        if not isinstance(sink, str) or chain != (_own(chain) if event_number is None else chains.get(event_number)):
            raise Unusable(f"row {number} of its outbox is broken: {sink!r}, event {event_number}, {chain!r}")
    for row in db.execute(f"{INTERVENTIONS} ORDER BY number"):
        read_intervention(row)
    for row in db.execute(f"{HISTORY} ORDER BY number"):
        read_history(row)
    for row in db.execute(f"{LABELS} ORDER BY number"):
        read_label(row)
    for row in db.execute(HIDES):
        read_hide(row)


def _columns(db: sqlite3.Connection) -> dict[str, set[str]]:
    tables = [row[0] for row in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    return {name: {row[0] for row in db.execute("SELECT name FROM pragma_table_info(?)", (name,))} for name in tables}


def _own(chain: object) -> str | None:
    """The chain as it would be written, None for what is none."""
    try:
        return chain_of(key_of(chain)) if isinstance(chain, str) else None
    except Unreadable:
        return None
