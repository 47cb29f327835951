"""Bundles beside the methods of `trainer/baselines`: the same devices, the same judge, the same budget, every seed."""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from tqdm import tqdm

from agent.bundle.file import Bundle
from agent.bundle.manifest import Manifest
from agent.errors import ConfigurationRefused, DataRefused
from agent.judge.threshold import Budget, choose
from agent.near import nearest
from agent.score.age_only import choose_age, warned_by_age
from agent.score.early_warning import observed_device
from agent.score.time_unit import Unit, unit_of
from agent.words import AlertHead, FirstSeen
from trainer.baselines.methods import BASELINES
from trainer.baselines.scorer import Scorer, Task
from trainer.baselines.tune import tuned
from trainer.comparison.figures import MethodFigures, figures_of
from trainer.comparison.trial import Trial, basis_of, n_detected_at_equal, table_of_scores, trial_of
from trainer.config import Config
from trainer.data.dataset import histories_of, parts_of
from trainer.data.history import Float64, History, digest_of
from trainer.evaluation.budget import budget_of
from trainer.evaluation.playback import NEVER, play
from trainer.evaluation.threshold_sweep import Rules, alerts_at, judged_scores, mean_lead_at, rules_of

AGE = "age"
METHODS = (*BASELINES, AGE)
OWN_ROWS = 20
"""First rows that teach a device's own scale, where no `anomaly` head says how many."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """What `forewarn-train compare` prints.

    rows      the bundle's heads first, then the methods
    left_out  methods that cannot be fitted to these devices, and why
    """

    name: str
    budget: Budget
    unit: Unit
    basis: str
    n_devices: int
    rows: tuple[MethodFigures, ...]
    left_out: dict[str, str]


@dataclass(frozen=True, slots=True)
class Devices:
    """Those that a method is fitted and tuned on, those that are played, and the rules for all."""

    manifest: Manifest
    rules: Rules
    tuning: tuple[History, ...]
    played: tuple[History, ...]
    budget: Budget
    first_seen: FirstSeen

    @property
    def own_rows(self) -> int:
        """First rows of a device that teach its own normal."""
        head = self.manifest.anomaly
        return OWN_ROWS if head is None else head.learning_rows

    @property
    def starts_s(self) -> Float64:
        """float64 [devices]: when each is judged from."""
        n_rows = 0 if self.manifest.anomaly is None else self.own_rows
        return np.array([one.t_s[min(n_rows, len(one.t_s) - 1)] - self.rules.every_s for one in self.played])


def compare(
    bundles: Sequence[Bundle],
    data: Path | None,
    *,
    budget: str = "",
    methods: Sequence[str] = METHODS,
    seeds: int = 5,
    first_seen: FirstSeen = "unknown",
) -> Comparison:
    """Bundles of one training configuration, one a seed, beside the methods.

    budget  "" is the default of the bundle's time unit. Raises DataRefused, ConfigurationRefused.
    """
    check_methods(methods)
    devices = devices_of(bundles, data, budget, first_seen)
    trials: dict[str, list[Trial]] = {
        head if len(devices.manifest.judging) > 1 else "lstm": [bundle_trial(one, head, devices) for one in bundles]
        for head in devices.manifest.judging
    }
    left_out: dict[str, str] = {}
    for name in tqdm(methods, "methods", disable=not sys.stderr.isatty()):
        try:
            trials[name] = list(method_trials(name, devices, seeds))
        except DataRefused as error:
            left_out[name] = error.what
    bundle = next(iter(trials.values()))
    manifest = devices.manifest
    return Comparison(
        name=f"{manifest.name} {manifest.version}",
        budget=devices.budget,
        unit=unit_of(manifest),
        basis=basis_of(devices.played),
        n_devices=len(devices.played),
        rows=tuple(figures_of(name, one, bundle) for name, one in trials.items()),
        left_out=left_out,
    )


def check_methods(names: Sequence[str]) -> None:
    """Raise ConfigurationRefused for a name that is no method."""
    for name in names:
        if name not in METHODS:
            near = nearest(name, METHODS)
            next_step = f"Did you mean {near}?" if near else f"There are {', '.join(METHODS)}."
            raise ConfigurationRefused("--methods", f"there is no method {name!r}", next_step=next_step)


def devices_of(bundles: Sequence[Bundle], data: Path | None, budget: str, first_seen: FirstSeen) -> Devices:
    """The devices of the bundles. Raises DataRefused for other data, ConfigurationRefused for other rules."""
    manifest = bundles[0].manifest
    config = Config.model_validate_json(manifest.created_from.config)
    recorded = histories_of(config, data)
    digest = digest_of(recorded)
    for bundle in bundles:
        if bundle.manifest.created_from.data_sha256 != digest:
            what = f"is not the data that {bundle.manifest.name} {bundle.manifest.version} was made from"
            raise DataRefused(
                data or "data", what, next_step="Its play devices would not be the ones it has never seen."
            )
        other = Config.model_validate_json(bundle.manifest.created_from.config)
        if (other.split, other.judge) != (config.split, config.judge):
            what = f"{bundle.manifest.name} {bundle.manifest.version} was split or is judged in another way"
            raise ConfigurationRefused("compare", what, next_step="Give bundles that differ in their seed alone.")
    parts = parts_of(config, recorded)
    allowed = budget_of(budget, manifest, n_devices=len(parts.play))
    return Devices(
        manifest,
        rules_of(manifest, next(iter(manifest.judging))),
        (*parts.fit, *parts.calibrate),
        parts.play,
        allowed,
        first_seen,
    )


def bundle_trial(bundle: Bundle, head: AlertHead, devices: Devices) -> Trial:
    """One head of a bundle, at the threshold that the budget chooses from the bundle's own table."""
    policy, table = bundle.manifest.judging[head]
    chosen = choose(table, devices.budget)
    played = play(bundle, bundle.model, devices.played, NEVER, first_seen=devices.first_seen)
    scores = [judged_scores(one, head, policy) for one in played]
    rules = rules_of(bundle.manifest, head)
    (fleet,) = alerts_at([chosen.threshold], scores, devices.played, rules)
    n_at_equal = n_detected_at_equal(scores, devices.played, rules, devices.budget)
    return replace(trial_of(chosen, fleet, devices.played, rules, devices.starts_s), n_at_equal=n_at_equal)


