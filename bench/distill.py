"""A small network with and without a large teacher: early warning, remaining life and sizes, seed by seed.

    FOREWARN_DATA=folder python -m bench.distill configs/train/cmapss-fd001.toml --folds 0 --json build/distill.json

By folds (bench/folds.py): devices are played that neither teacher nor student saw. Students are int8, through the
agent's core; every method gets its threshold from the same calibration devices, for the same budget, by the agent's own
judge. The teacher is fp32 and cannot run live: `teacher` estimates each row from the life until this row, as a stream
would have it. Its risk is not calibrated (a threshold needs none) and never warms up. A teacher is trained anew for
each fold and seed. A run that is in the JSON is not done again. Prints Markdown; exits 0 whatever the figures are.
"""

import argparse
import itertools
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch

from agent.bundle.manifest import Manifest
from agent.judge.threshold import Budget, choose
from agent.words import Float32
from bench.early_warning import allowed_by
from bench.folds import Row, Run, add_folds_and_seeds, fold_of, parser_of, rows_of_runs
from bench.result import Ratio, markdown, ratio, write
from trainer.config import Config
from trainer.config_file import read_config
from trainer.data.history import Float64, History, digest_of
from trainer.data.split import Parts
from trainer.distill import train_teacher
from trainer.evaluation.compare import MethodResult, bundle_result
from trainer.evaluation.metrics import figures
from trainer.evaluation.playback import play
from trainer.evaluation.threshold_sweep import alerts_at, early_warning, rules_of, table_over
from trainer.fit import train_bundle
from trainer.model.features import Scaling, batch_of, features_of, fit_scaling
from trainer.model.heads import risk_of
from trainer.model.network import Network
from trainer.training.teacher import BidirectionalLstm, TrainedTeacher

ALONE, TAUGHT, TEACHER = METHODS = ("alone", "taught", "teacher")
TOGETHER = 32
"""Beginnings of a life that the teacher reads side by side."""
FIGURES = ("mean_lead_s", "detection_rate", "rmse_s")


@dataclass(frozen=True, slots=True)
class TeacherSoFar:
    """A teacher as a method that warns: it reads each row with the rows before it only."""

    network: BidirectionalLstm
    scaling: Scaling
    config: Config

    def score(self, history: History) -> Float64:
        """The risk that alerts go by."""
        horizon = self.config.risk.horizons.index(self.config.judge.horizon)
        return self.predict(history)[1][:, horizon].astype(np.float64)

    @torch.no_grad()
    def predict(self, history: History) -> tuple[Float32, Float32]:
        """Remaining life float32 [T] in seconds within [0, cap], and risk float32 [T, K]."""
        life = features_of(history, self.scaling, self.config.model)
        inputs = torch.from_numpy(batch_of([life], self.config.model).inputs)
        left, risk = [], []
        for start in range(0, len(inputs), TOGETHER):
            rows = torch.arange(start, min(start + TOGETHER, len(inputs)))  # the last row of each of them
            real = torch.arange(int(rows[-1]) + 1)[:, None] <= rows
            outputs, _ = self.network(inputs[: len(real)].expand(-1, len(rows), -1), real=real)
            each = torch.arange(len(rows))
            left.append(outputs.estimate[rows, each].clamp(0, 1) * self.config.rul.cap)
            risk.append(risk_of(outputs.hazard[rows, each]))
        return torch.cat(left).numpy(), torch.cat(risk).numpy()


def one_fold(config: Config, parts: Parts, budget: str) -> dict[str, Row]:
    """Figures by method."""
    assert config.distill is not None
    sha256 = digest_of([*parts.fit, *parts.calibrate])
    began = time.monotonic()
    teacher = train_teacher(config, config.distill, parts)
    teacher_s = time.monotonic() - began
    rows = {}
    for method, of in ((ALONE, None), (TAUGHT, teacher)):
        began = time.monotonic()
        bundle = train_bundle(config, parts, sha256, teacher=of)[0]
        train_s, manifest = time.monotonic() - began, bundle.manifest
        allowed = allowed_by(budget, manifest, len(parts.play))
        chosen = choose(manifest.judging["risk"].thresholds, allowed)
        played = play(bundle, bundle.model, parts.play, chosen.threshold)
        rmse_s = figures(played, parts.play, manifest).rmse_s
        result = bundle_result(manifest, chosen, played, parts.play)
        rows[method] = row_of(result, rmse_s, Network(config).n_weights, train_s)
    result, rmse_s = result_of(teacher, config, parts, manifest, allowed)
    rows[TEACHER] = row_of(result, rmse_s, teacher.network.n_weights, teacher_s)
    rows[TEACHER]["watched_rmse_ahead_s"] = teacher.validation_rmse
    return rows


