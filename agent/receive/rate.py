"""The rate of a source: at most so many of its messages in a second, shared out among its devices.

What a second may bring is divided by what the second before brought: a device that sends little has all of it taken,
and those that send more get the same number each, the *level* (max-min fairness). So a device that goes mad costs the
others nothing, but for the second in which it begins. This happens before the input log.
"""

import math
from collections import Counter
from collections.abc import Iterable

from agent.receive.backlog import Device

WINDOW_S = 1.0


class Rate:
    """The messages of one source, of which `messages_max` are taken in a second."""

    def __init__(self, messages_max: float) -> None:
        self._messages_max = messages_max
        self._ends_s = -math.inf
        self._level = math.inf  # messages of one device that are taken in this second
        self._came: Counter[Device] = Counter()  # in this second, taken or not
        self._taken: Counter[Device] = Counter()
        self._n_taken = 0

    def take(self, came: Counter[Device], now_s: float) -> bool:
        """Messages of a read come at monotonic now_s, `came` of each device. Whether all are taken.

        If not, each is to be asked for with `take_one`, in their order.
        """
        if now_s >= self._ends_s:
            is_next = now_s < self._ends_s + WINDOW_S  # else nobody sent anything for a second
            self._level = level(self._came.values(), self._messages_max) if is_next else math.inf
            self._ends_s = now_s + WINDOW_S
            self._came.clear()
            self._taken.clear()
            self._n_taken = 0
        self._came.update(came)
        n_came = came.total()
        if self._n_taken + n_came > self._messages_max:
            return False
        if any(self._taken[device] + count > self._level for device, count in came.items()):
            return False
        self._taken.update(came)
        self._n_taken += n_came
        return True

    def take_one(self, device: Device) -> bool:
        """Whether one more message of a device is taken in this second."""
        if self._n_taken >= self._messages_max or self._taken[device] >= self._level:
            return False
        self._taken[device] += 1
        self._n_taken += 1
        return True


def level(demands: Iterable[int], in_all: float) -> float:
    """How many each may have, at least 1, so that all together have `in_all`; infinite where that is enough."""
    lowest_first = sorted(demands)
    left = in_all
    for number, demand in enumerate(lowest_first):
        share = left / (len(lowest_first) - number)
        if demand > share:
            return max(1.0, share)
        left -= demand
    return math.inf
