"""The input log as the shell writes it: the one way by which entries reach a core, whether or not they are kept.

Whoever keeps entries implements `InputLog`; who reads from brokers calls it and knows nothing of files.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from agent.core.core import Core
from agent.core.entries import Entry
from agent.words import Taken


class NotRecorded(Exception):
    """The entry could not be kept, for now, and was not applied: to be tried again, before anything else is."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where the messages of an entry came from.

    broker      name of its table, "" for [broker]
    packet_ids  one a message, 0 for one of QoS 0; () where nobody knows
    n_waited    the first so many messages have waited for their share, and were kept when they came
    """

    broker: str = ""
    packet_ids: Sequence[int] = ()
    n_waited: int = 0


NOWHERE = Origin()


class InputLog(Protocol):
    """Keeps the entries of a core, in the order in which it takes them."""

    def apply(self, entry: Entry, origin: Origin = NOWHERE) -> Taken:
        """Record the entry, then let the core take it. Raises NotRecorded, and what `Core.apply` does."""

    def before_acknowledge(self) -> None:
        """All that was recorded lasts when this returns: the broker may forget the messages."""


class Unkept:
    """The log of a core whose entries nobody keeps."""

    def __init__(self, core: Core) -> None:
        self._core = core

    def apply(self, entry: Entry, origin: Origin = NOWHERE) -> Taken:
        """The core takes it."""
        return self._core.apply(entry)

    def before_acknowledge(self) -> None:
        """Nothing was recorded."""
