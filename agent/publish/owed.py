"""Words of our own that are to be sent before the outbox, and when one that the broker refused is tried again.

A word is not kept for another connection. A later one of its topic replaces it while it waits, so there are never more
than two a topic: what is retained, and what passes. One that is refused is tried again, ever less often, and dropped
after TRIES_MAX; what follows under its topic waits as long. A word that is owed `until_taken` is never dropped, and a
new one is tried at once.
"""

import random
from collections.abc import Collection
from dataclasses import dataclass

RETRY_MIN_S, RETRY_MAX_S = 5.0, 300.0  # the first wait and the longest
TRIES_MAX = 3

Key = tuple[str, bool]


@dataclass(frozen=True, slots=True)
class Word:
    """A message of our own at QoS 1."""

    topic: str
    payload: bytes
    retain: bool
    until_taken: bool

    @property
    def key(self) -> Key:
        return self.topic, self.retain


class Owed:
    """The words that wait. Times are of any clock that only goes forward."""

    def __init__(self) -> None:
        self._words: dict[Key, Word] = {}
        self._refusals: dict[Key, tuple[int, float]] = {}  # how often in a row, and when the next try is due

    @property
    def topics(self) -> set[str]:
        return {word.topic for word in self._words.values()}

    @property
    def has_new(self) -> bool:
        """Whether a word waits that nobody has refused."""
        return any(key not in self._refusals for key in self._words)

    def add(self, word: Word) -> None:
        self._words[word.key] = word
        if word.until_taken:
            self._refusals.pop(word.key, None)

    def take(self, now_s: float) -> Word | None:
        """The first one that is due, which waits here no longer; None when none is."""
        for key, word in self._words.items():
            if key not in self._refusals or now_s >= self._refusals[key][1]:
                del self._words[key]
                return word
        return None

    def taken(self, word: Word) -> None:
        """The broker has taken it."""
        self._refusals.pop(word.key, None)

    def refused(self, word: Word, newer: Collection[Key], now_s: float) -> bool:
        """The broker has refused it: True for the first time in a row. `newer` are those of the words under way."""
        n_refusals = self._refusals.get(word.key, (0, 0.0))[0] + 1
        wait_s = min(RETRY_MIN_S * 2 ** min(n_refusals - 1, 10), RETRY_MAX_S)
        self._refusals[word.key] = n_refusals, now_s + wait_s * random.uniform(0.5, 1.0)
        if (word.until_taken or n_refusals < TRIES_MAX) and word.key not in newer:
            self._words.setdefault(word.key, word)
        return n_refusals == 1
