"""A bundle beside the baselines: the same devices to learn from, the same budget, the same judge, the same measures.

Scores of a baseline go through the agent's own judge (m of n, clear rule and windows of the bundle's manifest) at many
thresholds, and the budget chooses one as it chose the bundle's. The result is measured on the played devices.

A baseline is fitted, tuned and given its threshold on the devices that the bundle was fitted *and* calibrated on:
eighty lives hold a budget better than ten. It has so few parameters that they cannot learn a device by heart, or it is
fitted across folds (`trainer/baselines/cross_fit.py`). Only the bundle has to keep its calibration devices apart.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from agent.bundle.manifest import Manifest
from agent.judge.threshold import Budget, Chosen, choose
from agent.replay.inline import PlayedDevice
from agent.score.age_only import choose_age, warned_by_age
from agent.score.early_warning import EarlyWarning, ObservedDevice, observed_device
from agent.words import AlertHead
from trainer.baselines import IN_USE
from trainer.baselines.scorer import Baseline, Scorer, Task
from trainer.baselines.tune import tuned
from trainer.data.history import History
from trainer.evaluation.playback import fleet_of
from trainer.evaluation.threshold_sweep import (
    Rules,
    alerts_at,
    early_warning,
    mean_lead_at_budget,
    rules_of,
    table_over,
)

AGE = "age"
RIVALS = (*IN_USE, AGE)
"""What `evaluate` sets beside a bundle: what a plant has already, and the calendar, which is that of replay."""


@dataclass(frozen=True, slots=True)
class MethodResult:
    """One method on the played devices, at the threshold chosen for the budget.

    setting, n_tried  of its own parameters: the one that was taken, and how many were tried; "" and 0 of a bundle
    """

    chosen: Chosen
    fleet: tuple[ObservedDevice, ...]
    early_warning: EarlyWarning
    setting: str = ""
    n_tried: int = 0


def bundle_result(
    manifest: Manifest,
    chosen: Chosen,
    played: Sequence[PlayedDevice],
    histories: Sequence[History],
    head: AlertHead = "risk",
) -> MethodResult:
    """A bundle's own result for one head: `played` are the `histories` as its graph scored them at the threshold."""
    fleet = fleet_of(manifest, played, histories, head)
    return MethodResult(chosen, fleet, early_warning(fleet, rules_of(manifest, head)))


def rival_result(
    name: str,
    manifest: Manifest,
    tuning: Sequence[History],
    played: Sequence[History],
    budget: Budget,
    head: AlertHead = "risk",
) -> MethodResult:
    """One of RIVALS: fitted to `tuning`, the devices that the bundle was fitted and calibrated on, and played under the
    rules of a head.
    """
    rules = rules_of(manifest, head)
    if name == AGE:
        return age_result(manifest, rules, played, budget)
    return baseline_result(IN_USE[name], rules, tuning, played, budget)


def age_result(manifest: Manifest, rules: Rules, played: Sequence[History], budget: Budget) -> MethodResult:
    """The calendar of `agent/score/age_only.py`; it knows of the other devices what the manifest does: their lives."""
    windows = {"h_max_s": rules.h_max_s, "h_min_s": rules.h_min_s}
    chosen = choose_age(manifest.lives_s, manifest.unfailed_s, budget, **windows)
    devices = [
        observed_device(history.device, history.watched_s, rules.every_s, history.t_fail, (), history.stops)
        for history in played
    ]
    fleet = tuple(warned_by_age(devices, chosen.threshold, rules.h_max_s))
    return MethodResult(chosen, fleet, early_warning(fleet, rules))


def baseline_result(
    baseline: Baseline,
    rules: Rules,
    tuning: Sequence[History],
    played: Sequence[History],
    budget: Budget,
    *,
    knows_age: bool = False,
    seed: int = 0,
) -> MethodResult:
    """A method that scores rows: fitted to `tuning`, given its threshold there, and played.

    knows_age  are all histories those of devices known to be new? Raises DataRefused where it cannot be fitted.
    """

    def objective(scorer: Scorer) -> float:
        return mean_lead_at_budget([scorer.score(history) for history in tuning], tuning, rules, budget)

    task = Task(rules.every_s, rules.h_max_s, objective, knows_age=knows_age, seed=seed)
    best = tuned(baseline, tuning, task)
    chosen = choose(table_over([best.scorer.score(history) for history in tuning], tuning, rules), budget)
    scores = [best.scorer.score(history) for history in played]
    (fleet,) = alerts_at([chosen.threshold], scores, played, rules)
    return MethodResult(chosen, fleet, early_warning(fleet, rules), best.setting, best.n_tried)
