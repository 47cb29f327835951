"""One line where no message at all comes: a broker grants a subscription that its ACL then never serves."""

import math
from collections.abc import Sequence

from structlog.typing import FilteringBoundLogger

from agent.receive.inbox import Received

QUIET_S = 60.0  # a start that brings no message for so long is told of
TOPICS_SAID = 10


class Silence:
    """Watches a start; times are monotonic seconds."""

    def __init__(self, log: FilteringBoundLogger, topics: Sequence[str], reader: str) -> None:
        self._log = log
        self._topics = topics[:TOPICS_SAID]
        self._reader = reader
        self._tell_at_s = math.inf
        self._has_heard = False

    def granted(self, now_s: float) -> None:
        """A subscription was granted: from now on messages may come."""
        self._tell_at_s = min(self._tell_at_s, now_s + QUIET_S)

    def lose_connection(self) -> None:
        """Nothing can come for now."""
        self._tell_at_s = math.inf

    def hear(self, received: Received, now_s: float) -> None:
        """Take note of a read, and tell once where all was silent for too long."""
        self._has_heard = self._has_heard or bool(received.topics or received.drops)
        if not self._has_heard and now_s > self._tell_at_s:
            self._tell_at_s = math.inf
            next_step = f"Do devices publish there, and does the broker's ACL let {self._reader} read?"
            self._log.warning("nothing_received", topics=self._topics, next_step=next_step)
