"""Names of the topics that the agent writes. Names of sources and device ids are percent-escaped, so that none can
reach another level.
"""

from dataclasses import dataclass
from urllib.parse import quote


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
    def alerts(self) -> str:
        """The filter of every standing alert."""
        return f"{self.root}/alert/#"

    def alert(self, source: str, device: str, head: str) -> str:
        return f"{self.root}/alert/{escape(source)}/{escape(device)}/{head}"

    def score(self, source: str, device: str) -> str:
        return f"{self.root}/score/{escape(source)}/{escape(device)}"


def escape(name: str) -> str:
    """A name as one topic level: all but A-Z a-z 0-9 _ . - ~ becomes %XX of its UTF-8 bytes (RFC 3986)."""
    return quote(name, safe="")
