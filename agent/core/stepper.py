"""Readings -> scores and alerts: who is who, align, step, judge.

Rounds hold a device at most once; only the model's call is cut at `batch_max`, the rest goes a round at a time. Each
stage owns its columns; this is the only place that asks several of them to change something at once.
"""

from collections import Counter
from collections.abc import Collection, Sequence

import numpy as np

from agent.align.first_seen import Newness
from agent.core.aligner import Aligner
from agent.core.bounds import Bounds
from agent.core.floods import Floods
from agent.core.handling import Handling
from agent.core.marks import Key, Mark, Marks
from agent.core.model import Model
from agent.core.predictor import Predictor
from agent.core.predictors import Predictors
from agent.core.scores import concatenated, selected
from agent.core.silence import Silence, was_away
from agent.core.silence_alerts import SilenceAlerts
from agent.core.stepped import Stepped
from agent.decode.readings import Readings
from agent.devices.rows import Rows
from agent.devices.slots import GONE, NEVER, NO_SLOT, NO_SOURCE, Slots
from agent.drops import Drops
from agent.judge.events import EndCause
from agent.judge.lifecycle import AlertRules
from agent.judge.maintenance import open_until
from agent.sources import Source
from agent.words import AlertEvent, Bool, Int64, Scores


class Stepper:
    """All stages, and the devices whose columns they keep."""

    def __init__(
        self,
        sources: Sequence[Source],
        models: Sequence[Model],
        bounds: Bounds,
        rules: AlertRules,
        *,
        keeps_rows: bool = False,
    ) -> None:
        self._keeps_rows = keeps_rows
        self.rules = rules
        self.names = [source.name for source in sources]
        self.slots = Slots(bounds.devices_max, len(sources))
        self.newness = Newness(sources, bounds.stale_after_s)
        self.silence = Silence(bounds, self.slots)
        self.handling = Handling(self.names)
        self.windows = [(window, open_until(window)) for window in rules.windows]
        self.silence_alerts = SilenceAlerts(sources, bounds, self.slots, self.handling)
        self.floods = Floods(self.names, rules, self.handling)
        self.predictors = Predictors(
            Predictor(model, self.names, self.slots, bounds.batch_max, self.handling, rules) for model in models
        )
        every_s = _cadences(sources, models)
        self._aligner = Aligner(sources, every_s, self.slots, self.newness, self.silence, self.predictors)
        self.clock, self.spacing = self._aligner.clock, self._aligner.spacing
        self.alignment = self._aligner.alignment
        self.marks = Marks(round(bounds.forget_after_s * 1e9))
        self.lacks_room = False  # since the last tick a device was refused
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
        self.alignment.forget(np.array([slot]))  # it may have been of a source with other channels
        mark = self.marks.pop((self.names[source], device))
        if mark is not None:
            self.take_mark(slot, mark)
            self.predictors.lose_history(np.array([slot]))
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
            is_new_life = self.counts_cycles(int(self.slots.source[slot]))  # else the clock alone was set anew
            self.predictors.start_again(np.array([slot]), keeps_learnt=not is_new_life)
            self.clock.set_epoch(slot, epoch)
        elif t_ns <= self.spacing.newest_ns[slot]:
            return  # each model knows by itself which rows it stepped up to then
        self.spacing.take(np.array([slot]), np.array([t_ns]))
        for predictor in self.predictors:
            predictor.states.wait_from(slot, t_ns)

    def begin_life(self, slot: int) -> None:
        """The device is a new or overhauled machine from now on."""
        slots = np.array([slot])
        reaches_ns = max(self.alignment.reaches_ns(slot), int(self.spacing.newest_ns[slot]))
        self.predictors.start_again(slots)
        self.alignment.forget(slots)
        self.spacing.take(slots, np.array([reaches_ns]))  # what was on its way is of the life before
        for predictor in self.predictors:
            predictor.states.begin_life(slot)
            predictor.forget_evidence(slots)
        if self.counts_cycles(int(self.slots.source[slot])):  # the counter may start again with it, or go on
            self.clock.begin_epoch(slots, np.ones(1, np.bool_))
            self.spacing.forget(slots)
            for predictor in self.predictors:
                predictor.states.forget_pace(slots)

    def release(self, slot: int) -> None:
        """The device is not known any more."""
        self.alignment.forget(np.array([slot]))
        self.slots.release(slot)

    def end_alerts(self, slot: int, cause: EndCause, entry: int, t_ns: int) -> list[AlertEvent]:
        """The ends of a device's alerts that no score ended."""
        epoch = int(self.clock.columns.clock_epoch[slot])
        return self.predictors.end_alerts(slot, cause, entry, t_ns, epoch)

    def evict_least_heard(self, keep: Collection[Key]) -> None:
        """The device that was heard least lately makes room, of those not in `keep`: first one that was never `ok`."""
        used = [slot for slot, device in enumerate(self.slots.devices) if device is not None]
        others = [slot for slot in used if (self.source_of(slot), self.slots.devices[slot]) not in keep]
        self.silence.prove(self.predictors.proven(self.slots.capacity))
        was_ok, heard_ns = self.silence.was_ok, self.silence.heard_ns
        self._evict(min(others, key=lambda slot: (bool(was_ok[slot]), int(heard_ns[slot]))))

    def lose_history(self, source: int | None, devices: Collection[str]) -> None:
        """Rows may have been missed of a source, None for any, or only of these devices of it."""
        which: Int64 | Bool
        if devices:
            which = np.array([slot for device in devices for slot in self.slots.may_be(source, device)], np.int64)
        elif source is not None:
            self.newness.lose_history(source)
            which = (self.slots.source == source) | (self.slots.source == GONE)
        else:
            self.newness.lose_history(slice(None))
            which = self.slots.source != NO_SOURCE
        self.predictors.lose_history(which)

    def notice_silence(self, tick_ns: int, passed_ns: int) -> None:
        """Devices that were not scored for long are stale, at the tick of log time tick_ns.

        passed_ns  log time since the entry before
        """
        is_known = self.silence.is_known()
        self.silence.prove(self.predictors.proven(self.slots.capacity))
        for predictor in self.predictors:
            predictor.states.notice_silence(is_known, tick_ns, self.silence.stale_after_ns)
            if was_away(passed_ns):
                predictor.states.skip(is_known, passed_ns, tick_ns)

    def needless(self) -> int | None:
        """The slot of a device to be forgotten at a tick, so that one that was refused since the last tick finds room.

        At a tick alone: between two rows of a call it would depend on where calls begin.
        """
        lacks_room, self.lacks_room = self.lacks_room, False
        if not lacks_room or len(self.slots) < self.slots.devices_max:
            return None
        comes_back_new = self.newness.begin_new(self.slots.source)  # `ok` at once, over all that was missed of it
        return self.silence.needless(self.predictors.stale(self.slots.capacity) & ~comes_back_new)

    def counts_cycles(self, source: int) -> bool:
        """Whether a source's time is a counter."""
        return self._aligner.restart.counts(source)

    def digests(self) -> dict[str, str]:
        """Of what a column group belongs to: the digest of a model's bundle, or of the rules of alignment."""
        of_models = {name: one.model.bundle.digest for one in self.predictors for name in one.groups}
        return of_models | self.alignment.digests()

    def source_of(self, slot: int) -> str:
        """Name of the source that a slot's device belongs to, "" when the configuration no longer has it."""
        source = int(self.slots.source[slot])
        return self.names[source] if source != GONE else ""

    def step(self, readings: Readings, log_times: Int64, first_entry: int) -> Stepped:
        """Step the readings of one call; its messages came at log_times int64 [n], the first is entry `first_entry`."""
        drops: list[Drops] = []
        parts: list[list[Scores]] = []
        alerts: list[AlertEvent] = []
        kept: list[Rows] = []
        readings_of = self._rows_of(readings, log_times, first_entry, drops)
        self.silence_alerts.hear_devices(readings_of.slot, readings_of.source, readings_of.heard_ns)
        for rows in self._aligner.rounds(readings_of, drops, alerts):
            scores, events, is_taken = self.predictors.step(rows, self.clock.columns.clock_epoch, drops)
            self.spacing.take(rows.slot[is_taken], rows.t_ns[is_taken])
            parts.append(scores)
            alerts += events
            if self._keeps_rows and len(rows):
                kept.append(rows)
        alerts.sort(key=lambda event: (event.entry, event.source, event.device))
        of_models = zip(*parts, strict=True) if parts else ([one.nothing] for one in self.predictors)
        return Stepped([_in_order(of_model) for of_model in of_models], alerts, drops, rows=kept)

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
                self.lacks_room = True
        has_slot = slots != NO_SLOT
        if has_slot.all():
            return rows
        drops.append(rows.dropped(~has_slot, "devices_max", lambda: "no room for another device"))
        return rows.only(has_slot)

    def _evict(self, slot: int) -> None:
        self.evicted[self.source_of(slot)] += 1
        self.release(slot)


