"""What one read brings, as columns."""

from bisect import bisect_right
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, compress

from agent.core.input_log import Waiting
from agent.receive.backlog import Device, Row
from agent.words import Drop, Shed

MESSAGES_MAX = 4096  # of one read: bounds the work of one turn
BYTES_MAX = 2**24  # of payloads, after which a read ends


@dataclass(slots=True)
class Received:
    """One read's messages, one element each, and what it dropped.

    packet_ids      those of QoS 1, dropped ones too, to be acknowledged in this order after the step
    message_ids     packet identifier of each message, 0 at QoS 0 and of one that waited; None where sessions are clean
    shed            what was left out of each device that had more rows than could wait
    gaps            (source, device): whose history is lost right before these messages, device "" for all of a source
    n_bytes         of the payloads, or more
    is_cut          there was more to read than one read may bring
    broker_dropped  the payload of BROKER_DROPPED, empty where it has not come
    history_lost    messages may have been missed before these
    lost_sources    names of the sources of which they may, where not of all
    is_new_session  the broker has no session of ours from before these messages
    notes           numbers to be known after a restart, by name
    n_waited        the first so many messages have waited
    n_taken         messages that `portion` has given away
    changes_before  what changed among the rows that wait before these messages: holes
    changes         the same, with these messages: rows that wait from now on, and holes
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
    lost_sources: Sequence[str] = ()
    is_new_session: bool = False
    n_waited: int = 0
    n_taken: int = 0
    message_ids: list[int] | None = None
    notes: dict[str, int] = field(default_factory=dict)
    changes_before: Sequence[Waiting] = ()
    changes: Sequence[Waiting] = ()

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
        if self.message_ids is not None:
            self.message_ids[:0] = [row.packet_id for row in rows]
        self.n_bytes += sum(len(row.payload) for row in rows)

    def prepend_waited(self, rows: Sequence[Row]) -> None:
        """The same with rows that have waited: of them the broker delivers nothing again."""
        self.prepend([row._replace(packet_id=0) for row in rows])
        self.n_waited = len(rows)

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
        if self.message_ids is not None:
            self.message_ids = [*compress(self.message_ids, kept)]
