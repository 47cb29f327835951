"""The LSTM beside limits, EWMA charts and age: every device of a set warned of once, by models that never saw it.

    FOREWARN_DATA=folder python -m bench.early_warning --json build/early_warning.json

Cross-validated over devices. A fold plays its devices; the others are dealt into fit and calibration devices in the
proportion of the training config. The LSTM is trained anew, quantized, and played as int8 through the agent's core;
the baselines learn from the same devices, and all are judged at the same budget (docs/baselines.md). Figures are those
of all folds' devices together. Nothing is tuned on the played devices. The simulated pumps are dealt like the recorded
engines, one fleet as large as the config's: fresh fleets a fold would say the same of pumps drawn alike.
Prints Markdown, progress on stderr; exits 0 whatever the figures are.
"""

import argparse
import sys
import time
from collections.abc import Mapping, Sequence

import msgspec
import numpy as np

from agent.bundle.manifest import Manifest
from agent.judge.threshold import Budget, choose, default_budget, parse_budget
from agent.score.early_warning import EarlyWarning, Interval, bootstrap95
from agent.score.time_unit import Unit, unit_of
from agent.words import FirstSeen
from bench.folds import CONFIGS, N_FOLDS, calibrate_share, folds, parser_of
from bench.result import Ratio, markdown, ratio, write
from trainer.config import Config
from trainer.config_file import read_config
from trainer.data.dataset import histories_of
from trainer.data.history import History, digest_of
from trainer.data.split import Parts
from trainer.evaluation.compare import RIVALS, MethodResult, bundle_result, rival_result
from trainer.evaluation.playback import play
from trainer.evaluation.threshold_sweep import early_warning, rules_of
from trainer.fit import train_bundle

SETS = {"fd001": CONFIGS / "cmapss-fd001.toml", "pumps": CONFIGS / "pumps.toml"}
LSTM = "lstm"
METHODS = (LSTM, *RIVALS)


class Ahead(msgspec.Struct, frozen=True):
    """LSTM minus a baseline, device by device; the intervals come from devices drawn anew."""

    mean_lead_s: float
    mean_lead_s_95: Interval
    detection_rate: float
    detection_rate_95: Interval


def one_fold(
    config: Config, parts: Parts, budget: str, first_seen: FirstSeen = "unknown"
) -> tuple[Manifest, dict[str, MethodResult]]:
    """Train on a fold and play its devices, by method."""
    bundle = train_bundle(config, parts, digest_of([*parts.fit, *parts.calibrate]))[0]
    manifest = bundle.manifest
    allowed = allowed_by(budget, manifest, len(parts.play))
    chosen = choose(manifest.judging["risk"].thresholds, allowed)
    played = play(bundle, bundle.model, parts.play, chosen.threshold, first_seen=first_seen)
    taught = (*parts.fit, *parts.calibrate)
    results = {LSTM: bundle_result(manifest, chosen, played, parts.play)}
    return manifest, results | {name: rival_result(name, manifest, taught, parts.play, allowed) for name in RIVALS}


def allowed_by(budget: str, manifest: Manifest, fleet_size: int) -> Budget:
    return parse_budget(budget or default_budget(manifest.time_unit), fleet_size=fleet_size)


def ahead(lstm: EarlyWarning, other: EarlyWarning) -> Ahead:
    """Paired over the failures of both, which are the same devices in the same order."""
    pairs = [
        (ours, theirs)
        for ours, theirs in zip(lstm.devices, other.devices, strict=True)
        if ours.outcome in ("detected", "missed")
    ]
    lead_s = np.array([ours.lead_s - theirs.lead_s for ours, theirs in pairs])
    detected = np.array([(ours.outcome == "detected") - float(theirs.outcome == "detected") for ours, theirs in pairs])
    return Ahead(float(lead_s.mean()), bootstrap95(lead_s)[0], float(detected.mean()), bootstrap95(detected)[0])


def ratios_of(name: str, by_fold: Sequence[Mapping[str, MethodResult]]) -> dict[str, Ratio]:
    """LSTM over each baseline a fold: mean lead and detection. A fold that a baseline missed wholly gives no ratio."""
    ratios = {}
    for other in RIVALS:
        for figure, field in (("lead", "mean_lead_s"), ("detection", "detection_rate")):
            pairs = [
                (getattr(fold[LSTM].early_warning.strict, field), getattr(fold[other].early_warning.strict, field))
                for fold in by_fold
            ]
            ratios[f"{name}_{figure}_over_{other}"] = ratio([ours / theirs for ours, theirs in pairs if theirs > 0])
    return ratios


def row_of(name: str, method: str, budget: Budget, figures: EarlyWarning, lead: Ahead | None) -> dict[str, object]:
    """One method over a whole set, as the JSON has it. Times are seconds, or cycles where the set counts cycles."""
    strict = figures.strict
    return {
        "set": name,
        "method": method,
        "budget": budget.text,
        "devices": len(figures.devices),
        "failures": figures.failures,
        "detected": strict.detected,
        "detection_rate": strict.detection_rate,
        "detection_rate_95": strict.detection_rate_95,
        "mean_lead_s": strict.mean_lead_s,
        "mean_lead_s_95": strict.mean_lead_s_95,
        "median_lead_s": strict.median_lead_s,
        "median_lead_s_95": strict.median_lead_s_95,
        "false_alarms": figures.false_alarms,
        "exposure_s": figures.exposure_s,
        "false_alarms_per_s": figures.false_alarms_per_s,
        "false_alarms_per_s_upper95": figures.false_alarms_per_s_upper95,
        "false_alarm_s": figures.false_alarm_s,
        "late": len(figures.late),
        "lstm_ahead": lead,
    }


