"""Who is stepped next: at most one row a device in a batch, a device's rows in their order."""

from collections.abc import Iterator

import numpy as np

from agent.words import Int64


def batches(slots: Int64, max_batch: int) -> Iterator[Int64]:
    """Cut rows into batches of distinct slots; yields indexes into `slots`, int64 [b], b <= max_batch.

    Round r holds each device's r-th row; a round is cut at `max_batch`. Which rows share a batch changes nothing but
    speed (law 2).
    """
    by_slot = np.argsort(slots, kind="stable")
    sorted_slots = slots[by_slot]
    starts = np.flatnonzero(np.diff(sorted_slots, prepend=-1))  # where each device's run of rows begins
    lengths = np.diff(starts, append=len(slots))
    rank = np.empty(len(slots), np.int64)
    rank[by_slot] = np.arange(len(slots)) - np.repeat(starts, lengths)
    by_round = np.argsort(rank, kind="stable")
    ends = np.cumsum(np.bincount(rank))
    start = 0
    for end in ends:
        for first in range(start, end, max_batch):
            yield by_round[first : min(first + max_batch, end)]
        start = end
