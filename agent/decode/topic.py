"""Topic -> source and device: one level of a source's topic pattern names the device."""

from collections.abc import Sequence
from dataclasses import dataclass

from agent.decode.readings import Address
from agent.drops import NO_SOURCE, SingleDrop

ADDRESSES_MAX = 100_000  # topics remembered; beyond it the memory starts anew
ADDRESS_CHARS_MAX = 256  # longer topics are not remembered

DEVICE = "{device}"


@dataclass(frozen=True, slots=True)
class Pattern:
    """A topic pattern cut into levels; `+` matches any level, a last `#` any rest."""

    levels: tuple[str, ...]
    device_level: int

    @classmethod
    def parse(cls, text: str) -> "Pattern":
        """Raises ValueError that says what is wrong with `text`."""
        levels = tuple(text.split("/"))
        if levels[0] == "$share":
            raise ValueError("a shared subscription gives no device a fixed reader, so its state would be torn apart")
        if levels.count(DEVICE) != 1:
            raise ValueError(f"exactly one level must be {DEVICE}, as in plant/{DEVICE}/telemetry")
        for index, level in enumerate(levels):
            last = index == len(levels) - 1
            if level == "#" and not last:
                raise ValueError("`#` may only be the last level")
            if level not in ("+", "#", DEVICE) and any(c in level for c in "+#{}\0"):
                raise ValueError(f"level {level!r} mixes a wildcard with text")
        return cls(levels, levels.index(DEVICE))

    @property
    def has_wildcard(self) -> bool:
        """Whether several topics may name one device."""
        return not {"+", "#"}.isdisjoint(self.levels)

    @property
    def filter(self) -> str:
        """The MQTT topic filter to subscribe to."""
        return "/".join("+" if level == DEVICE else level for level in self.levels)

    def device(self, topic: str) -> str | None:
        """The device that a topic names, None when the topic does not match."""
        levels, of_topic = self.levels, topic.split("/")
        if levels[-1] == "#":
            if len(of_topic) < len(levels) - 1:
                return None
            levels = levels[:-1]
        elif len(of_topic) != len(levels):
            return None
        for level, of_this in zip(levels, of_topic, strict=False):
            if level not in ("+", DEVICE) and level != of_this:
                return None
        return of_topic[self.device_level]


def device_id_problem(device: str, bytes_max: int) -> str:
    """Why a device id is refused, "" when it is fine."""
    if not device:
        return "is empty"
    if len(device.encode("utf-8", "surrogatepass")) > bytes_max:
        return f"is longer than {bytes_max} bytes"
    if not device.isprintable():
        return "holds control characters"
    return ""


class Addresses:
    """What topics mean. A topic belongs to the first source whose pattern it matches."""

    def __init__(self, patterns: Sequence[Pattern], device_id_bytes_max: int) -> None:
        self._patterns = patterns
        self._device_id_bytes_max = device_id_bytes_max
        self._addresses: dict[str, Address] = {}  # by topic
        self._first_topic: dict[tuple[int, str], str] = {}  # of a device, where a wildcard lets it have several

    def find(self, topics: Sequence[str], drops: list[SingleDrop]) -> list[Address | None]:
        """The address of each topic, None for a message that is dropped; `drops` gets what is dropped or doubted."""
        addresses = list(map(self._addresses.get, topics))
        if not all(addresses):
            for message, topic in enumerate(topics):
                if addresses[message] is None:
                    addresses[message] = self._addresses.get(topic) or self._find(message, topic, drops)
        return addresses

    def _find(self, message: int, topic: str, drops: list[SingleDrop]) -> Address | None:
        for source, pattern in enumerate(self._patterns):
            device = pattern.device(topic)
            if device is None:
                continue
            problem = device_id_problem(device, self._device_id_bytes_max)
            if problem:
                drops.append(SingleDrop("device_id", message, source, "", f"the device id {problem}"))
                return None
            address = Address(source, device)
            if len(topic) <= ADDRESS_CHARS_MAX:
                if len(self._addresses) >= ADDRESSES_MAX:
                    self._addresses.clear()
                    self._first_topic.clear()
                self._addresses[topic] = address
                if pattern.has_wildcard and (first := self._first_topic.setdefault((source, device), topic)) != topic:
                    detail = f"the device also comes from {first}"
                    drops.append(SingleDrop("two_topics", message, source, device, detail))
            return address
        drops.append(SingleDrop("no_source", message, NO_SOURCE, "", "no source's topic matches"))
        return None