def one_set(
    name: str, config: Config, histories: Sequence[History], arguments: argparse.Namespace
) -> tuple[str, list[dict[str, object]], dict[str, Ratio]]:
    """Markdown, rows and ratios of a set."""
    by_fold = []
    for number, parts in enumerate(folds(histories, arguments.folds, arguments.seed, calibrate_share(config)), start=1):
        began = time.monotonic()
        manifest, results = one_fold(config, parts, arguments.budget, arguments.first_seen)
        by_fold.append(results)
        unit = unit_of(manifest)
        so_far = ", ".join(
            f"{method} {unit.of(results[method].early_warning.strict.mean_lead_s):.1f}" for method in METHODS
        )
        took = f"{name}, fold {number} of {arguments.folds}, {time.monotonic() - began:.0f} s"
        print(f"{took}: warm-up {manifest.warmup_rows} rows, mean lead in {unit.plural}: {so_far}", file=sys.stderr)
    budget = allowed_by(arguments.budget, manifest, len(histories))
    pooled = {
        m: early_warning([device for fold in by_fold for device in fold[m].fleet], rules_of(manifest)) for m in METHODS
    }
    leads = {method: ahead(pooled[LSTM], pooled[method]) for method in RIVALS}
    rows = [row_of(name, method, budget, pooled[method], leads.get(method)) for method in METHODS]
    return tables(name, budget, pooled, leads, unit_of(manifest), arguments.folds), rows, ratios_of(name, by_fold)


def tables(
    name: str, budget: Budget, pooled: Mapping[str, EarlyWarning], leads: Mapping[str, Ahead], unit: Unit, n_folds: int
) -> str:
    """The two tables of a set."""
    n_devices, windows = len(pooled[LSTM].devices), pooled[LSTM]
    lead_head = f"mean lead, {unit.plural}"
    alarms = ("false alarms", "in false alarm", "late")
    head = ("", "detected", "95 %", lead_head, "95 %", "median", "95 %", *alarms)
    lines = [
        (
            method,
            f"{figures.strict.detected} of {figures.failures}",
            span(figures.strict.detection_rate_95, 100, "%"),
            f"{unit.of(figures.strict.mean_lead_s):.1f}",
            span(figures.strict.mean_lead_s_95, 1 / unit.size_s),
            f"{unit.of(figures.strict.median_lead_s):.1f}",
            span(figures.strict.median_lead_s_95, 1 / unit.size_s),
            f"{figures.false_alarms} in {unit.text(figures.exposure_s)}",
            f"{figures.false_alarm_share:.1%}",
            len(figures.late),
        )
        for method, figures in pooled.items()
    ]
    paired_head = ("LSTM minus", lead_head, "95 %", "detected, points", "95 %")
    paired = [
        (
            method,
            f"{unit.of(lead.mean_lead_s):+.1f}",
            span(lead.mean_lead_s_95, 1 / unit.size_s),
            f"{100 * lead.detection_rate:+.0f}",
            span(lead.detection_rate_95, 100),
        )
        for method, lead in leads.items()
    ]
    window = f"true from {unit.text(windows.h_max_s)} to {unit.text(windows.h_min_s)} before the failure"
    title = f"## {name}: {n_devices} devices in {n_folds} folds, {budget.text}, {window}"
    return f"{title}\n\n{markdown(head, lines)}\n\n{markdown(paired_head, paired)}\n"


def span(interval: Interval, factor: float, sign: str = "") -> str:
    digits = 0 if factor == 100 else 1
    return f"{interval.low * factor:.{digits}f}{sign} to {interval.high * factor:.{digits}f}{sign}"


def main(argv: Sequence[str] | None = None) -> None:
    parser = parser_of("early_warning", __doc__)
    parser.add_argument("--sets", default=",".join(SETS), help="of " + ", ".join(SETS))
    parser.add_argument("--folds", type=int, default=N_FOLDS)
    parser.add_argument("--seed", type=int, default=0, help="of folds, weights, batches and augmentation")
    parser.add_argument("--epochs", type=int, help="instead of the config's: a smoke run")
    parser.add_argument(
        "--first-seen", choices=("unknown", "new"), default="unknown", help="what the LSTM is told; `age` always knows"
    )
    parser.add_argument("--budget", default="", help="default: 1 per 1000 cycles or 1 per device per 30d")
    chosen = parser.parse_args(argv)
    if unknown := [name for name in chosen.sets.split(",") if name not in SETS]:
        parser.error(f"no set {unknown[0]!r}; there are {', '.join(SETS)}")
    rows: list[dict[str, object]] = []
    ratios: dict[str, Ratio] = {}
    for name in chosen.sets.split(","):
        config = read_config(SETS[name]).model_copy(update={"seed": chosen.seed})
        if chosen.epochs:
            config = config.model_copy(update={"train": config.train.model_copy(update={"epochs": chosen.epochs})})
        text, more_rows, more_ratios = one_set(name, config, histories_of(config, chosen.data), chosen)
        print(text, flush=True)
        rows += more_rows
        ratios |= more_ratios
    write(chosen.json, "early_warning", rows, ratios)


if __name__ == "__main__":
    main()
