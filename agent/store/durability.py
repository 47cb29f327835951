"""What outlives the process, and when it is made to last: the seam between the daemon's loop and what it keeps.

The loop calls the methods of `Durability` at their places and knows nothing else of files. Whoever implements
them decides what is written at each, so that another way to keep the state is another file and a line in DURABILITIES.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from structlog.typing import FilteringBoundLogger

from agent.core import Core
from agent.core.input_log import InputLog
from agent.store.outbox import Outbox
from agent.store.snapshot_durability import SnapshotDurability
from agent.words import Taken


class Durability(InputLog, Protocol):
    """Keeps a core's state and its alerts in the state directory. All is called in the core's thread.

    Times are of any clock that only goes forward. sqlite3.Error is raised where the alert table cannot be written: the
    agent then ends, since nothing may be said of an alert that is not kept.
    """

    def start(self, now_s: float) -> None:
        """Restore the core, before the first message. Raises StateRefused when it cannot, and says what next."""

    def commit(self, taken: Taken) -> None:
        """Put alerts and labels of `taken` in table and outbox: when this returns they last, and may be published."""

    def after_turn(self, now_s: float, snapshot_every_s: float) -> None:
        """At the end of each turn of the loop, when nothing is pending: write what is due. A failing disk is logged."""

    def stop(self) -> None:
        """Everything that was taken is kept; the next start may rely on it."""


DURABILITIES: dict[str, Callable[[Path, Core, Outbox, FilteringBoundLogger], Durability]] = {
    "snapshot": SnapshotDurability
}
