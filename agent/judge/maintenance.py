"""When a maintenance window is open: by the wall clock of a time zone, as people plan it.

A window is open from `begin` to just before `end`: each day ("22:00" to "06:00", over midnight), each week ("sat 22:00"
to "mon 06:00"), or once (two dates with times). Where clocks are set back, an hour that comes twice is in it twice.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from agent.values.times import time_zone

DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_CLOCK: Final = re.compile(r"(?:(mon|tue|wed|thu|fri|sat|sun) )?([01]\d|2[0-3]):([0-5]\d)")
_MINUTES_OF_A_DAY: Final = 1440
YEAR_END: Final = 2200  # nanoseconds since 1970 fit into 64 bits until 2262


@dataclass(frozen=True, slots=True)
class Window:
    """Of the devices of a source, all where none is named. `begin`, `end` and `zone` as `check` lets them pass."""

    source: str
    devices: tuple[str, ...]
    begin: str
    end: str
    zone: str = ""


def check(begin: str, end: str) -> None:
    """Raises ValueError for two texts that are no window, or one that ends before it begins."""
    first, last = _CLOCK.fullmatch(begin), _CLOCK.fullmatch(end)
    if first and last and bool(first[1]) == bool(last[1]):
        if begin == end:
            raise ValueError(f"ends when it begins, at {begin!r}")
        return
    try:
        dates = [datetime.fromisoformat(text) for text in (begin, end)]
    except ValueError:
        forms = 'two of "22:00", of "sat 22:00", or of "2026-12-01T08:00"'
        raise ValueError(f"begin and end must be {forms}, not {begin!r} and {end!r}") from None
    if any(one.tzinfo for one in dates):
        raise ValueError("begin and end are of the zone, and say no offset from UTC")
    if max(dates).year >= YEAR_END:
        raise ValueError(f"times are those before the year {YEAR_END}")
    if dates[1] <= dates[0]:
        raise ValueError(f"ends at {end!r}, before it begins at {begin!r}")


def open_until(window: Window) -> Callable[[int], int]:
    """What says, of a time in ns since 1970, until when the window is open then, in the same; 0 where it is not."""
    zone = time_zone(window.zone)
    first, last = _CLOCK.fullmatch(window.begin), _CLOCK.fullmatch(window.end)
    if not (first and last):
        begin_ns, end_ns = (
            _ns(datetime.fromisoformat(text).replace(tzinfo=zone)) for text in (window.begin, window.end)
        )
        return lambda at_ns: end_ns if begin_ns <= at_ns < end_ns else 0
    period = _MINUTES_OF_A_DAY * (len(DAYS) if first[1] else 1)
    begin, end = _minute(first), _minute(last)
    length = (end - begin) % period

    def until_ns(at_ns: int) -> int:
        now = datetime.fromtimestamp(at_ns // 10**9, UTC).astimezone(zone)
        minute = (now.weekday() * _MINUTES_OF_A_DAY + 60 * now.hour + now.minute) % period
        passed = (minute - begin) % period
        if passed >= length:
            return 0
        wall = now.replace(tzinfo=None, second=0, microsecond=0) + timedelta(minutes=length - passed)
        ends_ns = [_ns(wall.replace(tzinfo=zone, fold=fold)) for fold in (0, 1)]  # of an hour that comes twice
        return next((end_ns for end_ns in ends_ns if end_ns > at_ns), at_ns + 1)

    return until_ns


def _minute(clock: re.Match[str]) -> int:
    day = DAYS.index(clock[1]) if clock[1] else 0
    return day * _MINUTES_OF_A_DAY + 60 * int(clock[2]) + int(clock[3])


def _ns(at: datetime) -> int:
    return round(at.timestamp()) * 10**9
