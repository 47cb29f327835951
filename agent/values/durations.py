"""Durations as people write them: "30s", "8h". One without its unit is refused."""

import re
from datetime import timedelta
from fractions import Fraction

MICROSECOND = timedelta(microseconds=1)
DURATION_MAX = timedelta(days=36_500)
NUMBER = re.compile(r"([0-9]{1,18}(?:\.[0-9]{1,9})?) ?([A-Za-z]+)")  # and its unit
_MICROSECONDS = {
    "us": 1, "ms": 1000, "s": 10**6, "m": 60 * 10**6, "min": 60 * 10**6,
    "h": 3600 * 10**6, "d": 86_400 * 10**6, "w": 604_800 * 10**6,
}  # fmt: skip


def parse_duration(text: object) -> timedelta:
    """Read "250ms", "30s", "2m", "1h", "30d" or "2w". Raises ValueError."""
    if isinstance(text, timedelta):
        return text
    number = NUMBER.fullmatch(text) if isinstance(text, str) else None
    if number is None or number[2] not in _MICROSECONDS:
        raise ValueError(f'must be a duration such as "250ms", "30s", "2m", "1h" or "30d", not {text!r}')
    microseconds = round(Fraction(number[1]) * _MICROSECONDS[number[2]])
    if microseconds > DURATION_MAX // MICROSECOND:
        raise ValueError(f"must be at most {format_duration(DURATION_MAX)}, not {text!r}")
    return timedelta(microseconds=microseconds)


def format_duration(duration: timedelta) -> str:
    """The shortest text with a whole number that `parse_duration` reads back."""
    microseconds = duration // MICROSECOND
    for unit in ("d", "h", "m", "s", "ms"):
        if microseconds and microseconds % _MICROSECONDS[unit] == 0:
            return f"{microseconds // _MICROSECONDS[unit]}{unit}"
    return f"{microseconds}us" if microseconds else "0s"
