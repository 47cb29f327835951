"""When what the broker refused is tried again on a connection that stands."""

import math
import random

from agent.store.cursor import Parked

WAITS_S = {Parked.FOR_NOW: (1.0, 30.0), Parked.FOR_GOOD: (10.0, 120.0)}  # the first wait and the longest


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
