"""What one read brings, as columns."""

from bisect import bisect_right
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, compress

from agent.receive.backlog import Device, Row
from agent.words import Drop, Shed

MESSAGES_MAX = 4096  # of one read: bounds the work of one turn
BYTES_MAX = 2**24  # of payloads, after which a read ends


@dataclass(slots=True)
class Received:
    """One read's messages, one element each, and what it dropped.

    packet_ids      those of QoS 1, dropped ones too, to be acknowledged in this order after the step
    shed            what was left out of each device that had more rows than could wait
    gaps            (source, device): whose history is lost right before these messages, device "" for all of a source
    n_bytes         of the payloads, or more
    is_cut          there was more to read than one read may bring
    broker_dropped  the payload of BROKER_DROPPED, empty where it has not come
    history_lost    messages may have been missed before these
    n_taken         messages that `portion` has given away
    """

    topics: list[str] = field(default_factory=list)
    payloads: list[bytes] = field(default_factory=list)
    arrived_ns: list[int] = field(default_factory=list)
    packet_ids: list[int] = field(default_factory=list)
    drops: list[Drop] = field(default_factory=list)
    shed: list[Shed] = field(default_factory=list)
    gaps: list[Device] = field(default_factory=list)
    n_bytes: int = 0
    is_cut: bool = False
    broker_dropped: bytes = b""
    history_lost: bool = False
    n_taken: int = 0

    @property
    def is_taken(self) -> bool:
        """Whether no message is left."""
        return self.n_taken == len(self.topics)

    def portion(self, n_messages: int, n_bytes: int) -> tuple[list[str], list[bytes], list[int]]:
        """The next topics, payloads and times of arrival; they count as taken from now on.

        At most `n_messages`, and payloads of at most `n_bytes`; but one message at least.
        """
        part = slice(self.n_taken, self.n_taken + n_messages)
        if self.n_bytes > n_bytes:
            ends = [*accumulate(map(len, self.payloads[part]))]
            part = slice(self.n_taken, self.n_taken + max(1, bisect_right(ends, n_bytes)))
        topics = self.topics[part]
        self.n_taken += len(topics)
        return topics, self.payloads[part], self.arrived_ns[part]

    def prepend(self, rows: Sequence[Row]) -> None:
        """Put rows before the messages."""
        self.topics[:0] = [row.topic for row in rows]
        self.payloads[:0] = [row.payload for row in rows]
        self.arrived_ns[:0] = [row.arrived_ns for row in rows]
        self.n_bytes += sum(len(row.payload) for row in rows)

    def leave_out(self, places: Collection[int]) -> None:
        """Take the messages at these places out."""
        if not places:
            return
        kept = [True] * len(self.topics)
        for place in places:
            kept[place] = False
        self.topics = [*compress(self.topics, kept)]
        self.payloads = [*compress(self.payloads, kept)]
        self.arrived_ns = [*compress(self.arrived_ns, kept)]
