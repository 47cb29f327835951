"""What is taken of a read and what is dropped: the rules, whoever has parsed the messages."""

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from agent.core.bounds import Bounds
from agent.core.input_log import Recovered
from agent.core.recent import Recent
from agent.decode.address import Ways
from agent.decode.topic import device_id_problem
from agent.reasons import ReasonName
from agent.receive import restored_rows
from agent.receive.backlog import BYTES_MAX, Device
from agent.receive.commands import Commands
from agent.receive.overload import Overload, Policy
from agent.receive.publish_frame import Message
from agent.receive.received import MESSAGES_MAX, Received
from agent.receive.share import Share
from agent.sources import Source
from agent.words import Drop, DropCounts

TOPIC_TEXTS_MAX = 100_000  # beyond it the memory starts anew, as that of what topics mean
TOPIC_TEXT_BYTES_MAX = 256  # longer ones are not remembered
BROKER_DROPPED = b"$SYS/broker/publish/messages/dropped"  # mosquitto's count of what it dropped, for all its clients
_NOT_IN_A_TOPIC = frozenset("+#\0")


@dataclass(frozen=True, slots=True)
class ReadBounds:
    """Of one message, of one device's rows at once, and of all that wait: what is beyond is dropped, waits, is shed."""

    payload_bytes_max: int
    rows_per_device_max: int = MESSAGES_MAX
    device_id_bytes_max: int = Bounds().device_id_bytes_max
    waiting_bytes_max: int = BYTES_MAX


