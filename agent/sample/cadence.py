"""How often readings come, and whether channels come together: what a source's `align` says."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from statistics import median
from typing import Any, Final

from agent.readable import span

TOGETHER: Final = 0.9  # share of a device's channels in an average message that makes it a whole row
_STEPS_S: Final = (
    0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 15.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0, 900.0, 1800.0, 3600.0, 7200.0,
    10_800.0, 21_600.0, 43_200.0, 86_400.0,
)  # fmt: skip
_LONGER: Final = 3  # times the longest gap that a value is held
_TOLERANCE: Final = 1.1  # a cadence of 1.05 s is one of 1 s


def gaps_s(arrivals_ns: Iterable[Sequence[int]]) -> list[float]:
    """Seconds between messages of each series, those of no time at all left out."""
    return [(b - a) / 1e9 for times in arrivals_ns for a, b in pairwise(sorted(times)) if b - a > 1_000_000]


def presence(rows: Mapping[object, Sequence[set[str]]]) -> float:
    """Share of the channels of a device that an average message of it has; rows: those of each message, by device."""
    shares = [len(row) / len(every) for own in rows.values() if (every := set().union(*own)) for row in own]
    return sum(shares) / len(shares) if shares else 1.0


def align_of(series_ns: Mapping[object, Sequence[int]], span_s: float) -> tuple[dict[str, Any], str]:
    """`align` where channels come apart, and why.

    series_ns  arrivals of each channel of each device
    span_s     how long was listened, which bounds what is known
    """
    medians = [median(gaps) for times in series_ns.values() if (gaps := gaps_s([times]))]
    longest_s = max(gaps_s(series_ns.values()), default=0.0)
    if not medians:
        every_s, why = _at_least(span_s), f"each was heard once in {span(span_s)}: set it to how often they come"
        return _table(every_s, _at_least(_LONGER * every_s)), why
    every_s = _at_least(median(medians) / _TOLERANCE)
    why = f"channels come apart, each about every {span(median(medians))}, at most {span(longest_s)} apart"
    return _table(every_s, max(_at_least(_LONGER * longest_s), _at_least(_LONGER * every_s))), why


def _table(every_s: float, max_age_s: float) -> dict[str, Any]:
    return {"every": duration(every_s), "max_age": duration(max_age_s)}


def duration(span_s: float) -> str:
    """As the configuration writes it."""
    for unit, size_s in (("d", 86_400), ("h", 3600), ("m", 60), ("s", 1)):
        if span_s >= size_s and span_s % size_s == 0:
            return f"{span_s / size_s:.0f}{unit}"
    return f"{1000 * span_s:.0f}ms"


def _at_least(span_s: float) -> float:
    return next((step_s for step_s in _STEPS_S if step_s >= span_s), _STEPS_S[-1])