def method_trials(name: str, devices: Devices, seeds: int) -> Iterator[Trial]:
    """A method once, or once a seed where it draws."""
    if name == AGE:
        yield age_trial(devices)
        return
    for seed in range(seeds if BASELINES[name].is_seeded else 1):
        yield baseline_trial(name, devices, seed)


def age_trial(devices: Devices) -> Trial:
    """The calendar of `agent/score/age_only.py`. Raises DataRefused where no life ended in a failure."""
    if not devices.manifest.lives_s:
        raise DataRefused(AGE, "no life ended in a failure", next_step="Compare without it.")
    rules = devices.rules
    windows = {"h_max_s": rules.h_max_s, "h_min_s": rules.h_min_s}
    chosen = choose_age(devices.manifest.lives_s, devices.manifest.unfailed_s, devices.budget, **windows)
    observed = [
        observed_device(one.device, one.watched_s, rules.every_s, one.t_fail, (), one.stops) for one in devices.played
    ]
    fleet = warned_by_age(observed, chosen.threshold, rules.h_max_s)
    return trial_of(chosen, fleet, devices.played, rules, devices.starts_s)


def baseline_trial(name: str, devices: Devices, seed: int) -> Trial:
    """A method that scores rows: tuned and given its threshold on the devices of the fit, and played."""
    rules, tuning = devices.rules, devices.tuning

    def objective(scorer: Scorer) -> float:
        scores = [scorer.score(history) for history in tuning]
        return mean_lead_at(table_of_scores(scores, tuning, rules), devices.budget)

    knows_age = devices.first_seen == "new"
    task = Task(rules.every_s, rules.h_max_s, objective, own_rows=devices.own_rows, knows_age=knows_age, seed=seed)
    best = tuned(BASELINES[name], tuning, task)
    chosen = choose(table_of_scores([best.scorer.score(one) for one in tuning], tuning, rules), devices.budget)
    scores = [best.scorer.score(one) for one in devices.played]
    (fleet,) = alerts_at([chosen.threshold], scores, devices.played, rules)
    trial = trial_of(chosen, fleet, devices.played, rules, devices.starts_s)
    n_at_equal = n_detected_at_equal(scores, devices.played, rules, devices.budget)
    return replace(trial, n_at_equal=n_at_equal, setting=best.setting, n_tried=best.n_tried)
