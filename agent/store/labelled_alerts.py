"""The alerts that were raised and what people said of them, as another process reads them."""

import sqlite3
from dataclasses import dataclass
from pathlib import Path

from agent.errors import StateRefused
from agent.near import nearest
from agent.store.database import read_beside
from agent.store.outbox import ALERT_TABLE
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


def find_alert(kept: list[LabelledAlert], alert: str, folder: Path) -> AlertEvent:
    """The one whose id begins so. Raises StateRefused when there is none, or more than one."""
    ids = {one.event.alert: one.event for one in kept}
    meant = [event for id_, event in ids.items() if id_.startswith(alert)]
    if len(meant) == 1:
        return meant[0]
    if meant:
        raise unknown_alert(folder, alert, f"{len(meant)} of the alerts that are kept begin so")
    near = nearest(alert, ids)
    whose = f"; the nearest is {near}, of {ids[near].device}" if near else ""
    raise unknown_alert(folder, alert, f"none of the {len(ids)} alerts that are kept has this id{whose}")


def unknown_alert(folder: Path, alert: str, what: str) -> StateRefused:
    next_step = "`forewarn alerts` lists those that stand, `forewarn alerts export` all that can be labelled."
    return StateRefused(folder / ALERT_TABLE, f"alert {alert!r}: {what}", next_step=next_step)
