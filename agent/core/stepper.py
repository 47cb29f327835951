"""Readings -> scores and alerts: who is who, align, step, judge; and the state of every device.

Rounds hold a device at most once; only the model's call is cut at `max_batch`, the rest goes a round at a time.
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np

from agent.align.clock import ClockRule
from agent.align.first_seen import Newness
from agent.align.left_out import reasons_left_out
from agent.align.mixed import mixed_rows
from agent.align.restart import RestartRule
from agent.align.spacing import space
from agent.bundle.manifest import Manifest
from agent.core.bounds import Bounds
from agent.core.scores import joined, no_scores, picked
from agent.decode.readings import Readings
from agent.devices.slots import GONE, NEVER, NO_SLOT, Slab
from agent.drops import Drops
from agent.judge.events import AlertEvents
from agent.judge.evidence import NOT_CLEARING, Evidence, judge
from agent.reasons import ReasonName
from agent.step.batch import rounds, step
from agent.step.behind import catch_up
from agent.step.engine import Engine
from agent.step.quality import QualityRule
from agent.words import AlertEvent, Bool, Int64, Scores, Source

Mark = tuple[int, int]  # clock epoch and event time of the newest event that the alert table has of a device


class Stepper:
    """Slab and evidence of all devices, and the only place that writes them row by row."""

    def __init__(
        self,
        sources: Sequence[Source],
        manifest: Manifest,
        engine: Engine,
        threshold: float,
        bounds: Bounds,
        alerts: AlertEvents,
    ) -> None:
        self.slab = Slab(manifest.state_size, bounds.max_devices, len(sources))
        self.evidence = Evidence.empty(self.slab.capacity)
        self.newness = Newness(sources, bounds.stale_after_s)
        self.alerts = alerts
        self._sources = sources
        self._manifest = manifest
        self._engine = engine
        self._threshold = threshold
        self._max_batch = bounds.max_batch
        self._new_state = np.array(manifest.new_state, np.float32)
        self._quality_rule = QualityRule(manifest)
        self._clock_rule = ClockRule(sources, manifest.cadence.every_s)
        self._restart_rule = RestartRule(sources)
        self.marks: dict[tuple[str, str], Mark] = {}  # of devices that only the alert table knows: (source, device)
        self.n_evicted = 0  # devices without an owner that made room

    def slot(self, source: int, device: str, *, is_new: bool) -> int | None:
        """The device's slot, another one if it has none; None when `max_devices` are known already.

        is_new  a device that has none yet begins its life now
        """
        slot = self.slab.find(source, device)
        if slot is not None:
            return slot
        slot = self.slab.claim(source, device)
        unowned = self.slab.ownerless()
        if slot is None and unowned is not None:
            self.release(unowned)
            self.n_evicted += 1
            slot = self.slab.claim(source, device)
        if slot is None:
            return None
        if self.slab.capacity > len(self.evidence.standing):
            self.evidence.grow(self.slab.capacity)
        columns = self.slab.columns
        mark = self.marks.pop((self._sources[source].name, device), None)
        if mark is not None:
            self.take_mark(slot, mark)
            columns.history_lost[slot] = True
        elif is_new and columns.t_ns[slot] == NEVER:
            columns.state[slot] = self._new_state
            columns.is_new[slot] = True
        return slot

    def take_mark(self, slot: int, mark: Mark) -> None:
        """Rows of the device were stepped up to this clock epoch and event time, by the account of the alert table."""
        columns, (epoch, t_ns) = self.slab.columns, mark
        if epoch > columns.clock_epoch[slot]:
            self._start_again(np.array([slot]))
            columns.clock_epoch[slot], columns.t_ns[slot] = epoch, t_ns
        elif epoch == columns.clock_epoch[slot]:
            columns.t_ns[slot] = max(columns.t_ns[slot], t_ns)

    def release(self, slot: int) -> None:
        """Give a slot back: nothing is known of its device any more."""
        self.slab.release(slot)
        self.evidence.clear(slot)

    def ended(self, slot: int, cause: Literal["forgotten", "new_life"], entry: int, t_ns: int) -> AlertEvent:
        """The end of a device's alert that no score ended."""
        device, epoch = str(self.slab.devices[slot]), int(self.slab.columns.clock_epoch[slot])
        return self.alerts.ended(self.evidence, slot, device, self.source_of(slot), cause, entry, t_ns, epoch)

    def source_of(self, slot: int) -> str:
        """Name of the source that a slot's device belongs to, "" when the configuration no longer has it."""
        source = int(self.slab.columns.source[slot])
        return self._sources[source].name if source != GONE else ""

    def step(
        self, readings: Readings, log_times: Int64, topics: Sequence[str], first_entry: int
    ) -> tuple[Scores, list[AlertEvent]]:
        """Step the readings of one call; its messages came at log_times int64 [n], the first is entry `first_entry`.

        Returns scores and alerts in the order of the messages; `readings.drops` gets what is left out.
        """
        slots = self._slots_of(readings, topics, log_times)
        held = (slots != NO_SLOT).nonzero()[0]
        parts: list[Scores] = []
        alerts: list[AlertEvent] = []
        for one in rounds(slots[held]):
            rows = held[one]
            heard_ns = log_times[readings.message[rows]]
            scores, raised = self._round(readings, rows, slots[rows], heard_ns, topics, first_entry)
            parts.append(scores)
            alerts += raised
        if not parts:
            return no_scores(self._manifest), []
        alerts.sort(key=lambda event: event.entry)
        if len(parts) == 1:
            return parts[0], alerts
        scores = joined(parts)
        return picked(scores, np.argsort(scores.entry, kind="stable")), alerts

    def _slots_of(self, readings: Readings, topics: Sequence[str], log_times: Int64) -> Int64:
        """int64 [n], NO_SLOT where a reading gets none. Only here does a device come to be, so junk makes none."""
        devices = readings.device.tolist()
        slots = self.slab.slots(readings.source, devices)
        for row in (slots == NO_SLOT).nonzero()[0].tolist():
            source, heard_ns = int(readings.source[row]), int(log_times[readings.message[row]])
            slot = self.slot(source, devices[row], is_new=self.newness.is_new(source, heard_ns))
            if slot is not None:
                slots[row] = slot
            else:
                self.newness.miss(source, heard_ns)
                self._drop(readings, row, topics, "max_devices", "no room for another device")
        return slots

    def _round(
        self,
        readings: Readings,
        rows: Int64,
        slots: Int64,
        heard_ns: Int64,
        topics: Sequence[str],
        first_entry: int,
    ) -> tuple[Scores, list[AlertEvent]]:
        """One round of distinct devices; rows int64 [b] index `readings`."""
        columns = self.slab.columns
        rows, slots, t_ns, heard_ns = self._with_clocks(readings, rows, slots, heard_ns, topics)
        columns.heard_ns[slots] = heard_ns
        alerts = self._begin_new_lives(readings, rows, slots, t_ns, heard_ns, topics, first_entry)
        is_fast = columns.is_fast[slots]
        spacing = space(t_ns, columns.t_ns[slots], columns.state_t_ns[slots], is_fast, self._manifest.cadence)
        dt, is_lost, is_gap = spacing.dt, spacing.is_lost, spacing.is_gap
        has_left_out = np.count_nonzero(spacing.left_out)
        for row in rows[mixed_rows(columns, slots, spacing.late | spacing.repeated)].tolist():
            detail = "old rows come between new ones: do two machines use this id, or is every row sent twice?"
            self._drop(readings, row, topics, "mixed_rows", detail)
        if has_left_out or np.count_nonzero(is_fast):
            columns.is_fast[slots] = spacing.left_out & (is_fast | spacing.too_fast)
        if has_left_out:
            for index, reason, detail in reasons_left_out(spacing, t_ns - columns.t_ns[slots], self._manifest):
                self._drop(readings, int(rows[index]), topics, reason, detail)
            new = ~spacing.left_out
            rows, slots, t_ns, heard_ns = rows[new], slots[new], t_ns[new], heard_ns[new]
            dt, is_lost, is_gap = dt[new], is_lost[new], is_gap[new]
        if len(rows) == 0:
            return no_scores(self._manifest), alerts
        if np.count_nonzero(is_lost):
            self._start_again(slots[is_lost])
        catch_up(columns, slots, dt, self._manifest.cadence.closest_s)
        x = readings.x[rows]
        risk, rul, sound = step(self._engine, columns.state, slots, x, dt, self._max_batch)
        is_gap |= columns.history_lost[slots]
        quality = self._quality_rule.quality(x, columns.rows[slots], columns.is_new[slots], is_gap)

        columns.rows[slots] += 1
        columns.t_ns[slots] = columns.state_t_ns[slots] = t_ns
        columns.history_lost[slots] = ~sound
        columns.quality[slots] = quality
        columns.scored_ns[slots] = heard_ns

        source = readings.source[rows]
        scores = Scores(first_entry + readings.message[rows], source, readings.device[rows], t_ns, quality, risk, rul)
        if np.count_nonzero(sound) < len(sound):  # a device the model cannot follow starts again; its neighbours go on
            for row in rows[~sound].tolist():
                self._drop(readings, row, topics, "not_finite", _event_time(readings, row))
            self._start_again(slots[~sound])
            scores, slots = picked(scores, np.flatnonzero(sound)), slots[sound]
        policy = self._manifest.judge
        verdict = judge(self.evidence, slots, scores.t_ns, scores.quality, scores.risk, self._threshold, policy)
        if not len(verdict.rows):
            return scores, alerts
        self.evidence.raised_epoch[slots[verdict.raised]] = columns.clock_epoch[slots[verdict.raised]]
        return scores, [
            *alerts,
            *self.alerts.decided(verdict, scores, slots, self.evidence, columns.clock_epoch, self.source_of),
        ]

    def _begin_new_lives(
        self,
        readings: Readings,
        rows: Int64,
        slots: Int64,
        t_ns: Int64,
        heard_ns: Int64,
        topics: Sequence[str],
        first_entry: int,
    ) -> list[AlertEvent]:
        """Devices whose counter has started again are others from now on; returns the ends of their alerts."""
        if not self._restart_rule.may_find:
            return []
        newest_ns = self.slab.columns.t_ns[slots]
        may_begin = self.newness.has_all(heard_ns)
        restarted, unsure = self._restart_rule.read(self.slab.columns, slots, readings.source[rows], t_ns, may_begin)
        if np.count_nonzero(unsure):
            self._start_again(slots[unsure])
            self.slab.columns.history_lost[slots[unsure]] = True
        if not np.count_nonzero(restarted):
            return []
        alerts = []
        for one in np.flatnonzero(restarted).tolist():
            row, slot, newest = int(rows[one]), int(slots[one]), int(newest_ns[one])
            detail = f"its counter fell from {newest / 1e9:g} and counts on from {t_ns[one] / 1e9:g}"
            self._drop(readings, row, topics, "new_life", detail)
            if self.evidence.standing[slot]:
                entry = first_entry + int(readings.message[row])
                alerts.append(self.ended(slot, "new_life", entry, int(t_ns[one])))
            self.evidence.clear(slot)
        self._start_again(slots[restarted])
        return alerts

    def _with_clocks(
        self, readings: Readings, rows: Int64, slots: Int64, heard_ns: Int64, topics: Sequence[str]
    ) -> tuple[Int64, Int64, Int64, Int64]:
        """Make the devices' clocks good: rows, slots, event times and arrivals, int64 [b], less the future."""
        said_ns = readings.t_ns[rows]
        clocked = self._clock_rule.read(self.slab.columns, slots, readings.source[rows], said_ns, heard_ns)
        if clocked.is_right:
            return rows, slots, clocked.t_ns, heard_ns
        found: tuple[tuple[Bool, ReasonName], ...] = (
            (clocked.future, "future"),
            (clocked.rebased, "clock_rebased"),
            (clocked.by_arrival, "clock_unsteady"),
        )
        for which, reason in found:
            for one in np.flatnonzero(which).tolist():
                detail = f"its time is {(said_ns[one] - heard_ns[one]) / 1e9:+.3f} s from its arrival"
                self._drop(readings, rows[one], topics, reason, detail)
        self.evidence.clearing_since_ns[slots[clocked.rebased]] = NOT_CLEARING
        if not clocked.future.any():
            return rows, slots, clocked.t_ns, heard_ns
        is_unheard = self.slab.columns.t_ns[slots] == NEVER
        self._start_again(slots[clocked.future & is_unheard])  # the row that its life began with is lost
        kept = ~clocked.future
        return rows[kept], slots[kept], clocked.t_ns[kept], heard_ns[kept]

    def _start_again(self, slots: Int64) -> None:
        """The state of these devices says nothing any more: from now on they are of unknown age."""
        columns = self.slab.columns
        columns.state[slots], columns.rows[slots], columns.is_new[slots] = 0, 0, False
        columns.state_t_ns[slots] = NEVER

    def _drop(self, readings: Readings, row: int, topics: Sequence[str], reason: ReasonName, detail: str) -> None:
        one = slice(row, row + 1)
        columns = (readings.message[one], readings.source[one], readings.device[one])
        readings.drops.append(Drops(reason, *columns, str, ([detail],)))


def _event_time(readings: Readings, row: int) -> str:
    return f"event time {readings.t_ns[row]} ns"
