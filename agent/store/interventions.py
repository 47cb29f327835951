"""What was done to machines, kept in alerts.db for the trainer: each once, however often a message brings it."""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Final

from agent.errors import StateRefused
from agent.store.database import BUSY_TIMEOUT_S
from agent.store.schema import INTERVENTIONS, Unusable, read_intervention
from agent.words import InterventionLabel

KEPT_MAX: Final = 100_000  # beyond it the oldest go
_ADD = """INSERT INTO intervention (source, device, kind, t_ns, time_unit, note, entry)
    VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (source, device, kind, t_ns) DO NOTHING"""
_BEYOND = "DELETE FROM intervention WHERE number <= (SELECT max(number) FROM intervention) - ?"
_FIRST_WITH_THEM = 4  # version of the tables


def add(db: sqlite3.Connection, labels: Sequence[InterventionLabel]) -> None:
    """Keep those that are not there yet, in the transaction of `db`."""
    for one in labels:
        db.execute(_ADD, (one.source, one.device, one.kind, one.t_ns, one.time_unit, one.note, one.entry))
    if labels:
        db.execute(_BEYOND, (KEPT_MAX,))


def read_interventions(path: Path) -> list[InterventionLabel]:
    """All that the table in `path` holds, the oldest entry first, beside a running agent or without one.

    Raises StateRefused when there is no table, or none that can be read.
    """
    if not path.exists():
        raise StateRefused(path, "is not there", next_step="Has the agent run with this agent.state_dir?")
    try:
        uri = f"{path.absolute().as_uri()}?mode=ro"
        with closing(sqlite3.connect(uri, uri=True, timeout=BUSY_TIMEOUT_S)) as db:
            if db.execute("PRAGMA user_version").fetchone()[0] < _FIRST_WITH_THEM:
                return []
            return [read_intervention(row) for row in db.execute(f"{INTERVENTIONS} ORDER BY number")]
    except (sqlite3.DatabaseError, Unusable) as error:
        next_step = "May you read the folder? If the file is broken, the agent sets it aside when it starts."
        raise StateRefused(path, f"cannot be read ({error})", next_step=next_step) from None
