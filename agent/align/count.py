"""Events between rows: a row has the number of those after the row before it, and up to its own time.

A reading that tells of events alone makes no row: what it tells waits for the device's next one. An event of one
channel and one time counts once, so that a message which a broker delivers again changes nothing.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from agent.align.runs import Runs
from agent.devices.columns import Columns, column
from agent.devices.slots import NEVER, Slots
from agent.words import Bool, Float32, Int64

COUNT_MAX = 2**24  # of a row: up to here each whole number is a float32


@dataclass(slots=True)
class CountColumns(Columns):
    """What has happened to each device since its newest row.

    pending     float32 [capacity, F]  events that are in no row yet
    counted_ns  int64 [capacity, F]    event time of the newest that was counted, NEVER for none
    """

    pending: Float32 = column(np.float32, 0)
    counted_ns: Int64 = column(np.int64, NEVER)


class Counting:
    """The events of one call's readings, whose times must not fall within a device.

    counts  bool [d, F]: the channels of each device that count events
    """

    def __init__(self, runs: Runs, counts: Bool, columns: CountColumns) -> None:
        self._runs, self._counts = runs, counts[runs.run]  # [b, F]
        self._before: npt.NDArray[np.float64] = columns.pending[runs.slot].astype(np.float64)
        tells = ~np.isnan(runs.x) & self._counts
        index = np.where(tells, np.arange(len(runs.run))[:, None], -1)
        self._last = np.maximum.accumulate(index, axis=0)  # [b, F] which reading told of one last, of any device
        before = np.full_like(self._last, -1)
        before[1:] = self._last[:-1]
        is_of_call = before >= runs.start[runs.run][:, None]
        self._counted_ns = columns.counted_ns[runs.slot]
        before_ns = np.where(is_of_call, runs.t_ns[np.maximum(before, 0)], self._counted_ns[runs.run])
        is_new = tells & (runs.t_ns[:, None] != before_ns)
        happened = np.cumsum(np.where(is_new, runs.x, np.float32(0)), axis=0, dtype=np.float64)
        first = np.where(runs.start[:, None] > 0, happened[np.maximum(runs.start - 1, 0)], 0.0)
        self._total = happened - first[runs.run] + self._before[runs.run]  # since the newest row before the call
        self._in_rows = np.zeros_like(self._before)  # of the total

    def into(self, x: Float32, reading: Int64, run: Int64) -> Float32:
        """Rows float32 [k, F] of the readings up to int64 [k], of the devices run int64 [k]: with what happened.

        Each device's rows in order. An index before the device's first reading means none of this call.
        """
        if not len(x):
            return x
        is_of_call = reading >= self._runs.start[run]
        total = np.where(is_of_call[:, None], self._total[np.maximum(reading, 0)], self._before[run])
        before = np.zeros_like(total)
        is_next = run[1:] == run[:-1]
        before[1:][is_next] = total[:-1][is_next]
        self._in_rows[run] = total  # of several the last
        return np.where(self._counts[self._runs.start[run]], np.minimum(total - before, COUNT_MAX), x).astype(
            np.float32
        )

    def take(self, columns: CountColumns) -> None:
        """Keep what is in no row, once `into` has had all of them."""
        runs, end = self._runs, self._runs.end
        columns.before_write(runs.slot)
        columns.pending[runs.slot] = np.minimum(self._total[end] - self._in_rows, COUNT_MAX)
        last = self._last[end]
        is_of_call = last >= runs.start[:, None]
        columns.counted_ns[runs.slot] = np.where(is_of_call, runs.t_ns[np.maximum(last, 0)], self._counted_ns)


class Counted:
    """The events of all devices, F channels wide."""

    def __init__(self, slots: Slots, group: str, width: int) -> None:
        self.columns = slots.register(group, CountColumns, pending=width, counted_ns=width)

    def fill(self, slots: Int64, t_ns: Int64, x: Float32, counts: Bool) -> Bool:
        """Count, for the next row, what readings of distinct devices tell at the time of their newest rows.

        x float32 [b, F]; counts bool [b, F] which of it counts. Returns bool [b]: was any of it new.
        """
        columns = self.columns
        is_new = counts & ~np.isnan(x) & (columns.counted_ns[slots] != t_ns[:, None])
        pending = columns.pending[slots] + np.where(is_new, x, np.float32(0))
        columns.before_write(slots)
        columns.pending[slots] = np.minimum(pending, np.float32(COUNT_MAX))
        columns.counted_ns[slots] = np.where(is_new, t_ns[:, None], columns.counted_ns[slots])
        return np.asarray(is_new.any(axis=1))

    def move(self, slots: Int64, by_ns: Int64) -> None:
        """The clocks of these devices were set anew: what was counted happened by_ns int64 [b] later."""
        self.columns.before_write(slots)
        counted_ns = self.columns.counted_ns
        counted_ns[slots] += np.where(counted_ns[slots] != NEVER, by_ns[:, None], 0)

    def forget(self, slots: Int64) -> None:
        """Nothing has happened to these devices."""
        self.columns.before_write(slots)
        self.columns.pending[slots], self.columns.counted_ns[slots] = 0, NEVER
