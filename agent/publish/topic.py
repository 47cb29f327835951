"""Names of the topics that the agent writes. Names of sources and models and device ids are percent-escaped, so that
none can reach another level.
"""

from dataclasses import dataclass
from urllib.parse import quote, unquote

from agent.judge.no_model import ALL_DEVICES, NO_MODEL
from agent.words import MAIN_MODEL, OF_NO_MODEL, AlertKey


@dataclass(frozen=True, slots=True)
class Topics:
    """All topics of one agent, below `PREFIX/NODE`."""

    root: str

    @classmethod
    def of(cls, prefix: str, node: str) -> "Topics":
        return cls(f"{prefix}/{node}")

    @property
    def available(self) -> str:
        return f"{self.root}/available"

    @property
    def instance(self) -> str:
        return f"{self.root}/instance"

    @property
    def status(self) -> str:
        return f"{self.root}/status"

    @property
    def event(self) -> str:
        return f"{self.root}/event"

    @property
    def intervention(self) -> str:
        return f"{self.root}/intervention"

    @property
    def label(self) -> str:
        return f"{self.root}/label"

    @property
    def handled(self) -> str:
        return f"{self.root}/handled"

    @property
    def alerts(self) -> str:
        """The filter of every standing alert."""
        return f"{self.root}/alert/#"

    def alert(self, source: str, device: str, model: str, head: str) -> str:
        """Silence has no level of a model, and that of a whole source none of a device."""
        return "/".join((self.root, "alert", *_levels(source, device, model), head))

    def alert_of(self, topic: str) -> AlertKey | None:
        """Whose alert a topic below `alert` is; None for one that `alert` does not give."""
        levels = [unquote(level) for level in topic.removeprefix(f"{self.root}/alert/").split("/")]
        if levels[-1] in OF_NO_MODEL:
            levels[-1:] = [ALL_DEVICES] * (len(levels) == 2) + [NO_MODEL, levels[-1]]
        elif len(levels) == 3:
            levels.insert(2, MAIN_MODEL)
        if len(levels) != 4 or self.alert(*levels) != topic:
            return None
        source, device, model, head = levels
        return source, device, model, head

    def score(self, source: str, device: str, model: str = MAIN_MODEL) -> str:
        return "/".join((self.root, "score", *_levels(source, device, model)))


def _levels(source: str, device: str, model: str) -> list[str]:
    """The model has a level of its own, but for the main one: most agents have no other."""
    if model == NO_MODEL:
        named = [source] if device == ALL_DEVICES else [source, device]
    else:
        named = [source, device] if model == MAIN_MODEL else [source, device, model]
    return [escape(name) for name in named]


def escape(name: str) -> str:
    """A name as one topic level: all but A-Z a-z 0-9 _ . - ~ becomes %XX of its UTF-8 bytes (RFC 3986)."""
    return quote(name, safe="")
