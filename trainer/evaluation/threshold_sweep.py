"""One threshold sweep: devices are played once, and the agent's own judge then takes every threshold side by side.

A slot of the judge's evidence is a pair of threshold and device, and each row of a batch has its own threshold; rows do
not depend on each other (law 2), so a sweep says to the bit what playing at each threshold would say. Scores of a
bundle and of a baseline go the same way. The thresholds of a bundle are even in log-odds; those of a score without a
scale follow its own distribution.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from agent.bundle.file import Bundle
from agent.bundle.heads import HEADS
from agent.bundle.manifest import JudgePolicy, Manifest, ThresholdRow, ThresholdTable
from agent.judge.evidence import Evidence, JudgeRules, judge
from agent.judge.threshold import ROUNDING, Basis, Budget, choose
from agent.replay.inline import PlayedDevice
from agent.score.early_warning import EarlyWarning, ObservedDevice, Spell, measure, observed_device
from agent.words import AlertHead, Quality
from trainer.data.history import Float64, History
from trainer.evaluation.playback import NEVER, play

ODDS_MIN, ODDS_MAX = -4.0, 6.0
"""Log-odds of a bundle's lowest and highest threshold: a risk of 0.02, and one at which false alarms are few."""
TAIL_MAX = 0.5
"""The lowest threshold that is tried on a score without a scale is exceeded by this share of the rows."""

BEYOND = (1.05, 1.25, 1.5, 2.0, 4.0)
"""Thresholds above the highest score of normal time, as multiples of it."""


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


def rules_of(manifest: Manifest, head: AlertHead = "risk") -> Rules:
    """The rules that a head of a bundle was measured by."""
    policy, table = manifest.judging[head]
    return Rules(policy, manifest.cadence.every_s, table.h_max_s, table.h_min_s, len(table.rows))


def early_warning(fleet: Sequence[ObservedDevice], rules: Rules) -> EarlyWarning:
    """The early-warning score under the windows of the rules."""
    return measure(fleet, h_max_s=rules.h_max_s, h_min_s=rules.h_min_s)


def threshold_table(bundle: Bundle, histories: Sequence[History], n: int) -> ThresholdTable:
    """Play `histories` through the core once, and judge at n thresholds under the bundle's policy and windows."""
    played = play(bundle, bundle.model, histories, NEVER)
    scores = [judged_scores(one, "risk", bundle.manifest.judging["risk"].policy) for one in played]
    return table_at(thresholds_even_in_log_odds(n), scores, histories, rules_of(bundle.manifest))


def table_over(scores: Sequence[Float64], histories: Sequence[History], rules: Rules) -> ThresholdTable:
    """The same of scores without a scale, at as many thresholds as the rules ask for. Scores as in `alerts_at`."""
    return table_at(thresholds_of_scores(scores, rules.n_thresholds), scores, histories, rules)


def mean_lead_at_budget(scores: Sequence[Float64], histories: Sequence[History], rules: Rules, budget: Budget) -> float:
    """Mean lead in seconds (strict) at the threshold that the budget chooses over the same devices, 0 where not even
    the highest keeps to it. Scores as in `alerts_at`.
    """
    return mean_lead_at(table_over(scores, histories, rules), budget)


def mean_lead_at(table: ThresholdTable, budget: Budget) -> float:
    """Mean lead in seconds at the threshold that the budget chooses, 0 where not even the highest keeps to it, or where
    nothing is known of what it warns of.
    """
    chosen = choose(table, budget)
    if chosen.rate_per_s > budget.rate_per_s * (1 + ROUNDING) or chosen.stands_too_long:
        return 0.0
    return next(row.mean_lead_s for row in table.rows if row.threshold == chosen.threshold)


def table_at(
    thresholds: Sequence[float], scores: Sequence[Float64], histories: Sequence[History], rules: Rules
) -> ThresholdTable:
    """What the judge makes of the same devices at each of the thresholds, which rise."""
    results = [early_warning(fleet, rules) for fleet in alerts_at(thresholds, scores, histories, rules)]
    return table_of(thresholds, results, failures=results[0].failures)


def table_of(
    thresholds: Sequence[float], results: Sequence[EarlyWarning], *, failures: int, basis: Basis = "failures"
) -> ThresholdTable:
    """The results at rising thresholds over the same devices, as a bundle keeps them."""
    rows = tuple(
        ThresholdRow(
            threshold=threshold,
            false_alarms=result.false_alarms,
            rate_upper95_per_s=result.false_alarms_per_s_upper95,
            detected=result.strict.detected,
            mean_lead_s=result.strict.mean_lead_s if result.failures else 0.0,
            false_alarm_s=result.false_alarm_s,
        )
        for threshold, result in zip(thresholds, results, strict=True)
    )
    first = results[0]
    return ThresholdTable(
        first.h_max_s, first.h_min_s, first.exposure_s, len(first.devices), rows, failures=failures, basis=basis
    )


