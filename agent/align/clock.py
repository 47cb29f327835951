"""A device whose clock is wrong: noticed against arrival, re-based when it is steady, replaced when it is not.

Event time rules everything a model sees, so a clock that is hours off must not silence its device for ever, and must
not move anybody else. Counted here, per device and in a row, are readings that are ahead of their arrival by more than
`future_max`, behind it by more than `past_max`, or older than the device's newest row. After WRONG_ROWS of them:

- as long as event minus arrival stays the same, the clock runs right and is set wrong: the device is *re-based* by that
  difference (by nothing, where the clock has come right again), its clock epoch counts on, and one row says `gap`;
- where it does not, readings that are ahead take their arrival time.

A backlog that a device sends after an outage is late and does not stay as far behind: it re-bases nobody.

A clock that is off by steady whole quarter hours, and no more than a time zone can be, tells local times. That is said
at the ZONE_ROWS-th such reading; what is used of such readings says `gap`, and the clock is re-based when any other
would be, by whole quarter hours, so that its times are exact.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import numpy as np

from agent.devices.columns import Columns, column
from agent.devices.slots import NEVER, Slots
from agent.sources import Source
from agent.words import Bool, Int64

WRONG_ROWS = 20
ZONE_ROWS = 3
ZONE_STEP_NS, ZONE_MAX_NS = 15 * 60 * 10**9, 14 * 3600 * 10**9  # UTC+14 is the farthest
ZONE_NEAR_NS = 30 * 10**9  # on the way, and what a clock that is set by hand is wrong by
UNBOUNDED = int(np.iinfo(np.int64).max)


@dataclass(slots=True)
class ClockColumns(Columns):
    """What is known of each device's clock.

    clock_offset_ns  int64  taken from the time it says
    clock_epoch      int64  how often it, or the counter that stands in for it, has begun anew
    wrong_rows       int64  readings in a row whose time was wrong
    steady_rows      int64  of these, those in a row that were as far from arrival as the first,
    steady_ahead_ns  int64  whose event time was so far ahead of its arrival,
    steady_since_ns  int64  and which arrived then
    """

    clock_offset_ns: Int64 = column(np.int64, 0)
    clock_epoch: Int64 = column(np.int64, 0)
    wrong_rows: Int64 = column(np.int64, 0)
    steady_rows: Int64 = column(np.int64, 0)
    steady_ahead_ns: Int64 = column(np.int64, 0)
    steady_since_ns: Int64 = column(np.int64, 0)


class Clocked(msgspec.Struct, frozen=True):
    """Readings with the device's clock made good.

    t_ns int64 [b] event time; future bool [b] ahead by more than future_max, to be dropped;
    local bool [b] the time is off as a local time is, and named bool [b] that is to be said now; rebased bool [b] the
    clock was set anew by this reading; by_arrival bool [b] the time is that of arrival; moved_ns int64 [b] what is to
    be added to the times that are kept of a device, 0 where it was not re-based; is_right  none of these holds of any.
    """

    t_ns: Int64
    future: Bool
    local: Bool
    named: Bool
    rebased: Bool
    by_arrival: Bool
    moved_ns: Int64
    is_right: bool = False


class Clock:
    """The clocks of all devices, by their sources' bounds.

    every_s  cadence of each source. Sources that count cycles or say no time are never compared with arrival.
    """

    def __init__(self, sources: Sequence[Source], every_s: Sequence[float], slots: Slots) -> None:
        self.columns = slots.register("clock", ClockColumns)
        is_wall = np.array([source.time_unit not in ("cycle", "arrival") for source in sources])
        self._is_wall = is_wall
        self._ahead_max_ns = np.where(is_wall, [round(source.future_max_s * 1e9) for source in sources], UNBOUNDED)
        self._behind_max_ns = np.where(is_wall, [round(source.past_max_s * 1e9) for source in sources], UNBOUNDED)
        self._every_ns = np.array([round(one * 1e9) for one in every_s])
        self._steady_ns = np.array([round(max(one / 2, 1.0) * 1e9) for one in every_s])

    def begin_epoch(self, slots: Int64, which: Bool) -> None:
        """The counters of these devices, bool [b] of slots int64 [b], have started again."""
        self.columns.clock_epoch[slots] += which

    def set_epoch(self, slot: int, epoch: int) -> None:
        """The alert table knows of a later epoch of this device."""
        self.columns.clock_epoch[slot] = epoch

    def read(self, slots: Int64, source: Int64, t_ns: Int64, arrived_ns: Int64, newest_ns: Int64) -> Clocked:
        """Judge the clocks of distinct devices; element i depends on elements i only (law 2).

        slots, source int64 [b]; t_ns int64 [b] as the device says it; arrived_ns int64 [b] log time of arrival;
        newest_ns int64 [b] event time of the device's newest row, NEVER for none.
        """
        columns = self.columns
        offset = columns.clock_offset_ns[slots] * self._is_wall[source]  # the source may have had another time before
        ahead_ns = t_ns - arrived_ns  # of the arrival, by the device's own clock
        ahead_max, behind_max = self._ahead_max_ns[source], self._behind_max_ns[source]
        future = ahead_ns - offset > ahead_max
        is_late = self._is_wall[source] & (newest_ns != NEVER) & (t_ns - offset < newest_ns)
        wrong = future | (offset - ahead_ns > behind_max) | is_late
        wrong_before = columns.wrong_rows[slots]
        if not np.count_nonzero(wrong) and not np.count_nonzero(wrong_before):
            return Clocked(t_ns - offset, wrong, wrong, wrong, wrong, wrong, offset, is_right=True)

        steady_ns = self._steady_ns[source]
        run = columns.steady_rows[slots]
        is_steady = (run > 0) & (np.abs(ahead_ns - columns.steady_ahead_ns[slots]) <= steady_ns)
        begins = wrong & ~is_steady
        columns.steady_ahead_ns[slots[begins]] = ahead_ns[begins]
        columns.steady_since_ns[slots[begins]] = arrived_ns[begins]
        steady_rows = np.where(wrong, np.where(is_steady, run + 1, 1), 0)
        wrong_rows = np.where(wrong, wrong_before + 1, 0)
        lasted_ns = arrived_ns - columns.steady_since_ns[slots]
        rebased = (steady_rows >= WRONG_ROWS) & (lasted_ns >= (WRONG_ROWS // 2) * steady_ns)

        is_right = (ahead_ns <= ahead_max) & (-ahead_ns <= behind_max)
        zone_ns, is_zone = nearest_zone(ahead_ns)
        steady_offset = np.where(is_right, 0, np.where(is_zone, zone_ns, ahead_ns))
        offset_before, offset = offset, np.where(rebased, steady_offset, offset)
        by_arrival = future & ~rebased & (wrong_rows >= WRONG_ROWS) & (steady_rows < WRONG_ROWS)
        local = is_zone & ~is_right & ~rebased & ~by_arrival & (steady_rows >= ZONE_ROWS)
        named = local & (steady_rows == ZONE_ROWS)
        made_good = np.where(by_arrival, arrived_ns, t_ns - offset)
        columns.clock_offset_ns[slots] = offset
        columns.clock_epoch[slots] += rebased
        columns.steady_rows[slots] = np.where(rebased, 0, steady_rows)
        columns.wrong_rows[slots] = np.where(rebased, 0, wrong_rows)
        # Where the wrong rows were left out, the time since the newest row is that of their arrival, and one row more.
        newest = np.where(
            future | is_late, made_good - lasted_ns - self._every_ns[source], newest_ns + offset_before - offset
        )
        moved_ns = np.where(newest_ns != NEVER, newest - newest_ns, offset_before - offset)
        dropped, moved_ns = future & ~rebased & ~by_arrival, np.where(rebased, moved_ns, 0)
        return Clocked(made_good, dropped, local, named, rebased, by_arrival, moved_ns)

    def right(self, slots: Int64, source: Int64, t_ns: Int64, arrived_ns: Int64) -> tuple[Bool, Int64]:
        """Readings that `read` would call right unless late, bool [b], and their event times; changes nothing.

        The columns are those of `read`; a device may be there more than once.
        """
        columns = self.columns
        t_ns = t_ns - columns.clock_offset_ns[slots] * self._is_wall[source]
        ahead_ns = t_ns - arrived_ns
        right = (ahead_ns <= self._ahead_max_ns[source]) & (-ahead_ns <= self._behind_max_ns[source])
        return right & (columns.wrong_rows[slots] == 0), t_ns


def nearest_zone(ahead_ns: Int64) -> tuple[Int64, Bool]:
    """The whole quarter hours next to an offset, int64 [b], and whether it is as near to them as a time zone is."""
    zone_ns = (ahead_ns + ZONE_STEP_NS // 2) // ZONE_STEP_NS * ZONE_STEP_NS
    is_zone = (zone_ns != 0) & (np.abs(zone_ns) <= ZONE_MAX_NS) & (np.abs(ahead_ns - zone_ns) <= ZONE_NEAR_NS)
    return zone_ns, is_zone


def zone_text(ahead_ns: int, names_zone: bool) -> str:
    """What is said of a clock that is off like a time zone; names_zone: its source's times are texts."""
    hours, minutes = divmod(abs(round(ahead_ns / ZONE_STEP_NS)) * 15, 60)
    span = " ".join(f"{count} {unit}" for count, unit in ((hours, "h"), (minutes, "min")) if count)
    hint = "give time.zone" if names_zone else "set the device's clock to UTC"
    return f"steady {span} {'ahead' if ahead_ns > 0 else 'behind'}: local times? {hint}"
