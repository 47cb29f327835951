"""What a written time means, in int64 nanoseconds since 1970: one set of rules for payloads and for recorded tables.

A text is a date and time of ISO 8601 in a form that `datetime.fromisoformat` reads: `2026-11-27T21:24:54.123456789Z`,
`2026-11-27 21:24`, `20261127T212454+01`, `2026-W48-5`, a date alone. Letters may be small, and a space may stand for
the `T`. `datetime` ends at microseconds, so the rest of a fraction is read here: nine digits count, more are cut off.

A text without an offset is local time of a zone, by the rules of the IANA data base. Of an hour that comes twice in
autumn the first one is meant; an hour that spring leaves out is counted on from the offset before it (Python's fold=0).
"""

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

from agent.words import Bool, Int64, TimeUnit

Float64 = npt.NDArray[np.float64]
Grid = npt.NDArray[np.uint8]  # [n, L]: n texts of L ASCII characters

NS_PER: dict[TimeUnit, int] = {"s": 10**9, "ms": 10**6, "us": 10**3, "cycle": 10**9}
"""Nanoseconds of a unit whose numbers a float64 holds well enough; a cycle counts as a second."""
T_NS_MAX: Final = 2**62
IMPOSSIBLE_NS: Final = -1
"""The event time of a reading whose time cannot be."""
TEXT_CHARS_MAX: Final = 64
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_ISO: Final = re.compile(
    r"[0-9]{4}-?(?:[0-9]{2}-?[0-9]{2}|[Ww][0-9]{2}(?:-?[0-9])?)"
    r"(?:[Tt ][0-9]{2}(?::?[0-9]{2}(?::?[0-9]{2}(?:[.,]([0-9]+))?)?)?"
    r"(?:[Zz]|[+-][0-9]{2}(?::?[0-9]{2})?)?)?"
)
_USUAL: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}([.,][0-9]{1,9})?([Zz]|[+-][0-9]{2}:[0-9]{2})?"
)
_FEW: Final = 50  # texts that are read sooner one by one
_ZONE_STEP_S: Final = 900


def scaled_ns(given: Float64, scale: int) -> Int64:
    """int64 [n] ns of times float64 [n] in units of `scale` ns; IMPOSSIBLE_NS for those that cannot be."""
    possible = (given >= 0) & (given < T_NS_MAX / scale)
    is_possible = np.count_nonzero(possible) == len(possible)
    if not is_possible:
        given = np.where(possible, given, 0)
    whole = np.floor(given)  # kept apart: a float64 of nanoseconds since 1970 would be off by up to 128 of them
    t_ns = whole.astype(np.int64) * scale + np.rint((given - whole) * scale).astype(np.int64)
    return t_ns if is_possible else np.where(possible, t_ns, IMPOSSIBLE_NS)


@lru_cache(maxsize=64)
def time_zone(name: str) -> tzinfo:
    """The zone of an IANA name, UTC for "". Raises ValueError for a name that the time zone data does not have."""
    if not name or name == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # OSError: the name of a folder, such as "Europe"
        raise ValueError(f"{name!r} is no time zone; an IANA name is meant, such as Europe/Berlin") from None


def text_time_ns(text: str, zone: str = "") -> int:
    """Nanoseconds since 1970 of an ISO 8601 text. Raises ValueError: not such a text, or not from 1970 to 2116."""
    stripped = text.strip()
    form = _ISO.fullmatch(stripped) if len(stripped) <= TEXT_CHARS_MAX else None
    try:
        if form is None:
            raise ValueError
        moment = datetime.fromisoformat(stripped.upper())
    except ValueError:
        raise ValueError(f"{_short(text)} is no ISO 8601 time") from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=time_zone(zone))
    since = moment - _EPOCH
    t_ns = (since.days * 86_400 + since.seconds) * 10**9 + since.microseconds * 1000
    if form[1]:
        t_ns += int(form[1][6:9].ljust(3, "0"))
    if not 0 <= t_ns < T_NS_MAX:
        raise ValueError(f"{_short(text)} is before 1970 or after 2116")
    return t_ns


def texts_ns(texts: Sequence[str], zone: str = "") -> Int64:
    """int64 [n]: `text_time_ns` of each text, IMPOSSIBLE_NS where that raises. Raises ValueError for an unknown zone.

    Texts such as `2026-11-27T21:24:54.123Z`, which stand one like the other, are read as columns of characters.
    """
    local = time_zone(zone)
    t_ns = np.full(len(texts), IMPOSSIBLE_NS, np.int64)
    n_chars = np.fromiter(map(len, texts), np.int64, len(texts))
    for size in np.flatnonzero(np.bincount(n_chars)) if len(texts) else ():
        rows = np.flatnonzero(n_chars == size)
        same = texts if len(rows) == len(texts) else [texts[row] for row in rows.tolist()]
        form = _USUAL.fullmatch(same[0]) if len(same) > _FEW else None
        if form and (joined := "".join(same)).isascii():
            grid = np.frombuffer(joined.encode(), np.uint8).reshape(len(rows), size)
            t_ns[rows], is_read = _columns_ns(grid, form, local)
            rows = rows[~is_read]
        for row in rows.tolist():
            t_ns[row] = _time_or_impossible(texts[row], zone)
    return t_ns


