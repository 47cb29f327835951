"""Incidents: what stands out of normal calibration time so far that it looks like a fault that nobody labelled.

A threshold that is chosen blind takes every high score for a false alarm to come, so a few faults in the recording
raise it until it warns of nothing. Here the time is dealt out in blocks, and the highest score of each, and the fourth
highest, which a fault that lasts raises the most, are compared with what blocks of the same device usually reach. The
tail of a score is close to exponential in its logarithm, so that logarithms of block maxima follow Gumbel's law (Coles,
An Introduction to Statistical Modeling of Extreme Values, 2001, chapter 3); it is fitted by two quantiles, which a few
faults do not move. Blocks that are too high for it are left out, as many as keep the expected share of normal ones
among them small (Benjamini and Hochberg, J. R. Stat. Soc. B 57, 1995), and the law is fitted anew to the others until
nothing changes. Tails that are lighter, such as those of a normal law, are left alone all the more.

An incident is all the time around such a peak in which the score stays above what a block usually reaches.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

import numpy as np

from agent.words import Bool, Int64
from trainer.data.history import Float64, History
from trainer.data.plural import plural
from trainer.evaluation.threshold_sweep import Rules

BLOCK_ROWS_MIN = 32
"""Rows of a block at least: charts smooth over so many."""
BLOCKS_MIN = 40
"""Of fewer blocks nothing stands out for certain."""
OF_DEVICE_MIN = 8
"""Blocks from which a device has a usual height of its own."""
RANKS = (1, 4)
"""Which of a block's scores are looked at: its highest, and its fourth highest."""
NORMAL_SHARE = 0.05
"""Expected share of normal blocks among those that are left out, for each of the ranks."""
SHARE_MAX = 0.2
"""Most of the time that is left out: of a recording full of faults nobody can tell what is normal."""
SCALE_MIN = 0.05
"""Least spread of the logarithms: scores that hardly vary are no reason to call a slightly higher one a fault."""
ROUNDS_MAX = 20
SHOWN_MAX = 5
_SHARES = np.array([0.2, 0.6])
_GUMBEL = -np.log(-np.log(_SHARES))  # quantiles of its law at location 0 and scale 1
_MEDIAN = -np.log(np.log(2))


@dataclass(frozen=True, slots=True)
class Incident:
    """A stretch of one device that looks like a fault: its first and last row, its highest score, and how high a
    stretch of that device usually gets.
    """

    device: str
    start_s: float
    end_s: float
    peak: float
    usual: float


@dataclass(frozen=True, slots=True)
class Trimmed:
    """Normal time without its incidents.

    scores     float64 [T] a history, NaN in an incident too
    incidents  the highest first
    share      of the judged rows that is left out
    more       incidents that are left in because SHARE_MAX was reached
    """

    scores: tuple[Float64, ...]
    incidents: tuple[Incident, ...]
    share: float
    more: int


@dataclass(frozen=True, slots=True)
class _Blocks:
    """Blocks of all devices: whose each is, [n]; the row of its highest score, [n]; logarithms of its scores at RANKS,
    [n, ranks].
    """

    device: Int64
    row: Int64
    height: Float64


def without_incidents(scores: Sequence[Float64], histories: Sequence[History], rules: Rules) -> Trimmed:
    """Scores without what looks like a fault, and what that was.

    scores  float64 [T] a history, NaN for a row that is not judged or is not taken for normal; none is below 0
    """
    blocks = _blocks_of(scores, rules)
    if len(blocks.row) < BLOCKS_MIN:
        return Trimmed(tuple(scores), (), 0.0, 0)
    own = _usual(blocks, len(scores))  # [devices, ranks]
    by_rank = [_standing_out(of_rank) for of_rank in (blocks.height - own[blocks.device]).T]
    standing_out, usual = np.any([out for out, _ in by_rank], axis=0), by_rank[0][1]
    incidents: dict[tuple[int, int, int], Incident] = {}
    for block in np.flatnonzero(standing_out).tolist():
        device, peak = int(blocks.device[block]), int(blocks.row[block])
        level = float(np.exp(own[device, 0] + usual))
        first, last = _stretch(scores[device], histories[device].t_s, peak, level, rules.policy.clear_after_s)
        t_s, highest = histories[device].t_s, float(np.nanmax(scores[device][first : last + 1]))
        incidents[device, first, last] = Incident(
            histories[device].device, float(t_s[first]), float(t_s[last]), highest, level
        )
    return _left_out(scores, incidents)


def _blocks_of(scores: Sequence[Float64], rules: Rules) -> _Blocks:
    size = max(BLOCK_ROWS_MIN, round(2 * rules.policy.clear_after_s / rules.every_s))
    devices, heights, rows = [], [], []
    for device, score in enumerate(scores):
        judged = np.flatnonzero(score > 0)  # NaN is not
        for block in np.split(judged, range(size, len(judged), size)):
            if len(block) == size:
                ranked = block[np.argsort(score[block])[::-1]]
                devices.append(device)
                rows.append(ranked[0])
                heights.append(np.log(np.minimum(score[ranked[np.array(RANKS) - 1]], np.finfo(np.float64).max)))
    return _Blocks(np.array(devices, np.int64), np.array(rows, np.int64), np.array(heights, np.float64))


