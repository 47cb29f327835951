"""Alert table and outbox in one SQLite database, changed together in one transaction a batch that has alerts.

The table has one row a key (source, device, model, head): its standing alert, or the last one that ended; the history
(labels.py) has every alert. The outbox
keeps events until every sink has told them; each sink has a cursor of its own (cursor.py).
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import msgspec

from agent.store import hides, interventions, labels
from agent.store.cursor import Cursor
from agent.store.database import Database
from agent.store.schema import (
    ALERTS,
    HIDES,
    HISTORY,
    INTERVENTIONS,
    read_alert,
    read_hide,
    read_history,
    read_intervention,
)
from agent.store.unfinished_import import check_import
from agent.words import OF_NO_MODEL, AlertEvent, AlertKey, AlertLabel, Hide, HideChange, InterventionLabel

ALERT_TABLE = "alerts.db"  # in the state directory
_ENDS_THE_KEY = (
    *("forgotten", "source_removed", "model_removed"),  # it starts as one never heard
    *("heard_again", "not_watched"),  # silence that has ended says nothing of the device's rows
)


class Outbox:
    """The open database. Every method raises sqlite3.Error when the disk fails: nothing is then half done.

    Raises StateRefused beside an import that has not come to its end, before the database is touched.

    events_max  bound of the events that may be due to one sink
    """

    def __init__(self, path: Path, events_max: int) -> None:
        check_import(path.parent)
        self._events_max = events_max
        self._cursors: dict[str, Cursor] = {}
        self._database = Database(path)
        self.is_first = self._database.is_first
        self.aside, self.why_aside = self._database.aside, self._database.why_aside

    @property
    def is_new(self) -> bool:
        """No start has come to its end with this table: what stood before it was made has no row in it."""
        return self._database.is_new

    def settle(self) -> None:
        """A start has come to its end with this table, so that what it lacks was not lost with an older one."""
        self._database.settle()

    def close(self) -> None:
        self._database.close()

    def patient(self) -> AbstractContextManager[None]:
        """Within, who else holds the database is waited for as long as at a start."""
        return self._database.patient()

    def cursor(self, sink: str, *, mirrors: bool) -> Cursor:
        """The cursor of a sink: what is committed from now on is due to it, and what was due before it was closed."""
        made = self._cursors[sink] = Cursor(self._database, sink, self._events_max, mirrors=mirrors)
        return made

    def leave_other_sinks(self) -> dict[str, int]:
        """Forget what is due to sinks that have no cursor: nobody will take it. Returns how much that was, by name."""
        counts = dict(self._database.read("SELECT sink, count(*) FROM due GROUP BY sink"))
        others = {sink: count for sink, count in counts.items() if sink not in self._cursors}
        if others:
            with self._database.transaction() as db:
                db.executemany("DELETE FROM due WHERE sink = ?", [(sink,) for sink in others])
                db.execute("DELETE FROM event WHERE number NOT IN (SELECT event FROM due WHERE event IS NOT NULL)")
        return others

    @property
    def dropped(self) -> int:
        """Events that the bound pushed out, added up over the sinks."""
        return sum(cursor.dropped for cursor in self._cursors.values())

    def commit(
        self,
        events: Sequence[AlertEvent],
        done: Sequence[InterventionLabel] = (),
        alert_labels: Sequence[AlertLabel] = (),
        forgotten: Sequence[tuple[str, str]] = (),
        applied: int | None = None,
        hidden: Sequence[HideChange] = (),
    ) -> None:
        """Apply alert events to the table and make them due to every sink, in one transaction; and in the same one keep
        `done` to machines and `alert_labels`, and let go of the ended alerts of (source, device) that are `forgotten`.

        applied  the journal's entry up to which all is in the table then, where there is a journal
        hidden   whose alerts are hidden from now on, or are not any more
        """
        with self._database.transaction() as db:
            stored = []
            interventions.add(db, done)
            labels.remember(db, events)
            labels.add(db, alert_labels)
            hides.apply(db, hidden)
            for event in events:
                data = msgspec.json.encode(event)
                if event.cause in _ENDS_THE_KEY:
                    query = "DELETE FROM alert WHERE source = ? AND device = ? AND model = ? AND head = ?"
                    db.execute(query, event.key)
                else:
                    row = (*event.key, event.state != "normal", event.t_ns, data)
                    db.execute("INSERT OR REPLACE INTO alert VALUES (?, ?, ?, ?, ?, ?, ?)", row)
                if self._cursors:
                    kept = db.execute("INSERT INTO event (kind, event) VALUES (?, ?)", (event.kind, data))
                    stored.append((int(kept.lastrowid or 0), event))
            for cursor in self._cursors.values():
                cursor.add(db, stored)
            for cursor in self._cursors.values():  # only now: an event is gone once no cursor has it
                cursor.keep_bound(db)
            db.executemany("DELETE FROM alert WHERE source = ? AND device = ? AND NOT stands", forgotten)
            if applied is not None:
                db.execute("INSERT OR REPLACE INTO applied VALUES (1, ?)", (applied,))

    def applied(self) -> int:
        """The journal's entry up to which all is in the table, 0 for none."""
        row = self._database.read("SELECT entry FROM applied").fetchone()
        return row[0] if row else 0

    def alert(self, alert: str) -> AlertEvent | None:
        """The last event of an alert, standing or ended; None for one that nobody raised, or long ago."""
        row = self._database.read(f"{HISTORY} WHERE alert = ?", alert).fetchone()
        return row and read_history(row)

    def newest_of_no_model_ns(self) -> int:
        """Log time of the newest raise of no model that is kept, -1 for none: its id is made of it."""
        events = map(read_history, self._database.read(f"{HISTORY} ORDER BY number DESC"))
        return next((event.raised_t_ns for event in events if event.head in OF_NO_MODEL), -1)

    def hides(self) -> list[tuple[AlertKey, Hide]]:
        """Whose alerts are hidden."""
        return [read_hide(row) for row in self._database.read(HIDES)]

    def interventions_from(self, entry: int) -> list[InterventionLabel]:
        """Those of messages from this entry on, in their order."""
        query = f"{INTERVENTIONS} WHERE entry >= ? ORDER BY entry, number"
        return [read_intervention(row) for row in self._database.read(query, entry)]

    def renumber_interventions(self, entry: int) -> None:
        """Those of later entries are repeated by the entry of this number, in another run of the input log."""
        with self._database.transaction() as db:
            db.execute("UPDATE intervention SET entry = ? WHERE entry > ?", (entry, entry))

    def standing(self) -> list[AlertEvent]:
        """The last event of each standing alert."""
        query = f"{ALERTS} WHERE stands ORDER BY source, device, model, head"
        return [read_alert(row) for row in self._database.read(query)]

    def newest(self) -> dict[tuple[str, str], tuple[int, int]]:
        """(source, device) -> clock epoch and event time of the device's newest alert event that a row decided."""
        newest: dict[tuple[str, str], tuple[int, int]] = {}
        for event in map(read_alert, self._database.read(f"{ALERTS} WHERE head NOT IN (?, ?)", *OF_NO_MODEL)):
            key, mark = (event.source, event.device), (max(event.t_epoch, event.clock_epoch), event.t_ns)
            newest[key] = max(mark, newest.get(key, mark))
        return newest
