"""Topic patterns: levels in braces have names, `+` and `#` match any text."""

from collections.abc import Sequence
from dataclasses import dataclass

from agent.decode.template import Template

DEVICE = "{device}"
SHARED = ("$share", "$queue")
WHY_NOT_SHARED = (
    "a shared subscription gives each message to any one of its readers, and a device's state would be torn apart. To "
    "use more machines, run several agents and give each its own topics, as plant/line1/... and plant/line2/..."
)


@dataclass(frozen=True, slots=True)
class Pattern:
    """A topic pattern cut into levels; `{name}` and `+` match any one level, a last `#` any rest.

    names   of the levels in braces, in their order
    places  of these levels
    texts   the levels that are text, each with its place
    """

    levels: tuple[str, ...]
    names: tuple[str, ...]
    places: tuple[int, ...]
    texts: tuple[tuple[int, str], ...]

    @classmethod
    def parse(cls, text: str) -> "Pattern":
        """Raises ValueError that says what is wrong with `text`."""
        levels = tuple(text.split("/"))
        if levels[0] in SHARED:
            raise ValueError(WHY_NOT_SHARED)
        if not text or "\0" in text:
            raise ValueError("a topic has a character at least, and no NUL")
        if "#" in levels[:-1]:
            raise ValueError("`#` may only be the last level")
        names = tuple(level[1:-1] for level in levels if is_named(level))
        for level in levels:
            if is_named(level):
                Template.parse(level)
            elif level not in ("+", "#") and any(char in level for char in "+#{}"):
                what = f"level {level!r} mixes a wildcard or a name with text"
                raise ValueError(f"{what}: a level is text, or one name in braces as in plant/{{device}}, or `+`")
        if twice := next((name for name in names if names.count(name) > 1), None):
            raise ValueError(f"two levels are named {{{twice}}}: give each its own name")
        places = tuple(place for place, level in enumerate(levels) if is_named(level))
        fixed = tuple((n, level) for n, level in enumerate(levels) if n not in places and level not in ("+", "#"))
        return cls(levels, names, places, fixed)

    @property
    def filter(self) -> str:
        """The MQTT topic filter to subscribe to."""
        return "/".join("+" if is_named(level) else level for level in self.levels)

    def may_merge(self, device: str, channel: str = "") -> bool:
        """Whether two topics may name one device, by the templates of a source for its devices and its fields."""
        told = {*Template.parse(device).names, *Template.parse(channel).names}
        return not {"+", "#"}.isdisjoint(self.levels) or not told.issuperset(self.names)

    def tags(self, topic: str) -> tuple[str, ...] | None:
        """The texts of the named levels, None when the topic does not match."""
        levels = self.levels
        n_levels = len(levels)
        own = topic.split("/", n_levels)  # no further: a hostile topic has 65,535 levels
        if levels[-1] == "#":
            if len(own) < n_levels - 1:
                return None
        elif len(own) != n_levels:
            return None
        if topic.startswith("$") and levels[0] != own[0]:
            return None  # a wildcard at the first level leaves the broker's own topics out
        for place, text in self.texts:
            if own[place] != text:
                return None
        return tuple([own[place] for place in self.places])


def level_names(topics: Sequence[str]) -> tuple[str, ...]:
    """Names of the levels of a source's topic patterns, each once: what the tags of an `Address` stand for."""
    return tuple(dict.fromkeys(name for topic in topics for name in Pattern.parse(topic).names))


def device_id_problem(device: str, bytes_max: int) -> str:
    """Why a device id is refused, "" when it is fine."""
    if not device:
        return "is empty"
    if len(device.encode("utf-8", "surrogatepass")) > bytes_max:
        return f"is longer than {bytes_max} bytes"
    if not device.isprintable():
        return "holds control characters"
    return ""


def is_named(level: str) -> bool:
    """Whether a level of a pattern is a name in braces."""
    return level.startswith("{") and level.endswith("}") and "{" not in level[1:] and "}" not in level[:-1]
