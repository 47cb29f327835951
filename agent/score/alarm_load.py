"""How many alarms reach whoever answers them, after EEMUA 191 and ANSI/ISA-18.2 (performance of alarm systems).

Both count alarms in ten minutes for one operator: about one is what he can manage, more than ten are a flood, which
lasts until fewer than five came in ten minutes. Times are seconds on one clock, of all devices together.
"""

import math
from collections import deque
from collections.abc import Sequence
from typing import Final

import msgspec

PERIOD_S: Final = 600.0
FLOOD_BEGINS: Final = 10  # alarms in a period, more than which are a flood
FLOOD_ENDS: Final = 5  # fewer than which end it


class AlarmLoad(msgspec.Struct, frozen=True):
    """Of the time in which some device was watched; NaN without any.

    alarms          that were told
    per_day         so many a day
    most_in_10_min  in any ten minutes
    flood_s         time in floods, and its share of all
    """

    alarms: int
    per_day: float
    most_in_10_min: int
    flood_s: float
    flood_share: float


class AlarmLoads(msgspec.Struct, frozen=True):
    """Where each alert is an alarm, and where those in a flood are one (`alerts.flood_raises = 10`)."""

    single: AlarmLoad
    grouped: AlarmLoad


def alarm_loads(raised_s: Sequence[float], start_s: float, end_s: float) -> AlarmLoads:
    """Of alerts that were raised at raised_s [n], in any order, among devices watched from start_s to end_s."""
    rising = sorted(raised_s)
    return AlarmLoads(alarm_load(rising, start_s, end_s), alarm_load(group_floods(rising), start_s, end_s))


def alarm_load(raised_s: Sequence[float], start_s: float, end_s: float) -> AlarmLoad:
    """The same of alarms that were told at raised_s [n], which rise."""
    span_s = end_s - start_s
    recent: deque[float] = deque()
    most, flood_s, flood_from_s = 0, 0.0, math.inf
    for at_s in [*raised_s, math.inf]:
        while recent and recent[0] <= at_s - PERIOD_S:
            leaves_s = recent.popleft() + PERIOD_S
            if len(recent) < FLOOD_ENDS and flood_from_s < math.inf:
                flood_s += min(leaves_s, end_s) - flood_from_s
                flood_from_s = math.inf
        recent.append(at_s)
        if at_s < math.inf:
            most = max(most, len(recent))
            if len(recent) > FLOOD_BEGINS:
                flood_from_s = min(flood_from_s, at_s)
    has_span = span_s > 0
    return AlarmLoad(
        alarms=len(raised_s),
        per_day=len(raised_s) / span_s * 86_400 if has_span else math.nan,
        most_in_10_min=most,
        flood_s=flood_s,
        flood_share=flood_s / span_s if has_span else math.nan,
    )


def group_floods(raised_s: Sequence[float], n: int = FLOOD_BEGINS, window_s: float = PERIOD_S) -> list[float]:
    """Alarms that are left of alerts at raised_s [n], which rise, where n within window_s are a flood and one alarm.

    As `agent.core.floods`, but for its ticks: a flood is over as soon as fewer than half of n came within the window.
    """
    alarms: list[float] = []
    newest: deque[float] = deque(maxlen=n)
    is_flood = False
    for at_s in raised_s:
        if is_flood and sum(one > at_s - window_s for one in newest) < n / 2:
            is_flood = False
        newest.append(at_s)
        if is_flood:
            continue
        is_flood = len(newest) == n and newest[0] > at_s - window_s
        alarms.append(at_s)  # of the flood that begins with it, or its own
    return alarms
