"""How a database of an older version becomes one of today, in one transaction: all of it, or nothing.

Version 1 had a row a device and head, whatever its source. Version 2 named the source, and said of each row of the
outbox in which chain it was and whether the broker had refused it. Both kept the messages of MQTT, the one sink of
their time. Version 3 keeps events, and the alert's key has the model: a message becomes the event that gives it.
Version 4 also keeps interventions, version 5 every alert that was raised, and what people say of it. Version 6 knows
which entry of the journal was applied last, version 7 whose alerts are hidden.
"""

import sqlite3
from collections.abc import Iterable
from contextlib import closing
from typing import Literal
from urllib.parse import unquote

import msgspec

from agent.errors import Unreadable
from agent.store.labels import remember
from agent.store.schema import (
    ALERTS,
    APPLIED_TABLE,
    HIDE_TABLE,
    INTERVENTION_TABLE,
    LABEL_TABLES,
    SCHEMA_VERSION,
    TABLES,
    Unusable,
    chain_of,
    check_rows,
    read_alert,
)
from agent.words import MAIN_MODEL, AlertEvent, AlertKey, BundleLabel, Severity

OLDER = (1, 2, 3, 4, 5, 6)
_SINK = "mqtt"
_TO_3 = """
ALTER TABLE alert RENAME TO old_alert;
ALTER TABLE outbox RENAME TO old_outbox;
"""
_NEW = {  # tables that older versions have not, by version
    4: INTERVENTION_TABLE,
    5: LABEL_TABLES,
    6: APPLIED_TABLE,
    7: HIDE_TABLE,
}
_DONE = """
DROP TABLE old_alert;
DROP TABLE old_outbox;
DROP TABLE IF EXISTS units;
"""


class _TimeToFault(msgspec.Struct):
    expected: float
    low: float
    high: float
    at_most: float


class _BundleName(msgspec.Struct):
    name: str
    version: str
    digest: str


class _OldOutputs(msgspec.Struct):
    risk: tuple[float, ...]
    rul: tuple[float, ...]


class _Message(msgspec.Struct):
    """The message of an event, as versions 1 and 2 kept it to be published."""

    event: Literal["raised", "updated", "cleared"]
    alert: str
    sequence: int
    device: str
    source: str
    head: str
    state: Literal["unacknowledged", "normal"]
    severity: Severity
    t: str | float
    t_ns: int
    raised_t: str | float
    raised_t_ns: int
    quality: str
    cause: Literal["risk", "below_threshold", "forgotten", "source_removed", "new_life"]
    risk: dict[str, float]
    bundle: _BundleName
    time_to_fault: _TimeToFault | None = None
    decided_by: _BundleName | None = None

    def as_event(self) -> AlertEvent:
        """The event whose message says the same; what no message says is left at its default."""
        span, is_own = self.time_to_fault, self.decided_by is None
        decider = BundleLabel(
            **msgspec.to_builtins(self.decided_by or self.bundle),
            time_unit=_unit(self.t),
            horizons=tuple(self.risk),
            quantiles=(0.0, 0.5, 1.0) if span else (),  # of which it shows the first, the one nearest 0.5 and the last
            cap_s=span.at_most if span else 0.0,
        )
        raised_in = msgspec.structs.replace(
            decider, **msgspec.to_builtins(self.bundle), time_unit=_unit(self.raised_t), horizons=(), quantiles=()
        )
        return AlertEvent(
            kind=self.event,
            alert=self.alert,
            sequence=self.sequence,
            source=self.source,
            device=self.device,
            head=self.head,
            state=self.state,
            severity=self.severity,
            entry=0,
            t_ns=self.t_ns,
            raised_t_ns=self.raised_t_ns,
            quality=self.quality,
            outputs=_outputs(tuple(self.risk.values()), (span.low, span.expected, span.high) if span else ()),
            cause=self.cause,
            bundle=decider if is_own else raised_in,
            decided_by=None if is_own else decider,
        )


