"""Values that are held: a channel without a new value keeps its newest one, for so long as its rule says.

Most publishers send a value when it changes, or a channel a message. Such a reading is no row with missing channels: it
is a part of one. What is held of a device is the newest value of each channel by event time, and when it was read.
"""

from dataclasses import dataclass

import numpy as np

from agent.align.count import Counting
from agent.align.runs import Made, Runs
from agent.devices.columns import Columns, column
from agent.devices.slots import NEVER, Slots
from agent.words import Bool, Float32, Int64


@dataclass(slots=True)
class HeldColumns(Columns):
    """What is held of each device.

    held      float32 [capacity, F]  newest value of each channel, NaN for none
    held_ns   int64 [capacity, F]    event time of that value, NEVER for none
    front_ns  int64                  newest event time up to which its readings have made rows, NEVER for none
    """

    held: Float32 = column(np.float32, np.nan)
    held_ns: Int64 = column(np.int64, NEVER)
    front_ns: Int64 = column(np.int64, NEVER)


class Newest:
    """The newest value of each channel at each of the readings `runs`, of those and of what was held before.

    The times of a device that has several readings must not fall, nor begin before what is held of it.
    """

    def __init__(self, runs: Runs, columns: HeldColumns) -> None:
        self._runs = runs
        self._held, self._held_ns = columns.held[runs.slot], columns.held_ns[runs.slot]  # [d, F]
        is_newest = ~np.isnan(runs.x) & (runs.t_ns[:, None] >= self._held_ns[runs.run])
        index = np.where(is_newest, np.arange(len(runs.run))[:, None], -1)
        self._last = np.maximum.accumulate(index, axis=0)  # [b, F] which reading has the value, of any device

    def at(self, reading: Int64, run: Int64) -> tuple[Float32, Int64]:
        """Values and their times [k, F] after the readings at these indexes int64 [k], of the devices run int64 [k].

        An index before the device's first reading means what is held of it.
        """
        start = self._runs.start[run][:, None]
        last = self._last[np.maximum(reading, 0)]
        is_of_call = (last >= start) & (reading[:, None] >= start)
        last = np.where(is_of_call, last, 0)
        values = np.where(is_of_call, np.take_along_axis(self._runs.x, last, axis=0), self._held[run])
        times_ns = np.where(is_of_call, self._runs.t_ns[last], self._held_ns[run])
        return values, times_ns


class Held:
    """What is held of all devices, F channels wide."""

    def __init__(self, slots: Slots, group: str, width: int) -> None:
        self.columns = slots.register(group, HeldColumns, held=width, held_ns=width)

    def take(self, runs: Runs, newest: Newest) -> None:
        """Hold what these readings bring."""
        columns, slot, end = self.columns, runs.slot, runs.end
        columns.before_write(slot)
        columns.held[slot], columns.held_ns[slot] = newest.at(end, np.arange(len(end)))
        columns.front_ns[slot] = np.maximum(columns.front_ns[slot], runs.t_ns[end])

    def fill(self, slots: Int64, t_ns: Int64, x: Float32) -> Bool:
        """Hold values of distinct devices x float32 [b, F] for channels that have none of that time, or of a later one.

        Returns bool [b]: was there any. So a second reading of one time adds to the first, and never replaces it.
        """
        columns = self.columns
        is_new = ~np.isnan(x) & (columns.held_ns[slots] < t_ns[:, None])
        columns.before_write(slots)
        columns.held[slots] = np.where(is_new, x, columns.held[slots])
        columns.held_ns[slots] = np.where(is_new, t_ns[:, None], columns.held_ns[slots])
        return np.asarray(is_new.any(axis=1))

    def move(self, slots: Int64, by_ns: Int64) -> None:
        """The clocks of these devices were set anew: what is held of them was read by_ns int64 [b] later."""
        columns = self.columns
        columns.before_write(slots)
        columns.held_ns[slots] += np.where(columns.held_ns[slots] != NEVER, by_ns[:, None], 0)
        columns.front_ns[slots] += np.where(columns.front_ns[slots] != NEVER, by_ns, 0)

    def forget(self, slots: Int64) -> None:
        """Nothing is held of these devices any more."""
        columns = self.columns
        columns.before_write(slots)
        columns.held[slots], columns.held_ns[slots], columns.front_ns[slots] = np.nan, NEVER, NEVER


def hold_rows(runs: Runs, newest: Newest, max_age_ns: Int64, counting: Counting | None) -> Made:
    """A row a reading: its values, and those held of the other channels that are not older than max_age_ns [d, F].

    counting  what happened meanwhile: then a reading without a value, which tells of events alone, makes no row
    """
    values, times_ns = newest.at(np.arange(len(runs.run)), runs.run)
    age_ns = runs.t_ns[:, None] - times_ns
    is_held = (age_ns >= 0) & (age_ns <= max_age_ns[runs.run])
    x = np.where(np.isnan(runs.x), np.where(is_held, values, np.float32(np.nan)), runs.x)
    if counting is None:
        return Made(runs.place, runs.t_ns, x)
    reading = np.flatnonzero(~np.isnan(runs.x).all(axis=1))
    return Made(runs.place[reading], runs.t_ns[reading], counting.into(x[reading], reading, runs.run[reading]))
