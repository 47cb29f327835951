"""Readings that wait for older ones: a source's `lateness`.

A reading waits until the device's newest event time is more than `lateness` beyond its own; then it goes on, after all
that are older and wait. So any order of arrival within the lateness gives the same rows. Only the device's own
event times count: no clock and no other device. The newest readings of a device that falls silent wait until it is
heard again.

Readings of one time go on as one: each channel has the value that one of them brings; where several bring one, the
greatest, so that this does not depend on the order either.

Room is bounded by device (`waiting_max`), so that no device can take another's. Where more would wait the
oldest goes on early, and is doubted (`reorder_full`).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from agent.align.runs import Runs, running_max
from agent.align.waiting import KeptWaiting, Waiting, pack_waiting
from agent.devices.columns import Columns, column
from agent.devices.slots import NEVER, Slots
from agent.words import Bool, Float32, Int64

WAITING_BYTES_MAX = 256 * 1024**2  # of all devices together, if `devices_max` of them used all their room
WAITING_MIN, WAITING_MAX = 16, 256  # readings of one device; one message may end the waiting of all of them


@dataclass(slots=True)
class ReorderColumns(Columns):
    """foremost_ns int64: event time of the device's newest reading, NEVER for none."""

    foremost_ns: Int64 = column(np.int64, NEVER)


