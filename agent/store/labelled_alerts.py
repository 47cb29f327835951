"""The alerts that were raised and what people said of them, as another process reads them."""

import sqlite3
from dataclasses import dataclass
from pathlib import Path

from agent.store.database import read_beside
from agent.store.schema import FIRST_WITH_LABELS, HISTORY, LABELS, read_history, read_label
from agent.words import AlertEvent, AlertLabel, LabelKind


@dataclass(frozen=True, slots=True)
class LabelledAlert:
    """An alert's last event, and all that was said of it, by its time."""

    event: AlertEvent
    labels: tuple[AlertLabel, ...]

    @property
    def verdict(self) -> LabelKind | None:
        """The latest good or bad, None where nobody said either."""
        return next((label.label for label in reversed(self.labels) if label.label != "note"), None)


def read_labelled(path: Path) -> list[LabelledAlert]:
    """All alerts that the table in `path` keeps, the first raised first, beside a running agent or without one.

    Raises StateRefused when there is no table, or none that can be read.
    """
    return read_beside(path, FIRST_WITH_LABELS, _read)


def _read(db: sqlite3.Connection) -> list[LabelledAlert]:
    of_alert: dict[str, list[AlertLabel]] = {}
    for row in db.execute(f"{LABELS} ORDER BY t_ns, number"):
        label = read_label(row)
        of_alert.setdefault(label.alert, []).append(label)
    events = [read_history(row) for row in db.execute(f"{HISTORY} ORDER BY number")]
    return [LabelledAlert(event, tuple(of_alert.get(event.alert, ()))) for event in events]
