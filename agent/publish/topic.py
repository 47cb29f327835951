"""Names of the topics that the agent writes. Device ids are percent-escaped, so that none can reach another level."""

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

    def alert(self, device: str, head: str) -> str:
        return f"{self.root}/alert/{escape(device)}/{head}"

    def score(self, device: str) -> str:
        return f"{self.root}/score/{escape(device)}"


def escape(device: str) -> str:
    """A device id as one topic level: all but A-Z a-z 0-9 _ . - ~ becomes %XX of its UTF-8 bytes (RFC 3986)."""
    return quote(device, safe="")
