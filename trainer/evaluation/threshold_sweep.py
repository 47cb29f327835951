"""Scores through the agent's own judge, at many thresholds side by side: what warnings from them are worth.

The rules come from a bundle's manifest, or from a config while there is no bundle yet.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from agent.bundle.manifest import JudgePolicy, Manifest, ThresholdTable
from agent.judge.events import AlertEvents
from agent.judge.evidence import Evidence, judge
from agent.judge.threshold import ROUNDING, Budget, choose
from agent.score.early_warning import EarlyWarning, Watched, measure, watched
from agent.words import UNKNOWN_BUNDLE, AlertEvent, Quality, Scores
from trainer.config import Config
from trainer.data.history import Float64, History
from trainer.evaluation.thresholds import table_of

TAIL_MAX = 0.5
"""The lowest threshold that is tried is exceeded by this share of the rows."""


@dataclass(frozen=True, slots=True)
class Rules:
    """How scores become alerts, and which of those count.

    every_s           time between rows
    h_max_s, h_min_s  a true alert is raised so long before the fault at most, and at least
    n_thresholds      how many are tried
    """

    policy: JudgePolicy
    every_s: float
    h_max_s: float
    h_min_s: float
    n_thresholds: int


def rules_of(manifest: Manifest) -> Rules:
    table = manifest.thresholds
    return Rules(manifest.judge, manifest.cadence.every_s, table.h_max_s, table.h_min_s, len(table.rows))


def rules_by(config: Config) -> Rules:
    """Those of the bundle that the config will make."""
    asked = config.judge
    return Rules(policy_by(config), config.model.cadence, asked.h_max, asked.h_min, asked.thresholds)


def policy_by(config: Config) -> JudgePolicy:
    asked = config.judge
    return JudgePolicy(
        horizon=config.risk.horizons.index(asked.horizon),
        m=asked.m,
        n=asked.n,
        clear_ratio=asked.clear_ratio,
        clear_after_s=asked.clear_after,
        severity_risk=asked.severity_risk,
    )


def worth(scores: Sequence[Float64], histories: Sequence[History], rules: Rules, budget: Budget) -> float:
    """Mean lead in seconds (strict) at the threshold that the budget chooses over the same devices, 0 where not even
    the highest keeps to it. Scores as in `judged`.
    """
    table = table_over(scores, histories, rules)
    chosen = choose(table, budget)
    keeps = chosen.rate_per_s <= budget.rate_per_s * (1 + ROUNDING)
    return next(row.mean_lead_s for row in table.rows if row.threshold == chosen.threshold) if keeps else 0.0


def table_over(scores: Sequence[Float64], histories: Sequence[History], rules: Rules) -> ThresholdTable:
    """As many thresholds as the rules ask for, each with what the judge made of it over `histories`."""
    tried = thresholds(scores, rules.n_thresholds)
    return table_of(tried, [measured(fleet, rules) for fleet in judged(scores, histories, tried, rules)])


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
    scores: Sequence[Float64], histories: Sequence[History], tried: Sequence[float], rules: Rules
) -> list[tuple[Watched, ...]]:
    """What the agent's judge would have said of `histories` at each of the thresholds, all of them side by side.

    scores float64 [T] a history, NaN where a row says nothing. Every pair of threshold and history is a slot of the
    judge's evidence. One call has one threshold, so it is 1 and a score is divided by its own: float32 division
    rounds no score below its threshold up to 1.
    """
    policy, n_devices = rules.policy, len(histories)
    threshold = np.array(tried, np.float32)[:, None]  # [thresholds, 1]
    evidence = Evidence.empty(len(tried) * n_devices)
    alerts = AlertEvents(UNKNOWN_BUNDLE)
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
        unsaid = np.empty((len(slots), 0), np.float32)
        batch = Scores(device, np.zeros_like(device), names[device], t_ns[row, device], quality, risk, unsaid)
        verdict = judge(evidence, slots, batch.t_ns, quality, risk, 1.0, policy)
        events = alerts.decided(
            verdict, batch, slots, evidence, np.zeros_like(evidence.raised_epoch), lambda _: "recorded"
        )
        for slot, event in zip(slots[verdict.rows].tolist(), events, strict=True):
            told[slot].append(event)
    fleets = [told[start : start + n_devices] for start in range(0, len(told), n_devices)]
    return [
        tuple(
            watched(history.device, history.t_s, rules.every_s, history.t_fail, events)
            for history, events in zip(histories, fleet, strict=True)
        )
        for fleet in fleets
    ]


def measured(fleet: Sequence[Watched], rules: Rules) -> EarlyWarning:
    """The early-warning score under the windows of the rules."""
    return measure(fleet, h_max_s=rules.h_max_s, h_min_s=rules.h_min_s)
