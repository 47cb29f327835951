"""Alerts into the table, and what happens when it takes none for now: a person's shell has locked it, the disk is full.

What was not committed is given again by whoever has it, before anything else is taken: the core is ahead of the table
until then, so nothing is recorded, and no snapshot is written.
"""

from structlog.typing import FilteringBoundLogger

from agent.core.input_log import NotRecorded
from agent.store.database import NotNow
from agent.store.outbox import Outbox
from agent.words import Taken


class Commits:
    """Of one process. `is_behind`: the last commit failed, and its alerts are not in the table yet."""

    def __init__(self, outbox: Outbox, log: FilteringBoundLogger) -> None:
        self.is_behind = False
        self._outbox = outbox
        self._log = log

    def commit(self, taken: Taken, applied: int | None = None) -> None:
        """Alerts, labels, what was done to machines and who is forgotten, in one transaction.

        Raises NotRecorded when it cannot be now, another sqlite3.Error when it will never be.
        """
        try:
            self._outbox.commit(taken.alerts, taken.labels, taken.alert_labels, taken.forgotten, applied, taken.hides)
        except NotNow as error:
            if not self.is_behind:
                next_step = "Nothing is taken until then; it is tried again. Is the disk full, or a shell at work?"
                self._log.error("alerts_not_kept", why=str(error), next_step=next_step)
            self.is_behind = True
            raise NotRecorded(str(error)) from error
        if self.is_behind:
            self._log.info("alerts_kept_again")
        self.is_behind = False

    def check(self) -> None:
        """Raises NotRecorded while the table is behind: the core must not get further ahead of it."""
        if self.is_behind:
            raise NotRecorded("the alert table takes nothing for now")


def has_changes(taken: Taken) -> bool:
    """Whether anything of it is kept in the table."""
    return bool(taken.alerts or taken.labels or taken.alert_labels or taken.forgotten or taken.hides)
