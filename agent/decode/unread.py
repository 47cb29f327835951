"""How the parts of a codec give a payload up; the codec makes a fault of it, so that none leaves `decode`."""

from agent.reasons import ReasonName


class Unread(Exception):
    """A payload that is dropped, and why."""

    def __init__(self, reason: ReasonName, detail: str) -> None:
        super().__init__(detail)
        self.reason: ReasonName = reason
