"""Whose alerts are hidden, in alerts.db: a start that takes alerts from the table takes these from it, too."""

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from agent.store.database import read_beside
from agent.store.schema import FIRST_WITH_HIDES, HIDES, read_hide
from agent.words import AlertKey, Hide, HideChange

_PUT: Final = "INSERT OR REPLACE INTO hide VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
_REMOVE: Final = "DELETE FROM hide WHERE source = ? AND device = ? AND model = ? AND head = ? AND kind = ?"


def apply(db: sqlite3.Connection, changes: Sequence[HideChange]) -> None:
    """In the transaction of `db`."""
    for pattern, kind, hide in changes:
        if hide is None:
            db.execute(_REMOVE, (*pattern, kind))
        else:
            db.execute(_PUT, (*pattern, *hide))


def read_hides(path: Path) -> list[tuple[AlertKey, Hide]]:
    """All that the table in `path` has, by source and device, beside a running agent or without one.

    Raises StateRefused when there is no table, or none that can be read.
    """
    return read_beside(path, FIRST_WITH_HIDES, lambda db: [read_hide(row) for row in db.execute(HIDES)])
