"""A small network with and without a large teacher: early warning, remaining life and sizes, seed by seed.

    FOREWARN_DATA=folder python -m bench.distill configs/train/cmapss-fd001.toml --folds 0 --json build/distill.json

The same folds as bench/early_warning.py: devices are played that neither teacher nor student saw. Students are int8,
through the agent's core; every method gets its threshold from the same calibration devices, for the same budget, by the
agent's own judge. The teacher is fp32 and cannot run live: `teacher` is what it says of each row from the life until
this row, as a stream would have it. Its risk is not calibrated (a threshold needs none) and never warms up. A teacher
is trained anew for each fold and seed. A run that is in the JSON is not done again. Prints Markdown; exits 0 whatever
the figures are.
"""

import argparse
import os
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from agent.bundle.manifest import Manifest
from agent.judge.threshold import Budget, choose
from agent.words import Float32
from bench.ablation import N_FOLDS, dealt
from bench.early_warning import allowed_by
from bench.result import append, markdown, ratio, rows_in, write
from trainer.config import Config
from trainer.config_file import read_config
from trainer.data.dataset import histories_of
from trainer.data.digest import digest_of
from trainer.data.history import Float64, History
from trainer.data.split import Parts
from trainer.distill import train_teacher
from trainer.evaluation.compare import MethodResult, bundle_result
from trainer.evaluation.metrics import figures
from trainer.evaluation.playback import play
from trainer.evaluation.threshold_sweep import alerts_at, early_warning, rules_of, table_over
from trainer.fit import trained
from trainer.model.features import Scaling, batch_of, features_of, fit_scaling
from trainer.model.heads import risk_of
from trainer.model.network import Network
from trainer.training.teacher import BidirectionalLstm, TrainedTeacher

ALONE, TAUGHT, TEACHER = METHODS = ("alone", "taught", "teacher")
TOGETHER = 32
"""Beginnings of a life that the teacher reads side by side."""
FIGURES = ("mean_lead_s", "detection_rate", "rmse_s")


@dataclass(frozen=True, slots=True)
class HeardSoFar:
    """A teacher as a method that warns, each row from the rows up to it."""

    network: BidirectionalLstm
    scaling: Scaling
    config: Config

    def score(self, history: History) -> Float64:
        """The risk that alerts go by."""
        horizon = self.config.risk.horizons.index(self.config.judge.horizon)
        return self.answers(history)[1][:, horizon].astype(np.float64)

    @torch.no_grad()
    def answers(self, history: History) -> tuple[Float32, Float32]:
        """Remaining life float32 [T] in seconds within [0, cap], and risk float32 [T, K]."""
        life = features_of(history, self.scaling, self.config.model)
        inputs = torch.from_numpy(batch_of([life], self.config.model).inputs)
        left, risk = [], []
        for start in range(0, len(inputs), TOGETHER):
            rows = torch.arange(start, min(start + TOGETHER, len(inputs)))  # the last row of each of them
            real = torch.arange(int(rows[-1]) + 1)[:, None] <= rows
            answers, _ = self.network(inputs[: len(real)].expand(-1, len(rows), -1), real=real)
            each = torch.arange(len(rows))
            left.append(answers.estimate[rows, each].clamp(0, 1) * self.config.rul.cap)
            risk.append(risk_of(answers.hazard[rows, each]))
        return torch.cat(left).numpy(), torch.cat(risk).numpy()


def one_fold(config: Config, parts: Parts, budget: str) -> dict[str, dict[str, Any]]:
    """Figures by method."""
    assert config.distill is not None
    sha256 = digest_of([*parts.fit, *parts.calibrate])
    began = time.monotonic()
    lesson = train_teacher(config, config.distill, parts)
    teacher_s = time.monotonic() - began
    found, manifest = {}, None
    for method, of in ((ALONE, None), (TAUGHT, lesson)):
        began = time.monotonic()
        bundle = trained(config, parts, sha256, teacher=of)[0]
        train_s, manifest = time.monotonic() - began, bundle.manifest
        allowed = allowed_by(budget, manifest, len(parts.play))
        chosen = choose(manifest.thresholds, allowed)
        played = play(bundle, bundle.model, parts.play, chosen.threshold)
        rmse_s = figures(played, parts.play, manifest).rmse_s
        weights = Network(config).n_weights
        found[method] = row_of(bundle_result(manifest, chosen, played, parts.play), rmse_s, weights, train_s)
    assert manifest is not None
    teacher, rmse_s = of_teacher(config, parts, lesson, manifest, allowed)
    found[TEACHER] = row_of(teacher, rmse_s, lesson.network.n_weights, teacher_s)
    found[TEACHER]["watched_rmse_ahead_s"] = lesson.validation_rmse
    return found


def of_teacher(
    config: Config, parts: Parts, lesson: TrainedTeacher, manifest: Manifest, allowed: Budget
) -> tuple[MethodResult, float]:
    """The teacher's warnings, judged as a baseline's are, and its RMSE over all rows."""
    scorer = HeardSoFar(lesson.network, fit_scaling(parts.fit, config), config)
    rules = rules_of(manifest)
    chosen = choose(table_over([scorer.score(one) for one in parts.calibrate], parts.calibrate, rules), allowed)
    (fleet,) = alerts_at([chosen.threshold], [scorer.score(one) for one in parts.play], parts.play, rules)
    off = [scorer.answers(one)[0] - np.minimum(one.observed_left(), config.rul.cap) for one in parts.play if one.failed]
    return MethodResult(chosen, fleet, early_warning(fleet, rules)), float(np.sqrt(np.mean(np.concatenate(off) ** 2)))


