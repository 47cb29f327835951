"""After an unclean end a state may miss rows that were stepped since its snapshot.

Two rows are never closer than the closest of training, so where the next one is nearer than twice that, no row lies
between and nothing is missing. Else the device warms up as one that was never heard, from the state that it has.
"""

import numpy as np

from agent.devices.slots import DeviceColumns
from agent.words import Float32, Int64


def catch_up(columns: DeviceColumns, slots: Int64, dt: Float32, closest_s: float) -> None:
    """Before distinct devices step again: slots int64 [b]; dt float32 [b], seconds since the row of their state."""
    is_behind = columns.is_behind[slots]
    if np.count_nonzero(is_behind):
        misses = slots[is_behind & (dt >= np.float32(2 * closest_s))]
        columns.rows[misses], columns.is_new[misses] = 0, False
        columns.is_behind[slots] = False
