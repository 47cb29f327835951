"""The alert table as another process reads it, beside a running agent or without one; it never holds the agent up.

Reading is by short read-only transactions. The table may be set aside and begun anew at any time, so the file is opened
again when there is another one under its name.
"""

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from agent.errors import StateRefused
from agent.store.database import BUSY_TIMEOUT_S
from agent.store.migration import with_outputs
from agent.store.schema import (
    ALERTS,
    ALERTS_OF_OLDER,
    FIRST_WITH_LABELS,
    FIRST_WITH_MODELS,
    VERDICT,
    Unusable,
    read_alert,
)
from agent.words import AlertEvent


@dataclass(frozen=True, slots=True)
class Rows:
    """The last event of every key, by source and device.

    verdicts  of standing alerts that people called good or bad: the later one, by the alert's id
    """

    events: list[AlertEvent]
    verdicts: Mapping[str, str] = field(default_factory=dict)

    def standing(self) -> list[AlertEvent]:
        return [event for event in self.events if event.state != "normal"]


class AlertTable:
    """A reader of the table in `path`, which need not be there yet."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._db: sqlite3.Connection | None = None
        self._file = 0  # the inode that is open
        self._version: int | None = None  # changes with each commit

    def poll(self) -> Rows | None:
        """What the table holds, None when nothing was committed since the last call.

        Raises StateRefused when there is no table, or none that can be read; it may be there at the next call.
        """
        try:
            return self._poll()
        except FileNotFoundError:
            self.close()
            next_step = "Has the agent run with this agent.state_dir?"
            raise StateRefused(self._path, "is not there", next_step=next_step) from None
        except (OSError, sqlite3.DatabaseError, Unusable) as error:
            self.close()
            next_step = "May you read the folder? If the file is broken, the agent sets it aside when it starts."
            raise StateRefused(self._path, f"cannot be read ({error})", next_step=next_step) from None

    def close(self) -> None:
        if self._db is not None:
            self._db.close()
        self._db, self._version = None, None

    def _poll(self) -> Rows | None:
        file = self._path.stat().st_ino
        if file != self._file:
            self.close()
        if self._db is None:
            uri = f"{self._path.absolute().as_uri()}?mode=ro"
            self._db = sqlite3.connect(uri, uri=True, timeout=BUSY_TIMEOUT_S)
            self._file = file
        version: int = self._db.execute("PRAGMA data_version").fetchone()[0]
        if version == self._version:
            return None
        schema = self._db.execute("PRAGMA user_version").fetchone()[0]
        is_older = 0 < schema < FIRST_WITH_MODELS
        query = ALERTS_OF_OLDER if is_older else ALERTS  # until the agent of this version has started
        events = self._db.execute(f"{query} ORDER BY source, device, model, head").fetchall()
        if is_older:
            events = [(*columns, with_outputs(event)) for *columns, event in events]
        rows = Rows([read_alert(row) for row in events])
        if schema >= FIRST_WITH_LABELS:
            said = ((event.alert, self._db.execute(VERDICT, (event.alert,)).fetchone()) for event in rows.standing())
            rows = replace(rows, verdicts={alert: verdict[0] for alert, verdict in said if verdict})
        self._version = version
        return rows
