"""Who is stepped next: at most one row a device at a time, and a device's rows in their order."""

from collections.abc import Iterator

import numpy as np

from agent.words import Int64

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