def _usual(blocks: _Blocks, n_devices: int) -> Float64:
    """float64 [devices, ranks]: the median height of the blocks of each, of all where it has few."""
    usual = np.tile(np.median(blocks.height, axis=0), (n_devices, 1))
    for device in range(n_devices):
        heights = blocks.height[blocks.device == device]
        if len(heights) >= OF_DEVICE_MIN:
            usual[device] = np.median(heights, axis=0)
    return usual


def _standing_out(height: Float64) -> tuple[Bool, float]:
    """Which blocks are too high for the law of the others, bool [n], and the median height by that law.

    height  float64 [n]: logarithms, over the device's usual one
    """
    out = np.zeros(len(height), bool)
    location, scale = 0.0, SCALE_MIN
    for _ in range(ROUNDS_MAX):
        low, high = np.quantile(height[~out], _SHARES)
        scale = max((high - low) / (_GUMBEL[1] - _GUMBEL[0]), SCALE_MIN)
        location = high - scale * _GUMBEL[1]
        chance = -np.expm1(-np.exp(-(height - location) / scale))  # of a normal block to be so high
        ranked = np.sort(chance)
        fits = np.flatnonzero(ranked <= NORMAL_SHARE * np.arange(1, len(ranked) + 1) / len(ranked))
        now = chance <= ranked[fits[-1]] if len(fits) else np.zeros(len(height), bool)
        if (now == out).all():
            break
        out = now
    return out, float(location + scale * _MEDIAN)


def _stretch(score: Float64, t_s: Float64, peak: int, level: float, join_s: float) -> tuple[int, int]:
    """First and last row of the stretch around the peak that is above the level, but for breaks of up to `join_s`."""
    above = np.flatnonzero(score >= level)
    breaks = np.diff(t_s[above]) > np.maximum(join_s, t_s[above[1:]] - t_s[above[1:] - 1])
    run = np.concatenate(([0], np.cumsum(breaks)))
    own = above[run == run[np.searchsorted(above, peak)]]
    return int(own[0]), int(own[-1])


def _left_out(scores: Sequence[Float64], incidents: dict[tuple[int, int, int], Incident]) -> Trimmed:
    """The incidents out of the scores, the highest first, as far as they have at most SHARE_MAX of the rows."""
    trimmed, n_judged = [score.copy() for score in scores], sum(int((~np.isnan(score)).sum()) for score in scores)
    n_out, left_out = 0, []
    for (device, first, last), incident in sorted(incidents.items(), key=lambda one: -one[1].peak / one[1].usual):
        n_rows = int((~np.isnan(scores[device][first : last + 1])).sum())
        if n_out + n_rows > SHARE_MAX * n_judged:
            continue
        trimmed[device][first : last + 1] = np.nan
        n_out += n_rows
        left_out.append(incident)
    return Trimmed(tuple(trimmed), tuple(left_out), n_out / n_judged, len(incidents) - len(left_out))


def incidents_as_text(trimmed: Trimmed, time_unit: Literal["s", "cycle"], n_devices: int) -> str:
    """What was left out of the threshold, when and on which device, so that somebody can look; "" for nothing.

    n_devices  that were judged, with those that had no incident
    """
    if not trimmed.incidents:
        return ""
    n = len(trimmed.incidents)
    shown = [one_as_text(one, time_unit) for one in trimmed.incidents[:SHOWN_MAX]]
    look, are = ("looks like a fault", "is") if n == 1 else ("look like faults", "are")
    what = f"{plural(n, 'incident')} in the calibration time {look} and {are} left out of the threshold"
    lines = [f"{what}, {trimmed.share:.1%} of the time:"]
    lines += [f"  {text}" for text in shown]
    if n > SHOWN_MAX:
        lines.append(f"  and {n - SHOWN_MAX} more")
    if trimmed.more:
        lines.append(f"  {trimmed.more} more are left in: a recording so full of faults does not say what is normal.")
    look_at = "Look at them, and label those that were faults in data.faults."
    lines.append(f"{look_at} What was no fault will be alarmed again.")
    if n_together := _n_together(trimmed, n_devices):
        lines.append(
            f"{n_together} of them came on most of the {n_devices} machines at the same time: probably planned stops. "
            "Name the channel that says whether a machine runs in [runs]: stops are left out then, by the agent too."
        )
    return "\n".join(lines)


def _n_together(trimmed: Trimmed, n_devices: int) -> int:
    """How many incidents came while more than half of the devices had one; 0 of a single device."""
    spans = np.array([(one.start_s, one.end_s) for one in trimmed.incidents])
    devices = np.array([one.device for one in trimmed.incidents])
    n_at_once = [len(set(devices[(spans[:, 0] <= end_s) & (spans[:, 1] >= start_s)])) for start_s, end_s in spans]
    return sum(n > max(n_devices / 2, 1) for n in n_at_once)


def one_as_text(incident: Incident, time_unit: Literal["s", "cycle"]) -> str:
    """ "p7 from 2026-01-03T04:00:00+00:00 to 2026-01-03T06:00:00+00:00, 9.1 times its usual highest"."""
    start, end = (
        f"{time_s:g}" if time_unit == "cycle" else datetime.fromtimestamp(round(time_s), UTC).isoformat()
        for time_s in (incident.start_s, incident.end_s)
    )
    return f"{incident.device} from {start} to {end}, {incident.peak / incident.usual:.1f} times its usual highest"
