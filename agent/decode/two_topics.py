"""Devices that come to one source from two topics: perhaps two machines of one name.

That is looked for where the topics of a pattern do not tell devices apart, as those of `plant/+/{device}` do not. A
second topic is told once, of the next reading of the device that is used. So a message that is dropped has one reason,
which is not this; and of two machines whose rows are at the same times one is only ever dropped, and told all the same.
"""

from collections.abc import Sequence

from agent.decode.readings import Readings
from agent.decode.topic import Pattern
from agent.drops import SingleDrop
from agent.words import Bool

TOPICS_MAX = 100_000  # remembered; beyond it the memory starts anew


class TwoTopics:
    """What was heard of devices whose source's patterns may merge two; sources are owners (`agent.decode.layout`)."""

    def __init__(self) -> None:
        self._new: dict[str, tuple[int, Pattern]] = {}  # topics that name their device, until one has a reading
        self._open: dict[str, tuple[int, Pattern]] = {}  # topics whose payloads name it
        self._heard: set[tuple[str, str]] = set()  # (topic, device) of those
        self._first: dict[tuple[int, Pattern, str], str] = {}  # source, pattern, device -> its first topic
        self._untold: dict[tuple[int, str], str] = {}  # source, device -> what is to be told

    @property
    def may_tell(self) -> bool:
        """Whether `doubts` need be asked at all."""
        return bool(self._new or self._open or self._untold)

    def hear(self, topic: str, source: int, pattern: Pattern, *, names_device: bool) -> None:
        """A topic that was not heard before matches a pattern that may merge."""
        if sum(map(len, (self._new, self._open, self._heard, self._first, self._untold))) >= TOPICS_MAX:
            self.forget()
        (self._new if names_device else self._open)[topic] = source, pattern

    def forget(self) -> None:
        for memory in (self._new, self._open, self._first, self._untold):
            memory.clear()
        self._heard.clear()

    def doubts(self, topics: Sequence[str], readings: Readings, is_used: Bool | None) -> list[SingleDrop]:
        """What is to be told of the n readings of a read of `topics`; is_used bool [n], None where all are used."""
        message, source, device = readings.message.tolist(), readings.source.tolist(), readings.device.tolist()
        of_reading = [topics[at] for at in message]
        pairs = {*zip(of_reading, device, strict=True)} - self._heard if self._open else set()
        is_known = not pairs and self._new.keys().isdisjoint(of_reading)
        if is_known and self._untold.keys().isdisjoint(zip(source, device, strict=True)):
            return []
        drops = []
        used_or_not = [True] * len(message) if is_used is None else is_used.tolist()
        for at, topic, of, name, used in zip(message, of_reading, source, device, used_or_not, strict=True):
            origin = self._new.pop(topic, None)
            if origin is None and (topic, name) in pairs:
                pairs.remove((topic, name))
                self._heard.add((topic, name))
                origin = self._open.get(topic)
            if origin is not None and (first := self._first.setdefault((*origin, name), topic)) != topic:
                self._untold[of, name] = f"the device comes from {first} and from {topic}"
            if used and (of, name) in self._untold:
                drops.append(SingleDrop("two_topics", at, of, name, self._untold.pop((of, name))))
        return drops
