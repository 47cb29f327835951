"""What a replay found, as `replay.json` holds it and the report shows it. docs/replay.md describes the fields.

Nothing in it depends on the way the messages took or on the wall clock, but `through`: an inline replay and one
through a broker write the same file.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Literal, Self

import msgspec
import numpy as np

from agent.bundle.file import Bundle
from agent.judge.threshold import Basis, Budget, Chosen, verdict
from agent.replay.inline import PlayedDevice
from agent.score.age_only import choose_age, warned_by_age
from agent.score.early_warning import EarlyWarning, measure, observed_device, spells_of
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
            extrapolated=chosen.extrapolated,
            finest_budget=chosen.finest_budget,
            warned_of=chosen.warned_of,
            failures=chosen.failures,
            alarm_share=chosen.alarm_share,
            time_in_alarm_max=chosen.time_in_alarm_max,
            basis=chosen.basis,
            verdict=verdict(chosen),
        )


class Timeline(msgspec.Struct, frozen=True):
    """One device: a value a row in each list, and its alert events. float32 values read back to the same bits.

    anomaly  negative while the device is learnt; empty where the bundle has no such head, as `risk` and `rul_s` are
    """

    device: str
    t_fail_s: float | None
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


class Replay(msgspec.Struct, frozen=True):
    """All of `replay.json`. Times are seconds, or cycles where time_unit is `cycle`.

    head              whose alerts are measured, by its limit: the first that the bundle has
    judged_horizon_s  of `risk`; 0 where it has none
    """

    schema_version: int
    bundle: BundleName
    through: Through
    first_seen: FirstSeen
    time_unit: Literal["s", "cycle"]
    head: AlertHead
    limit: Limit
    horizons_s: tuple[float, ...]
    judged_horizon_s: float
    quantiles: tuple[float, ...]
    rows: int
    rows_by_quality: dict[str, int]
    early_warning: EarlyWarning
    age_only: AgeOnly
    devices: tuple[Timeline, ...]


def assess(
    bundle: Bundle,
    through: Through,
    budget: Budget,
    chosen: Chosen,
    played: Sequence[PlayedDevice],
    truth: Mapping[str, float | None],
    *,
    first_seen: FirstSeen = "unknown",
) -> Replay:
    """Measure what was played, with devices `first_seen` so, against the truth, which has an entry for every device."""
    manifest = bundle.manifest
    (head, (policy, table)), *_ = manifest.judging.items()
    fleet = [
        observed_device(
            one.device,
            one.t_ns / 1e9,
            manifest.cadence.every_s,
            truth[one.device],
            spells_of([event for event in one.events if event.head == head]),
        )
        for one in played
    ]
    windows = {"h_max_s": table.h_max_s, "h_min_s": table.h_min_s}
    age_s = choose_age(manifest.lives_s, manifest.unfailed_s, budget, **windows).threshold
    qualities = Counter(name for one in played for name in _names(one))
    return Replay(
        schema_version=SCHEMA_VERSION,
        bundle=BundleName(manifest.name, manifest.version, bundle.digest, manifest.numerics.kind, manifest.trained_for),
        through=through,
        first_seen=first_seen,
        time_unit=manifest.time_unit,
        head=head,
        limit=Limit.of(budget, chosen),
        horizons_s=manifest.horizons_s,
        judged_horizon_s=manifest.horizons_s[policy.horizon] if head == "risk" else 0.0,
        quantiles=manifest.rul.quantiles if manifest.rul else (),
        rows=sum(len(one.t_ns) for one in played),
        rows_by_quality={quality.name.lower(): qualities[quality.name.lower()] for quality in Quality},
        early_warning=measure(fleet, **windows),
        age_only=AgeOnly(age_s, measure(warned_by_age(fleet, age_s, table.h_max_s), **windows)),
        devices=tuple(_timeline(one, truth[one.device]) for one in played),
    )


def judged_values(replay: Replay, timeline: Timeline) -> tuple[float, ...]:
    """What the head that is measured said of each row: the judged risk, or `anomaly`."""
    if replay.head == "anomaly":
        return timeline.anomaly
    judged = replay.horizons_s.index(replay.judged_horizon_s)
    return tuple(risk[judged] for risk in timeline.risk)


def as_json(replay: Replay) -> bytes:
    """The bytes of `replay.json`."""
    return msgspec.json.encode(replay) + b"\n"


def _timeline(played: PlayedDevice, t_fail_s: float | None) -> Timeline:
    return Timeline(
        device=played.device,
        t_fail_s=t_fail_s,
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
