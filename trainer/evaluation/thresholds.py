"""The table of the agent's own alerts at each threshold over the calibration devices."""

import math
from collections.abc import Sequence

import numpy as np

from agent.bundle.file import Bundle
from agent.bundle.manifest import Manifest, ThresholdRow, ThresholdTable
from agent.judge.threshold import choose, default_budget, parse_budget, verdict
from agent.score.early_warning import EarlyWarning
from agent.score.time_unit import unit_of
from trainer.data.history import History
from trainer.evaluation.playback import early_warning, play

ODDS_MIN, ODDS_MAX = -4.0, 6.0
"""Log-odds of the lowest and highest threshold: a risk of two in a hundred, and one where false alarms thin out."""


def threshold_table(bundle: Bundle, histories: Sequence[History], n: int) -> ThresholdTable:
    """Run the core over `histories` once for each of n thresholds, under the bundle's policy and windows."""
    tried = thresholds(n)
    found = [early_warning(bundle, play(bundle, bundle.model, histories, one), histories) for one in tried]
    return table_of(tried, found)


def table_of(tried: Sequence[float], found: Sequence[EarlyWarning]) -> ThresholdTable:
    """Thresholds, rising, beside what was found at each of them over the same devices."""
    rows = tuple(
        ThresholdRow(
            threshold=threshold,
            false_alarms=one.false_alarms,
            rate_upper95_per_s=one.false_alarms_per_s_upper95,
            detected=one.strict.detected,
            mean_lead_s=one.strict.mean_lead_s,
            false_alarm_s=one.false_alarm_s,
        )
        for threshold, one in zip(tried, found, strict=True)
    )
    first = found[0]
    return ThresholdTable(
        first.h_max_s, first.h_min_s, first.exposure_s, len(first.devices), rows, failures=first.failures
    )


def decision(manifest: Manifest) -> str:
    """What the default budget comes to with this bundle, and the finest one that its devices can vouch for."""
    text = default_budget(manifest.time_unit)
    first = choose(manifest.thresholds, parse_budget(text, fleet_size=0))
    told = decision_at(manifest, text)
    if first.extrapolated:
        finest = choose(manifest.thresholds, parse_budget(first.finest_budget, fleet_size=0))
        advice = f'Set model.budget = "{first.finest_budget}" in the agent, or train' if finest.warned_of else "Train"
        told += f"\n{decision_at(manifest, first.finest_budget)}\n{advice} on more devices."
    return told


def decision_at(manifest: Manifest, budget: str) -> str:
    """One line: the threshold that the budget chooses, and what that was worth to the calibration devices."""
    table = manifest.thresholds
    chosen = choose(table, parse_budget(budget, fleet_size=0))
    lead_s = next(row.mean_lead_s for row in table.rows if row.threshold == chosen.threshold)
    lead = f"mean lead {unit_of(manifest).text(lead_s)}"
    return f'budget "{budget}": threshold {chosen.threshold:.4f}, {lead}; {verdict(chosen)}'


def thresholds(n: int) -> list[float]:
    """n thresholds, even in log-odds, as float32 holds them."""
    return [float(np.float32(1 / (1 + math.exp(-odds)))) for odds in np.linspace(ODDS_MIN, ODDS_MAX, n).tolist()]
