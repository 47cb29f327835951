"""The whole way from messages to alerts: decode, align, step, judge.

**The doors.** All that reaches the core is an *entry* of one numbered input log, and comes through `apply`: messages,
heartbeats, and what the shell knows and the core must (history that was lost, a state that is behind, what the alert
table keeps). All that is seen of it is `view()`, a few plain counters, and what `apply` gives back. `snapshot()` and
`restore()` are the same log cut at one entry. A second door would be a second order of things, and a replay could not
repeat it.

**What it may not do.** Synchronous and single-threaded; no I/O, clock, log call or randomness. For the same log the
scores and alerts are equal bit for bit, however the messages are split over entries (law 1), and what a device is told
depends on its own rows only (law 2). So nothing may depend on where a call ends, or on a row's neighbours.

**The pieces.** `decode/` makes columns of readings; `align/` finds out which of them are rows, and when they were;
`step/` steps the states of a model; `judge/` raises and clears. Each stage has its own *column group*, arrays with one
element a device, and writes that alone: whoever must change what another owns asks it (`Stepper` does, for instance
when a counter has started again and states, evidence and newest rows all end with the life that was). `devices/slots`
knows which element is whose, and grows, clears and lists whatever groups are registered; a snapshot is a header and
those groups. What passes between stages is `Rows`; what a stage leaves out are columns too (`agent.drops`), which get
their names once, at the edge.

**Models.** A `Model` is a loaded bundle and how it is used; a `Predictor` is one at work, with the states and the
evidence of every device for it. Decode and align are done once for a source; then each model that reads the source
takes the channels it needs, at its own pace. Models know nothing of each other.

**Time.** Log time is the greatest arrival time so far. Ticks fall on whole multiples of `tick_every` of log time,
before the first entry past them, and decide silence only; risk depends on a device's own rows and event times.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from agent.align.first_seen import NEXT_ENTRY
from agent.core import alert_commands, entries, in_order, interventions, memory, snapshot
from agent.core.adoption import adopt
from agent.core.bounds import Bounds
from agent.core.entries import Entry, HistoryLost, Messages
from agent.core.marks import Key
from agent.core.model import Model
from agent.core.silence import was_away
from agent.core.snapshot import Cut
from agent.core.snapshot_header import SCHEMA_VERSION, Header, refused
from agent.core.stepped import Stepped, Ticked, merged
from agent.core.stepper import Stepper
from agent.core.view import View
from agent.decode.intake import Intake
from agent.decode.readings import Readings
from agent.devices.slots import GONE, NEVER, NO_SOURCE, OWNER
from agent.drops import Drops, count_drops, used_readings, without_idle_doubts
from agent.judge.lifecycle import PLAIN, AlertRules
from agent.sources import Source
from agent.words import AlertEvent, AlertLabel, DropCounts, HideChange, Request, Scores, Taken

OTHER_BUNDLE = "the states in the snapshot are of another bundle"
NO_SUCH_MODEL = "the snapshot has no model of this name"
DROP_SAMPLES_MAX = 64  # a call gives back at most so many samples of what it dropped; `counts` has all


class Core:
    """Sources, models, and the state of every device.

    entry        entries so far; a message is one
    n_messages   messages so far
    counts       of drops and doubts
    log_time_ns  greatest arrival time so far
    """

    def __init__(
        self,
        sources: Sequence[Source],
        models: Sequence[Model],
        bounds: Bounds,
        rules: AlertRules = PLAIN,
        *,
        keeps_rows: bool = False,
    ) -> None:
        """keeps_rows: `Taken.rows` has the rows that the models are given, also where there is no model."""
        self.sources = tuple(sources)
        self.entry = 0
        self.n_messages = 0
        self.counts: DropCounts = Counter()
        self.log_time_ns = NEVER
        self._names = [source.name for source in self.sources]
        self._owner = {source.name: self._names.index(source.joins or source.name) for source in self.sources}
        self._bounds = bounds
        self._rules = rules
        self._tick_every_ns = round(bounds.tick_every_s * 1e9)
        self._next_tick_ns = NEVER
        self._intake = Intake(
            sources, payload_bytes_max=bounds.payload_bytes_max, device_id_bytes_max=bounds.device_id_bytes_max
        )
        self._stepper = Stepper(self.sources, models, bounds, rules, keeps_rows=keeps_rows)

    def apply(self, entry: Entry) -> Taken:
        """Take the next entry of the log.

        Scores and alerts come in the order of the messages. What is dropped is in `counts`; `drops` has a sample of
        each source and reason.
        Raises StateRefused when more alerts stand in the alert table than `devices_max` lets devices be known.
        """
        alerts: list[AlertEvent] = []
        forgotten: list[Key] = []
        hides: Sequence[HideChange] = ()
        match entry:
            case Messages():
                return self._take(entry)
            case entries.Heartbeat():
                alerts, forgotten, hides = self._advance(entry.log_time_ns)
                self.log_time_ns = max(self.log_time_ns, entry.log_time_ns)
            case entries.AlertsKept():
                place = self.entry, self.log_time_ns
                alerts, forgotten, hides = adopt(entry, self._stepper, self._names, self._bounds.devices_max, *place)
            case entries.Listening():
                self._stepper.silence_alerts.listen(entry.sources, self.log_time_ns)
            case HistoryLost():
                self._stepper.lose_history(self._owner.get(entry.source), entry.devices)
            case entries.InterventionsKept():
                interventions.repeat(self._stepper, entry.labels)
            case entries.Forget():
                alerts, hides = self._forget(entry.devices)
                forgotten = [*entry.devices]
            case entries.StateBehind():
                self._stepper.predictors.fall_behind(self._stepper.silence.is_known())
        self.entry += 1
        self._count_evicted()
        return Taken(self._no_scores(), alerts, [], forgotten, hides=hides)

    def is_tick_due(self, log_time_ns: int) -> bool:
        """Whether a heartbeat of this time decides anything."""
        return log_time_ns >= self._next_tick_ns

    def nothing(self) -> Taken:
        """What an entry gives back that changes nothing."""
        return Taken(self._no_scores(), [], [])

    def rules(self) -> str:
        """All that the same entries depend on to give the same: sources, models and bounds, as text."""
        return repr((self.sources, [one.model.rules for one in self._stepper.predictors], self._bounds, self._rules))

    def view(self) -> View:
        """What is known of every device."""
        stepper = self._stepper
        used = np.flatnonzero(stepper.slots.source != NO_SOURCE)
        source = stepper.slots.source[used]
        return View(
            source=[self._names[one] if one != GONE else "" for one in source.tolist()],
            device=[str(stepper.slots.devices[slot]) for slot in used.tolist()],
            heard_ns=stepper.silence.heard_ns[used],
            newest_ns=stepper.spacing.newest_ns[used],
            clock_epoch=stepper.clock.columns.clock_epoch[used],
            clock_offset_ns=stepper.clock.columns.clock_offset_ns[used],
            models=[predictor.view(source, used) for predictor in stepper.predictors],
            silent=[*stepper.silence_alerts.standing],
            unheard=stepper.silence_alerts.unheard(self.log_time_ns),
            alerts=stepper.predictors.standing() | stepper.silence_alerts.ids() | stepper.floods.ids(),
            n_hidden=len(stepper.handling),
        )

    def listening(self) -> frozenset[str]:
        """Names of the sources of which messages can come, by the newest `Listening`."""
        return self._stepper.silence_alerts.listening()

    def undecodable(self) -> dict[str, float]:
        """Share, 0 to 1, of the newest messages of each source of which nothing could be read; starts anew at 0."""
        return dict(zip(self._names, self._intake.undecodable(), strict=True))

    def snapshot(self) -> bytes:
        """All that shapes later scores and alerts. No checksum: the store adds it."""
        cut = self.cut()
        cut.copy_all()
        return b"".join(cut.parts())

    def cut(self) -> Cut:
        """Begin a snapshot as of now, whose bytes are those that `snapshot()` would give.

        It is whole after some `copy_next`, between entries. Raises RuntimeError while another one is not.
        """
        slots = self._stepper.slots
        header = Header(
            schema_version=SCHEMA_VERSION,
            entry=self.entry,
            n_messages=self.n_messages,
            log_time_ns=self.log_time_ns,
            next_tick_ns=self._next_tick_ns,
            new_from_ns=dict(zip(self._names, self._stepper.newness.from_ns.tolist(), strict=True)),
            complete_from_ns=dict(zip(self._names, self._stepper.newness.complete_from_ns.tolist(), strict=True)),
            sources=tuple(self._names),
            devices=tuple(slots.devices),
            groups=snapshot.describe(slots, self._stepper.digests()),
            memories=(),
            numerics={one.model.name: one.model.bundle.manifest.numerics.kind for one in self._stepper.predictors},
        )
        return Cut(header, slots, memory.keep(self._intake, self._stepper))

    def restore(self, data: bytes) -> dict[str, str]:
        """Take over a snapshot. Raises SnapshotRefused, changing nothing, when it cannot be, and StateRefused when no
        other can be either, since it holds more devices than `devices_max`.

        Returns models whose states it lacks, each with the reason: their devices start as ones never heard.
        """
        stepper = self._stepper
        running = snapshot.describe(stepper.slots, self._stepper.digests())
        header, groups, memories = snapshot.unpack(data, running, devices_max=self._bounds.devices_max)
        try:
            remembered = memory.read(memories, self._intake)
        except ValueError as error:
            raise refused(f"what it remembers beside devices cannot be read: {error}") from None
        self.entry, self.n_messages = header.entry, header.n_messages
        self.log_time_ns, self._next_tick_ns = header.log_time_ns, header.next_tick_ns
        stepper.newness.restore(
            [header.new_from_ns.get(name, NEXT_ENTRY) for name in self._names],
            [header.complete_from_ns.get(name, NEXT_ENTRY) for name in self._names],
        )
        now = [self._names.index(name) if name in self._names else GONE for name in header.sources]
        today = np.array([*now, GONE, NO_SOURCE])  # so that GONE and NO_SOURCE, below 0, stay what they are
        stepper.slots.refill(header.devices, {**groups, OWNER: {"source": today[groups[OWNER]["source"]]}})
        is_whole = snapshot.is_whole(groups, stepper.slots)
        lost_rows = memory.restore(remembered, stepper, groups)
        kept = {group.name for group in header.groups}
        lost = {}
        for predictor in stepper.predictors:
            there = [name in groups for name in predictor.groups]  # some alone: the others came with a later version
            if not any(there):
                predictor.forget()
                is_there = any(name in kept for name in predictor.groups)
                lost[predictor.model.name] = OTHER_BUNDLE if is_there else NO_SUCH_MODEL
            if not (all(there) and is_whole):
                predictor.lose_history(stepper.silence.is_known())
        stepper.predictors.lose_history(lost_rows)
        return lost

    # The rest is the way inside ---------------------------------------------------------------------------------

    def _take(self, messages: Messages) -> Taken:
        topics, payloads = messages.topics, messages.payloads
        arrived = np.fromiter(messages.arrived_ns, np.int64, len(topics))
        log_times = np.maximum(np.maximum.accumulate(arrived), self.log_time_ns)
        parts: list[Stepped] = []
        forgotten: list[Key] = []
        requests: list[Request] = []
        alert_labels: list[AlertLabel] = []
        start = 0
        while start < len(topics):
            tick = self._advance(int(log_times[start]))
            forgotten += tick.forgotten
            end = int(np.searchsorted(log_times, self._next_tick_ns))
            readings = self._intake.read(topics[start:end], payloads[start:end], log_times[start:end], messages.among)
            requests += [Request(self._names[source], *message) for source, message in readings.requests]
            alert_labels += [label._replace(source=self._names[source]) for _, source, label in readings.labels]
            self._stepper.silence_alerts.hear_sources(readings.by_source, log_times[start:end])
            stepped = in_order.step(self._stepper, readings, log_times[start:end], self.entry)
            drops = [group.shifted(start) for group in self._said(messages, start, readings, stepped.drops)]
            if tick.alerts or tick.hides:
                parts.append(Stepped(self._no_scores(), tick.alerts, [], hides=tick.hides))
            parts.append(replace(stepped, drops=drops))
            self.log_time_ns = int(log_times[end - 1])
            self.entry += end - start
            self.n_messages += end - start
            start = end
        self._count_evicted()
        whole = merged(parts) if parts else Stepped(self._no_scores(), [], [])
        samples = count_drops(whole.drops, topics, self._names, self.counts, DROP_SAMPLES_MAX)
        people = (forgotten, requests, whole.labels, whole.rows, alert_labels)
        return Taken(whole.scores, whole.alerts, samples, *people, whole.handled, whole.hides)

    def _said(self, messages: Messages, start: int, readings: Readings, left_out: Sequence[Drops]) -> list[Drops]:
        """What is said of the messages from `start` on, now that it is settled which of their readings are used."""
        is_used = used_readings(readings.message, left_out)
        drops = [*readings.drops, *left_out]
        if is_used is not None:
            people = [*(one.message for one in readings.interventions), *(message for message, *_ in readings.commands)]
            used = [*readings.message[is_used].tolist(), *people]
            drops = without_idle_doubts(drops, used)
        return [*drops, *self._intake.two_topics(messages.topics[start:], readings, is_used, messages.among)]

    def _advance(self, log_time_ns: int) -> Ticked:
        """Let the ticks up to `log_time_ns` happen; only the last can matter, as nothing was heard between them."""
        self._stepper.newness.advance(log_time_ns)
        if self.log_time_ns != NEVER:
            self._stepper.silence_alerts.pass_time(log_time_ns - self.log_time_ns)
        if log_time_ns < self._next_tick_ns:
            return Ticked([], [], [])
        is_first = self._next_tick_ns == NEVER
        passed_ns = log_time_ns - self.log_time_ns
        tick_ns = log_time_ns - log_time_ns % self._tick_every_ns
        self._next_tick_ns = tick_ns + self._tick_every_ns
        if is_first:
            return Ticked([], [], [])
        acted = alert_commands.expire(self._stepper, self.entry, tick_ns)
        alerts, forgotten = self._notice_silence(tick_ns, passed_ns)
        return Ticked([*acted.alerts, *alerts], forgotten, acted.hides)

    def _notice_silence(self, tick_ns: int, passed_ns: int) -> tuple[list[AlertEvent], list[Key]]:
        """Mark devices `stale`; let go, their alerts ended, those unheard of for `forget_after`, and one that was never
        `ok` where another one was refused for want of room.
        """
        stepper = self._stepper
        stepper.notice_silence(tick_ns, passed_ns)
        alerts = stepper.silence_alerts.tick(tick_ns, self.entry, stepper.predictors.stand(stepper.slots.capacity))
        forgotten = [] if was_away(passed_ns) else stepper.marks.forget(tick_ns)
        for slot in stepper.silence.long_silent(tick_ns, passed_ns):
            forgotten.append(self._let_go(slot, tick_ns, alerts))
        needless = stepper.needless()
        if needless is not None:
            forgotten.append(self._let_go(needless, tick_ns, alerts))
        alerts = stepper.floods.group(alerts, lambda _: tick_ns)
        return alerts + stepper.floods.tick(tick_ns, self.entry), forgotten

    def _forget(self, devices: Sequence[Key]) -> tuple[list[AlertEvent], list[HideChange]]:
        """Know these devices no more, nor what the alert table said of them; returns the ends of their alerts and of
        what hides them. Who is not heard for long keeps that: a machine is silent since it is out of service.
        """
        alerts: list[AlertEvent] = []
        for source, device in devices:
            self._stepper.marks.pop((source, device))
            slot = self._stepper.slots.find(self._names.index(source), device) if source in self._names else None
            if slot is not None:
                self._let_go(slot, self.log_time_ns, alerts)
        return alerts, self._stepper.handling.let_go(lambda pattern: pattern[:2] in devices)

    def _let_go(self, slot: int, log_time_ns: int, alerts: list[AlertEvent]) -> Key:
        """Know a device no more; the ends of its alerts are added to `alerts`."""
        stepper = self._stepper
        source, device = stepper.source_of(slot), str(stepper.slots.devices[slot])
        alerts += stepper.end_alerts(slot, "forgotten", self.entry, int(stepper.spacing.newest_ns[slot]))
        alerts += stepper.silence_alerts.forget(source, device, self.entry, log_time_ns)
        stepper.release(slot)
        self.counts[source, "forgotten"] += 1
        return source, device

    def _count_evicted(self) -> None:
        for source, n_evicted in self._stepper.evicted.items():
            self.counts[source, "forgotten"] += n_evicted
        self._stepper.evicted.clear()
        for source, n_readings in self._stepper.alignment.lost.items():
            self.counts[source, "wait_ended"] += n_readings
        self._stepper.alignment.lost.clear()

    def _no_scores(self) -> list[Scores]:
        return [one.nothing for one in self._stepper.predictors]
