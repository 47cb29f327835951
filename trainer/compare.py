"""A bundle beside the baselines: the same devices to learn from, the same budget, the same judge, the same measures.

Scores of a baseline go through the agent's own judge (m of n, clear rule and windows of the bundle's manifest) at many
thresholds, and the budget chooses one as it chose the bundle's; the played devices then tell.

A baseline is fitted, tuned and given its threshold on the devices that the bundle was fitted *and* calibrated on. It
has so few parameters that they cannot learn a device by heart, and eighty lives hold a budget better than ten. Only
the bundle has to keep its calibration devices apart.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from agent.bundle.manifest import Manifest, ThresholdTable
from agent.core.alerts import decided
from agent.judge.evidence import Evidence, judge
from agent.judge.threshold import Budget, Chosen, choose
from agent.replay.measure import EarlyWarning, Watched, measure, watched
from agent.replay.play import PlayedDevice
from agent.words import AlertEvent, Quality, Scores
from trainer.baselines import BASELINES
from trainer.baselines.scorer import Scorer, Task
from trainer.data.history import Float64, History
from trainer.played import fleet_of
from trainer.thresholds import table_of

TAIL_MAX = 0.5
"""The lowest threshold that is tried is exceeded by this share of the rows."""


@dataclass(frozen=True, slots=True)
class Warned:
    """One method on the played devices, at the threshold chosen for the budget."""

    chosen: Chosen
    fleet: tuple[Watched, ...]
    found: EarlyWarning


def warned(manifest: Manifest, chosen: Chosen, played: Sequence[PlayedDevice], histories: Sequence[History]) -> Warned:
    """The same of what a bundle's graph said of `histories` at the chosen threshold."""
    fleet = fleet_of(manifest, played, histories)
    return Warned(chosen, fleet, measured(fleet, manifest))


def baseline(
    name: str, manifest: Manifest, known: Sequence[History], played: Sequence[History], budget: Budget
) -> Warned:
    """One of BASELINES: fitted to `known`, given its threshold there, and played."""

    def worth(scorer: Scorer) -> float:
        table = threshold_table(scorer, known, manifest)
        chosen = choose(table, budget)
        keeps = chosen.rate_per_s <= budget.rate_per_s
        return next(row.mean_lead_s for row in table.rows if row.threshold == chosen.threshold) if keeps else 0.0

    horizon_s = manifest.risk.horizons_s[manifest.judge.horizon]
    scorer = BASELINES[name](known, Task(manifest.cadence.every_s, horizon_s, manifest.thresholds.h_max_s, worth))
    chosen = choose(threshold_table(scorer, known, manifest), budget)
    (fleet,) = judged([scorer.score(history) for history in played], played, [chosen.threshold], manifest)
    return Warned(chosen, fleet, measured(fleet, manifest))


def threshold_table(scorer: Scorer, histories: Sequence[History], manifest: Manifest) -> ThresholdTable:
    """As many thresholds as the bundle's own table has, each with what the judge made of it over `histories`."""
    scores = [scorer.score(history) for history in histories]
    tried = thresholds(scores, len(manifest.thresholds.rows))
    found = [measured(fleet, manifest) for fleet in judged(scores, histories, tried, manifest)]
    return table_of(tried, found)


def thresholds(scores: Sequence[Float64], n: int) -> list[float]:
    """At most n thresholds > 0, rising, as float32 holds them.

    From the highest score down to its median, each exceeded by the same factor more of the rows: dense where alarms
    are rare. A method that never scored above 0 gets 1.0.
    """
    rows = np.concatenate(scores)
    rows = rows[np.isfinite(rows)]
    tails = np.geomspace(TAIL_MAX, 1 / max(len(rows), 2), n)
    tried = np.unique(np.quantile(rows, 1 - tails).astype(np.float32)) if len(rows) else np.empty(0, np.float32)
    return [float(threshold) for threshold in tried[tried > 0]] or [1.0]


def judged(
    scores: Sequence[Float64], histories: Sequence[History], tried: Sequence[float], manifest: Manifest
) -> list[tuple[Watched, ...]]:
    """What the agent's judge would have said of `histories` at each of the thresholds, all of them side by side.

    scores float64 [T] a history, NaN where a row says nothing. Every pair of threshold and history is a slot of the
    judge's evidence. One call has one threshold, so it is 1 and a score is divided by its own: float32 division
    rounds no score below its threshold up to 1.
    """
    policy, n_devices = manifest.judge, len(histories)
    threshold = np.array(tried, np.float32)[:, None]  # [thresholds, 1]
    evidence = Evidence.empty(len(tried) * n_devices)
    told: list[list[AlertEvent]] = [[] for _ in range(len(tried) * n_devices)]
    length = np.array([len(one) for one in scores])
    score = np.full((length.max(), n_devices), np.nan, np.float32)
    t_ns = np.zeros((length.max(), n_devices), np.int64)
    for column, (one, history) in enumerate(zip(scores, histories, strict=True)):
        score[: len(one), column], t_ns[: len(one), column] = one, np.round(history.t_s * 1e9)
    names = np.array([history.device for history in histories], np.object_)
    for row in range(length.max()):
        there = np.flatnonzero(length > row)
        slots = (np.arange(len(tried))[:, None] * n_devices + there).ravel()
        device = slots % n_devices
        risk = np.repeat((score[row, there] / threshold).reshape(-1, 1), policy.horizon + 1, axis=1)
        quality = np.where(np.isnan(risk[:, 0]), Quality.OUT_OF_DOMAIN, Quality.OK).astype(np.uint8)
        batch = Scores(device, names[device], t_ns[row, device], quality, risk, np.empty((len(slots), 0), np.float32))
        verdict = judge(evidence, slots, batch.t_ns, quality, risk, 1.0, policy)
        events = decided(verdict, batch, slots, evidence, lambda _: "recorded")
        for slot, event in zip(slots[verdict.rows].tolist(), events, strict=True):
            told[slot].append(event)
    every_s = manifest.cadence.every_s
    fleets = [told[start : start + n_devices] for start in range(0, len(told), n_devices)]
    return [
        tuple(
            watched(history.device, history.t_s, every_s, history.t_fail, events)
            for history, events in zip(histories, fleet, strict=True)
        )
        for fleet in fleets
    ]


def measured(fleet: Sequence[Watched], manifest: Manifest) -> EarlyWarning:
    """The early-warning score under the windows of the manifest's table."""
    return measure(fleet, h_max_s=manifest.thresholds.h_max_s, h_min_s=manifest.thresholds.h_min_s)