def migrate(db: sqlite3.Connection, version: int) -> None:
    """From one of the OLDER versions. Raises Unusable when a row is not as it was written: nothing has then changed."""
    db.execute("BEGIN IMMEDIATE")
    try:
        if version < 3:
            _to_events(db, version)
        else:
            _run(db, "; ".join(table for since, table in _NEW.items() if version < since))
        remember(db, [read_alert(row) for row in db.execute(ALERTS)])
        check_rows(db)
        db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
    except BaseException as error:
        db.execute("ROLLBACK")
        if isinstance(error, (*Unreadable, TypeError)):
            raise Unusable(f"an event in its outbox cannot be read ({error})") from None
        raise
    db.execute("COMMIT")


def check_migration(db: sqlite3.Connection, version: int) -> None:
    """Whether `migrate` would do it, in a copy in memory: `db` is only read. Raises what that raises."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as copy:
        db.backup(copy)
        migrate(copy, version)


def _to_events(db: sqlite3.Connection, version: int) -> None:
    """From version 1 or 2, which kept messages of MQTT."""
    _run(db, _TO_3)
    _run(db, TABLES)
    alerts = db.execute("SELECT source, device, head, stands, t_ns, event FROM old_alert").fetchall()
    for source, device, head, stands, t_ns, event in alerts:
        row = (source, device, MAIN_MODEL, head, stands, t_ns, with_outputs(event))
        db.execute("INSERT INTO alert VALUES (?, ?, ?, ?, ?, ?, ?)", row)
    parked = "parked" if version > 1 else "0"
    rows = f"SELECT number, topic, payload, retain, {parked} FROM old_outbox ORDER BY number"
    _take_outbox(db, db.execute(rows).fetchall())
    _run(db, _DONE)


def with_outputs(event: bytes) -> bytes:
    """An event as versions 1 and 2 kept it, with an array of its own for risk and rul, as it is kept today.

    What cannot be read is returned as it is: who reads it says whose it is.
    """
    try:
        older = msgspec.json.decode(event, type=_OldOutputs)
        members = msgspec.json.decode(event, type=dict[str, msgspec.Raw])
    except (*Unreadable, TypeError):
        return event
    others = {name: value for name, value in members.items() if name not in ("risk", "rul")}
    return msgspec.json.encode(others | {"outputs": _outputs(older.risk, older.rul)})


def _outputs(risk: tuple[float, ...], rul: tuple[float, ...]) -> dict[str, tuple[float, ...]]:
    return {name: values for name, values in (("risk", risk), ("rul", rul)) if values}


def _run(db: sqlite3.Connection, statements: str) -> None:
    for statement in statements.split(";"):
        db.execute(statement)


def _take_outbox(db: sqlite3.Connection, rows: Iterable[tuple[int, str, bytes, int, int]]) -> None:
    for number, topic, payload, is_retained, parked in rows:
        event_number, key = None, _key_in(topic) if is_retained else None
        if not is_retained:
            event = msgspec.json.decode(payload, type=_Message).as_event()
            event_number, key = number, event.key
            data = msgspec.json.encode(event)
            db.execute("INSERT INTO event VALUES (?, ?, ?)", (event_number, event.kind, data))
        if key is not None:
            row = (number, _SINK, event_number, chain_of(key), parked)
            db.execute("INSERT INTO due VALUES (?, ?, ?, ?, ?)", row)


def _key_in(topic: str) -> AlertKey | None:
    """Whose alert was retained under PREFIX/NODE/alert/SOURCE/DEVICE/HEAD; None for a topic of another form, as of
    version 1: what the broker holds there is removed with the next connection, since no alert has that topic."""
    *_, before, source, device, head = ["", "", "", *topic.split("/")]
    return (unquote(source), unquote(device), MAIN_MODEL, head) if before == "alert" else None


def _unit(time: str | float) -> Literal["s", "cycle"]:
    return "s" if isinstance(time, str) else "cycle"
