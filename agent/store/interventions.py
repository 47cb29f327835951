"""What was done to machines, kept in alerts.db for the trainer: each once, however often a message brings it."""

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from agent.store.database import read_beside
from agent.store.schema import INTERVENTIONS, read_intervention
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
    return read_beside(path, _FIRST_WITH_THEM, _read)


def _read(db: sqlite3.Connection) -> list[InterventionLabel]:
    return [read_intervention(row) for row in db.execute(f"{INTERVENTIONS} ORDER BY number")]
