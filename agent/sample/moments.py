"""Which field is the event time, and in which unit: by its name, and by how near the clock it is."""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any, Final, NamedTuple

from agent.readable import span
from agent.values.times import NS_PER, text_time_ns
from agent.words import TimeUnit

_NAMES: Final = re.compile(
    r"(?:.*[^a-z])?(?:ts|time|timestamp|date|datetime|t|at|when|clock)|.*(?:time|stamp|_at|_ts|seen|date)", re.I
)
_OFFSET: Final = re.compile(r"(?:[zZ]|[+-][0-9]{2}(?::?[0-9]{2})?)$")
_HAS_CLOCK: Final = re.compile(r"[Tt ][0-9]{2}")
UNITS: Final[tuple[TimeUnit, ...]] = ("s", "ms", "us")
NEAR_S: Final = 300.0  # a clock that is right, as `future_max` allows
FAR_S: Final = 15 * 3600.0  # no time zone is further off
PAST_S: Final = 3600.0  # as `past_max`
_AGE_MAX_S: Final = 25 * 365 * 86_400.0  # older numbers are no times of a machine that was ever recorded
_STEADY_S: Final = 120.0  # from whole quarter hours
_QUARTER_S: Final = 900.0
SHARE: Final = 0.9  # of the messages that must have a time


class Moment(NamedTuple):
    """A time field: `field` is "" for the time of arrival. `why` is a comment for a person."""

    field: str
    unit: TimeUnit
    zone: str
    why: str


def looks_like_time(path: str) -> bool:
    """Whether the last name of a path is one of times."""
    return _NAMES.fullmatch(path.rpartition(".")[2].strip('"')) is not None


def moment_of(leaves: Sequence[Mapping[str, Any]], arrived_ns: Sequence[int], named: str = "") -> Moment:
    """The time field of readings, each path -> value and its arrival.

    named  a path that is known to be the time, whatever its name is
    """
    values: dict[str, list[tuple[object, int]]] = defaultdict(list)
    for found, at_ns in zip(leaves, arrived_ns, strict=True):
        for path, value in found.items():
            if isinstance(value, str | int | float) and not isinstance(value, bool):
                values[path].append((value, at_ns))
    candidates = []
    for path, given in values.items():
        if len(given) >= SHARE * len(leaves) and (one := _candidate(path, given, is_named=path == named)) is not None:
            candidates.append(one)
    if candidates:
        return min(candidates)[-1]
    return Moment("", "arrival", "", f"no field is a time near the clock's: the time of arrival{_of_long_ago(values)}")


def _of_long_ago(values: Mapping[str, list[tuple[object, int]]]) -> str:
    """Which field by its name is a time that has long gone, as of a recording that is played; "" for none."""
    for path, given in values.items():
        unit, lags_s = _lags(given)
        if looks_like_time(path) and unit is not None and lags_s and -_AGE_MAX_S < median(lags_s) < -FAR_S:
            lag = span(median(lags_s))
            return f'. Is it {path}, {lag} behind the clock? Then time = {{ field = "{path}", unit = "{unit}" }}'
    return ""


def _candidate(
    path: str, given: list[tuple[object, int]], *, is_named: bool
) -> tuple[int, int, int, str, Moment] | None:
    """How good a field is as the time, the least being the best, and what it is; None for no time."""
    is_named |= looks_like_time(path)
    if len(given) > 2 and len({value for value, _ in given}) == 1 and len({at_ns for _, at_ns in given}) > 1:
        return None  # it stands still
    unit, lags_s = _lags(given)
    if unit is None or len(lags_s) < SHARE * len(given):
        return None
    lag_s = median(lags_s)
    zone, why = _zone(given, unit, lags_s)
    if zone:
        lag_s = 0.0
    if lag_s > NEAR_S or lag_s < -FAR_S:
        return None  # of the future, or of long ago: another date
    if not is_named and abs(lag_s) > NEAR_S:
        return None
    if not why:
        why = f"within {span(NEAR_S)} of the clock" if lag_s >= -NEAR_S else f"{span(lag_s)} behind the clock"
        if lag_s < -PAST_S:
            why += ": a device that is steadily so late is re-based (past_max)"
    bucket = 0 if lag_s >= -NEAR_S else 1
    return bucket, int(not is_named), path.count("."), path, Moment(path, unit, zone, why)


def _lags(given: list[tuple[object, int]]) -> tuple[TimeUnit | None, list[float]]:
    """Unit, and seconds ahead of arrival of those values that are times."""
    texts = [(value, at_ns) for value, at_ns in given if isinstance(value, str)]
    if texts:
        lags = []
        for text, at_ns in texts:
            try:
                if _HAS_CLOCK.search(text):
                    lags.append((text_time_ns(text) - at_ns) / 1e9)
            except ValueError:
                continue
        return "iso8601", lags
    numbers = [(float(value), at_ns) for value, at_ns in given if isinstance(value, int | float) and 0 < value < 1e20]
    if not numbers:
        return None, []
    scales: dict[TimeUnit, float] = {unit: float(NS_PER[unit]) for unit in UNITS} | {"ns": 1.0}
    by_unit: dict[TimeUnit, list[float]] = {
        unit: [(value * scale - at_ns) / 1e9 for value, at_ns in numbers] for unit, scale in scales.items()
    }
    unit = min(by_unit, key=lambda one: abs(median(by_unit[one])))
    return unit, by_unit[unit]


def _zone(given: list[tuple[object, int]], unit: TimeUnit, lags_s: list[float]) -> tuple[str, str]:
    """The zone of texts without an offset that are steadily whole quarter hours off, and why; else ""."""
    if unit != "iso8601" or any(isinstance(text, str) and _has_offset(text) for text, _ in given):
        return "", ""
    off_s = _QUARTER_S * round(median(lags_s) / _QUARTER_S)
    if not off_s or abs(off_s) > FAR_S or any(abs(one - off_s) > _STEADY_S for one in lags_s):
        return "", ""
    hours, minutes = divmod(abs(int(off_s)) // 60, 60)
    offset = f"UTC{'+' if off_s > 0 else '-'}{hours}" + (f":{minutes:02}" if minutes else "")
    if minutes or hours > 14 or (off_s < 0 and hours > 12):
        return "", ""
    zone = f"Etc/GMT{'-' if off_s > 0 else '+'}{hours}"
    return zone, f"texts have no offset and are {offset}: write your zone, as Europe/Berlin, for summer time"


def _has_offset(text: str) -> bool:
    return _OFFSET.search(text.strip()[10:]) is not None
