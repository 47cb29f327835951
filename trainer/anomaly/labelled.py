"""Labelled machines choose among a few sets of charts, by how much of their faults each would have warned of.

Faults that come and stay are seen by charts that remember; bursts in noise that hangs together, by what one row does
that nobody expected. A chart of the wrong kind is noise, and the maximum over charts has all of it; the plant's own
limits may be all that its faults need. But labels of a few machines choose badly (of 36 charts, six servers chose a
worse one than a bank that was fixed beforehand has). So there are few sets: the bank, its parts, and what a plant has
without it; and the bank stays unless another is better by more than the machines differ.

What counts is what a user gets: alerts, at the threshold that the budget allows on normal time, or the finest budget
that this time can vouch for. How faulty rows rank
among all rows says less: of a slow cycle's change they ranked a set first that warned of nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from agent.judge.threshold import Budget, choose, vouched_for
from agent.score import fault_intervals
from trainer.data.history import Float64, History
from trainer.evaluation.interval_table import first_judged_s, labelled
from trainer.evaluation.normal_table import normal_table
from trainer.evaluation.threshold_sweep import Rules, alerts_at, early_warning

MACHINES_MIN = 3
"""Fewer labelled machines do not say how much machines differ."""
ERRORS_MIN = 0.5
"""Standard errors of the mean difference, over machines, by which another set must be better than the bank."""


@dataclass(frozen=True, slots=True)
class SetChoice:
    """The name of the chosen set, and the mean share of the faults that each warns of, over n labelled machines."""

    name: str
    warned: Mapping[str, float]
    n_machines: int


def choose_set(warned: Mapping[str, Float64]) -> SetChoice:
    """The set that warns of more than the first one beyond chance; the first where few machines are labelled.

    warned  by set, float64 [machines]: share of the machine's faults that it warned of, NaN where it has none
    """
    first, *others = warned
    counts = np.isfinite(warned[first])
    n = int(counts.sum())
    means = {name: float(shares[counts].mean()) for name, shares in warned.items()} if n else {}
    better = [name for name in others if is_better((warned[name] - warned[first])[counts])]
    return SetChoice(max(better, key=means.__getitem__, default=first), means, n)


def is_better(differences: Float64) -> bool:
    """Do machines, float64 [n], say that what one set has more than another is not chance alone?"""
    n = len(differences)
    return n >= MACHINES_MIN and bool(differences.mean() > ERRORS_MIN * differences.std(ddof=1) / n**0.5)


def warned_shares(
    normal: Sequence[Float64],
    normal_of: Sequence[History],
    scores: Sequence[Float64],
    histories: Sequence[History],
    rules: Rules,
    budget: Budget,
) -> Float64:
    """Share of the faults of each machine that is warned of, float64 [machines], in the order of their first history.

    normal     float64 [T] of each calibration history, NaN for rows that are not normal: they give the threshold
    scores     float64 [T] of each labelled history, NaN for a row that is not judged

    Of a failure it is the lead over h_max, of a fault interval the part of it after the first alert; 0 where an alert
    stood before, since that would be a false alarm. NaN for a machine none of whose faults can be judged.
    """
    table = normal_table(normal, normal_of, rules)
    threshold = choose(table, vouched_for(budget, table)).threshold
    (fleet,) = alerts_at([threshold], scores, histories, rules)
    shares: dict[str, list[float]] = {}
    for device, score, history in zip(fleet, scores, histories, strict=True):
        of_machine = shares.setdefault(history.owner, [])
        if history.failed:
            (one,) = early_warning([device], rules).devices
            if one.outcome in ("detected", "missed"):
                of_machine.append(one.lead_s / rules.h_max_s if one.outcome == "detected" else 0.0)
        else:
            told = labelled(device, history, first_judged_s(score, history, rules.every_s))
            for fault in fault_intervals.measure([told], h_max_s=rules.h_max_s).intervals:
                if fault.outcome != "cut_off":
                    found = fault.outcome == "detected"
                    of_machine.append(1 - fault.delay_s / (fault.end_s - fault.start_s) if found else 0.0)
    return np.array([float(np.mean(of)) if of else np.nan for of in shares.values()])
