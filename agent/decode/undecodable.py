"""What share of a source's newest messages could not be decoded: counted by messages, so a replay gives the same."""

from collections import deque
from collections.abc import Iterable

WINDOW = 1000  # messages of a source that are looked at
COUNTED_MIN = 100  # fewer count as so many: the first message of all says little


class Undecodable:
    """Of one source. `n_messages` since the start."""

    def __init__(self) -> None:
        self.n_messages = 0
        self._bad: deque[int] = deque()  # numbers of the messages among the newest WINDOW that could not be

    def add(self, n_messages: int, bad: Iterable[int]) -> None:
        """So many more came; bad  places among them of those that could not be decoded, rising."""
        self._bad.extend(self.n_messages + place for place in bad)
        self.n_messages += n_messages
        while self._bad and self._bad[0] < self.n_messages - WINDOW:
            self._bad.popleft()

    @property
    def share(self) -> float:
        """0 to 1, of the newest WINDOW messages."""
        return len(self._bad) / max(COUNTED_MIN, min(self.n_messages, WINDOW))
