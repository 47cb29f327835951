"""Planned stops in a recording: a channel that is on or off, and others that leave their usual range while it is off.

What goes off with every fault looks alike. So only stops that come again on most machines are taken for planned ones;
of others a person must say what they are.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from agent.step.stops import stopped_from_start
from agent.words import Bool, Float32, Int64

RUNNING_SHARE_MIN = 0.5
"""Of the rows: what is on less often, such as an alarm, is no sign that a machine runs."""
TELLING_SHARE_MIN = 1 / 3
"""Of the other channels, that leave their usual range with a stop."""
FAR = 4.0
"""Standard deviations of a channel while it runs, by which it leaves its usual range; half of that is near again."""
AGAIN = 2
"""Stops of a machine, from which they come again."""
START_ROWS_MAX = 240
"""A start that takes longer is not seen to end."""
MAD_TO_STD = 1.4826
SPREAD_MIN = 1e-6
"""Of a channel that has one value while a machine runs."""


@dataclass(frozen=True, slots=True)
class Found:
    """A channel by whose lower value one knows that a machine stands.

    n_stops, n_machines  how often, and on how many of the machines
    n_rows               of stops, in all
    start_rows           after nearly every stop the other channels are as usual after so many rows
    is_planned           stops come again on most machines
    """

    channel: str
    above: float
    n_stops: int
    n_machines: int
    n_rows: int
    start_rows: int
    is_planned: bool


def find_stops(candidates: Mapping[str, Float32], x: Float32, rows_of: Mapping[str, Int64]) -> Found | None:
    """The candidate with whose lower value the most rows are unlike all others; None where there is none.

    candidates  float32 [n] each; one of them has two values
    x           float32 [n, F] of the channels that vary, F > 0
    rows_of     of each machine its rows, in the order of time
    """
    kinds = {name: np.unique(values[~np.isnan(values)]) for name, values in candidates.items()}
    bounds = {name: float(of.mean()) for name, of in kinds.items() if len(of) == 2}
    if not bounds:
        return None
    filled = np.where(np.isnan(x), np.nanmedian(x, axis=0), x)
    found = [_stops_by(name, above, candidates[name], filled, rows_of) for name, above in bounds.items()]
    return max((one for one in found if one is not None), key=lambda one: one.n_rows, default=None)


def _stops_by(name: str, above: float, values: Float32, x: Float32, rows_of: Mapping[str, Int64]) -> Found | None:
    off = {machine: stopped_from_start(above, 0.0, np.arange(len(at)), values[at]) for machine, at in rows_of.items()}
    n_off = sum(int(of.sum()) for of in off.values())
    struck = {machine: of for machine, of in off.items() if of.any() and not of.all()}
    if n_off > (1 - RUNNING_SHARE_MIN) * len(values) or not struck:
        return None
    deviations = [_deviation(x[rows_of[machine]], of) for machine, of in struck.items()]
    in_stops = [np.median(away[of], axis=0) for away, of in zip(deviations, struck.values(), strict=True)]
    telling = np.median(in_stops, axis=0) > FAR  # [F]
    if telling.mean() < TELLING_SHARE_MIN:
        return None
    starts = [
        _start_rows(of, away[:, telling].max(axis=1) > FAR / 2)
        for away, of in zip(deviations, struck.values(), strict=True)
    ]
    start_rows = np.concatenate(starts)
    n_stops = [_n_stops(of) for of in off.values()]
    return Found(
        channel=name,
        above=above,
        n_stops=sum(n_stops),
        n_machines=len(struck),
        n_rows=n_off,
        start_rows=int(np.quantile(start_rows, 0.9)) if len(start_rows) else 0,
        is_planned=bool(np.median(n_stops) >= AGAIN),
    )


def _deviation(x: Float32, is_off: Bool) -> Float32:
    """float32 [T, F]: how far a machine's rows are from what they are while it runs, in standard deviations."""
    usual = np.median(x[~is_off], axis=0)
    spread = MAD_TO_STD * np.median(np.abs(x[~is_off] - usual), axis=0)
    scale = np.where(spread > 0, spread, np.maximum(np.std(x[~is_off], axis=0), np.float32(SPREAD_MIN)))
    return np.asarray(np.abs(x - usual) / scale, np.float32)


def _n_stops(is_off: Bool) -> int:
    return int(np.count_nonzero(is_off[1:] & ~is_off[:-1]) + is_off[0])


def _start_rows(is_off: Bool, is_unusual: Bool) -> Int64:
    """Of each start, how many rows until the first usual one, START_ROWS_MAX at most."""
    starts = np.flatnonzero(is_off[:-1] & ~is_off[1:]) + 1
    usual = np.append(np.flatnonzero(~is_unusual & ~is_off), len(is_off))
    return np.minimum(usual[np.searchsorted(usual, starts)] - starts, START_ROWS_MAX)
