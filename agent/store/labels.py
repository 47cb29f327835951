"""Every alert that was raised, and what people say of it, kept in alerts.db for the trainer.

Alerts are few, so the newest are kept long after they ended: a crew looks at a machine days later. One that was
labelled stays as long as its label.
"""

import sqlite3
from collections.abc import Sequence
from typing import Final

import msgspec

from agent.words import AlertEvent, AlertLabel

ALERTS_MAX: Final = 10_000  # without a label; beyond it the oldest go
LABELS_MAX: Final = 10_000  # likewise
_REMEMBER = """INSERT INTO history (alert, source, event) VALUES (?, ?, ?)
    ON CONFLICT (alert) DO UPDATE SET event = excluded.event"""
_FORGET = """DELETE FROM history WHERE number <= (SELECT max(number) FROM history) - ?
    AND alert NOT IN (SELECT alert FROM label)"""
_ADD = """INSERT INTO label (alert, label, t_ns, note, said_by) SELECT alert, ?, ?, ?, ? FROM history
    WHERE alert = ? AND source = ? ON CONFLICT (alert, label, t_ns) DO NOTHING"""
_BEYOND = "DELETE FROM label WHERE number <= (SELECT max(number) FROM label) - ?"


def remember(db: sqlite3.Connection, events: Sequence[AlertEvent]) -> None:
    """Keep the newest event of each alert, in the transaction of `db`."""
    db.executemany(_REMEMBER, [(event.alert, event.source, msgspec.json.encode(event)) for event in events])
    if events:
        db.execute(_FORGET, (ALERTS_MAX,))


def add(db: sqlite3.Connection, labels: Sequence[AlertLabel]) -> None:
    """Keep labels of alerts that are known and of the source that sent them, each once, in the transaction of `db`."""
    db.executemany(_ADD, [(one.label, one.t_ns, one.note, one.by, one.alert, one.source) for one in labels])
    if labels:
        db.execute(_BEYOND, (LABELS_MAX,))
