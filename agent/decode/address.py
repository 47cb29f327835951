"""Topic -> source, device and tags."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from agent.decode.codec import SEVERAL_TOPICS
from agent.decode.device_name import DeviceName
from agent.decode.layout import Layout
from agent.decode.readings import Address
from agent.decode.topic import Pattern, device_id_problem, level_names
from agent.decode.two_topics import TwoTopics
from agent.drops import NO_SOURCE, SingleDrop
from agent.sources import Source

ADDRESSES_MAX = 100_000  # topics remembered; beyond it the memory starts anew
ADDRESS_CHARS_MAX = 256  # longer topics are not remembered


@dataclass(frozen=True, slots=True)
class Way:
    """One topic pattern of a source.

    owner         the source whose devices it brings, another one where the source joins it
    order         place of each of the source's level names among those of the pattern, -1 for one that it lacks
    names_device  the topic is enough to know the device
    may_merge     two topics may name one device, which then may be two machines
    """

    source: int
    owner: int
    pattern: Pattern
    order: tuple[int, ...]
    device: DeviceName
    names_device: bool
    may_merge: bool

    def address(self, topic: str) -> Address | None:
        """What the topic means, None when it does not match."""
        tags = self.pattern.tags(topic)
        if tags is None:
            return None
        tags = tuple(tags[place] if place >= 0 else "" for place in self.order)
        return Address(self.source, self.device.of(tags) if self.names_device else "", tags, topic)


class Ways:
    """The topic patterns of all sources. A topic belongs to the first that it matches.

    has_one_topic_a_device  counting the messages of topics is counting those of devices
    """

    def __init__(self, sources: Sequence[Source], among: Collection[str] | None = None) -> None:
        """among: names of those of the sources that a topic may belong to, None for all."""
        owners = Layout(sources).owner
        self._ways = [
            way
            for index, owner in enumerate(owners)
            if among is None or sources[index].name in among
            for way in _ways(index, owner, sources[index])
        ]
        has_one = not any(way.pattern.may_merge(sources[way.source].device) for way in self._ways)
        self.has_one_topic_a_device = has_one and len({way.owner for way in self._ways}) == len(self._ways)

    def find(self, topic: str) -> tuple[Way, Address] | None:
        for way in self._ways:
            address = way.address(topic)
            if address is not None:
                return way, address
        return None


class Addresses:
    """What topics mean; those heard before cost one look-up. `two_topics` has those that may merge devices."""

    def __init__(
        self, sources: Sequence[Source], device_id_bytes_max: int, among: Collection[str] | None = None
    ) -> None:
        """among: names of those of the sources that a topic may belong to, None for all."""
        self._ways = Ways(sources, among)
        self._device_id_bytes_max = device_id_bytes_max
        self._addresses: dict[str, Address] = {}  # by topic
        self.two_topics = TwoTopics()

    def find(self, topics: Sequence[str], drops: list[SingleDrop]) -> list[Address | None]:
        """The address of each topic, None for a message that is dropped, as `drops` then says."""
        addresses = list(map(self._addresses.get, topics))
        if not all(addresses):
            for message, topic in enumerate(topics):
                if addresses[message] is None:
                    addresses[message] = self._addresses.get(topic) or self._find(message, topic, drops)
        return addresses

    def _find(self, message: int, topic: str, drops: list[SingleDrop]) -> Address | None:
        match = self._ways.find(topic)
        if match is None:
            drops.append(SingleDrop("no_source", message, NO_SOURCE, "", "no source's topic matches"))
            return None
        way, address = match
        if way.names_device and (problem := device_id_problem(address.device, self._device_id_bytes_max)):
            drops.append(SingleDrop("device_id", message, way.source, "", f"the device id in the topic {problem}"))
            return None
        if len(topic) <= ADDRESS_CHARS_MAX:
            if len(self._addresses) >= ADDRESSES_MAX:
                self._addresses.clear()
                self.two_topics.forget()
            self._addresses[topic] = address
            if way.may_merge:
                self.two_topics.hear(topic, way.owner, way.pattern, names_device=way.names_device)
        return address


def _ways(index: int, owner: int, source: Source) -> Iterator[Way]:
    names, device = level_names(source.topics), DeviceName(source)
    brings_many = bool(source.channel) or source.codec in SEVERAL_TOPICS
    for topic in source.topics:
        pattern = Pattern.parse(topic)
        yield Way(
            source=index,
            owner=owner,
            pattern=pattern,
            order=tuple(pattern.names.index(name) if name in pattern.names else -1 for name in names),
            device=device,
            names_device=device.is_in_topic and device.names.issubset(pattern.names),
            may_merge=pattern.may_merge(source.device) and not brings_many,
        )
