"""Readings -> scores and alerts: who is who, align, step, judge.

Rounds hold a device at most once; only the model's call is cut at `batch_max`, the rest goes a round at a time. Each
stage owns its columns; this is the only place that asks several of them to change something at once.
"""

from collections import Counter
from collections.abc import Collection, Sequence

import numpy as np

from agent.align.alignment import Alignment
from agent.align.clock import Clock
from agent.align.first_seen import Newness
from agent.align.mixed import MixedColumns, mixed_rows
from agent.align.restart import Restart
from agent.align.spacing import Spacing
from agent.core.bounds import Bounds
from agent.core.marks import Key, Mark, Marks
from agent.core.model import Model
from agent.core.predictor import Predictor
from agent.core.scores import concatenated, selected
from agent.core.silence import Silence, was_away
from agent.core.stepped import Stepped
from agent.decode.readings import Readings
from agent.devices.rows import Rows
from agent.devices.slots import GONE, NEVER, NO_SLOT, Slots
from agent.drops import Drops
from agent.judge.events import EndCause
from agent.readable import against_arrival, why_late
from agent.reasons import ReasonName
from agent.step.batch import rounds
from agent.words import AlertEvent, Bool, Int64, Scores, Source

MIXED = "old rows come between new ones: do two machines use this id, or is every row sent twice?"


