"""What one read brings: the rules of what is taken and what is dropped, whoever has parsed it."""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from agent.core.bounds import Bounds
from agent.decode.topic import Pattern, device_id_problem
from agent.reasons import ReasonName
from agent.receive.backlog import Backlog, Device, Row
from agent.receive.publish_frame import Message
from agent.receive.share import Share
from agent.words import Drop, DropCounts, Shed, Source

MESSAGES_MAX = 4096  # of one read: bounds the work of one turn
BYTES_MAX = 2**24  # of payloads, after which a read ends
SHED_DEVICES_MAX = 1000  # that are counted one by one; beyond it the lesser half is forgotten
TOPIC_TEXTS_MAX = 100_000  # beyond it the memory starts anew
TOPIC_TEXT_BYTES_MAX = 256  # longer ones are not remembered
BROKER_DROPPED = b"$SYS/broker/publish/messages/dropped"  # mosquitto's count of what it dropped, for all its clients
_NOT_IN_A_TOPIC = frozenset("+#\0")


@dataclass(frozen=True, slots=True)
class ReadBounds:
    """Of one message, or of one device's rows at once: what is beyond them is dropped, or waits."""

    payload_bytes_max: int
    rows_per_device_max: int = MESSAGES_MAX
    device_id_bytes_max: int = Bounds().device_id_bytes_max


