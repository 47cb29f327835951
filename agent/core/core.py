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

from agent.bundle.file import Bundle
from agent.core import snapshot
from agent.core.alerts import forgotten
from agent.core.bounds import Bounds
from agent.core.scores import joined, no_scores
from agent.core.stepper import Stepper
from agent.decode.intake import Intake
from agent.judge.evidence import Evidence
from agent.step.engine import Engine
from agent.step.slab import NEVER, NO_SOURCE
from agent.words import SEVERITIES, AlertEvent, Drop, Quality, Scores, Source, Taken

UNHEARD_NS = 3600 * 10**9  # log time that passes in one step of more than this: nobody listened meanwhile
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
        self._bounds = bounds
        self._tick_every_ns = round(bounds.tick_every_s * 1e9)
        self._next_tick_ns = NEVER
        self._intake = Intake(
            sources, payload_bytes_max=bounds.payload_bytes_max, device_id_bytes_max=bounds.device_id_bytes_max
        )
        self._stepper = Stepper(self.sources, bundle.manifest, engine, threshold, bounds)

    def take(self, topics: Sequence[str], payloads: Sequence[bytes], arrived_ns: Sequence[int]) -> Taken:
        """Take one read's messages through to alerts; the three lists have one element a message.

        Scores and alerts come in the order of the messages. What is dropped is in `counts`, with samples in `drops`.
        """
        arrived = np.fromiter(arrived_ns, np.int64, len(topics))
        log_times = np.maximum(np.maximum.accumulate(arrived), self.log_time_ns)
        parts: list[Scores] = []
        alerts: list[AlertEvent] = []
        drops: list[Drop] = []
        start = 0
        while start < len(topics):
            alerts += self._advance(int(log_times[start]))
            end = int(np.searchsorted(log_times, self._next_tick_ns))
            readings = self._intake.read(topics[start:end], payloads[start:end], log_times[start:end])
            scores, raised = self._stepper.step(readings, log_times[start:end], topics[start:end], self.entry)
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
        """History may be missing: the next row of each device of `source` ("" for all) says `gap`.

        For a while, whoever is heard for the first time is not taken for new (`agent.core.newness`).
        """
        self._stepper.newness.lose_history()
        columns = self._stepper.slab.columns
        names = [one.name for one in self.sources]
        columns.history_lost |= (columns.source == names.index(source)) if source else (columns.source != NO_SOURCE)

    def adopt(self, standing: Sequence[AlertEvent], newest_t_ns: Mapping[tuple[str, str], int]) -> None:
        """Take alert life cycles from the alert table, as at a start in snapshot mode; evidence starts empty.

        standing     the last event of each alert that stands
        newest_t_ns  (source, device) -> event time of its newest event in the table. A row not newer is dropped as
                     late: it was stepped before the crash, and must not raise the same fault under a second id.
        """
        names = [source.name for source in self.sources]
        self._stepper.evidence.forget()
        for (source, device), t_ns in newest_t_ns.items():
            slot = self._stepper.slot(device, names.index(source) if source in names else NO_SOURCE, is_new=False)
            if slot is None:
                self.counts[source, "max_devices"] += 1
                continue
            columns = self._stepper.slab.columns
            columns.t_ns[slot] = max(columns.t_ns[slot], t_ns)
        for event in standing:
            slot = self._stepper.slab.find(event.device)
            if slot is not None:
                self._stepper.evidence.standing[slot] = True
                self._stepper.evidence.severity[slot] = SEVERITIES.index(event.severity)
                self._stepper.evidence.sequence[slot] = event.sequence
                self._stepper.evidence.raised_t_ns[slot] = event.raised_t_ns
                self._stepper.evidence.raised_epoch[slot] = event.clock_epoch

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
            sources=tuple(source.name for source in self.sources),
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
        self._stepper.slab.refill(header.devices)
        self._stepper.evidence = Evidence.empty(self._stepper.slab.capacity)
        for name, array in columns.items():
            getattr(self._stepper.slab.columns, name)[:n_slots] = array
        for name, array in evidence.items():
            getattr(self._stepper.evidence, name)[:n_slots] = array
        names = [source.name for source in self.sources]
        now = np.array([names.index(name) if name in names else NO_SOURCE for name in header.sources] + [NO_SOURCE])
        self._stepper.slab.columns.source[:n_slots] = now[columns["source"]]  # index -1 is the NO_SOURCE at the end

    def devices_by_quality(self) -> dict[str, int]:
        """How many devices are ok, warming_up, gap, out_of_domain, stale: silence must not look like health."""
        used = [slot for slot, device in enumerate(self._stepper.slab.devices) if device is not None]
        found = np.bincount(self._stepper.slab.columns.quality[used], minlength=len(Quality))
        return {quality.name.lower(): int(found[quality]) for quality in Quality}

    def n_standing(self) -> int:
        """How many alerts stand."""
        return int(self._stepper.evidence.standing.sum())

    # The rest is the way inside ---------------------------------------------------------------------------------

    def _advance(self, log_time_ns: int) -> list[AlertEvent]:
        """Let the ticks up to `log_time_ns` happen; only the last can matter, as nothing was heard between them."""
        self._stepper.newness.advance(log_time_ns)
        if log_time_ns < self._next_tick_ns:
            return []
        is_first = self._next_tick_ns == NEVER
        passed_ns = log_time_ns - self.log_time_ns
        tick_ns = log_time_ns - log_time_ns % self._tick_every_ns
        self._next_tick_ns = tick_ns + self._tick_every_ns
        return [] if is_first else self._notice_silence(tick_ns, passed_ns)

    def _notice_silence(self, tick_ns: int, passed_ns: int) -> list[AlertEvent]:
        """Mark devices `stale`, and let those unheard of for `forget_after` go, their alerts ended with the cause.

        passed_ns  log time since the entry before. A long step is a clock that was set, or the time that the agent was
                   away: it makes devices stale, but it does not count towards forgetting them.
        """
        columns = self._stepper.slab.columns
        is_known = (columns.t_ns != NEVER) | (columns.source != NO_SOURCE)
        columns.heard_ns[is_known & (columns.heard_ns == NEVER)] = tick_ns  # none of its rows was accepted yet
        silent_ns = np.where(is_known, tick_ns - columns.heard_ns, 0)
        columns.quality[silent_ns > round(self._bounds.stale_after_s * 1e9)] = Quality.STALE
        if passed_ns > UNHEARD_NS:
            columns.heard_ns[is_known] = np.minimum(columns.heard_ns[is_known] + passed_ns, tick_ns)
            return []
        ended: list[AlertEvent] = []
        for slot in np.flatnonzero(silent_ns > round(self._bounds.forget_after_s * 1e9)).tolist():
            source, t_ns = self._stepper.source_of(slot), int(columns.t_ns[slot])
            device = self._stepper.slab.release(slot)
            if self._stepper.evidence.standing[slot]:
                ended.append(forgotten(self._stepper.evidence, slot, device, source, self.entry, t_ns))
            self._stepper.evidence.clear(slot)
            self.counts[source, "forgotten"] += 1
        return ended
