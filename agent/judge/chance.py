"""How many events as many alarms at random times would tell of: what a detection is to be held against."""

import math
from collections.abc import Sequence


def by_chance(alarms: int, watched_s: float, windows_s: Sequence[float]) -> float:
    """Events told of by alarms that come as a Poisson process, so many as were raised in all.

    alarms     raised while the devices were watched, for watched_s > 0 in all
    windows_s  of each event the time in which an alarm tells of it
    """
    return math.fsum(-math.expm1(-alarms * window_s / watched_s) for window_s in windows_s)


def in_words(expected: float) -> str:
    """Two digits of a small number, "12" of a larger one."""
    number = f"{expected:.0f}" if expected >= 10 else f"{expected:.2g}"
    return f"as many alarms at random times would warn of {number}"
