"""Who is stepped next, at most one row a device at a time and a device's rows in their order; and the step itself."""

import math
from collections.abc import Iterator

import numpy as np

from agent.step.engine import Engine
from agent.words import Bool, Float32, Int64

FEW = 256  # rows, of which a set is made sooner than they are sorted


def rounds(slots: Int64) -> Iterator[Int64]:
    """Cut rows into rounds of distinct slots; yields indexes into `slots`, int64 [b], rising.

    Round r holds each device's r-th row. Which rows share a round changes nothing but speed (law 2).
    """
    if len(slots) <= FEW and len(set(slots.tolist())) == len(slots):  # nobody is there twice, asked the quick way
        if len(slots):
            yield np.arange(len(slots))
        return
    by_slot = np.argsort(slots, kind="stable")
    starts = np.flatnonzero(np.diff(slots[by_slot], prepend=-1))  # where each device's run of rows begins
    if len(starts) == len(slots):
        yield np.arange(len(slots))
        return
    rank = np.empty(len(slots), np.int64)
    rank[by_slot] = np.arange(len(slots)) - np.repeat(starts, np.diff(starts, append=len(slots)))
    by_round = np.argsort(rank, kind="stable")
    yield from np.split(by_round, np.cumsum(np.bincount(rank))[:-1])


def step(
    engine: Engine, states: Float32, slots: Int64, x: Float32, dt: Float32, max_batch: int
) -> tuple[Float32, Float32, Bool]:
    """Step the states [capacity, S] of distinct slots int64 [b] with rows x [b, F], at most `max_batch` a call.

    Returns risk [b, K], rul [b, Q] and sound bool [b]: where a result is not finite the state must not be used.
    """
    risks, ruls = [], []
    sound = np.ones(len(slots), np.bool_)
    for start in range(0, len(slots), max_batch):
        part = slice(start, start + max_batch)
        state, risk, rul = engine.run(x[part], dt[part], states[slots[part]])
        if not _is_finite(state, risk, rul):
            sound[part] = np.logical_and.reduce([np.isfinite(one).all(axis=1) for one in (state, risk, rul)])
        states[slots[part]] = state
        risks.append(risk)
        ruls.append(rul)
    if len(risks) == 1:
        return risks[0], ruls[0], sound
    return np.concatenate(risks), np.concatenate(ruls), sound


def _is_finite(*arrays: Float32) -> bool:
    """True only if every number is; asks the sums, which is quick, so huge finite numbers may be called infinite."""
    with np.errstate(invalid="ignore", over="ignore"):
        return math.isfinite(sum(float(array.sum()) for array in arrays))