def result_of(
    teacher: TrainedTeacher, config: Config, parts: Parts, manifest: Manifest, allowed: Budget
) -> tuple[MethodResult, float]:
    """The teacher's warnings, judged as a baseline's are, and its RMSE over all rows."""
    scorer = TeacherSoFar(teacher.network, fit_scaling(parts.fit, config), config)
    rules = rules_of(manifest)
    calibrate, scores = ([scorer.score(history) for history in part] for part in (parts.calibrate, parts.play))
    chosen = choose(table_over(calibrate, parts.calibrate, rules), allowed)
    (fleet,) = alerts_at([chosen.threshold], scores, parts.play, rules)
    off = [
        scorer.predict(history)[0] - np.minimum(history.observed_left(), config.rul.cap)
        for history in parts.play
        if history.failed
    ]
    return MethodResult(chosen, fleet, early_warning(fleet, rules)), float(np.sqrt(np.mean(np.concatenate(off) ** 2)))


def row_of(warning: MethodResult, rmse_s: float, weights: int, train_s: float) -> Row:
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


def over(rows: Sequence[Row], figure: str, ours: str, theirs: str) -> list[float]:
    """One method's figure over another's, a fold and seed each."""
    by_run = {(row["fold"], row["seed"], row["method"]): row[figure] for row in rows}
    runs = dict.fromkeys((fold, seed) for fold, seed, _ in by_run)
    return [by_run[*run, ours] / by_run[*run, theirs] for run in runs if by_run[*run, theirs]]


def ratios_of(rows: Sequence[Row]) -> dict[str, Ratio]:
    pairs = ((TAUGHT, ALONE), (TAUGHT, TEACHER))
    return {
        f"{figure.removesuffix('_s')}_{ours}_over_{theirs}": ratio(over(rows, figure, ours, theirs))
        for figure in ("weights", *FIGURES)
        for ours, theirs in pairs
    }


def tables(rows: Sequence[Row]) -> str:
    """Runs one by one, the means of each method, and what a teacher changes."""
    head = ("fold, seed", "method", "weights", "mean lead", "detected", "false alarms", "RMSE", "train s")
    lines = [
        (f"{row['fold']}, {row['seed']}", *cells(row)) for row in sorted(rows, key=lambda r: (r["fold"], r["seed"]))
    ]
    numbers = ("weights", *FIGURES, "false_alarms", "train_s")
    for method in METHODS:
        runs = [row for row in rows if row["method"] == method]
        if runs:
            means = {number: statistics.mean(row[number] for row in runs) for number in numbers}
            lines.append(("mean", *cells({"method": method} | means)))
    pairs = [
        (f"{TAUGHT} / {other}", *(text(ratio(over(rows, figure, TAUGHT, other))) for figure in ("weights", *FIGURES)))
        for other in (ALONE, TEACHER)
    ]
    return f"{markdown(head, lines)}\n\n{markdown(('', 'weights', 'mean lead', 'detected', 'RMSE'), pairs)}"


def cells(row: Row) -> tuple[str, ...]:
    return (
        row["method"],
        f"{row['weights']:.0f}",
        f"{row['mean_lead_s']:.1f}",
        f"{row['detection_rate']:.0%}",
        f"{row['false_alarms']:.1f}",
        f"{row['rmse_s']:.2f}",
        f"{row['train_s']:.0f}",
    )


def text(spread: Ratio) -> str:
    """Median, and from the least to the most."""
    return "" if spread["median"] is None else "{median:.3f} ({min:.3f} to {max:.3f})".format(**spread)


def runs_of(chosen: argparse.Namespace) -> Iterator[Run]:
    """A fold and a seed each."""
    for fold, seed in itertools.product(chosen.folds, chosen.seeds):
        changes = [f"distill.teacher_hidden={chosen.teacher_hidden}", *chosen.changes, f"seed={seed}"]
        config = read_config(chosen.config, changes)
        run = {"set": config.name, "fold": fold, "seed": seed, "recipe": config.model_dump_json()}
        yield run, partial(done, run, config, chosen)


def done(run: Row, config: Config, chosen: argparse.Namespace) -> list[Row]:
    """The rows of one run, a method each, shown as progress."""
    by_method = one_fold(config, fold_of(config, chosen.data, run["fold"]), chosen.budget)
    rows = [{"method": method} | row for method, row in by_method.items()]
    print(f"fold {run['fold']}, seed {run['seed']}\n{tables([run | row for row in rows])}", file=sys.stderr, flush=True)
    return rows


def main(argv: Sequence[str] | None = None) -> None:
    parser = parser_of("distill", __doc__)
    parser.add_argument("config", type=Path, help="of the student")
    add_folds_and_seeds(parser, [0], [0, 1, 2, 3, 4])
    parser.add_argument("--teacher-hidden", type=int, default=256)
    parser.add_argument("--set", dest="changes", action="append", default=[], metavar="KEY=VALUE", help="of all three")
    parser.add_argument("--budget", default="", help="default: 1 per 1000 cycles or 1 per device per 30d")
    chosen = parser.parse_args(argv)
    rows = rows_of_runs(chosen.json, "distill", runs_of(chosen))
    print(tables(rows), flush=True)
    write(chosen.json, "distill", rows, ratios_of(rows))


if __name__ == "__main__":
    main()
