"""Which rows are of a machine that stands: they are not stepped, here as in the training.

A channel says whether the machine runs. A row without its value is as the newest one that had it; before there was one,
and where messages may have been missed since it said that the machine stands, the machine is taken to run: a warning
too many is better than silence. While the machine starts its rows are left out, too. The trainer asks `stopped_rows` of
a whole recording at once, the core row by row, and both get the same answers.
"""

from dataclasses import dataclass

import msgspec
import numpy as np

from agent.bundle.manifest import Manifest, RunsWhile
from agent.devices.columns import Columns, column
from agent.devices.slots import NEVER, Slots
from agent.words import Bool, Float32, Int64, UInt8

RUNS, STANDS, STOOD = 0, 1, 2
"""By the newest value: it runs; it stands; it stood, and messages may have been missed since."""


@dataclass(slots=True)
class StopColumns(Columns):
    """What the newest row of each device says.

    newest      uint8  RUNS, STANDS or STOOD
    started_ns  int64  event time of the row with which it last began to run, NEVER where none was seen
    """

    newest: UInt8 = column(np.uint8, RUNS)
    started_ns: Int64 = column(np.int64, NEVER)


class Stopped(msgspec.Struct, frozen=True):
    """Which rows are left out, bool [b, T], and what the last one of each device says, [b], as `StopColumns` has it."""

    rows: Bool
    newest: UInt8
    started_ns: Int64


def stopped_rows(
    above: float, after_s: float, value: Float32, t_ns: Int64, newest: UInt8, started_ns: Int64
) -> Stopped:
    """Rows of b devices, T each in the order of time; device i depends on its own rows only (law 2).

    above, after_s  of agent.bundle.manifest.RunsWhile
    value       float32 [b, T]  of the channel, NaN = missing
    t_ns        int64 [b, T]    event time
    newest      uint8 [b]       and started_ns int64 [b]: what the row before these says
    """
    has_value = ~np.isnan(value)
    with np.errstate(invalid="ignore"):
        says = np.where(value > np.float32(above), np.uint8(RUNS), np.uint8(STANDS))
    place = np.maximum.accumulate(np.where(has_value, np.arange(1, value.shape[1] + 1), 0), axis=1)
    newest_known = np.take_along_axis(np.concatenate((newest[:, None], says), axis=1), place, axis=1)
    before = np.concatenate((newest[:, None], newest_known[:, :-1]), axis=1)
    starts = (newest_known == RUNS) & (before != RUNS)
    started = np.where(starts, t_ns, NEVER)
    started[:, 0] = np.where(starts[:, 0], started[:, 0], started_ns)
    started = np.maximum.accumulate(started, axis=1)
    since_ns = t_ns - started
    is_starting = (newest_known == RUNS) & (started != NEVER) & (since_ns >= 0) & (since_ns < round(after_s * 1e9))
    return Stopped((newest_known == STANDS) | is_starting, newest_known[:, -1], started[:, -1])


def rows_that_run(manifest: Manifest, t_ns: Int64, x: Float32) -> Bool:
    """Which rows of one recorded device a model steps, bool [T]: t_ns int64 [T]; x float32 [T, inputs]."""
    runs = manifest.runs
    if runs is None:
        return np.ones(len(t_ns), np.bool_)
    place = [channel.name for channel in manifest.inputs].index(runs.channel.name)
    counts = np.array([channel.event for channel in manifest.channels])
    is_stopped = stopped_from_start(runs.above, runs.after_s, t_ns, x[:, place])
    return ~is_stopped & says_something(x[:, : manifest.n_channels], counts)


def says_something(x: Float32, counts: Bool) -> Bool:
    """Rows x float32 [T, F] that say more than whether the machine runs, bool [T]; counts bool [F]: of events."""
    says = ~np.isnan(x) & ~(counts & (x == 0))
    return np.asarray(says.any(axis=1) | counts.all())


def stopped_from_start(above: float, after_s: float, t_ns: Int64, value: Float32) -> Bool:
    """Which rows of a recording are left out, bool [T]: t_ns int64 [T]; value float32 [T] of the channel."""
    before = np.full(1, RUNS, np.uint8), np.full(1, NEVER)
    (rows,) = stopped_rows(above, after_s, value[None], t_ns[None], *before).rows
    return np.asarray(rows)


class Stops:
    """Of all devices, for one model whose bundle says when a machine runs; it alone writes them."""

    def __init__(self, runs: RunsWhile, slots: Slots, group: str) -> None:
        self._columns = slots.register(group, StopColumns)
        self._runs = runs

    @property
    def stand(self) -> Bool:
        """bool [capacity]: the newest row of the device says that its machine stands."""
        stand: Bool = self._columns.newest != RUNS
        return stand

    def read(self, slots: Int64, t_ns: Int64, value: Float32) -> Bool:
        """Which rows of distinct devices are left out, bool [b]; t_ns int64 [b]; value float32 [b] of the channel."""
        columns = self._columns
        before = columns.newest[slots], columns.started_ns[slots]
        stopped = stopped_rows(self._runs.above, self._runs.after_s, value[:, None], t_ns[:, None], *before)
        columns.newest[slots], columns.started_ns[slots] = stopped.newest, stopped.started_ns
        return np.asarray(stopped.rows[:, 0])

    def lose_history(self, which: Int64 | Bool) -> None:
        """Messages of these devices may have been missed: slots int64 [b], or bool [capacity]."""
        newest = self._columns.newest[which]
        self._columns.newest[which] = np.where(newest == STANDS, np.uint8(STOOD), newest)

    def move(self, slots: Int64, by_ns: Int64) -> None:
        """The clocks of these devices were set anew: what is kept of their rows lies by_ns int64 [b] later."""
        started_ns = self._columns.started_ns
        started_ns[slots] += np.where(started_ns[slots] != NEVER, by_ns, 0)

    def start_again(self, slots: Int64) -> None:
        """Nothing is known of these devices any more."""
        self._columns.newest[slots], self._columns.started_ns[slots] = RUNS, NEVER

    def forget(self) -> None:
        """What is known was known by another bundle."""
        self._columns.reset()
