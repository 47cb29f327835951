"""Quantities as people write them: "30s", "64KiB". A duration without its unit is refused; a plain number is bytes."""

from datetime import timedelta
from fractions import Fraction
from typing import Annotated

from pydantic import BeforeValidator, Strict

from agent.values.durations import NUMBER, parse_duration

SIZE_BYTES_MAX = 2**50
_BYTES = {"B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}


def parse_size(text: object) -> int:
    """Read "512B", "64KiB", "1.5MiB" or "10MB" as bytes. Raises ValueError."""
    if type(text) is int:
        return text
    number = NUMBER.fullmatch(text) if isinstance(text, str) else None
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
