"""When what the broker refused is tried again on a connection that stands, and how it is said."""

import math
import random
from collections import Counter

from structlog.typing import FilteringBoundLogger

from agent.store.cursor import Parked

WAITS_S = {  # the first wait and the longest
    Parked.FOR_NOW: (1.0, 30.0),
    Parked.FOR_GOOD: (10.0, 120.0),
    Parked.UNPROVEN: (10.0, 120.0),
}
ROUND_MAX = {Parked.UNPROVEN: 1}  # each try may be one more copy of what was passed on all the same

REFUSED_EVERY_S = 10.0
_NEXT_STEPS = {
    Parked.FOR_NOW: "It is tried again by itself; if this goes on, look at the broker's quotas and its log.",
    Parked.FOR_GOOD: "Check the broker's ACL; it is tried again by itself.",
    Parked.TOO_LARGE: "Raise the broker's maximum packet size; it is tried again with the next connection.",
}


class RefusalLog:
    """One line a reason in REFUSED_EVERY_S, not one a message."""

    def __init__(self, log: FilteringBoundLogger) -> None:
        self._log = log
        self._counts: Counter[tuple[Parked, str]] = Counter()
        self._due_s = 0.0

    def hear(self, kind: Parked, why: str) -> None:
        self._counts[kind, why] += 1

    def say(self, now_s: float) -> None:
        if self._counts and now_s >= self._due_s:
            self._due_s = now_s + REFUSED_EVERY_S
            for (kind, why), count in self._counts.items():
                self._log.error("publish_refused", why=why, count=count, next_step=_NEXT_STEPS[kind])
            self._counts.clear()


class Refused:
    """The parked rows of one kind: tried in rounds of a few, one after the other, then from the beginning.

    A round in which the broker takes at least one row is followed by the next at once; after one in which it takes
    none the wait doubles. So what it never takes holds up nothing else for longer than a round.
    """

    def __init__(self, kind: Parked) -> None:
        self.kind = kind
        self.after = 0  # the next round begins behind this number
        self._least_s, self._most_s = WAITS_S[kind]
        self._due_s = math.inf
        self._wait_s = self._least_s
        self._trying: set[int] = set()
        self._has_taken = False

    @property
    def round_max(self) -> int:
        """Most rows of a round."""
        return ROUND_MAX.get(self.kind, 1_000_000)

    def is_due(self, now_s: float) -> bool:
        return not self._trying and now_s >= self._due_s

    def resolve(self, number: int, kind: Parked, now_s: float) -> None:
        """What became of a row: the broker took it (NO), or refused it, perhaps again, for a reason of that kind."""
        if number in self._trying:
            self._trying.discard(number)
            self._has_taken |= kind is Parked.NO
            if not self._trying:
                self._end_round(now_s)
        elif kind == self.kind and not self._trying and self._due_s == math.inf:
            self._wait_s = self._least_s
            self._put_off(now_s)

    def begin(self, numbers: list[int]) -> None:
        """These are on their way; none: what was parked has gone."""
        self._due_s = math.inf
        self._trying = set(numbers)
        self._has_taken = False
        self.after = numbers[-1] if numbers else 0

    def _end_round(self, now_s: float) -> None:
        if self._has_taken:
            self._wait_s = self._least_s
            self._due_s = now_s
        else:
            self._put_off(now_s)

    def _put_off(self, now_s: float) -> None:
        self._due_s = now_s + self._wait_s * random.uniform(0.5, 1.0)
        self._wait_s = min(2 * self._wait_s, self._most_s)
