"""What outlives the process, and when it is made to last: the seam between the daemon's loop and what it keeps.

The loop calls the methods of `Durability` at their places and knows nothing else of files. Whoever implements
them decides what is written at each, so that another way to keep the state is another file and a line in DURABILITIES.
"""

from collections.abc import Callable, Mapping
from typing import Protocol

from agent.core.input_log import InputLog, Recovered
from agent.store.journal_durability import JournalDurability
from agent.store.snapshot_durability import SnapshotDurability
from agent.store.state_directory import StateDirectory
from agent.words import Taken


class Durability(InputLog, Protocol):
    """Keeps a core's state and its alerts in the state directory. All is called in the core's thread.

    Times are of any clock that only goes forward. sqlite3.Error is raised where the alert table cannot be written: the
    agent then ends, since nothing may be said of an alert that is not kept.
    """

    def start(self, now_s: float) -> Mapping[str, Recovered]:
        """Restore the core, before the first message. Raises StateRefused when it cannot, and says what next.

        Returns what the inputs must know again, by broker; nothing where sessions end with the process.
        """

    def commit(self, taken: Taken) -> None:
        """Put alerts and labels of `taken` in table and outbox: when this returns they last, and may be published.

        Raises NotRecorded when they cannot be kept for now: to be called again with the same, before anything else is.
        """

    def after_turn(self, now_s: float, snapshot_every_s: float) -> None:
        """At the end of each turn of the loop, when nothing is pending: write what is due. A failing disk is logged."""

    def stop(self) -> None:
        """Everything that was taken is kept; the next start may rely on it."""


DURABILITIES: dict[str, Callable[[StateDirectory], Durability]] = {
    "snapshot": SnapshotDurability,
    "journal": JournalDurability,
}
