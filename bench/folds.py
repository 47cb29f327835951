"""Folds over devices, and runs of a fold and a seed each: what the benches of training share.

A fold plays its devices; of the others a share calibrates and the rest is fitted, so no device is measured by a model
that saw it. The test sets are never read here. A bench names its runs; one that is in the bench's JSON is not done
again, so a bench that takes hours may be stopped, and several processes may fill one file.
"""

import argparse
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bench.result import append, rows_in
from trainer.config import Config
from trainer.data.dataset import histories_of
from trainer.data.history import History
from trainer.data.split import Parts
from trainer.model.features import Features, features_of, fit_scaling

CONFIGS = Path(__file__).parents[1] / "configs/train"
N_FOLDS = 5
KEPT_SHARE = 0.1
"""Share of the fitted devices that `fitted_and_asked` puts last; nothing is calibrated there."""

Row = dict[str, Any]
Run = tuple[Row, Callable[[], Sequence[Row]]]
"""What tells a run from the others, and how to do it: the rest of its rows."""


def folds(histories: Sequence[History], n: int, seed: int, calibrate_share: float) -> list[Parts]:
    """n ways to deal the devices so that each is played once; `calibrate_share` of the others calibrate.

    Independent of the order given. Raises ValueError when a part would be empty.
    """
    rng = np.random.default_rng(seed)
    ordered = sorted(histories, key=lambda history: history.device)
    order = rng.permutation(len(ordered))
    dealt = []
    for fold in range(n):
        rest = rng.permutation(np.delete(order, np.s_[fold::n]))
        n_calibrate = round(len(rest) * calibrate_share)
        parts = (rest[n_calibrate:], rest[:n_calibrate], order[fold::n])
        if not all(map(len, parts)):
            raise ValueError(f"{len(histories)} devices are too few for {n} folds")
        dealt.append(Parts(*(tuple(ordered[index] for index in part) for part in parts)))
    return dealt


def calibrate_share(config: Config) -> float:
    """The share of the config's devices that are not played."""
    return config.split.calibrate / (config.split.fit + config.split.calibrate)


def fold_of(config: Config, data: Path | None, fold: int) -> Parts:
    """One of N_FOLDS folds of the config's devices, which `data` has."""
    return folds(histories_of(config, data), N_FOLDS, 0, calibrate_share(config))[fold]


def fitted_and_asked(histories: Sequence[History]) -> tuple[tuple[History, ...], tuple[History, ...]]:
    """The first of N_FOLDS folds, for what needs no calibration: the devices to fit, and those to ask."""
    parts = folds(histories, N_FOLDS, 0, KEPT_SHARE)[0]
    return (*parts.fit, *parts.calibrate), parts.play


def features_of_parts(config: Config, fitted: Sequence[History], *others: Sequence[History]) -> list[list[Features]]:
    """Features of the fitted histories and of others, all by the scaling of the fitted ones."""
    scaling = fit_scaling(fitted, config)
    return [[features_of(history, scaling, config.model) for history in part] for part in (fitted, *others)]


def parser_of(name: str, doc: str | None) -> argparse.ArgumentParser:
    """A bench's parser, with the options that all of them have."""
    parser = argparse.ArgumentParser(
        prog=f"python -m bench.{name}", description=doc, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=os.environ.get("FOREWARN_DATA"), help="default: $FOREWARN_DATA")
    parser.add_argument("--json", type=Path)
    return parser


def add_folds_and_seeds(parser: argparse.ArgumentParser, folds: Sequence[int], seeds: Sequence[int]) -> None:
    parser.add_argument("--folds", type=int, nargs="+", choices=range(N_FOLDS), default=[*folds])
    parser.add_argument("--seeds", type=int, nargs="+", default=[*seeds])


def rows_of_runs(path: Path | None, bench: str, runs: Iterable[Run]) -> list[Row]:
    """Rows of an earlier call and of these runs, each of which is done unless the file has it, and written at once."""
    rows: list[Row] = []
    for name, measure in runs:
        if not any(row.items() >= name.items() for row in rows_in(path) or rows):
            new = [name | row for row in measure()]
            append(path, bench, *new)
            rows += new
    return rows_in(path) or rows