def _cadences(sources: Sequence[Source], models: Sequence[Model]) -> list[float]:
    """Seconds between the rows of each source: the shortest cadence of the models that read it."""
    cadences = []
    for index in range(len(sources)):
        readers = [one.bundle.manifest.cadence.every_s for one in models if index in one.sources]
        cadences.append(min(readers, default=1.0))
    return cadences


def _in_order(parts: Sequence[Scores]) -> Scores:
    """One model's scores of all rounds by entry, and where a message brought rows of several devices by these.

    A device's rows of one message stay in their order.
    """
    scores = parts[0] if len(parts) == 1 else concatenated(parts)
    entry = scores.entry
    if np.all(entry[1:] > entry[:-1]):
        return scores
    order = np.argsort(entry, kind="stable")
    of_one_message = (entry[order[1:]] == entry[order[:-1]]).nonzero()[0]
    devices, source = scores.device[order], scores.source[order]
    are_several = devices[of_one_message + 1] != devices[of_one_message]
    are_several |= source[of_one_message + 1] != source[of_one_message]
    if np.count_nonzero(are_several):
        keys = [*zip(entry.tolist(), scores.source.tolist(), scores.device.tolist(), strict=True)]
        order = np.array(sorted(range(len(keys)), key=keys.__getitem__))
    return selected(scores, order)
