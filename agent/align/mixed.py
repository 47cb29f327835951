"""Two machines under one id: each one's clock makes the rows of the other late or repeated, again and again."""

import numpy as np

from agent.devices.slots import DeviceColumns
from agent.words import Bool, Int64

MIXED_CHANGES = 12  # of 32 rows, from new to old or back: a backlog or a clock set back changes once or twice


def mixed_rows(columns: DeviceColumns, slots: Int64, is_old: Bool) -> Int64:
    """Where old rows have come between new ones too often: indexes into slots int64 [b], of distinct devices.

    is_old  bool [b] this row is late or repeated. Changes `old_rows`, which begins anew where it was found out.
    """
    before = columns.old_rows[slots]
    if not np.count_nonzero(is_old) and not np.count_nonzero(before):
        return np.empty(0, np.int64)
    after = (before << np.uint32(1)) | is_old
    is_mixed = np.bitwise_count(after ^ (after >> np.uint32(1))) >= MIXED_CHANGES
    columns.old_rows[slots] = np.where(is_mixed, np.uint32(0), after)
    return np.flatnonzero(is_mixed)
