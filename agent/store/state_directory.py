"""What a `Durability` has to do with: the core that it keeps, and the parts of a state directory."""

from collections.abc import Callable
from dataclasses import dataclass

from structlog.typing import FilteringBoundLogger

from agent.core import Core
from agent.store.disk import Disk
from agent.store.outbox import Outbox
from agent.store.snapshot_writer import Submit, at_once

JOURNAL_BYTES_MAX = 2**28


@dataclass(frozen=True, slots=True)
class StateDirectory:
    """The core that is kept, and where: files, and the database of alerts.

    journal_bytes_max  bound of all files of the journal
    submit             who writes a snapshot: a thread, or the caller
    starting           called as often as a start has done something, which may take long
    """

    disk: Disk
    core: Core
    outbox: Outbox
    log: FilteringBoundLogger
    journal_bytes_max: int = JOURNAL_BYTES_MAX
    submit: Submit = at_once
    starting: Callable[[], None] = lambda: None
