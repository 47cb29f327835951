"""The rate of a source: at most so many of its messages in a second, shared out among its devices.

What a second may bring is divided by what the second before brought: a device that sends little has all of it taken,
and those that send more get the same number each, the *level* (max-min fairness). So a device that goes mad costs the
others nothing, but for the second in which it begins. This happens before the input log.
"""

import math
from collections import Counter
from collections.abc import Iterable, Sequence

from agent.receive.backlog import Device

WINDOW_S = 1.0


class Rate:
    """The messages of one source, of which `messages_max` are taken in a second."""

    def __init__(self, messages_max: float) -> None:
        self._messages_max = messages_max
        self._ends_s = -math.inf
        self._level = math.inf  # rows of one device that are taken in this second
        self._came: Counter[Device] = Counter()  # in this second, taken or not
        self._taken: Counter[Device] = Counter()

    def over(self, devices: Sequence[Device], now_s: float) -> list[int]:
        """Which of the messages of a read at monotonic now_s are beyond the rate; `devices` are whose they are."""
        if now_s >= self._ends_s:
            is_next = now_s < self._ends_s + WINDOW_S  # a second ago nothing else is known of the demand
            self._level = level(self._came.values(), self._messages_max) if is_next else math.inf
            self._ends_s = now_s + WINDOW_S
            self._came.clear()
            self._taken.clear()
        came, taken = Counter(devices), self._taken
        self._came.update(came)
        room = self._messages_max - taken.total()
        if len(devices) <= room and all(taken[device] + n <= self._level for device, n in came.items()):
            taken.update(came)
            return []
        beyond = []
        for place, device in enumerate(devices):
            if room >= 1 and taken[device] < self._level:
                taken[device] += 1
                room -= 1
            else:
                beyond.append(place)
        return beyond


def level(demands: Iterable[int], in_all: float) -> float:
    """How much each may have, at least 1, so that all together have `in_all`; infinite where that is enough."""
    lowest_first = sorted(demands)
    left = in_all
    for number, demand in enumerate(lowest_first):
        share = left / (len(lowest_first) - number)
        if demand > share:
            return max(1.0, share)
        left -= demand
    return math.inf
