"""The whole way from messages to alerts: decode, align, step, judge.

Synchronous and single-threaded; no I/O, clock, log call or randomness. All that reaches the core is an entry of the
input log, in order: messages (`take`), heartbeats (`tick`), and what the shell knows and the core must (`mark_gap`,
`adopt`). For the same log the scores and alerts are equal bit for bit, however `take` is split (law 1).

Log time is the greatest arrival time so far. Ticks fall on whole multiples of `tick_every` of log time, before the
first entry past them, and decide silence only; risk depends on a device's own rows and event times.
"""

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from agent.align import space
from agent.bundle.file import Bundle
from agent.core import snapshot
from agent.core.alerts import decided, forgotten
from agent.core.bounds import Bounds
from agent.core.quality import QualityRule
from agent.core.scores import joined, no_scores, picked
from agent.decode.intake import Intake, Readings
from agent.judge.evidence import Evidence, judge
from agent.step.batch import batches
from agent.step.engine import Engine
from agent.step.slab import NEVER, NO_SOURCE, Slab
from agent.words import SEVERITIES, AlertEvent, Drop, Int64, Quality, Scores, Source, Taken

DROP_SAMPLES_MAX = 64  # a call gives back at most so many samples of what it dropped; `counts` counts all


class Core:
    """One model, its sources, and the state of every device."""

    def __init__(
        self, sources: Sequence[Source], bundle: Bundle, engine: Engine, threshold: float, bounds: Bounds
    ) -> None:
        self.sources = tuple(sources)
        self.entry = 0  # messages taken so far
        self.counts: Counter[tuple[str, str]] = Counter()  # (source, reason) -> drops and doubts, "" for no source
        self.log_time_ns = NEVER
        self._manifest = bundle.manifest
        self._digest = bundle.digest
        self._engine = engine
        self._threshold = threshold
        self._bounds = bounds
        self._tick_every_ns = round(bounds.tick_every_s * 1e9)
        self._next_tick_ns = NEVER
        self._intake = Intake(
            sources, payload_bytes_max=bounds.payload_bytes_max, device_id_bytes_max=bounds.device_id_bytes_max
        )
        self._slab = Slab(bundle.manifest.state_size, bounds.max_devices)
        self._evidence = Evidence.empty(self._slab.capacity)
        self._quality_rule = QualityRule(bundle.manifest)

    def take(self, topics: Sequence[str], payloads: Sequence[bytes], arrived_ns: Sequence[int]) -> Taken:
        """Take one read's messages through to alerts; the three lists have one element a message.

        Scores and alerts come in the order of the messages. What is dropped is in `counts`, with samples in `drops`.
        """
        log_times = np.maximum.accumulate(np.array([self.log_time_ns, *arrived_ns], np.int64))[1:]
        parts: list[Scores] = []
        alerts: list[AlertEvent] = []
        drops: list[Drop] = []
        start = 0
        while start < len(topics):
            alerts += self._advance(int(log_times[start]))
            end = int(np.searchsorted(log_times, self._next_tick_ns))
            readings = self._intake.read(topics[start:end], payloads[start:end], log_times[start:end])
            scores, raised = self._step(readings, log_times[start:end], topics[start:end])
            parts.append(scores)
            alerts += raised
            drops += readings.drops
            self.log_time_ns = int(log_times[end - 1])
            self.entry += end - start
            start = end
        for drop in drops:
            self.counts[drop.source, drop.reason] += 1
        scores = joined(parts) if parts else no_scores(self._manifest)
        return Taken(
            scores, alerts, list({(d.source, d.device, d.reason): d for d in drops}.values())[:DROP_SAMPLES_MAX]
        )

    def tick(self, log_time_ns: int) -> Taken:
        """A heartbeat: nothing has arrived up to `log_time_ns`, the shell's wall time."""
        alerts = self._advance(log_time_ns)
        self.log_time_ns = max(self.log_time_ns, log_time_ns)
        return Taken(no_scores(self._manifest), alerts, [])

    def mark_gap(self, source: str) -> None:
        """History may be missing: the next row of each device of `source` ("" for all) says `gap`."""
        columns = self._slab.columns
        names = [one.name for one in self.sources]
        columns.history_lost |= (columns.source == names.index(source)) if source else (columns.source != NO_SOURCE)

    def adopt(self, standing: Sequence[AlertEvent], newest_t_ns: Mapping[tuple[str, str], int]) -> None:
        """Take alert life cycles from the alert table, as at a start in snapshot mode; evidence starts empty.

        standing     the last event of each alert that stands
        newest_t_ns  (source, device) -> event time of its newest event in the table. A row not newer is dropped as
                     late: it was stepped before the crash, and must not raise the same fault under a second id.
        """
        names = [source.name for source in self.sources]
        self._evidence.forget()
        for (source, device), t_ns in newest_t_ns.items():
            slot = self._slot(device, names.index(source) if source in names else NO_SOURCE)
            if slot is None:
                self.counts[source, "max_devices"] += 1
                continue
            columns = self._slab.columns
            columns.t_ns[slot] = max(columns.t_ns[slot], t_ns)
        for event in standing:
            slot = self._slab.find(event.device)
            if slot is not None:
                self._evidence.standing[slot] = True
                self._evidence.severity[slot] = SEVERITIES.index(event.severity)
                self._evidence.sequence[slot] = event.sequence
                self._evidence.raised_t_ns[slot] = event.raised_t_ns

    def snapshot(self) -> bytes:
        """All that shapes later scores and alerts. No checksum: the store adds it."""
        devices = self._slab.devices
        header = snapshot.Header(
            schema_version=snapshot.SCHEMA_VERSION,
            bundle_digest=self._digest,
            numerics=self._manifest.numerics.kind,
            entry=self.entry,
            log_time_ns=self.log_time_ns,
            next_tick_ns=self._next_tick_ns,
            sources=tuple(source.name for source in self.sources),
            devices=tuple(devices),
        )
        return snapshot.pack(header, [self._slab.columns.arrays(len(devices)), self._evidence.arrays(len(devices))])

    def restore(self, data: bytes) -> None:
        """Take over a snapshot. Raises SnapshotRefused, changing nothing, when it is torn or another bundle's."""
        header, columns, evidence = snapshot.unpack(
            data, digest=self._digest, state_size=self._manifest.state_size, max_devices=self._bounds.max_devices
        )
        n_slots = len(header.devices)
        self.entry = header.entry
        self.log_time_ns = header.log_time_ns
        self._next_tick_ns = header.next_tick_ns
        self._slab.refill(header.devices)
        self._evidence = Evidence.empty(self._slab.capacity)
        for name, array in columns.items():
            getattr(self._slab.columns, name)[:n_slots] = array
        for name, array in evidence.items():
            getattr(self._evidence, name)[:n_slots] = array
        names = [source.name for source in self.sources]
        now = np.array([names.index(name) if name in names else NO_SOURCE for name in header.sources] + [NO_SOURCE])
        self._slab.columns.source[:n_slots] = now[columns["source"]]  # index -1 is the NO_SOURCE at the end

    def devices_by_quality(self) -> dict[str, int]:
        """How many devices are ok, warming_up, gap, out_of_domain, stale: silence must not look like health."""
        used = [slot for slot, device in enumerate(self._slab.devices) if device is not None]
        found = np.bincount(self._slab.columns.quality[used], minlength=len(Quality))
        return {quality.name.lower(): int(found[quality]) for quality in Quality}

    def n_standing(self) -> int:
        """How many alerts stand."""
        return int(self._evidence.standing.sum())

    # The rest is the way inside ---------------------------------------------------------------------------------

    def _advance(self, log_time_ns: int) -> list[AlertEvent]:
        """Let the ticks up to `log_time_ns` happen; only the last can matter, as nothing was heard between them."""
        if log_time_ns < self._next_tick_ns:
            return []
        is_first = self._next_tick_ns == NEVER
        tick_ns = log_time_ns - log_time_ns % self._tick_every_ns
        self._next_tick_ns = tick_ns + self._tick_every_ns
        return [] if is_first else self._notice_silence(tick_ns)

    def _notice_silence(self, tick_ns: int) -> list[AlertEvent]:
        """Mark devices `stale`, and let those unheard of for `forget_after` go, their alerts ended with the cause."""
        columns = self._slab.columns
        is_known = columns.t_ns != NEVER
        columns.heard_ns[is_known & (columns.heard_ns == NEVER)] = tick_ns  # from the alert table, not heard yet
        silent_ns = np.where(is_known, tick_ns - columns.heard_ns, 0)
        columns.quality[silent_ns > round(self._bounds.stale_after_s * 1e9)] = Quality.STALE
        ended: list[AlertEvent] = []
        for slot in np.flatnonzero(silent_ns > round(self._bounds.forget_after_s * 1e9)).tolist():
            source, t_ns = self._source_of(slot), int(columns.t_ns[slot])
            device = self._slab.release(slot)
            if self._evidence.standing[slot]:
                ended.append(forgotten(self._evidence, slot, device, source, self.entry, t_ns))
            self._evidence.clear(slot)
            self.counts[source, "forgotten"] += 1
        return ended

    def _source_of(self, slot: int) -> str:
        """Name of the source that a slot's device belongs to, "" when the configuration no longer has it."""
        source = int(self._slab.columns.source[slot])
        return self.sources[source].name if source != NO_SOURCE else ""

    def _slot(self, device: str, source: int) -> int | None:
        """The device's slot, a new one if it has none; None when `max_devices` are known already."""
        slot = self._slab.find(device)
        if slot is None:
            slot = self._slab.claim(device, source)
            if self._slab.capacity > len(self._evidence.standing):
                self._evidence.grow(self._slab.capacity)
        return slot

    def _slots_of(self, readings: Readings, topics: Sequence[str]) -> Int64:
        """int64 [n], -1 where a reading gets none. Only here does a device come to be, so junk makes none."""
        slots = np.full(len(readings.device), -1, np.int64)
        for row, (device, source) in enumerate(zip(readings.device.tolist(), readings.source.tolist(), strict=True)):
            slot = self._slot(device, source)
            owner = self._slab.columns.source
            if slot is not None and owner[slot] == source:
                slots[row] = slot
                continue
            reason = "max_devices" if slot is None else "foreign_device"
            detail = "no room for another device" if slot is None else "the device belongs to another source"
            topic = topics[readings.message[row]]
            readings.drops.append(Drop(self.sources[source].name, device, topic, reason, detail))
        return slots

    def _step(self, readings: Readings, log_times: Int64, topics: Sequence[str]) -> tuple[Scores, list[AlertEvent]]:
        """Align, step and judge readings between two ticks."""
        slots = self._slots_of(readings, topics)
        held = np.flatnonzero(slots >= 0)
        parts: list[Scores] = []
        alerts: list[AlertEvent] = []
        for batch in batches(slots[held], self._bounds.max_batch):
            rows = held[batch]
            scores, raised = self._step_batch(readings, rows, slots[rows], log_times[readings.message[rows]], topics)
            parts.append(scores)
            alerts += raised
        if not parts:
            return no_scores(self._manifest), []
        scores = joined(parts)
        alerts.sort(key=lambda event: event.entry)
        return picked(scores, np.argsort(scores.entry, kind="stable")), alerts

    def _step_batch(
        self, readings: Readings, rows: Int64, slots: Int64, heard_ns: Int64, topics: Sequence[str]
    ) -> tuple[Scores, list[AlertEvent]]:
        """One batch of distinct devices; rows int64 [b] index `readings`."""
        columns, cadence = self._slab.columns, self._manifest.cadence
        spacing = space(
            readings.t_ns[rows], columns.t_ns[slots], columns.rows[slots] > 0, cadence.every_s, cadence.dt_max_s
        )
        columns.heard_ns[slots] = heard_ns
        for faulty, reason in ((spacing.late, "late"), (spacing.repeated, "repeated")):
            for row in rows[faulty].tolist():
                self._drop_reading(readings, row, topics, reason)
        new = ~(spacing.late | spacing.repeated)
        rows, slots = rows[new], slots[new]
        if len(rows) == 0:
            return no_scores(self._manifest), []
        is_lost, is_gap = spacing.is_lost[new], spacing.is_gap[new]
        x, t_ns = readings.x[rows], readings.t_ns[rows]
        columns.state[slots[is_lost]] = 0
        columns.rows[slots[is_lost]] = 0

        state, risk, rul = self._engine.run(x, spacing.dt[new], columns.state[slots])
        sound = np.isfinite(state).all(axis=1) & np.isfinite(risk).all(axis=1) & np.isfinite(rul).all(axis=1)
        for row in rows[~sound].tolist():  # a device the model cannot follow starts again; its neighbours go on
            self._drop_reading(readings, row, topics, "not_finite")
        state[~sound] = 0
        quality = self._quality_rule.quality(x, columns.rows[slots], is_gap | columns.history_lost[slots])

        columns.state[slots] = state
        columns.rows[slots] = np.where(sound, columns.rows[slots] + 1, 0)
        columns.t_ns[slots] = t_ns
        columns.history_lost[slots] = ~sound
        columns.quality[slots] = quality

        entry = self.entry + readings.message[rows]
        scores = Scores(entry, readings.device[rows], t_ns, quality, risk, rul)
        if not sound.all():
            scores, slots = picked(scores, np.flatnonzero(sound)), slots[sound]
        policy = self._manifest.judge
        verdict = judge(self._evidence, slots, scores.t_ns, scores.quality, scores.risk, self._threshold, policy)
        return scores, list(decided(verdict, scores, slots, self._evidence, self._source_of))

    def _drop_reading(self, readings: Readings, row: int, topics: Sequence[str], reason: str) -> None:
        source, device = int(readings.source[row]), str(readings.device[row])
        topic = topics[readings.message[row]]
        detail = f"event time {readings.t_ns[row]} ns"
        readings.drops.append(Drop(self.sources[source].name, device, topic, reason, detail))
