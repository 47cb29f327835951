"""Topic -> device: one level of a source's topic pattern names the device."""

from dataclasses import dataclass

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
        found = topic.split("/")
        wanted = self.levels
        if wanted[-1] == "#":
            if len(found) < len(wanted) - 1:
                return None
            wanted = wanted[:-1]
        elif len(found) != len(wanted):
            return None
        for level, other in zip(wanted, found, strict=False):
            if level not in ("+", DEVICE) and level != other:
                return None
        return found[self.device_level]


def device_id_problem(device: str, bytes_max: int) -> str:
    """Why a device id is refused, "" when it is fine."""
    if not device:
        return "is empty"
    if len(device.encode("utf-8", "surrogatepass")) > bytes_max:
        return f"is longer than {bytes_max} bytes"
    if not device.isprintable():
        return "holds control characters"
    return ""