def waiting_max(devices_max: int, width: int) -> int:
    """How many readings of one device may wait."""
    return int(np.clip(WAITING_BYTES_MAX // (devices_max * (8 + 4 * width)), WAITING_MIN, WAITING_MAX))


class Reorder:
    """The readings of all devices that wait."""

    def __init__(self, slots: Slots, group: str, width: int) -> None:
        self._columns = slots.register(group, ReorderColumns)
        self._width = width
        self._waiting_max = waiting_max(slots.devices_max, width)
        self._waiting: dict[int, Waiting] = {}  # by slot, of devices of which some wait

    def is_orderly(self, runs: Runs, lateness_ns: Int64) -> Bool:
        """Whether all readings of a device are within its lateness and find room, bool [d]; lateness_ns int64 [d]."""
        newest_ns = running_max(self._after_foremost(runs), runs.start, runs.run)
        is_late = runs.t_ns < newest_ns - lateness_ns[runs.run]
        n_readings = np.diff(runs.start, append=len(runs.run))
        n_waiting = [len(own.t_ns) if (own := self._waiting.get(slot)) else 0 for slot in runs.slot.tolist()]
        orderly: Bool = n_readings + np.array(n_waiting) <= self._waiting_max
        orderly[runs.run[is_late]] = False
        return orderly

    def pass_on(self, runs: Runs, lateness_ns: Int64) -> tuple[Runs, Int64]:
        """Let these readings wait; returns those that go on, and the places of those for which there is no room.

        lateness_ns int64 [d]. Devices that have several readings must be orderly.
        """
        newest_ns = running_max(self._after_foremost(runs), runs.start, runs.run)
        limit_ns = newest_ns - lateness_ns[runs.run]  # what is older goes on with this reading
        self._columns.foremost_ns[runs.slot] = newest_ns[runs.end]
        run, t_ns, x = self._with_waiting(runs)
        n_waiting = np.bincount(run, minlength=len(runs.slot))
        goes_on = t_ns < limit_ns[runs.end][run]
        n_waiting -= np.bincount(run[goes_on], minlength=len(runs.slot))
        crowded = np.flatnonzero(n_waiting > self._waiting_max)
        if len(crowded):  # readings that wait are a device's last ones
            ends = np.searchsorted(run, crowded, side="right")
            goes_on[ends - n_waiting[crowded]] = True
        self._keep(runs.slot, run[~goes_on], t_ns[~goes_on], x[~goes_on])
        run, t_ns, x = run[goes_on], t_ns[goes_on], x[goes_on]
        by = np.minimum(_first_above(limit_ns, runs.run, t_ns, run), runs.end[run])
        return Runs.of(runs.slot[run], t_ns, x, runs.place[by]), runs.place[runs.end[crowded]]

    def move(self, slots: Int64, by_ns: Int64) -> None:
        """The clocks of these devices were set anew: their readings lie by_ns int64 [b] later."""
        foremost_ns = self._columns.foremost_ns
        foremost_ns[slots] += np.where(foremost_ns[slots] != NEVER, by_ns, 0)
        for slot, by in zip(slots.tolist(), by_ns.tolist(), strict=True):
            waiting = self._waiting.get(slot)
            if by and waiting is not None:
                self._waiting[slot] = Waiting(waiting.t_ns + by, waiting.x)

    @property
    def foremost_ns(self) -> Int64:
        """int64 [capacity]: event time of each device's newest reading, NEVER for none."""
        return self._columns.foremost_ns

    def forget(self, slots: Int64) -> Iterator[tuple[int, int]]:
        """Nothing of these devices waits any more; gives the slot of each that had some, and how many."""
        self._columns.foremost_ns[slots] = NEVER
        for slot in slots.tolist():
            if (waiting := self._waiting.pop(slot, None)) is not None:
                yield slot, len(waiting.t_ns)

    def keep(self, layouts: Mapping[str, str]) -> Callable[[], bytes]:
        """What waits now, for a snapshot; packed when it is called. `layouts` says by source what its columns mean."""
        return partial(pack_waiting, dict(self._waiting), layouts)  # arrays that wait are replaced, never changed

    def take_over(self, kept: KeptWaiting, source_of: Sequence[str], layouts: Mapping[str, str]) -> list[int]:
        """Let those readings of a snapshot wait whose columns mean the same; source_of has each slot's source now.

        Returns slots whose readings are lost.
        """
        self._waiting = {}
        lost = []
        for slot, kept_of_slot in kept.waiting.items():
            name = source_of[slot] if slot < len(source_of) else ""
            means_the_same = name in layouts and kept.layouts.get(name) == layouts[name]
            n_readings, width = kept_of_slot.x.shape
            if means_the_same and n_readings <= self._waiting_max and width <= self._width:
                x = np.full((n_readings, self._width), np.nan, np.float32)
                x[:, :width] = kept_of_slot.x
                self._waiting[slot] = Waiting(kept_of_slot.t_ns, x)
            elif name:
                lost.append(slot)
        return lost

    def _after_foremost(self, runs: Runs) -> Int64:
        """The times, the first of each device not before the newest that it had."""
        t_ns = runs.t_ns.copy()
        t_ns[runs.start] = np.maximum(t_ns[runs.start], self._columns.foremost_ns[runs.slot])
        return t_ns

    def _with_waiting(self, runs: Runs) -> tuple[Int64, Int64, Float32]:
        """The readings and those of their devices that wait: run, t_ns and x, by device and time, a time once."""
        waiting = [*map(self._waiting.get, runs.slot.tolist())]
        some = [of_device for of_device in waiting if of_device is not None]
        n_waiting = [0 if of_device is None else len(of_device.t_ns) for of_device in waiting]
        run = np.concatenate([np.repeat(np.arange(len(waiting)), n_waiting), runs.run])
        t_ns = np.concatenate([*(of_device.t_ns for of_device in some), runs.t_ns])
        x = np.concatenate([*(of_device.x for of_device in some), runs.x])
        order = np.lexsort((t_ns, run))
        run, t_ns, x = run[order], t_ns[order], x[order]
        is_first = np.ones(len(run), np.bool_)
        is_first[1:] = (t_ns[1:] != t_ns[:-1]) | (run[1:] != run[:-1])
        if is_first.all():
            return run, t_ns, x
        return run[is_first], t_ns[is_first], np.fmax.reduceat(x, np.flatnonzero(is_first), axis=0)

    def _keep(self, slot: Int64, run: Int64, t_ns: Int64, x: Float32) -> None:
        """What waits of these devices, slot int64 [d], is now this. Copies, as a view would hold the whole call."""
        bounds = np.searchsorted(run, np.arange(len(slot) + 1)).tolist()
        for index, slot_number in enumerate(slot.tolist()):
            start, end = bounds[index], bounds[index + 1]
            if end > start:
                self._waiting[slot_number] = Waiting(t_ns[start:end].copy(), x[start:end].copy())
            else:
                self._waiting.pop(slot_number, None)


def _first_above(limit_ns: Int64, run: Int64, t_ns: Int64, run_of: Int64) -> Int64:
    """For each time int64 [k] the index of the first limit of its device above it, int64 [k].

    limit_ns, run int64 [b] by device, rising within each; run_of int64 [k] the devices of the times.
    """
    is_time = np.repeat([False, True], [len(run), len(run_of)])
    order = np.lexsort((is_time, np.concatenate([limit_ns, t_ns]), np.concatenate([run, run_of])))
    n_limits = np.cumsum(~is_time[order])  # up to here: those of earlier devices, and of this one not above
    above = np.empty(len(order), np.int64)
    above[order] = n_limits
    return above[len(run) :]
