"""Quantities as people write them: "30s", "64KiB"; a number without its unit is refused."""

import re
from datetime import timedelta
from typing import Annotated

from pydantic import BeforeValidator, Strict

DURATION_MAX = timedelta(days=36_500)
SIZE_BYTES_MAX = 2**50
_NUMBER = re.compile(r"(\d{1,15}(?:\.\d{1,9})?)\s?([A-Za-z]+)")
_SECONDS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0}
_BYTES = {"B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}


def parse_duration(text: object) -> timedelta:
    """ "250ms", "30s", "2m", "1h", "30d", "2w". Raises ValueError."""
    if isinstance(text, timedelta):
        return text
    found = _NUMBER.fullmatch(text) if isinstance(text, str) else None
    if found is None or found[2] not in _SECONDS:
        raise ValueError(f'must be a duration such as "250ms", "30s", "2m", "1h" or "30d", not {text!r}')
    seconds = float(found[1]) * _SECONDS[found[2]]
    if seconds > DURATION_MAX.total_seconds():
        raise ValueError(f"must be at most {format_duration(DURATION_MAX)}, not {text!r}")
    return timedelta(seconds=seconds)


def format_duration(duration: timedelta) -> str:
    """The shortest text with a whole number that `parse_duration` reads back."""
    microseconds = duration // timedelta(microseconds=1)
    for unit in ("d", "h", "m", "s", "ms"):
        size = round(_SECONDS[unit] * 1e6)
        if microseconds % size == 0 and microseconds:
            return f"{microseconds // size}{unit}"
    return f"{microseconds}us" if microseconds else "0s"


def parse_size(text: object) -> int:
    """ "512B", "64KiB", "1.5MiB", "10MB": bytes. Raises ValueError."""
    if type(text) is int:  # a default, or a number that our own code gives
        return text
    found = _NUMBER.fullmatch(text) if isinstance(text, str) else None
    if found is None or found[2] not in _BYTES:
        raise ValueError(f'must be a size such as "512B", "64KiB" or "10MB", not {text!r}')
    size = float(found[1]) * _BYTES[found[2]]
    if size > SIZE_BYTES_MAX or not size.is_integer():
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
