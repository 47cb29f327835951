"""Readings -> rows to be stepped: whose clock is wrong, whose life is new, what is old, and what makes a row.

That goes a round at a time, in which a device has one reading: what becomes of a reading may depend on the row that
the models took before it. Most readings are in order, and of those a whole call can be aligned at once, which gives the
same rows (`_are_orderly`); then only the models' steps go by rounds.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from agent.align.alignment import Alignment
from agent.align.clock import Clock, zone_text
from agent.align.first_seen import Newness
from agent.align.mixed import MixedColumns, is_unmixed, mixed_rows
from agent.align.restart import Restart
from agent.align.spacing import Spacing, order_of
from agent.core.predictors import Predictors
from agent.core.silence import Silence
from agent.devices.rows import Rows
from agent.devices.slots import NEVER, Slots
from agent.drops import Drops
from agent.readable import against_arrival, why_late
from agent.reasons import ReasonName
from agent.sources import Source
from agent.step.batch import rounds
from agent.words import AlertEvent, Bool, Int64

MIXED = "old rows come between new ones: do two machines use this id, or is every row sent twice?"


class Aligner:
    """The stages of `agent.align`, and what they ask of the models; every_s is the cadence of each source."""

    def __init__(
        self,
        sources: Sequence[Source],
        every_s: Sequence[float],
        slots: Slots,
        newness: Newness,
        silence: Silence,
        predictors: Predictors,
    ) -> None:
        self.clock = Clock(sources, every_s, slots)
        self.spacing = Spacing(slots)
        self.alignment = Alignment(sources, slots)
        self.restart = Restart(sources, slots)
        self._mixed = slots.register("mixed", MixedColumns)
        self._newness, self._silence, self._predictors = newness, silence, predictors
        self._counts_cycles = np.array([source.time_unit == "cycle" for source in sources])
        self._names_zone = np.array([source.time_unit == "iso8601" for source in sources])

    def rounds(self, readings: Rows, drops: list[Drops], alerts: list[AlertEvent]) -> Iterator[Rows]:
        """Rows of distinct devices, round by round; adds to `drops` and `alerts` what the readings bring beside them.

        The caller has the rows stepped, and `spacing` take them, before it asks for the next.
        """
        left = readings
        if np.bincount(readings.slot).max(initial=0) > 1:
            orderly, t_ns = self._are_orderly(readings)
            left = readings.only(~orderly)
            at_once = readings.at(t_ns).only(orderly)
            self._silence.hear(at_once.slot, at_once.heard_ns)
            yield from self._newer(self.alignment.align(at_once, drops), drops)
        for which in rounds(left.slot):
            rows = left if len(which) == len(left) else left.only(which)
            rows = self._with_good_clocks(rows, drops)
            self._silence.hear(rows.slot, rows.heard_ns)
            alerts += self._begin_new_lives(rows, drops)
            rows = self._without_old(rows, drops)
            aligned = self.alignment.align(rows, drops)
            if aligned is rows:
                yield rows
            else:
                yield from self._newer(aligned, drops)

    def _are_orderly(self, readings: Rows) -> tuple[Bool, Int64]:
        """Whose readings no stage would leave out or note anything of, bool [b], all of a device's or none.

        Returns their event times int64 [b] too.
        """
        slots, source = readings.slot, readings.source
        right, t_ns = self.clock.right(slots, source, readings.t_ns, readings.heard_ns)
        right &= is_unmixed(self._mixed, slots) & self.restart.is_at_rest(slots)
        newest_ns = self.alignment.newest_ns(slots, source, self.spacing.newest_ns[slots])
        orderly = self.alignment.is_orderly(readings.at(t_ns), newest_ns)
        is_wrong = np.zeros(int(slots.max(initial=0)) + 1, np.bool_)
        is_wrong[slots[~right]] = True
        return orderly & ~is_wrong[slots], t_ns

    def _newer(self, aligned: Rows, drops: list[Drops]) -> Iterator[Rows]:
        """Rounds of those rows that are newer than the newest row of their device.

        All are, but after a restart where the alert table knows of a later row than the state.
        """
        for which in rounds(aligned.slot):
            rows = aligned if len(which) == len(aligned) else aligned.only(which)
            newest_ns = self.spacing.newest_ns[rows.slot]
            is_old = order_of(rows.t_ns, newest_ns).is_old
            if np.count_nonzero(is_old):
                span_s = (newest_ns - rows.t_ns) / 1e9
                drops.append(rows.dropped(is_old, "late", why_late, span_s, self._counts_cycles[rows.source]))
                rows = rows.only(~is_old)
            yield rows

    def _with_good_clocks(self, rows: Rows, drops: list[Drops]) -> Rows:
        """The rows by the devices' clocks made good, without those whose time cannot be used."""
        slots, newest_ns = rows.slot, self.spacing.newest_ns[rows.slot]
        clocked = self.clock.read(slots, rows.source, rows.t_ns, rows.heard_ns, newest_ns)
        if clocked.is_right:
            return rows.at(clocked.t_ns)
        doubts: tuple[tuple[Bool, ReasonName], ...] = (
            (clocked.future, "future"),
            (clocked.rebased, "clock_rebased"),
            (clocked.by_arrival, "clock_unsteady"),
        )
        ahead_ns = rows.t_ns - rows.heard_ns
        for which, reason in doubts:
            if np.count_nonzero(which):
                drops.append(rows.dropped(which, reason, against_arrival, ahead_ns / 1e9))
        if np.count_nonzero(clocked.named):
            drops.append(rows.dropped(clocked.named, "time_zone", zone_text, ahead_ns, self._names_zone[rows.source]))
        if np.count_nonzero(clocked.rebased):
            rebased, moved_ns = slots[clocked.rebased], clocked.moved_ns[clocked.rebased]
            for part in (self.spacing, self.alignment, self._predictors):
                part.move(rebased, moved_ns)
        self._predictors.lose_history(slots[clocked.local])
        rows = rows.at(clocked.t_ns)
        if not clocked.future.any():
            return rows
        # The row that its life began with is lost.
        self._predictors.start_again(slots[clocked.future & (newest_ns == NEVER)])
        return rows.only(~clocked.future)

    def _begin_new_lives(self, rows: Rows, drops: list[Drops]) -> list[AlertEvent]:
        """Devices whose counter has started again are others from now on; returns the ends of their alerts."""
        if not self.restart.may_find:
            return []
        slots, newest_ns = rows.slot, self.spacing.newest_ns[rows.slot]
        may_begin = self._newness.has_all(rows.source, rows.heard_ns)
        restarted, unsure = self.restart.read(slots, rows.source, rows.t_ns, newest_ns, may_begin)
        if np.count_nonzero(unsure):
            self._predictors.start_again(slots[unsure])
            self._predictors.lose_history(slots[unsure])
        if not np.count_nonzero(restarted):
            return []
        self.clock.begin_epoch(slots, restarted)
        text = "its counter fell from {:g} and counts on from {:g}".format
        drops.append(rows.dropped(restarted, "new_life", text, newest_ns / 1e9, rows.t_ns / 1e9))
        alerts = []
        for index in np.flatnonzero(restarted).tolist():
            slot, entry, t_ns = int(slots[index]), int(rows.entry[index]), int(rows.t_ns[index])
            epoch = int(self.clock.columns.clock_epoch[slot])
            alerts += self._predictors.end_alerts(slot, "new_life", entry, t_ns, epoch)
        self.spacing.forget(slots[restarted])
        self.alignment.forget(slots[restarted])
        self._predictors.begin_new_lives(slots[restarted])
        return alerts

    def _without_old(self, rows: Rows, drops: list[Drops]) -> Rows:
        """The readings that are neither late nor repeated."""
        newest_ns = self.alignment.newest_ns(rows.slot, rows.source, self.spacing.newest_ns[rows.slot])
        order = order_of(rows.t_ns, newest_ns)
        mixed = mixed_rows(self._mixed, rows.slot, order.is_old)
        if len(mixed):
            drops.append(rows.dropped(mixed, "mixed_rows", lambda: MIXED))
        if not np.count_nonzero(order.is_old):
            return rows
        repeated = order.repeated & ~self.alignment.fill(rows, order.repeated)
        if np.count_nonzero(repeated):
            drops.append(rows.dropped(repeated, "repeated", lambda: "at the time of the device's newest row"))
        if np.count_nonzero(order.late):
            span_s = (newest_ns - rows.t_ns) / 1e9
            drops.append(rows.dropped(order.late, "late", why_late, span_s, self._counts_cycles[rows.source]))
        return rows.only(~order.is_old)
