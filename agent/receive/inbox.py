"""What one read brings: the rules of what is taken and what is dropped, whoever has parsed it."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import compress

from agent.decode.topic import Pattern
from agent.receive.publish_frame import Message
from agent.receive.share import Share
from agent.words import Drop, Shed, Source

MESSAGES_MAX = 4096  # of one read: bounds the work of one turn
BYTES_MAX = 2**24  # of payloads, after which a read ends
SHED_DEVICES_MAX = 1000  # that are counted one by one; beyond it the lesser half is forgotten
TOPICS_KNOWN_MAX = 100_000  # beyond it the memory starts anew
TOPIC_KNOWN_BYTES_MAX = 256  # longer ones are not remembered
BROKER_DROPPED = b"$SYS/broker/publish/messages/dropped"  # mosquitto's count of what it dropped, for all its clients
_NOT_IN_A_TOPIC = frozenset("+#\0")


@dataclass(slots=True)
class Received:
    """One read's messages, one element each, and what it dropped.

    packet_ids      those of QoS 1, dropped ones too, to be acknowledged in this order after the step
    shed            what was left out of each device that had more rows than its share
    n_bytes         of the payloads
    n_read          messages before anything was shed
    broker_said     the payload of BROKER_DROPPED, empty where it has not come
    history_lost    messages may have been missed before these
    n_taken         messages that `portion` has given away
    """

    topics: list[str] = field(default_factory=list)
    payloads: list[bytes] = field(default_factory=list)
    arrived_ns: list[int] = field(default_factory=list)
    packet_ids: list[int] = field(default_factory=list)
    drops: list[Drop] = field(default_factory=list)
    shed: list[Shed] = field(default_factory=list)
    n_bytes: int = 0
    n_read: int = 0
    broker_said: bytes = b""
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
    """

    def __init__(
        self,
        sources: Sequence[Source],
        payload_bytes_max: int,
        now_ns: Callable[[], int],
        rows_per_device_max: int = MESSAGES_MAX,
    ) -> None:
        self.counts: Counter[tuple[str, str]] = Counter()
        self.shed_of: Counter[tuple[str, str]] = Counter()
        self.received = Received()
        self.payload_bytes_max = payload_bytes_max
        self.topics_known: dict[bytes, str] = {}
        self._now_ns = now_ns
        self._sources = sources
        self._patterns = [Pattern.parse(source.topic) for source in sources]
        has_wildcard = any(pattern.has_wildcard for pattern in self._patterns)
        self.share = Share(rows_per_device_max, self._whose, has_one_topic_a_device=not has_wildcard)

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
        if n_bytes > self.payload_bytes_max:
            self.drop_large(message.topic, message.packet_id, n_bytes)
            return
        if message.packet_id:
            received.packet_ids.append(message.packet_id)
        if message.topic == BROKER_DROPPED:
            received.broker_said = message.payload
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

    def shed(self, now_s: float) -> None:
        """Leave out what devices bring beyond their share, and count it; now_s is monotonic."""
        received = self.received
        received.n_read = len(received.topics)
        kept, received.shed = self.share.over(received.topics, now_s)
        if not kept:
            return
        received.topics = list(compress(received.topics, kept))
        received.payloads = list(compress(received.payloads, kept))
        received.arrived_ns = list(compress(received.arrived_ns, kept))
        for one in received.shed:
            self.counts[one.source, "shed"] += one.n_shed
            self.shed_of[one.source, one.device] += one.n_shed
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
        if len(topic) <= TOPIC_KNOWN_BYTES_MAX:
            if len(self.topics_known) >= TOPICS_KNOWN_MAX:
                self.topics_known.clear()
            self.topics_known[topic] = text
        return text

    def _drop(self, topic: str, reason: str, detail: str) -> None:
        source, device = self._whose(topic)
        self.counts[source, reason] += 1
        self.received.drops.append(Drop(source, device, topic, reason, detail))

    def _whose(self, topic: str) -> tuple[str, str]:
        """Source and device of a topic, "" where there is none."""
        for source, pattern in zip(self._sources, self._patterns, strict=True):
            device = pattern.device(topic)
            if device is not None:
                return source.name, device
        return "", ""

    def _has_no_time(self, topic: str) -> bool:
        """A repeated delivery cannot be known by its event time when that is the time of arrival."""
        name, _ = self._whose(topic)
        return any(source.name == name and source.time_unit == "arrival" for source in self._sources)