@dataclass(slots=True)
class Received:
    """One read's messages, one element each, and what it dropped.

    packet_ids      those of QoS 1, dropped ones too, to be acknowledged in this order after the step
    shed            what was left out of each device that had more rows than could wait
    gaps            (source, device): devices of which history is lost right before these messages
    n_bytes         of the payloads that were read
    is_cut          there was more to read than one read may bring
    broker_dropped the payload of BROKER_DROPPED, empty where it has not come
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

    def portion(self, n_messages: int) -> tuple[list[str], list[bytes], list[int]]:
        """The next topics, payloads and times of arrival, at most `n_messages`; they count as taken from now on."""
        part = slice(self.n_taken, self.n_taken + n_messages)
        topics = self.topics[part]
        self.n_taken += len(topics)
        return topics, self.payloads[part], self.arrived_ns[part]


class Inbox:
    """Fills one `Received` a read. `counts` has what was dropped since the start: (source, reason) -> count.

    `shed_of` has the rows that were shed of a device, (source, device) -> count, at least for the worst ones.
    `backlog` has the rows that wait for a later share.
    """

    def __init__(self, sources: Sequence[Source], bounds: ReadBounds, now_ns: Callable[[], int]) -> None:
        self.counts: DropCounts = Counter()
        self.shed_of: Counter[tuple[str, str]] = Counter()
        self.received = Received()
        self.bounds = bounds
        self.topic_texts: dict[bytes, str] = {}
        self._now_ns = now_ns
        self._sources = sources
        self._patterns = [Pattern.parse(source.topics[0]) for source in sources]
        has_wildcard = any(pattern.has_wildcard for pattern in self._patterns)
        self.share = Share(bounds.rows_per_device_max, self._whose_share, has_one_topic_a_device=not has_wildcard)
        self.backlog = Backlog()

    def begin(self) -> Received:
        """Start with an empty one."""
        self.received = Received()
        return self.received

    @property
    def room(self) -> int:
        """Messages that this read may still bring."""
        received = self.received
        if received.n_bytes >= BYTES_MAX:
            return 0
        return MESSAGES_MAX - len(received.topics) - len(received.drops)

    def take(self, message: Message) -> None:
        """Take or drop one message by the rules, in its place among the others."""
        received = self.received
        n_bytes = len(message.payload)
        if n_bytes > self.bounds.payload_bytes_max:
            self.drop_large(message.topic, message.packet_id, n_bytes)
            return
        if message.packet_id:
            received.packet_ids.append(message.packet_id)
        if message.topic == BROKER_DROPPED:
            received.broker_dropped = message.payload
            return
        topic = self._topic(message.topic)
        if topic is None:
            return
        if message.retain:
            self._drop(topic, "retained", "nobody knows how old it is")
        elif message.dup and self._has_no_time(topic):
            self._drop(topic, "duplicate_delivery", "it may have been taken before, and says no time of its own")
        else:
            received.topics.append(topic)
            received.payloads.append(message.payload)

    def drop_large(self, topic: bytes, packet_id: int, n_bytes: int) -> None:
        """Drop a message whose payload is above the bound; packet_id 0 at QoS 0."""
        if packet_id:
            self.received.packet_ids.append(packet_id)
        text = self._topic(topic)
        if text is not None:
            self._drop(text, "too_large", f"{n_bytes} bytes")

    def settle(self, now_s: float) -> Received:
        """A read is whole: let wait what devices bring beyond their share, and put before it the rows whose turn it is.

        now_s is monotonic. What cannot wait is shed and counted.
        """
        received = self.received
        if received.history_lost:
            self.backlog.lose_history()
        due: list[Row] = []
        if now_s >= self.share.ends_s:
            self.share.begin(now_s)
            if self.backlog and not received.history_lost:  # that loss lies behind the rows that wait
                due, received.gaps = self.backlog.take(self.share.rows_max)
                self.share.use(row.topic for row in due)
        self._keep_back()
        self._prepend(due)
        return received

    def release(self) -> Received:
        """A read of what waits and of nothing else, a share a device, without waiting for the next share."""
        received = self.begin()
        due, received.gaps = self.backlog.take(self.share.rows_max)
        self._prepend(due)
        return received

    def due_s(self, now_s: float) -> float:
        """Seconds from monotonic now_s until waiting rows may be taken, infinite where none wait."""
        return max(0.0, self.share.ends_s - now_s) if self.backlog else math.inf

    def _prepend(self, rows: Sequence[Row]) -> None:
        received = self.received
        received.topics[:0] = [row.topic for row in rows]
        received.payloads[:0] = [row.payload for row in rows]
        received.arrived_ns[:0] = [row.arrived_ns for row in rows]

    def _keep_back(self) -> None:
        received = self.received
        over = self.share.over(received.topics, self.backlog)
        if not over:
            return
        rows = list(map(Row, received.topics, received.payloads, received.arrived_ns))
        taken: list[Row] = []
        topic_of: dict[Device, str] = {}
        n_shed: Counter[Device] = Counter()
        for device, row in zip(over, rows, strict=True):
            if device is None:
                taken.append(row)
            elif not self.backlog.add(device, row):
                n_shed[device] += 1
                topic_of[device] = row.topic
        received.topics, received.payloads, received.arrived_ns = [], [], []
        self._prepend(taken)
        n_rows = Counter(over)
        received.shed = [Shed(*device, topic_of[device], n_rows[device], n) for device, n in n_shed.items()]
        for device, count in n_shed.items():
            self.counts[device[0], "shed"] += count
        self.shed_of.update(n_shed)
        if len(self.shed_of) > SHED_DEVICES_MAX:
            for device, _ in self.shed_of.most_common()[SHED_DEVICES_MAX // 2 :]:
                del self.shed_of[device]

    def stamp(self) -> None:
        """What has no time of arrival yet has come now."""
        received = self.received
        n_stamped = len(received.arrived_ns)
        received.arrived_ns += [self._now_ns()] * (len(received.topics) - n_stamped)
        received.n_bytes += sum(map(len, received.payloads[n_stamped:]))

    def _topic(self, topic: bytes) -> str | None:
        """Its text, None when it was dropped for what it is."""
        try:
            text = topic.decode()
        except UnicodeDecodeError:
            self._drop(topic.decode("ascii", "backslashreplace"), "topic", "is not UTF-8")
            return None
        if not _NOT_IN_A_TOPIC.isdisjoint(text):
            self._drop(text, "topic", "holds a wildcard or NUL")
            return None
        if len(topic) <= TOPIC_TEXT_BYTES_MAX:
            if len(self.topic_texts) >= TOPIC_TEXTS_MAX:
                self.topic_texts.clear()
            self.topic_texts[topic] = text
        return text

    def _drop(self, topic: str, reason: ReasonName, detail: str) -> None:
        source, device = self._whose(topic)
        self.counts[source, reason] += 1
        self.received.drops.append(Drop(source, device, topic, reason, detail))

    def _whose(self, topic: str) -> Device:
        """Source and device of a topic, "" where there is none."""
        for source, pattern in zip(self._sources, self._patterns, strict=True):
            device = pattern.device(topic)
            if device is not None:
                return source.name, device
        return "", ""

    def _whose_share(self, topic: str) -> Device:
        """The same; "" also where the core refuses the device for its id, which costs next to nothing."""
        source, device = self._whose(topic)
        return ("", "") if device_id_problem(device, self.bounds.device_id_bytes_max) else (source, device)

    def _has_no_time(self, topic: str) -> bool:
        """A repeated delivery cannot be known by its event time when that is the time of arrival."""
        name, _ = self._whose(topic)
        return any(source.name == name and source.time_unit == "arrival" for source in self._sources)
