"""One line where no message at all comes: a broker grants a subscription that its ACL then never serves."""

import math
from collections.abc import Sequence

from structlog.typing import FilteringBoundLogger

from agent.receive.received import Received

QUIET_S = 60.0  # a start that brings no message for so long is named in the log
TOPICS_MAX = 10


class Silence:
    """Watches a start; times are monotonic seconds."""

    def __init__(self, log: FilteringBoundLogger, topics: Sequence[str], reader: str) -> None:
        self._log = log
        self._topics = topics[:TOPICS_MAX]
        self._reader = reader
        self._due_s = math.inf
        self._has_received = False

    def begin(self, now_s: float) -> None:
        """A subscription was granted: from now on messages may come."""
        self._due_s = min(self._due_s, now_s + QUIET_S)

    def lose_connection(self) -> None:
        """Nothing can come for now."""
        self._due_s = math.inf

    def take(self, received: Received, now_s: float) -> None:
        """Take note of a read, and say it once where all was silent for too long."""
        self._has_received = self._has_received or bool(received.topics or received.drops)
        if not self._has_received and now_s > self._due_s:
            self._due_s = math.inf
            next_step = f"Do devices publish there, and does the broker's ACL let {self._reader} read?"
            self._log.warning("nothing_received", topics=self._topics, next_step=next_step)