def zoned_ns(local_ns: Int64, zone: str) -> Int64:
    """int64 [n] ns since 1970 of wall times in a zone, written as ns since 1970 on its own clock.

    What is before 1970 or after 2116 becomes IMPOSSIBLE_NS. Raises ValueError for an unknown zone.
    """
    possible = (local_ns >= 0) & (local_ns < T_NS_MAX)
    local_s, nanos = np.divmod(np.where(possible, local_ns, 0), 10**9)
    t_s = local_s - _offsets_s(local_s, time_zone(zone))
    return np.where(possible & (t_s >= 0), t_s * 10**9 + nanos, IMPOSSIBLE_NS)


def _time_or_impossible(text: str, zone: str) -> int:
    try:
        return text_time_ns(text, zone)
    except ValueError:
        return IMPOSSIBLE_NS


def _columns_ns(grid: Grid, form: re.Match[str], local: tzinfo) -> tuple[Int64, Bool]:
    """Times int64 [n] of texts [n, L], and where they are read: those of the form of the first, with a day that is."""
    is_digit = np.array([char.isdigit() for char in form.string])
    value = grid - np.uint8(ord("0"))  # [n, L]; wraps round where a character is no digit
    is_like_first = grid == np.frombuffer(form.string.encode(), np.uint8)
    is_read: Bool = np.logical_and.reduce(np.where(is_digit, value <= 9, is_like_first), axis=1)
    value = np.where(is_read[:, None], value, 0)

    def number(start: int, end: int) -> Int64:
        return value[:, start:end].astype(np.int64) @ (10 ** np.arange(end - start - 1, -1, -1))

    month, day, hour, minute, second = (number(at, at + 2) for at in (5, 8, 11, 14, 17))
    months = (number(0, 4) - 1970).astype("M8[Y]").astype("M8[M]") + (month - 1)
    days = months.astype("M8[D]") + (day - 1)
    is_read &= (month >= 1) & (month <= 12) & (days.astype("M8[M]") == months)
    is_read &= (hour < 24) & (minute < 60) & (second < 60)
    t_s = days.astype(np.int64) * 86_400 + hour * 3600 + minute * 60 + second
    is_read &= (t_s >= 0) & (t_s < T_NS_MAX // 10**9)
    offset = form[2] or ""
    if not offset:
        t_s -= _offsets_s(np.where(is_read, t_s, 0), local)
    elif offset not in "Zz":
        at = form.start(2)
        hours, minutes = number(at + 1, at + 3), number(at + 4, at + 6)
        is_read &= (hours < 24) & (minutes < 60)
        t_s -= (hours * 3600 + minutes * 60) * (-1 if offset[0] == "-" else 1)
    nanos = np.zeros(len(grid), np.int64)
    if form[1]:
        start, end = form.span(1)
        nanos = number(start + 1, end) * 10 ** (9 - (end - start - 1))
    is_read &= (t_s >= 0) & (t_s < T_NS_MAX // 10**9)
    return np.where(is_read, t_s * 10**9 + nanos, IMPOSSIBLE_NS), is_read


def _offsets_s(local_s: Int64, zone: tzinfo) -> Int64:
    """int64 [n]: offset from UTC of local times, each quarter of an hour looked up once."""
    if zone is UTC:
        return np.zeros(len(local_s), np.int64)
    quarters, place = np.unique(local_s // _ZONE_STEP_S, return_inverse=True)
    starts = (quarters * _ZONE_STEP_S).tolist()
    offsets = np.array([_offset_s(start, zone) for start in starts], np.int64)
    ends = np.array([_offset_s(start + _ZONE_STEP_S - 1, zone) for start in starts], np.int64)
    offset_s = offsets[place]
    for row in np.flatnonzero((offsets != ends)[place]).tolist():  # a zone changed within the quarter: once, in Liberia
        offset_s[row] = _offset_s(int(local_s[row]), zone)
    return offset_s


def _offset_s(local_s: int, zone: tzinfo) -> int:
    moment = datetime(1970, 1, 1, tzinfo=zone) + timedelta(seconds=local_s)  # wall time, as Python adds it
    offset = moment.utcoffset()
    return 0 if offset is None else offset.days * 86_400 + offset.seconds


def _short(text: str) -> str:
    return repr(text if len(text) <= 40 else text[:40] + "...")