class Inbox:
    """Fills one `Received` a read. `counts` has what was dropped since the start: (source, reason) -> count.

    `overload` has the rows that wait for a later share.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        bounds: ReadBounds,
        now_ns: Callable[[], int],
        policies: Mapping[str, Policy] | None = None,
        *,
        reads: Collection[str] | None = None,
        counts: DropCounts | None = None,
        stop_s_max: float = 0.0,
        passes_over: str = "",
    ) -> None:
        """What is read, and by which rules.

        sources      all that there are; `reads` names those that messages may be of, None for all
        policies     by source, for those that are no default
        counts       to be added to, where several inboxes have the same
        stop_s_max   how long reading may stop by `block`
        passes_over  topics that begin so are neither taken nor counted, "" for none: what the agent itself publishes.
                     Those that a source names in full are read: commands
        """
        self.counts: DropCounts = Counter() if counts is None else counts
        self._recent: Recent | None = None  # of a session that is kept
        self.received = self._nothing()
        self.bounds = bounds
        self.topic_texts: dict[bytes, str] = {}
        self._now_ns = now_ns
        self._passes_over = passes_over
        self._named = {topic for source in sources for topic in source.topics if topic.startswith(passes_over)}
        self._commands = Commands(sources)
        self._sources = sources
        self._ways = Ways(sources, reads)
        self._means: dict[str, tuple[Source, str] | None] = {}  # topic -> source and device
        self._is_named_by_payload: set[str] = set()  # sources some of whose topics stand in for their devices
        share = Share(
            bounds.rows_per_device_max, self._whose_share, has_one_topic_a_device=self._ways.has_one_topic_a_device
        )
        self.overload = Overload(
            policies or {},
            share,
            self._source_name,
            self._gap_of,
            self._commands,
            self.counts,
            stop_s_max=stop_s_max,
            waiting_bytes_max=bounds.waiting_bytes_max,
        )
        self._messages_max, self._bytes_max = self.overload.room(0.0)

    def keep_session(self, kept: Recovered) -> None:
        """The session outlives the process: go on with what an earlier one had of it, and tell of each change."""
        self._recent = Recent(kept.recent)
        elsewhere = partial(_device_of, Ways(self._sources), self._sources)
        self.overload.backlog.restore(*restored_rows.settle(kept.waiting, self._whose_share, elsewhere))
        self.received = self._nothing()

    def begin(self, now_s: float) -> Received:
        """Start with an empty one, at monotonic now_s."""
        self.received = self._nothing()
        self._messages_max, self._bytes_max = self.overload.room(now_s)
        return self.received

    @property
    def room(self) -> int:
        """Messages that this read may still bring."""
        received = self.received
        if received.n_bytes >= self._bytes_max:
            return 0
        return self._messages_max - len(received.topics) - len(received.drops)

    @property
    def is_shut(self) -> bool:
        """Whether the read that was begun last may bring nothing at all."""
        return not (self._messages_max and self._bytes_max)

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
        elif message.dup and (why := self._why_twice(topic, message)):
            self._drop(topic, *why)
        else:
            received.topics.append(topic)
            received.payloads.append(message.payload)
            if received.message_ids is not None:
                received.message_ids.append(message.packet_id)

    def drop_large(self, topic: bytes, packet_id: int, n_bytes: int) -> None:
        """Drop a message whose payload is above the bound; packet_id 0 at QoS 0."""
        if packet_id:
            self.received.packet_ids.append(packet_id)
        text = self._topic(topic)
        if text is not None:
            self._drop(text, "too_large", f"{n_bytes} bytes")

    def begin_session(self) -> None:
        """The broker has no session of ours any more: what it delivers from now on it has never delivered before."""
        if self._recent is not None:
            self._recent.forget()
            self.received.is_new_session = True

    def sources_at_qos_0(self) -> set[str]:
        """Names of the sources of which this read has brought readings at QoS 0, in a kept session."""
        ids, topics = self.received.message_ids, self.received.topics
        if not ids or 0 not in ids:
            return set()
        at_qos_0 = {topic for packet_id, topic in zip(ids, topics, strict=True) if not packet_id}
        return {self._source_name(topic) for topic in at_qos_0 if self._brings_readings(topic)}

    def remember(self, received: Received) -> None:
        """A read was recorded, with the rows of it that wait: what of it is delivered again is dropped."""
        if self._recent is None:
            return
        if received.message_ids:
            self._recent.add(received.message_ids, received.topics, received.payloads)
        self._recent.add_rows(received.changes)

    def settle(self, now_s: float) -> Received:
        """A read is whole, at monotonic now_s: let wait, or leave out, what is more than can be taken."""
        self.overload.settle(self.received, now_s)
        return self.received

    def release(self) -> Received:
        """A read of what waits and of nothing else, a share a device, without waiting for the next share."""
        self.received = self._nothing()
        self.overload.release(self.received)
        return self.received

    def stamp(self) -> None:
        """What has no time of arrival yet has come now."""
        received = self.received
        n_stamped = len(received.arrived_ns)
        received.arrived_ns += [self._now_ns()] * (len(received.topics) - n_stamped)
        received.n_bytes += sum(map(len, received.payloads[n_stamped:]))

    def _topic(self, topic: bytes) -> str | None:
        """Its text, None when it is passed over or was dropped for what it is."""
        try:
            text = topic.decode()
        except UnicodeDecodeError:
            self._drop(topic.decode("ascii", "backslashreplace"), "topic", "is not UTF-8")
            return None
        if self._passes_over and text.startswith(self._passes_over) and text not in self._named:
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
        """Device of a topic, "" where the payload names it, and the source that it belongs to, "" for none."""
        found = self._find(topic)
        return (found[0].joins or found[0].name, found[1]) if found else ("", "")

    def _whose_share(self, topic: str) -> Device:
        """The same; "" also where the core refuses the device for its id, which costs next to nothing, and of commands.

        Where the payload names the device, the topic stands in for it.
        """
        if topic in self._commands:
            return "", ""
        source, device = self._whose(topic)
        if source and not device:
            if self._brings_readings(topic):
                self._is_named_by_payload.add(source)
            return source, topic
        return ("", "") if device_id_problem(device, self.bounds.device_id_bytes_max) else (source, device)

    def _gap_of(self, device: Device) -> Device:
        """Whose history is lost with rows of `device`: of all of its source where a topic may stand in for it."""
        return (device[0], "") if device[0] in self._is_named_by_payload else device

    def _source_name(self, topic: str) -> str:
        """The source that a topic matches, "" for none; not the one that it joins."""
        found = self._find(topic)
        return found[0].name if found else ""

    def _nothing(self) -> Received:
        return Received(message_ids=None if self._recent is None else [])

    def _why_twice(self, topic: str, message: Message) -> tuple[ReasonName, str] | None:
        """Why a message that the broker says to deliver again is not taken, None where it is.

        In a clean session it cannot be known by its event time when that is the time of arrival.
        """
        if self._recent is None:
            found = self._find(topic)
            is_without = found is not None and found[0].time_unit == "arrival"
            return ("redelivered", "it may have been taken before, and says no time of its own") if is_without else None
        received = self.received
        if received.message_ids and message.packet_id in received.message_ids:
            place = received.message_ids.index(message.packet_id)
            has = (received.topics[place], received.payloads[place]) == (topic, message.payload)
        else:
            has = self._recent.has(message.packet_id, topic, message.payload)
        return ("duplicate_delivery", "its acknowledgement was lost: it was taken before") if has else None

    def _brings_readings(self, topic: str) -> bool:
        """What brings nothing but interventions loses no rows of its source."""
        found = self._find(topic)
        return found is not None and bool(found[0].channels)

    def _find(self, topic: str) -> tuple[Source, str] | None:
        """The source that a topic matches, and the device that it names; remembered, since patterns may be many."""
        if topic in self._means:
            return self._means[topic]
        way = self._ways.find(topic)
        meaning = (self._sources[way[1].source], way[1].device) if way else None
        if len(topic) <= TOPIC_TEXT_BYTES_MAX:
            if len(self._means) >= TOPIC_TEXTS_MAX:
                self._means.clear()
            self._means[topic] = meaning
        return meaning


def _device_of(ways: Ways, sources: Sequence[Source], topic: str) -> Device:
    """Source and device of a topic, "" where the payload names it; ("", "") for none, and where no rows are lost."""
    way = ways.find(topic)
    source = sources[way[0].source] if way else None
    return (source.joins or source.name, way[1].device) if way and source and source.channels else ("", "")