def row_of(warning: MethodResult, rmse_s: float, weights: int, train_s: float) -> dict[str, Any]:
    strict = warning.early_warning.strict
    return {
        "weights": weights,
        "mean_lead_s": strict.mean_lead_s,
        "detection_rate": strict.detection_rate,
        "false_alarms": warning.early_warning.false_alarms,
        "exposure_s": warning.early_warning.exposure_s,
        "rmse_s": rmse_s,
        "train_s": train_s,
    }


def over(rows: Sequence[dict[str, Any]], figure: str, mine: str, theirs: str) -> list[float]:
    """One method's figure over another's, a fold and seed each."""
    by_run = {(row["fold"], row["seed"], row["method"]): row[figure] for row in rows}
    runs = dict.fromkeys((fold, seed) for fold, seed, _ in by_run)
    return [by_run[*run, mine] / by_run[*run, theirs] for run in runs if by_run[*run, theirs]]


def ratios_of(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    pairs = ((TAUGHT, ALONE), (TAUGHT, TEACHER))
    return {
        f"{figure.removesuffix('_s')}_{mine}_over_{theirs}": ratio(over(rows, figure, mine, theirs))
        for figure in ("weights", *FIGURES)
        for mine, theirs in pairs
    }


def told(rows: Sequence[dict[str, Any]]) -> str:
    """Runs one by one, the means of each method, and what a teacher changes."""
    head = ("fold, seed", "method", "weights", "mean lead", "detected", "false alarms", "RMSE", "train s")
    lines = [
        (f"{row['fold']}, {row['seed']}", *(cells(row))) for row in sorted(rows, key=lambda r: (r["fold"], r["seed"]))
    ]
    numbers = ("weights", *FIGURES, "false_alarms", "train_s")
    for method in METHODS:
        mine = [row for row in rows if row["method"] == method]
        if mine:
            lines.append(
                ("mean", *cells({"method": method} | {n: statistics.mean(r[n] for r in mine) for n in numbers}))
            )
    off = [(TAUGHT, one) for one in (ALONE, TEACHER)]
    pairs = [
        (f"{mine} / {theirs}", *(text(ratio(over(rows, figure, mine, theirs))) for figure in ("weights", *FIGURES)))
        for mine, theirs in off
    ]
    return f"{markdown(head, lines)}\n\n{markdown(('', 'weights', 'mean lead', 'detected', 'RMSE'), pairs)}"


def cells(row: dict[str, Any]) -> tuple[str, ...]:
    return (
        row["method"],
        f"{row['weights']:.0f}",
        f"{row['mean_lead_s']:.1f}",
        f"{row['detection_rate']:.0%}",
        f"{row['false_alarms']:.1f}",
        f"{row['rmse_s']:.2f}",
        f"{row['train_s']:.0f}",
    )


def text(found: dict[str, float | None]) -> str:
    """Median, and from the least to the most."""
    return "" if found["median"] is None else "{median:.3f} ({min:.3f} to {max:.3f})".format(**found)


def main(argv: Sequence[str] | None = None) -> None:
    arguments = argparse.ArgumentParser(
        prog="python -m bench.distill", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.add_argument("config", type=Path, help="of the student")
    arguments.add_argument("--folds", type=int, nargs="+", choices=range(N_FOLDS), default=[0])
    arguments.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    arguments.add_argument("--teacher-hidden", type=int, default=256)
    arguments.add_argument(
        "--set", dest="changes", action="append", default=[], metavar="KEY=VALUE", help="of all three"
    )
    arguments.add_argument("--budget", default="", help="default: 1 per 1000 cycles or 1 per device per 30d")
    arguments.add_argument("--data", type=Path, default=os.environ.get("FOREWARN_DATA"), help="default: $FOREWARN_DATA")
    arguments.add_argument("--json", type=Path)
    chosen = arguments.parse_args(argv)
    rows = rows_in(chosen.json)
    for fold in chosen.folds:
        for seed in chosen.seeds:
            changes = [f"distill.teacher_hidden={chosen.teacher_hidden}", *chosen.changes, f"seed={seed}"]
            config = read_config(chosen.config, changes)
            run = {"set": config.name, "fold": fold, "seed": seed, "recipe": config.model_dump_json()}
            if any(row.items() >= run.items() for row in rows):
                continue
            parts = dealt(config, histories_of(config, chosen.data))[fold]
            new = [run | {"method": method} | found for method, found in one_fold(config, parts, chosen.budget).items()]
            append(chosen.json, "distill", *new)
            rows += new
            print(f"fold {fold}, seed {seed}\n{told(new)}", file=sys.stderr, flush=True)
    rows = rows_in(chosen.json) or rows
    print(told(rows), flush=True)
    write(chosen.json, "distill", rows, ratios_of(rows))


if __name__ == "__main__":
    main()