def judged_scores(played: PlayedDevice, head: AlertHead, policy: JudgePolicy) -> Float64:
    """float64 [T]: what the judge compares of a head, NaN for a row that it does not count (law 4), be it that the head
    still warms up.
    """
    output, judged = played.outputs[head], HEADS[head].judged
    assert judged is not None
    counts = played.quality == Quality.OK
    if judged.is_ready is not None:
        counts &= judged.is_ready(output)
    return np.where(counts, judged.value(output, policy), np.nan).astype(np.float64)


def thresholds_even_in_log_odds(n: int) -> list[float]:
    """n thresholds of a probability, rising, as float32 holds them."""
    return [float(np.float32(1 / (1 + math.exp(-odds)))) for odds in np.linspace(ODDS_MIN, ODDS_MAX, n).tolist()]


def thresholds_of_scores(scores: Sequence[Float64], n: int) -> list[float]:
    """At most n thresholds > 0, rising, as float32 holds them.

    From the highest score down to its median, each exceeded by the same factor more of the rows: dense where alarms
    are rare. A method that never scored above 0 gets 1.0.
    """
    rows = np.concatenate(scores)
    rows = rows[np.isfinite(rows)]
    tails = np.geomspace(TAIL_MAX, 1 / max(len(rows), 2), n)
    tried = np.unique(np.quantile(rows, 1 - tails).astype(np.float32)) if len(rows) else np.empty(0, np.float32)
    return [float(threshold) for threshold in tried[tried > 0]] or [1.0]


def thresholds_beyond(normal: Sequence[Float64], n: int) -> list[float]:
    """Thresholds that follow the scores of normal rows, and some above the highest: an alert there was never seen."""
    thresholds = thresholds_of_scores(normal, max(n - len(BEYOND), 2))
    return thresholds + beyond(thresholds[-1])


def beyond(highest: float) -> list[float]:
    return [float(np.float32(highest * factor)) for factor in BEYOND]


def alerts_at(
    thresholds: Sequence[float], scores: Sequence[Float64], histories: Sequence[History], rules: Rules
) -> list[tuple[ObservedDevice, ...]]:
    """The alerts that the agent's judge would raise and clear at each of the thresholds, a fleet each.

    scores  float64 [T] a history, NaN where the judge does not count a row; compared as float32, as an agent's are
    """
    n_devices, n_slots = len(histories), len(thresholds) * len(histories)
    slots = np.arange(n_slots).reshape(len(thresholds), n_devices)
    threshold = np.repeat(np.array(thresholds, np.float32), n_devices)  # [slots]
    length = np.array([len(one) for one in scores])
    score = np.full((length.max(), n_devices), np.nan, np.float32)
    t_ns = np.zeros((length.max(), n_devices), np.int64)
    for column, (one, history) in enumerate(zip(scores, histories, strict=True)):
        score[: len(one), column], t_ns[: len(one), column] = one, history.t_ns
    quality = np.where(np.isnan(score), Quality.OUT_OF_DOMAIN, Quality.OK).astype(np.uint8)
    evidence = Evidence.empty(n_slots)
    spells: list[list[Spell]] = [[] for _ in range(n_slots)]
    for row in range(length.max()):
        batch = slots[:, length > row].ravel()
        device = batch % n_devices
        value, level = score[row, device], np.zeros(len(batch), np.uint8)
        times, qualities = t_ns[row, device], quality[row, device]
        verdict = judge(evidence, batch, times, qualities, value, level, threshold[batch], JudgeRules(rules.policy))
        for slot in batch[verdict.raised].tolist():
            spells[slot].append(Spell(int(t_ns[row, slot % n_devices]) / 1e9))
        for slot in batch[verdict.cleared].tolist():
            spells[slot][-1] = Spell(spells[slot][-1].raised_s, int(t_ns[row, slot % n_devices]) / 1e9)
    clocks = [(history.watched_s, history.stops) for history in histories]
    return [
        tuple(
            observed_device(history.device, t_s, rules.every_s, history.t_fail, spells[slot], stops)
            for history, (t_s, stops), slot in zip(histories, clocks, fleet, strict=True)
        )
        for fleet in slots.tolist()
    ]
