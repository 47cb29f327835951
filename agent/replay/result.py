"""What a replay found, as `replay.json` holds it and the report shows it. docs/replay.md describes the fields.

Nothing in it depends on the way the messages took or on the wall clock, but `through`: an inline replay and one
through a broker write the same file.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, Self

import msgspec
import numpy as np

from agent.bundle.file import Bundle
from agent.bundle.heads import judged_heads
from agent.bundle.manifest import Manifest
from agent.judge.threshold import Basis, Budget, Chosen, Judged, findings
from agent.replay.inline import PlayedDevice
from agent.score.age_only import choose_age, warned_by_age
from agent.score.alarm_load import AlarmLoads, alarm_loads
from agent.score.early_warning import (
    EarlyWarning,
    Float64,
    ObservedDevice,
    Spell,
    measure,
    observed_device,
    spells_of,
)
from agent.score.fault_intervals import FaultDetection, LabelledDevice
from agent.score.fault_intervals import measure as measure_faults
from agent.words import AlertEvent, AlertHead, FirstSeen, Float32, Quality

SCHEMA_VERSION = 1
Through = Literal["inline", "mqtt"]


class BundleName(msgspec.Struct, frozen=True):
    """Which bundle was played, and how exact its numbers are."""

    name: str
    version: str
    digest: str
    numerics: Literal["exact", "tolerance"]
    trained_for: Literal["from_new", "joined"]


class Limit(msgspec.Struct, frozen=True):
    """The budget and the threshold that keeps to it.

    calibrated_rate_per_s  false alarms that the bundle's calibration devices gave at the threshold
    extrapolated           those devices cannot vouch for the budget
    finest_budget          the finest one that they can vouch for
    warned_of, failures    of their failures so many were warned of at the threshold; failures null: an older bundle
    by_chance              of them as many alarms at random times would warn of; null where nobody can say
    alarm_share            share of their time that a false alarm stood; null: an older bundle
    time_in_alarm_max      share of it that was allowed
    basis                  what the threshold was chosen from
    verdict                all that in words
    """

    budget: str
    rate_per_s: float
    threshold: float
    calibrated_rate_per_s: float
    extrapolated: bool
    finest_budget: str
    warned_of: int
    failures: int | None
    by_chance: float | None
    alarm_share: float | None
    time_in_alarm_max: float
    basis: Basis
    verdict: str

    @classmethod
    def of(cls, budget: Budget, chosen: Chosen) -> Self:
        return cls(
            budget=budget.text,
            rate_per_s=budget.rate_per_s,
            threshold=chosen.threshold,
            calibrated_rate_per_s=chosen.rate_per_s,
            **findings(chosen),
        )


class Timeline(msgspec.Struct, frozen=True):
    """One device: a value a row in each list, and its alert events. float32 values read back to the same bits.

    faults_s  start and end of each labelled fault
    anomaly   negative while the device is learnt; empty where the bundle has no such head, as `risk` and `rul_s` are
    """

    device: str
    t_fail_s: float | None
    faults_s: tuple[tuple[float, float], ...]
    t_s: tuple[float, ...]
    quality: tuple[str, ...]
    risk: tuple[tuple[float, ...], ...]
    rul_s: tuple[tuple[float, ...], ...]
    anomaly: tuple[float, ...]
    events: tuple[AlertEvent, ...]


class AgeOnly(msgspec.Struct, frozen=True):
    """The detector that knows only age: what it warned at, and how it did on the same devices."""

    age_s: float
    early_warning: EarlyWarning


class HeadFigures(msgspec.Struct, frozen=True, kw_only=True):
    """What the alerts of one head were worth, each beside its own limit.

    judged_horizon_s  of `risk`; 0 for another head
    early_warning     against failures; an alert that told of a labelled fault is none of its false alarms
    fault_intervals   against labelled fault intervals; null where nobody gave any
    """

    head: AlertHead
    limit: Limit
    judged_horizon_s: float
    early_warning: EarlyWarning
    age_only: AgeOnly
    fault_intervals: FaultDetection | None


class Replay(HeadFigures, frozen=True, kw_only=True):
    """All of `replay.json`. Times are seconds, or cycles where time_unit is `cycle`.

    The figures are those of the first head that the bundle has; `other_heads` has those of the others. `alarm_load` is
    of all heads and devices together; null in cycles, which are no time that devices have in common.
    """

    schema_version: int
    bundle: BundleName
    through: Through
    first_seen: FirstSeen
    time_unit: Literal["s", "cycle"]
    horizons_s: tuple[float, ...]
    quantiles: tuple[float, ...]
    rows: int
    rows_by_quality: dict[str, int]
    devices: tuple[Timeline, ...]
    other_heads: tuple[HeadFigures, ...]
    alarm_load: AlarmLoads | None


def by_head(replay: Replay) -> dict[AlertHead, Replay]:
    """The replay once for each head that is judged, with that one's figures in the place of the first one's."""
    views = {replay.head: replay}
    for other in replay.other_heads:
        figures = {name: getattr(other, name) for name in HeadFigures.__struct_fields__}
        views[other.head] = msgspec.structs.replace(replay, **figures, other_heads=())
    return views


@dataclass(frozen=True, slots=True)
class Truth:
    """What became of the devices that were played, by name.

    t_fail_s  of every device; None for one that did not fail
    faults    float64 [n, 2] of a device: labelled fault intervals, rising; None where nobody gave any
    """

    t_fail_s: Mapping[str, float | None]
    faults: Mapping[str, Float64] | None = None

    def faults_of(self, device: str) -> Float64:
        """float64 [n, 2]; n is 0 for a device without a fault."""
        return (self.faults or {}).get(device, np.empty((0, 2)))


def assess(
    bundle: Bundle,
    through: Through,
    judged: Mapping[AlertHead, Judged],
    played: Sequence[PlayedDevice],
    truth: Truth,
    *,
    first_seen: FirstSeen = "unknown",
) -> Replay:
    """Measure what was played, with devices `first_seen` so and each head at its threshold, against the truth."""
    manifest = bundle.manifest
    first, *others = (_figures(manifest, head, one, played, truth) for head, one in judged.items())
    qualities = Counter(name for one in played for name in _names(one))
    return Replay(
        **{name: getattr(first, name) for name in HeadFigures.__struct_fields__},
        schema_version=SCHEMA_VERSION,
        bundle=BundleName(manifest.name, manifest.version, bundle.digest, manifest.numerics.kind, manifest.trained_for),
        through=through,
        first_seen=first_seen,
        time_unit=manifest.time_unit,
        horizons_s=manifest.horizons_s,
        quantiles=manifest.rul.quantiles if manifest.rul else (),
        rows=sum(len(one.t_ns) for one in played),
        rows_by_quality={quality.name.lower(): qualities[quality.name.lower()] for quality in Quality},
        devices=tuple(_timeline(one, truth) for one in played),
        other_heads=tuple(others),
        alarm_load=_alarm_loads(played) if manifest.time_unit == "s" else None,
    )


def _alarm_loads(played: Sequence[PlayedDevice]) -> AlarmLoads:
    raised_s = [event.t_ns / 1e9 for one in played for event in one.events if event.kind in ("raised", "recurred")]
    watched_s = [float(one.watched_ns[place]) / 1e9 for one in played if len(one.watched_ns) for place in (0, -1)]
    return alarm_loads(raised_s, min(watched_s, default=0.0), max(watched_s, default=0.0))


def _figures(
    manifest: Manifest, head: AlertHead, judged: Judged, played: Sequence[PlayedDevice], truth: Truth
) -> HeadFigures:
    policy, table = manifest.judging[head]
    windows = {"h_max_s": table.h_max_s, "h_min_s": table.h_min_s}
    devices = [observed(one, head, manifest, truth.t_fail_s[one.device]) for one in played]
    fleet = [_less_told(one, truth.faults_of(one.device), table.h_max_s) for one in devices]
    age_s = choose_age(manifest.lives_s, manifest.unfailed_s, judged.budget, **windows).threshold
    born_s = [float(one.watched_ns[0]) / 1e9 - manifest.cadence.every_s for one in played]
    faults = None
    if truth.faults is not None:
        labelled = [_labelled(one, truth.faults_of(one.device), table.h_max_s) for one in devices]
        faults = measure_faults(labelled, h_max_s=table.h_max_s, early_s=table.h_max_s)
    return HeadFigures(
        head=head,
        limit=Limit.of(judged.budget, judged.chosen),
        judged_horizon_s=manifest.horizons_s[policy.horizon] if head == "risk" else 0.0,
        early_warning=measure(fleet, **windows),
        age_only=AgeOnly(age_s, measure(warned_by_age(fleet, age_s, table.h_max_s, born_s), **windows)),
        fault_intervals=faults,
    )


def observed(played: PlayedDevice, head: AlertHead, manifest: Manifest, t_fail_s: float | None) -> ObservedDevice:
    """The device from the first row on of which the head says something: it can give no alarm while it learns."""
    is_ready = judged_heads(manifest)[head].is_ready
    watched_ns = played.watched_ns
    if is_ready is not None:
        ready = is_ready(played.outputs[head])
        watched_ns = watched_ns[watched_ns >= played.t_ns[ready.argmax() if ready.any() else -1]]
    spells = spells_of([event for event in played.events if event.head == head])
    every_s = manifest.cadence.every_s
    return observed_device(played.device, watched_ns / 1e9, every_s, t_fail_s, spells, played.stops)


def _less_told(device: ObservedDevice, faults: Float64, h_max_s: float) -> ObservedDevice:
    """Without the alerts that told of a labelled fault, too early for a failure: they are no false alarms."""
    opens_s = device.t_fail_s - h_max_s
    spells = tuple(one for one in device.spells if one.raised_s >= opens_s or not _told(one, faults, h_max_s))
    return replace(device, spells=spells)


def _labelled(device: ObservedDevice, faults: Float64, h_max_s: float) -> LabelledDevice:
    """Without the alerts that told of its failure and of no labelled fault."""
    opens_s = device.t_fail_s - h_max_s
    spells = tuple(one for one in device.spells if one.raised_s < opens_s or _told(one, faults, h_max_s))
    return LabelledDevice(device.device, device.start_s, device.end_s, faults, spells, device.stops)


def _told(spell: Spell, faults: Float64, early_s: float) -> bool:
    return bool(((faults[:, 0] - early_s <= spell.raised_s) & (spell.raised_s < faults[:, 1])).any())


def judged_values(replay: Replay, timeline: Timeline) -> tuple[float, ...]:
    """What the head that is measured said of each row: the judged risk, or `anomaly`."""
    if replay.head == "anomaly":
        return timeline.anomaly
    judged = replay.horizons_s.index(replay.judged_horizon_s)
    return tuple(risk[judged] for risk in timeline.risk)


def as_json(replay: Replay) -> bytes:
    """The bytes of `replay.json`."""
    return msgspec.json.encode(replay) + b"\n"


def _timeline(played: PlayedDevice, truth: Truth) -> Timeline:
    return Timeline(
        device=played.device,
        t_fail_s=truth.t_fail_s[played.device],
        faults_s=tuple(map(tuple, truth.faults_of(played.device).tolist())),
        t_s=tuple((played.t_ns / 1e9).tolist()),
        quality=tuple(_names(played)),
        risk=_short(played.risk),
        rul_s=_short(played.rul),
        anomaly=tuple(value for (value,) in _short(played.outputs.get("anomaly", np.empty((0, 1), np.float32)))),
        events=played.events,
    )


def _names(played: PlayedDevice) -> list[str]:
    return [Quality(quality).name.lower() for quality in played.quality.tolist()]


def _short(values: Float32) -> tuple[tuple[float, ...], ...]:
    """The float64 with the fewest digits that rounds to each float32: half the bytes in JSON."""
    return tuple(map(tuple, values.astype(np.str_).astype(np.float64).tolist()))
