"""The whole way from messages to alerts: decode, align, step, judge.

Synchronous and single-threaded; no I/O, clock, log call or randomness. All that reaches the core is an entry of the
input log, in order: messages (`take`), heartbeats (`tick`), and what the shell knows and the core must (`mark_gap`,
`adopt`). For the same log the scores and alerts are equal bit for bit, however `take` is split (law 1).

Log time is the greatest arrival time so far. Ticks fall on whole multiples of `tick_every` of log time, before the
first entry past them, and decide silence only; risk depends on a device's own rows and event times.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from agent.bundle.file import Bundle
from agent.bundle.label import label_of
from agent.core import snapshot
from agent.core.bounds import Bounds
from agent.core.scores import joined, no_scores
from agent.core.stepper import Mark, Stepper
from agent.decode.intake import Intake
from agent.devices.slots import GONE, NEVER, NO_SOURCE
from agent.drops import Drops, count_drops
from agent.errors import StateRefused
from agent.judge.events import AlertEvents
from agent.judge.evidence import Evidence
from agent.step.engine import Engine
from agent.words import SEVERITIES, AlertEvent, DropCounts, Quality, Scores, Source, Taken

UNHEARD_NS = 3600 * 10**9  # log time that passes in one step of more than this: nobody listened meanwhile
DROP_SAMPLES_MAX = 64  # a call gives back at most so many samples of what it dropped; `counts` has all


@dataclass(frozen=True, slots=True)
class Adopted:
    """What of the alert table has no place in the core.

    ended      ends of standing alerts whose source the configuration no longer has
    forgotten  (source, device) whose ended alerts nobody needs
    """

    ended: Sequence[AlertEvent]
    forgotten: Sequence[tuple[str, str]]


class Core:
    """One model, its sources, and the state of every device."""

    def __init__(
        self, sources: Sequence[Source], bundle: Bundle, engine: Engine, threshold: float, bounds: Bounds
    ) -> None:
        self.sources = tuple(sources)
        self.entry = 0  # messages taken so far
        self.counts: DropCounts = Counter()  # of drops and doubts
        self.log_time_ns = NEVER
        self._names = [source.name for source in self.sources]
        self._forget_after_ns = round(bounds.forget_after_s * 1e9)
        self._marks_since_ns = NEVER
        self._manifest = bundle.manifest
        self._digest = bundle.digest
        self._bounds = bounds
        self._tick_every_ns = round(bounds.tick_every_s * 1e9)
        self._next_tick_ns = NEVER
        self._intake = Intake(
            sources, payload_bytes_max=bounds.payload_bytes_max, device_id_bytes_max=bounds.device_id_bytes_max
        )
        alerts = AlertEvents(label_of(bundle.manifest, bundle.digest))
        self._stepper = Stepper(self.sources, bundle.manifest, engine, threshold, bounds, alerts)

    def take(self, topics: Sequence[str], payloads: Sequence[bytes], arrived_ns: Sequence[int]) -> Taken:
        """Take one read's messages through to alerts; the three lists have one element a message.

        Scores and alerts come in the order of the messages. What is dropped is in `counts`; `drops` has a sample of
        each source and reason.
        """
        arrived = np.fromiter(arrived_ns, np.int64, len(topics))
        log_times = np.maximum(np.maximum.accumulate(arrived), self.log_time_ns)
        parts: list[Scores] = []
        alerts: list[AlertEvent] = []
        forgotten: list[tuple[str, str]] = []
        drops: list[Drops] = []
        start = 0
        while start < len(topics):
            ends, silent = self._advance(int(log_times[start]))
            alerts += ends
            forgotten += silent
            end = int(np.searchsorted(log_times, self._next_tick_ns))
            readings = self._intake.read(topics[start:end], payloads[start:end], log_times[start:end])
            scores, raised = self._stepper.step(readings, log_times[start:end], topics[start:end], self.entry)
            parts.append(scores)
            alerts += raised
            drops += [group.shifted(start) for group in readings.drops]
            self.log_time_ns = int(log_times[end - 1])
            self.entry += end - start
            start = end
        if self._stepper.n_evicted:
            self.counts["", "forgotten"] += self._stepper.n_evicted
            self._stepper.n_evicted = 0
        scores = joined(parts) if parts else no_scores(self._manifest)
        samples = count_drops(drops, topics, self._names, self.counts, DROP_SAMPLES_MAX)
        return Taken(scores, alerts, samples, forgotten)

    def tick(self, log_time_ns: int) -> Taken:
        """A heartbeat: nothing has arrived up to `log_time_ns`, the shell's wall time."""
        alerts, forgotten = self._advance(log_time_ns)
        self.log_time_ns = max(self.log_time_ns, log_time_ns)
        return Taken(no_scores(self._manifest), alerts, [], forgotten)

    def mark_gap(self, source: str, devices: Collection[str] = ()) -> None:
        """History may be missing: the next row of each device of `source` ("" for all), or of those named, says `gap`.

        devices  only these of the source; one that is not known has no history. Without any, for a while nobody who is
                 heard for the first time is taken for new (`agent.align.first_seen`).
        """
        columns = self._stepper.slab.columns
        if devices:
            index = self._names.index(source)
            slots = [slot for device in devices if (slot := self._stepper.slab.find(index, device)) is not None]
            columns.history_lost[slots] = True
            return
        self._stepper.newness.lose_history()
        columns.history_lost |= (
            (columns.source == self._names.index(source)) if source else (columns.source != NO_SOURCE)
        )

    def mark_unclean(self) -> None:
        """Rows may have been stepped after the snapshot that was restored, and nobody knows which."""
        columns = self._stepper.slab.columns
        columns.is_behind |= columns.source != NO_SOURCE

    def adopt(self, standing: Sequence[AlertEvent], newest: Mapping[tuple[str, str], Mark]) -> Adopted:
        """Take alert life cycles from the alert table, as at a start in snapshot mode; evidence starts empty.

        standing     the last event of each alert that stands
        newest       (source, device) -> clock epoch and event time of its newest event in the table. A row not newer
                     is dropped as late: it was stepped before the crash, and must not raise the same fault under a
                     second id. A mark of an epoch before the state's says nothing; one of an epoch after it says that
                     the state is that of another life, or of another clock.

        Devices whose alert stands get their slots first; an ended alert takes none, and waits for its device as a mark.
        Raises StateRefused when more alerts stand than `max_devices` lets devices be known.
        """
        stepper = self._stepper
        stepper.evidence.forget()
        stepper.alerts.forget()
        owned = [event for event in standing if event.source in self._names]
        if len(owned) > self._bounds.max_devices:
            what = f"{len(owned)} alerts stand, and agent.devices_max is {self._bounds.max_devices}"
            raise StateRefused("alert table", what, next_step="Raise agent.devices_max to what it was, or more.")
        marks = {key: mark for key, mark in newest.items() if key[0] in self._names}
        keep = {(event.source, event.device) for event in owned}
        for event in owned:
            slot = self._slot_of_standing(event, keep)
            own = (max(event.t_epoch, event.clock_epoch), event.t_ns)
            stepper.take_mark(slot, marks.pop((event.source, event.device), own))
            stepper.evidence.standing[slot] = True
            stepper.evidence.severity[slot] = SEVERITIES.index(event.severity)
            stepper.evidence.sequence[slot] = event.sequence
            stepper.evidence.raised_t_ns[slot] = event.raised_t_ns
            stepper.evidence.raised_epoch[slot] = event.clock_epoch
            stepper.alerts.adopt(slot, event)
        for source, device in [*marks]:
            known = stepper.slab.find(self._names.index(source), device)
            if known is not None:
                stepper.take_mark(known, marks.pop((source, device)))
        by_time = sorted(marks, key=lambda key: marks[key][1], reverse=True)
        stepper.marks = {key: marks[key] for key in by_time[: self._bounds.max_devices]}
        return Adopted(
            ended=[stepper.alerts.orphaned(event, self.entry) for event in standing if event.source not in self._names],
            forgotten=[*by_time[self._bounds.max_devices :], *(key for key in newest if key[0] not in self._names)],
        )

    def _slot_of_standing(self, event: AlertEvent, keep: Collection[tuple[str, str]]) -> int:
        """A slot for a device whose alert stands; where all are taken, the one heard of least lately makes room."""
        stepper, index = self._stepper, self._names.index(event.source)
        slot = stepper.slot(index, event.device, is_new=False)
        if slot is None:
            columns, devices = stepper.slab.columns, stepper.slab.devices
            others = [
                one
                for one, device in enumerate(devices)
                if device is not None and (self._names[columns.source[one]], device) not in keep
            ]
            least = min(others, key=lambda one: int(columns.heard_ns[one]))
            self.counts[stepper.source_of(least), "forgotten"] += 1
            stepper.release(least)
            slot = stepper.slot(index, event.device, is_new=False)
        assert slot is not None
        return slot

    def snapshot(self) -> bytes:
        """All that shapes later scores and alerts. No checksum: the store adds it."""
        devices = self._stepper.slab.devices
        header = snapshot.Header(
            schema_version=snapshot.SCHEMA_VERSION,
            bundle_digest=self._digest,
            numerics=self._manifest.numerics.kind,
            entry=self.entry,
            log_time_ns=self.log_time_ns,
            next_tick_ns=self._next_tick_ns,
            new_from_ns=self._stepper.newness.from_ns,
            complete_from_ns=self._stepper.newness.complete_from_ns,
            sources=tuple(self._names),
            devices=tuple(devices),
        )
        return snapshot.pack(
            header, [self._stepper.slab.columns.arrays(len(devices)), self._stepper.evidence.arrays(len(devices))]
        )

    def restore(self, data: bytes) -> None:
        """Take over a snapshot. Raises SnapshotRefused, changing nothing, when it is torn or another bundle's."""
        header, columns, evidence = snapshot.unpack(
            data, digest=self._digest, state_size=self._manifest.state_size, max_devices=self._bounds.max_devices
        )
        n_slots = len(header.devices)
        self.entry = header.entry
        self.log_time_ns = header.log_time_ns
        self._next_tick_ns = header.next_tick_ns
        self._stepper.newness.from_ns = header.new_from_ns
        self._stepper.newness.complete_from_ns = header.complete_from_ns
        now = [self._names.index(name) if name in self._names else GONE for name in header.sources]
        today = np.array([*now, GONE, NO_SOURCE])  # so that GONE and NO_SOURCE, below 0, stay what they are
        self._stepper.slab.refill(header.devices, {**columns, "source": today[columns["source"]]})
        self._stepper.evidence = Evidence.empty(self._stepper.slab.capacity)
        self._stepper.alerts.forget()  # `adopt` says which of them were raised before
        for name, array in evidence.items():
            getattr(self._stepper.evidence, name)[:n_slots] = array

    def devices_by_quality(self) -> dict[str, int]:
        """How many devices are ok, warming_up, gap, out_of_domain, stale: silence must not look like health."""
        used = [slot for slot, device in enumerate(self._stepper.slab.devices) if device is not None]
        found = np.bincount(self._stepper.slab.columns.quality[used], minlength=len(Quality))
        return {quality.name.lower(): int(found[quality]) for quality in Quality}

    def n_standing(self) -> int:
        """How many alerts stand."""
        return int(self._stepper.evidence.standing.sum())

    # The rest is the way inside ---------------------------------------------------------------------------------

    def _advance(self, log_time_ns: int) -> tuple[list[AlertEvent], list[tuple[str, str]]]:
        """Let the ticks up to `log_time_ns` happen; only the last can matter, as nothing was heard between them.

        Returns the ends of alerts, and who is forgotten.
        """
        self._stepper.newness.advance(log_time_ns)
        if log_time_ns < self._next_tick_ns:
            return [], []
        is_first = self._next_tick_ns == NEVER
        passed_ns = log_time_ns - self.log_time_ns
        tick_ns = log_time_ns - log_time_ns % self._tick_every_ns
        self._next_tick_ns = tick_ns + self._tick_every_ns
        return ([], []) if is_first else self._notice_silence(tick_ns, passed_ns)

    def _notice_silence(self, tick_ns: int, passed_ns: int) -> tuple[list[AlertEvent], list[tuple[str, str]]]:
        """Mark devices `stale` that were not scored; let those unheard of for `forget_after` go, their alerts ended.

        passed_ns  log time since the entry before. A long step is a clock that was set, or the time that the agent was
                   away: it makes devices stale, but it does not count towards forgetting them.
        """
        columns = self._stepper.slab.columns
        is_known = columns.source != NO_SOURCE
        for newest_ns in (columns.heard_ns, columns.scored_ns):
            newest_ns[is_known & (newest_ns == NEVER)] = tick_ns  # none of its rows was heard, or scored, yet
        unscored_ns = np.where(is_known, tick_ns - columns.scored_ns, 0)
        silent_ns = np.where(is_known, tick_ns - columns.heard_ns, 0)
        columns.quality[unscored_ns > round(self._bounds.stale_after_s * 1e9)] = Quality.STALE
        if passed_ns > UNHEARD_NS:
            for newest_ns in (columns.heard_ns, columns.scored_ns):
                newest_ns[is_known] = np.minimum(newest_ns[is_known] + passed_ns, tick_ns)
            return [], []
        alerts: list[AlertEvent] = []
        forgotten = self._forget_marks(tick_ns)
        for slot in np.flatnonzero(silent_ns > self._forget_after_ns).tolist():
            source, device = self._stepper.source_of(slot), str(self._stepper.slab.devices[slot])
            if self._stepper.evidence.standing[slot]:
                alerts.append(self._stepper.ended(slot, "forgotten", self.entry, int(columns.t_ns[slot])))
            self._stepper.release(slot)
            forgotten.append((source, device))
            self.counts[source, "forgotten"] += 1
        return alerts, forgotten

    def _forget_marks(self, tick_ns: int) -> list[tuple[str, str]]:
        """Let go of devices that only the alert table knows and that were not heard for `forget_after` of log time."""
        if self._marks_since_ns == NEVER:
            self._marks_since_ns = tick_ns
        if not self._stepper.marks or tick_ns - self._marks_since_ns <= self._forget_after_ns:
            return []
        forgotten = [*self._stepper.marks]
        self._stepper.marks = {}
        return forgotten
