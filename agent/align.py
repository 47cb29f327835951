"""Reading -> row, one row a message: what is late or repeated, and how long since the last row."""

from dataclasses import dataclass

import numpy as np

from agent.words import Bool, Float32, Int64


@dataclass(frozen=True, slots=True)
class Spacing:
    """How readings lie to the newest row of their devices.

    late, repeated  bool [b]     event time before, or equal to, the newest row's: dropped
    dt              float32 [b]  seconds since the newest row, 0 for a first row and after lost history
    is_gap          bool [b]     more than twice the cadence since the newest row
    is_lost         bool [b]     more than dt_max: the state says nothing any more
    """

    late: Bool
    repeated: Bool
    dt: Float32
    is_gap: Bool
    is_lost: Bool


def space(t_ns: Int64, newest_ns: Int64, has_state: Bool, every_s: float, dt_max_s: float) -> Spacing:
    """Compare event times int64 [b] with those of the devices' newest rows, negative for devices never heard.

    Lateness is judged by the device's own newest row alone, so one device's clock cannot make another's rows late.
    """
    known = newest_ns >= 0
    elapsed_ns = t_ns - newest_ns
    late = known & (elapsed_ns < 0)
    repeated = known & (elapsed_ns == 0)
    dt = (elapsed_ns * 1e-9).astype(np.float32)
    is_lost = known & (dt > np.float32(dt_max_s))
    is_gap = known & (dt > np.float32(2 * every_s))
    dt = np.where(known & has_state & ~is_lost, dt, np.float32(0))
    return Spacing(late, repeated, dt, is_gap, is_lost)
