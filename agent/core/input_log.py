"""The input log as the shell writes it: the one way by which entries reach a core, whether or not they are kept.

Whoever keeps entries implements `InputLog`; who reads from brokers calls it and knows nothing of files.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Protocol

import msgspec

from agent.core.core import Core
from agent.core.entries import Entry
from agent.words import Taken

REDELIVERED_MAX = 65_535  # the newest messages of a broker that may come again: so many have identifiers of their own


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


class RowWaits(msgspec.Struct, frozen=True, tag="row"):
    """A message was put behind those of its device that wait, and is acknowledged though the core has not taken it."""

    source: str
    device: str
    topic: str
    payload: bytes
    arrived_ns: int
    packet_id: int = 0


class RowsMissing(msgspec.Struct, frozen=True, tag="hole"):
    """Rows of the device are missing behind those that wait: a hole, unless its queue ends with one."""

    source: str
    device: str


class OldestShed(msgspec.Struct, frozen=True, tag="shed"):
    """The row of the device that has waited longest was shed: a hole is in its place."""

    source: str
    device: str


class HoleTaken(msgspec.Struct, frozen=True, tag="taken"):
    """The core was told of the hole at the head of the device's queue."""

    source: str
    device: str


Waiting = RowWaits | RowsMissing | OldestShed | HoleTaken
"""What changes among the rows that wait, but for those that leave with an entry (`Origin.n_waited`)."""


@dataclass(frozen=True, slots=True)
class Recovered:
    """What the input from one broker must know again after a restart.

    recent   packet id -> `digest_of` the newest message of it, of the last REDELIVERED_MAX of this session
    waiting  rows that wait, and holes, as changes to a backlog without any
    notes    by name, the last value each
    """

    recent: Mapping[int, bytes] = field(default_factory=dict)
    waiting: Sequence[Waiting] = ()
    notes: Mapping[str, int] = field(default_factory=dict)


def digest_of(topic: str, payload: bytes) -> bytes:
    """16 bytes by which a message that is delivered again is known."""
    return sha256(b"%b\0%b" % (topic.encode(), payload)).digest()[:16]


class InputLog(Protocol):
    """Keeps the entries of a core, in the order in which it takes them."""

    def apply(self, entry: Entry, origin: Origin = NOWHERE) -> Taken:
        """Record the entry, then let the core take it. Raises NotRecorded, and what `Core.apply` does."""

    def keep(self, broker: str, changes: Sequence[Waiting]) -> None:
        """Record, in their order, what changed among the rows that wait. Raises NotRecorded: none of it then was."""

    def note(self, broker: str, name: str, value: int) -> None:
        """Record a number that is to be known after a restart. Raises NotRecorded."""

    def begin_session(self, broker: str) -> None:
        """Record that the broker has no session of ours any more: earlier packet ids mean nothing. Raises NotRecorded.

        What was lost with it is an entry of its own, for each source.
        """

    def before_acknowledge(self) -> None:
        """All that was recorded lasts when this returns: the broker may forget the messages."""


class Unkept:
    """The log of a core whose entries nobody keeps."""

    def __init__(self, core: Core) -> None:
        self._core = core

    def apply(self, entry: Entry, origin: Origin = NOWHERE) -> Taken:
        """The core takes it."""
        return self._core.apply(entry)

    def keep(self, broker: str, changes: Sequence[Waiting]) -> None:
        """They are not kept."""

    def note(self, broker: str, name: str, value: int) -> None:
        """It is not kept."""

    def begin_session(self, broker: str) -> None:
        """No packet id is kept."""

    def before_acknowledge(self) -> None:
        """Nothing was recorded."""
