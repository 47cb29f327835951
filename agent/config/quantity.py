"""Quantities as people write them: "30s", "64KiB". A duration without its unit is refused; a plain number is bytes."""

import re
from datetime import timedelta
from fractions import Fraction
from typing import Annotated

from pydantic import BeforeValidator, Strict

MICROSECOND = timedelta(microseconds=1)
DURATION_MAX = timedelta(days=36_500)
SIZE_BYTES_MAX = 2**50
_NUMBER = re.compile(r"([0-9]{1,18}(?:\.[0-9]{1,9})?) ?([A-Za-z]+)")
_MICROSECONDS = {
    "us": 1, "ms": 1000, "s": 10**6, "m": 60 * 10**6, "min": 60 * 10**6,
    "h": 3600 * 10**6, "d": 86_400 * 10**6, "w": 604_800 * 10**6,
}  # fmt: skip
_BYTES = {"B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}


def parse_duration(text: object) -> timedelta:
    """Read "250ms", "30s", "2m", "1h", "30d" or "2w". Raises ValueError."""
    if isinstance(text, timedelta):
        return text
    number = _NUMBER.fullmatch(text) if isinstance(text, str) else None
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


def parse_size(text: object) -> int:
    """Read "512B", "64KiB", "1.5MiB" or "10MB" as bytes. Raises ValueError."""
    if type(text) is int:
        return text
    number = _NUMBER.fullmatch(text) if isinstance(text, str) else None
    if number is None or number[2] not in _BYTES:
        raise ValueError(f'must be a size such as "512B", "64KiB" or "10MB", not {text!r}')
    size = Fraction(number[1]) * _BYTES[number[2]]
    if size > SIZE_BYTES_MAX or size.denominator != 1:
        raise ValueError(f"must be a whole number of bytes up to {format_size(SIZE_BYTES_MAX)}, not {text!r}")
    return int(size)


def format_size(size_bytes: int) -> str:
    """The shortest text with a whole number that `parse_size` reads back."""
    for unit in ("GiB", "MiB", "KiB"):
        if size_bytes and size_bytes % _BYTES[unit] == 0:
            return f"{size_bytes // _BYTES[unit]}{unit}"
    return f"{size_bytes}B"


Duration = Annotated[timedelta, BeforeValidator(parse_duration), Strict()]
Size = Annotated[int, BeforeValidator(parse_size), Strict()]