class Stepper:
    """All stages, and the devices whose columns they keep."""

    def __init__(
        self, sources: Sequence[Source], models: Sequence[Model], bounds: Bounds, *, keeps_rows: bool = False
    ) -> None:
        self._keeps_rows = keeps_rows
        self._kept: list[Rows] = []
        self.names = [source.name for source in sources]
        self._counts_cycles = np.array([source.time_unit == "cycle" for source in sources])
        self.slots = Slots(bounds.devices_max, len(sources))
        self.newness = Newness(sources, bounds.stale_after_s)
        self.clock = Clock(sources, _cadences(sources, models), self.slots)
        self.spacing = Spacing(self.slots)
        self.silence = Silence(bounds, self.slots)
        self._mixed = self.slots.register("mixed", MixedColumns)
        self._restart = Restart(sources, self.slots)
        self.alignment = Alignment(sources, self.slots)
        self.predictors = [Predictor(model, self.names, self.slots, bounds.batch_max) for model in models]
        self.marks = Marks(round(bounds.forget_after_s * 1e9))
        self.evicted: Counter[str] = Counter()  # devices that made room for others, by source

    def slot(self, source: int, device: str, *, is_new: bool) -> int | None:
        """The device's slot, another one if it has none; None when `devices_max` are known already.

        is_new  a device that has none yet begins its life now
        """
        slot = self.slots.find(source, device)
        if slot is not None:
            return slot
        slot = self.slots.claim(source, device)
        ownerless = self.slots.ownerless()
        if slot is None and ownerless is not None:
            self._evict(ownerless)
            slot = self.slots.claim(source, device)
        if slot is None:
            return None
        mark = self.marks.pop((self.names[source], device))
        if mark is not None:
            self.take_mark(slot, mark)
            self._lose_history(np.array([slot]))
        elif is_new and self.spacing.newest_ns[slot] == NEVER:
            for predictor in self.predictors:
                predictor.states.begin_life(slot)
        return slot

    def take_mark(self, slot: int, mark: Mark) -> None:
        """Rows of the device were stepped up to this clock epoch and event time, by the account of the alert table."""
        epoch, t_ns = mark
        if epoch < self.clock.columns.clock_epoch[slot]:
            return
        if epoch > self.clock.columns.clock_epoch[slot]:
            self._start_again(np.array([slot]))
            self.clock.set_epoch(slot, epoch)
        elif t_ns <= self.spacing.newest_ns[slot]:
            return  # each model knows by itself which rows it stepped up to then
        self.spacing.take(np.array([slot]), np.array([t_ns]))
        for predictor in self.predictors:
            predictor.states.wait_from(slot, t_ns)

    def begin_life(self, slot: int) -> None:
        """The device is a new or overhauled machine from now on."""
        slots = np.array([slot])
        self._start_again(slots)
        self.alignment.forget(slots)
        for predictor in self.predictors:
            predictor.states.begin_life(slot)
            predictor.steady.start_again(slots)
            predictor.evidence.clear(slot)
        if self._restart.counts(int(self.slots.source[slot])):  # the counter may start again with it, or go on
            self.clock.begin_epoch(slots, np.ones(1, np.bool_))
            self.spacing.forget(slots)
            for predictor in self.predictors:
                predictor.states.forget_pace(slots)

    def end_alerts(self, slot: int, cause: EndCause, entry: int, t_ns: int) -> list[AlertEvent]:
        """The ends of a device's alerts that no score ended."""
        epoch = int(self.clock.columns.clock_epoch[slot])
        ends = [predictor.end_alert(slot, cause, entry, t_ns, epoch) for predictor in self.predictors]
        return [event for event in ends if event is not None]

    def evict_least_heard(self, keep: Collection[Key]) -> None:
        """The device that was heard least lately makes room, of those that are not in `keep`."""
        used = [slot for slot, device in enumerate(self.slots.devices) if device is not None]
        others = [slot for slot in used if (self.source_of(slot), self.slots.devices[slot]) not in keep]
        self._evict(min(others, key=lambda slot: int(self.silence.heard_ns[slot])))

    def notice_silence(self, tick_ns: int, passed_ns: int) -> None:
        """Devices that were not scored for long are stale, at the tick of log time tick_ns.

        passed_ns  log time since the entry before
        """
        is_known = self.silence.is_known()
        for predictor in self.predictors:
            predictor.states.notice_silence(is_known, tick_ns, self.silence.stale_after_ns)
            if was_away(passed_ns):
                predictor.states.skip(is_known, passed_ns, tick_ns)

    def source_of(self, slot: int) -> str:
        """Name of the source that a slot's device belongs to, "" when the configuration no longer has it."""
        source = int(self.slots.source[slot])
        return self.names[source] if source != GONE else ""

    def step(self, readings: Readings, log_times: Int64, first_entry: int) -> Stepped:
        """Step the readings of one call; its messages came at log_times int64 [n], the first is entry `first_entry`."""
        drops: list[Drops] = []
        rows = self._rows_of(readings, log_times, first_entry, drops)
        parts: list[list[Scores]] = [[] for _ in self.predictors]
        alerts: list[AlertEvent] = []
        for which in rounds(rows.slot):
            scores, events = self._round(rows if len(which) == len(rows) else rows.only(which), drops)
            for of_model, part in zip(parts, scores, strict=True):
                of_model.append(part)
            alerts += events
        alerts.sort(key=lambda event: event.entry)
        scored = [
            _in_order(of_model) if of_model else predictor.nothing
            for of_model, predictor in zip(parts, self.predictors, strict=True)
        ]
        kept, self._kept = self._kept, []
        return Stepped(scored, alerts, drops, rows=kept)

    def _rows_of(self, readings: Readings, log_times: Int64, first_entry: int, drops: list[Drops]) -> Rows:
        """The readings of devices that have a slot. Only here does a device come to be, so junk makes none."""
        devices = readings.device.tolist()
        slots = self.slots.slots(readings.source, devices)
        rows = Rows(
            message=readings.message,
            entry=first_entry + readings.message,
            source=readings.source,
            slot=slots,
            device=readings.device,
            heard_ns=log_times[readings.message],
            t_ns=readings.t_ns,
            x=readings.x,
        )
        is_unknown = slots == NO_SLOT
        if not np.count_nonzero(is_unknown):
            return rows
        for row in is_unknown.nonzero()[0].tolist():
            source, heard_ns = int(rows.source[row]), int(rows.heard_ns[row])
            slot = self.slot(source, devices[row], is_new=self.newness.is_new(source, heard_ns))
            if slot is not None:
                slots[row] = slot
            else:
                self.newness.miss(source, heard_ns)
        has_slot = slots != NO_SLOT
        if has_slot.all():
            return rows
        drops.append(rows.dropped(~has_slot, "devices_max", lambda: "no room for another device"))
        return rows.only(has_slot)

    def _round(self, rows: Rows, drops: list[Drops]) -> tuple[list[Scores], list[AlertEvent]]:
        """One round of distinct devices: the ways of its rows through all stages."""
        rows = self._with_good_clocks(rows, drops)
        self.silence.hear(rows.slot, rows.heard_ns)
        alerts = self._begin_new_lives(rows, drops)
        aligned = self.alignment.align(rows, drops)
        if aligned is rows:
            scores, events = self._step_distinct(rows, drops)
            return scores, alerts + events
        parts: list[list[Scores]] = [[] for _ in self.predictors]
        for which in rounds(aligned.slot):
            scores, events = self._step_distinct(aligned.only(which), drops)
            for of_model, part in zip(parts, scores, strict=True):
                of_model.append(part)
            alerts += events
        return [
            _in_order(part) if part else one.nothing for part, one in zip(parts, self.predictors, strict=True)
        ], alerts

    def _step_distinct(self, rows: Rows, drops: list[Drops]) -> tuple[list[Scores], list[AlertEvent]]:
        """Aligned rows of distinct devices through the models."""
        alerts: list[AlertEvent] = []
        rows = self._without_old(rows, drops)
        if self._keeps_rows and len(rows):
            self._kept.append(rows)
        epochs = self.clock.columns.clock_epoch
        is_left = np.full(len(rows), bool(self.predictors))  # no model took it yet
        parts, too_fast_of = [], []
        for predictor in self.predictors:
            own = predictor.reads(rows)
            scores, events, too_fast = predictor.step(rows if own is None else rows.only(own), epochs, drops)
            if own is not None:
                too_fast = _spread(too_fast, own)
                is_left &= too_fast | ~own
            else:
                is_left &= too_fast
            parts.append(scores)
            too_fast_of.append(too_fast)
            alerts += events
        if not np.count_nonzero(is_left):
            self.spacing.take(rows.slot, rows.t_ns)
            return parts, alerts
        is_taken = ~is_left
        self.spacing.take(rows.slot[is_taken], rows.t_ns[is_taken])
        for predictor, too_fast in zip(self.predictors, too_fast_of, strict=True):
            unnamed = is_left & too_fast
            if np.count_nonzero(unnamed):
                drops.append(predictor.too_fast(rows, unnamed))
                is_left &= ~unnamed
        return parts, alerts

    def _with_good_clocks(self, rows: Rows, drops: list[Drops]) -> Rows:
        """The rows by the devices' clocks made good, without those from the future."""
        slots, newest_ns = rows.slot, self.spacing.newest_ns[rows.slot]
        clocked = self.clock.read(slots, rows.source, rows.t_ns, rows.heard_ns, newest_ns)
        if clocked.is_right:
            return rows.at(clocked.t_ns)
        doubts: tuple[tuple[Bool, ReasonName], ...] = (
            (clocked.future, "future"),
            (clocked.rebased, "clock_rebased"),
            (clocked.by_arrival, "clock_unsteady"),
        )
        ahead_s = (rows.t_ns - rows.heard_ns) / 1e9
        for which, reason in doubts:
            if np.count_nonzero(which):
                drops.append(rows.dropped(which, reason, against_arrival, ahead_s))
        if np.count_nonzero(clocked.rebased):
            self._rebase(slots[clocked.rebased], clocked.moved_ns[clocked.rebased])
        rows = rows.at(clocked.t_ns)
        if not clocked.future.any():
            return rows
        self._start_again(slots[clocked.future & (newest_ns == NEVER)])  # the row that its life began with is lost
        return rows.only(~clocked.future)

    def _rebase(self, slots: Int64, moved_ns: Int64) -> None:
        """The clocks of these devices were set anew: what is kept of their rows lies moved_ns int64 [b] later."""
        self.spacing.move(slots, moved_ns)
        for predictor in self.predictors:
            predictor.states.move(slots, moved_ns)
            predictor.steady.move(slots, moved_ns)
            predictor.evidence.interrupt_clearing(slots)
        self._lose_history(slots)

    def _begin_new_lives(self, rows: Rows, drops: list[Drops]) -> list[AlertEvent]:
        """Devices whose counter has started again are others from now on; returns the ends of their alerts."""
        if not self._restart.may_find:
            return []
        slots, newest_ns = rows.slot, self.spacing.newest_ns[rows.slot]
        may_begin = self.newness.has_all(rows.source, rows.heard_ns)
        restarted, unsure = self._restart.read(slots, rows.source, rows.t_ns, newest_ns, may_begin)
        if np.count_nonzero(unsure):
            self._start_again(slots[unsure])
            self._lose_history(slots[unsure])
        if not np.count_nonzero(restarted):
            return []
        self.clock.begin_epoch(slots, restarted)
        text = "its counter fell from {:g} and counts on from {:g}".format
        drops.append(rows.dropped(restarted, "new_life", text, newest_ns / 1e9, rows.t_ns / 1e9))
        alerts = []
        for index in np.flatnonzero(restarted).tolist():
            alerts += self.end_alerts(int(slots[index]), "new_life", int(rows.entry[index]), int(rows.t_ns[index]))
        self._start_again(slots[restarted])
        self.spacing.forget(slots[restarted])
        for predictor in self.predictors:
            predictor.begin_new_lives(slots[restarted])
        return alerts

    def _without_old(self, rows: Rows, drops: list[Drops]) -> Rows:
        """The rows that are neither late nor repeated."""
        order = self.spacing.order(rows.slot, rows.t_ns)
        mixed = mixed_rows(self._mixed, rows.slot, order.is_old)
        if len(mixed):
            drops.append(rows.dropped(mixed, "mixed_rows", lambda: MIXED))
        if not np.count_nonzero(order.is_old):
            return rows
        if np.count_nonzero(order.repeated):
            drops.append(rows.dropped(order.repeated, "repeated", lambda: "at the time of the device's newest row"))
        if np.count_nonzero(order.late):
            span_s = (self.spacing.newest_ns[rows.slot] - rows.t_ns) / 1e9
            drops.append(rows.dropped(order.late, "late", why_late, span_s, self._counts_cycles[rows.source]))
        return rows.only(~order.is_old)

    def _evict(self, slot: int) -> None:
        self.evicted[self.source_of(slot)] += 1
        self.slots.release(slot)

    def _start_again(self, slots: Int64) -> None:
        """The states of these devices say nothing any more."""
        for predictor in self.predictors:
            predictor.states.start_again(slots)

    def _lose_history(self, slots: Int64) -> None:
        for predictor in self.predictors:
            predictor.states.lose_history(slots)


def _cadences(sources: Sequence[Source], models: Sequence[Model]) -> list[float]:
    """Seconds between the rows of each source: the shortest cadence of the models that read it."""
    cadences = []
    for index in range(len(sources)):
        readers = [one.bundle.manifest.cadence.every_s for one in models if index in one.sources]
        cadences.append(min(readers, default=1.0))
    return cadences


def _spread(values: Bool, which: Bool) -> Bool:
    """bool [b]: `values` where bool [b] `which` holds, in its order, and False elsewhere."""
    spread = np.zeros(len(which), np.bool_)
    spread[which] = values
    return spread


def _in_order(parts: list[Scores]) -> Scores:
    """One model's scores of all rounds, by entry."""
    if len(parts) == 1:
        return parts[0]
    scores = concatenated(parts)
    return selected(scores, np.argsort(scores.entry, kind="stable"))
