"""When devices were heard, in log time: which to forget. Which are stale each model says by itself."""

from dataclasses import dataclass

import numpy as np

from agent.core.bounds import Bounds
from agent.devices.columns import Columns, column
from agent.devices.slots import NEVER, NO_SOURCE, Slots
from agent.words import Bool, Int64

UNHEARD_NS = 3600 * 10**9  # log time that passes in one step of more than this: nobody listened meanwhile


def was_away(passed_ns: int) -> bool:
    """Whether nobody listened in a step of passed_ns of log time: a clock was set, or the agent was away."""
    return passed_ns > UNHEARD_NS


OF_SILENCE = "silence/"  # begins the names of groups that a snapshot may lack
PROVEN = f"{OF_SILENCE}proven"


@dataclass(slots=True)
class SilenceColumns(Columns):
    """heard_ns int64: log time of the newest row, late ones too, NEVER for none."""

    heard_ns: Int64 = column(np.int64, NEVER)


@dataclass(slots=True)
class ProvenColumns(Columns):
    """was_ok bool: at some tick the newest row of the device was `ok`, or an alert of a model stood."""

    was_ok: Bool = column(np.bool_, False)


class Silence:
    """When each device was heard, and which of them are known to be machines."""

    def __init__(self, bounds: Bounds, slots: Slots) -> None:
        self._columns = slots.register("silence", SilenceColumns)
        self._proven = slots.register(PROVEN, ProvenColumns)
        self._slots = slots
        self._forget_after_ns = round(bounds.forget_after_s * 1e9)
        self.stale_after_ns = round(bounds.stale_after_s * 1e9)

    @property
    def heard_ns(self) -> Int64:
        """int64 [capacity]"""
        return self._columns.heard_ns

    def hear(self, slots: Int64, heard_ns: Int64) -> None:
        self._columns.heard_ns[slots] = heard_ns

    @property
    def was_ok(self) -> Bool:
        """bool [capacity]: it was heard as a machine that works; a snapshot of an older version says that of all."""
        return self._proven.was_ok

    def prove(self, which: Bool) -> None:
        """These devices, bool [capacity], are machines that work."""
        self._proven.was_ok[which] = True

    def needless(self, is_stale: Bool) -> int | None:
        """The slot of the device that was heard least lately, of those that are stale and were never `ok`.

        Ids that somebody has sent a few times must not hold the places of machines. is_stale bool [capacity]
        """
        may_leave = np.flatnonzero(is_stale & ~self._proven.was_ok & self.is_known())
        return int(may_leave[self.heard_ns[may_leave].argmin()]) if len(may_leave) else None

    def is_known(self) -> Bool:
        """bool [capacity]: the slot has a device."""
        is_known: Bool = self._slots.source != NO_SOURCE
        return is_known

    def long_silent(self, tick_ns: int, passed_ns: int) -> list[int]:
        """Slots of devices to be forgotten at the tick of log time tick_ns.

        passed_ns  log time since the entry before; where nobody listened meanwhile it does not count as silence
        """
        is_known, heard_ns = self.is_known(), self._columns.heard_ns
        heard_ns[is_known & (heard_ns == NEVER)] = tick_ns  # none of its rows was heard yet
        if was_away(passed_ns):
            heard_ns[is_known] = np.minimum(heard_ns[is_known] + passed_ns, tick_ns)
            return []
        return np.flatnonzero(is_known & (tick_ns - heard_ns > self._forget_after_ns)).tolist()
