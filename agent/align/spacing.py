"""Reading -> row, one row a message: what is late, repeated or too fast, and how long since the last row.

Two times are kept a device: that of the newest row that was accepted, against which a row is late or new, and that of
the row which the state stepped on last, from which `dt` is counted. After a restart the state may be the older one.
"""

from dataclasses import dataclass

import numpy as np

from agent.bundle.manifest import Cadence
from agent.words import Bool, Float32, Int64


@dataclass(frozen=True, slots=True)
class Spacing:
    """How readings lie to the newest row of their devices.

    left_out        bool [b]     late, repeated, or too fast: closer to the newest row than rows came in training, or
                                 not yet due after such a row
    late, repeated  bool [b]     event time before, or equal to, the newest row's
    dt              float32 [b]  seconds since the state's row, 0 for a first row and after lost history
    is_gap          bool [b]     more than twice the cadence since the state's row
    is_lost         bool [b]     more than dt_max: the state says nothing any more
    """

    left_out: Bool
    late: Bool
    repeated: Bool
    dt: Float32
    is_gap: Bool
    is_lost: Bool

    @property
    def too_fast(self) -> Bool:
        """bool [b]"""
        return self.left_out & ~self.late & ~self.repeated


def space(t_ns: Int64, newest_ns: Int64, state_ns: Int64, is_fast: Bool, cadence: Cadence) -> Spacing:
    """Compare event times int64 [b] with those of the devices' newest rows and states, negative for none.

    is_fast  bool [b] a row was too fast since the newest one: from then on one waits until a row is due, or a device of
             five times the cadence would be stepped each 0.8 of it

    Lateness is judged by the device's own newest row alone, so one device's clock cannot make another's rows late.
    """
    is_known, has_state = newest_ns >= 0, state_ns >= 0
    elapsed_ns = t_ns - newest_ns
    closest_ns, due_ns = round(cadence.closest_s * 1e9), round(cadence.due_s * 1e9)
    wait_ns = np.where(is_fast, due_ns, closest_ns) if np.count_nonzero(is_fast) else closest_ns
    left_out = late = repeated = is_known & (elapsed_ns < wait_ns)
    if np.count_nonzero(left_out):
        late, repeated = is_known & (elapsed_ns < 0), is_known & (elapsed_ns == 0)
    dt = ((t_ns - state_ns) * 1e-9).astype(np.float32)
    is_lost = has_state & (dt > np.float32(cadence.dt_max_s))
    return Spacing(
        left_out=left_out,
        late=late,
        repeated=repeated,
        dt=np.where(has_state & ~is_lost, dt, np.float32(0)),
        is_gap=has_state & (dt > np.float32(2 * cadence.every_s)),
        is_lost=is_lost,
    )
