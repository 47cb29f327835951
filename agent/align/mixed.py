"""Two machines under one id: each one's clock makes the rows of the other late or repeated, again and again."""

from dataclasses import dataclass

import numpy as np

from agent.devices.columns import Columns, column
from agent.words import Bool, Int64, UInt32

MIXED_CHANGES = 12  # of 32 rows, from new to old or back: a backlog or a clock set back changes once or twice


@dataclass(slots=True)
class MixedColumns(Columns):
    """old_rows uint32: bit k: was the k-th newest row late or repeated."""

    old_rows: UInt32 = column(np.uint32, 0)


def is_unmixed(columns: MixedColumns, slots: Int64) -> Bool:
    """Of which devices none of the last rows was old, bool [b]."""
    unmixed: Bool = columns.old_rows[slots] == 0
    return unmixed


def mixed_rows(columns: MixedColumns, slots: Int64, is_old: Bool) -> Int64:
    """Where old rows have come between new ones too often: indexes into slots int64 [b], of distinct devices.

    is_old  bool [b] this row is late or repeated. `old_rows` begins anew where it was found out.
    """
    before = columns.old_rows[slots]
    if not np.count_nonzero(is_old) and not np.count_nonzero(before):
        return np.empty(0, np.int64)
    after = (before << np.uint32(1)) | is_old
    changes = np.bitwise_count(after ^ (after >> np.uint32(1)))
    is_mixed = (changes >= MIXED_CHANGES) & ~is_old  # told of a row that is used, since it is a doubt
    columns.old_rows[slots] = np.where(is_mixed, np.uint32(0), after)
    return np.flatnonzero(is_mixed)
