"""Whose alerts are hidden, in alerts.db: a start that takes alerts from the table takes these from it, too."""

import sqlite3
from collections.abc import Sequence
from typing import Final

from agent.words import HideChange

_PUT: Final = "INSERT OR REPLACE INTO hide VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
_REMOVE: Final = "DELETE FROM hide WHERE source = ? AND device = ? AND model = ? AND head = ? AND kind = ?"


def apply(db: sqlite3.Connection, changes: Sequence[HideChange]) -> None:
    """In the transaction of `db`."""
    for pattern, kind, hide in changes:
        if hide is None:
            db.execute(_REMOVE, (*pattern, kind))
        else:
            db.execute(_PUT, (*pattern, *hide))
