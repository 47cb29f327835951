"""Messages of the agent's own that go before the outbox, and when one that the broker refused is tried again.

They say that the agent is there (`available`, `instance`), and are not kept for another connection. A later one of its
topic replaces one that waits, so there are never more than two a topic: what is retained, and what passes. One that is
refused is tried again, ever less often, and dropped after TRIES_MAX; what follows under its topic waits as long. One
that is tried `until_taken` is never dropped, and a new one is tried at once.
"""

import random
from collections.abc import Collection
from dataclasses import dataclass

RETRY_MIN_S, RETRY_MAX_S = 5.0, 300.0  # the first wait and the longest
TRIES_MAX = 3

Key = tuple[str, bool]


@dataclass(frozen=True, slots=True)
class OwnMessage:
    """To be published at QoS 1."""

    topic: str
    payload: bytes
    retain: bool
    until_taken: bool

    @property
    def key(self) -> Key:
        return self.topic, self.retain


class OwnMessages:
    """Those that wait. Times are of any clock that only goes forward."""

    def __init__(self) -> None:
        self._waiting: dict[Key, OwnMessage] = {}
        self._refusals: dict[Key, tuple[int, float]] = {}  # how often in a row, and when the next try is due

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def topics(self) -> set[str]:
        return {message.topic for message in self._waiting.values()}

    @property
    def has_new(self) -> bool:
        """Whether one waits that nobody has refused."""
        return any(key not in self._refusals for key in self._waiting)

    def add(self, message: OwnMessage) -> None:
        self._waiting[message.key] = message
        if message.until_taken:
            self._refusals.pop(message.key, None)

    def pop(self, now_s: float) -> OwnMessage | None:
        """The first one that is due, which waits here no longer; None when none is."""
        for key, message in self._waiting.items():
            if key not in self._refusals or now_s >= self._refusals[key][1]:
                del self._waiting[key]
                return message
        return None

    def accept(self, message: OwnMessage) -> None:
        """The broker has taken it."""
        self._refusals.pop(message.key, None)

    def refuse(self, message: OwnMessage, newer: Collection[Key], now_s: float) -> bool:
        """The broker has refused it: True for the first time in a row. `newer` are those that are under way."""
        n_refusals = self._refusals.get(message.key, (0, 0.0))[0] + 1
        wait_s = min(RETRY_MIN_S * 2 ** min(n_refusals - 1, 10), RETRY_MAX_S)
        self._refusals[message.key] = n_refusals, now_s + wait_s * random.uniform(0.5, 1.0)
        if (message.until_taken or n_refusals < TRIES_MAX) and message.key not in newer:
            self._waiting.setdefault(message.key, message)
        return n_refusals == 1
