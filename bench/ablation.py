"""What each technique of a recipe is worth: one switch off (or on) at a time, on engines that were not learnt from.

    FOREWARN_DATA=folder python -m bench.ablation configs/train/cmapss-fd001.toml --folds 0 1 --seeds 0 --json a.json

Folds over the devices of the training file (bench/folds.py); the devices that calibrate in a bundle are put aside here,
and only early stopping looks at them. A difference is against the default recipe of the same fold and seed. A run that
is in the JSON is not done again. Prints Markdown, progress on stderr.

Figures are RMSE of the remaining life, truth capped, in the data's own unit:
whole  over the rows of a random cut (`trainer.training.validation.rmse_over_rows`), the devices known to be new
N      over rows with at most 100 left, without the first N rows of a device and its age unknown
and `lead`, the mean lead of warnings at the default budget, where more is better.
"""

import argparse
import hashlib
import itertools
import statistics
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from agent.judge.threshold import choose, default_budget, parse_budget
from agent.words import Float32
from bench.folds import Row, Run, add_folds_and_seeds, features_of_parts, fold_of, parser_of, rows_of_runs
from bench.result import markdown
from trainer.config import Config
from trainer.config_file import read_config
from trainer.data.split import Parts
from trainer.evaluation.judge_rules import rules_of_config
from trainer.evaluation.threshold_sweep import alerts_at, early_warning, table_over
from trainer.fit import mean_lead_over
from trainer.model.cells import CELLS
from trainer.model.cells.cell import Product, dense
from trainer.model.features import Features, n_inputs
from trainer.model.heads import Outputs
from trainer.model.network import Network
from trainer.training.augment import from_row
from trainer.training.loop import train
from trainer.training.validation import predict, rmse_over_rows

UNSEEN_ROWS = (25, 50, 75)
LEFT_MAX = 100
FIGURES = ("whole", *map(str, UNSEEN_ROWS), "lead")
DEFAULT = "default"
TWO_VALUED = "setting_3"
"""Scaled by its deviation it would be refused; the others tell the regime without it."""


@dataclass(frozen=True, slots=True)
class Switch:
    """Changes of the config, and inputs that the network reads as zero."""

    changes: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()


def switches(config: Config) -> dict[str, Switch]:
    """By name; those that change nothing of this recipe are left out."""
    plain = [*config.data.channels, *(name for name in config.regimes.by if name != TWO_VALUED)]
    every = {
        "init_torch": Switch(("train.init=torch",)),
        "init_forget_one": Switch(("train.init=forget_one",)),
        "init_chrono": Switch(("train.init=chrono",)),
        "clipping_off": Switch(("train.clip_norm=inf",)),
        "averaging_off": Switch(("train.average=0",)),
        "augmentation_off": Switch(("augment.probability=0",)),
        "warp_off": Switch(("augment.warp=[1, 1]",)),
        "join_off": Switch(("augment.join_share=0",)),
        "dropout_off": Switch(("train.dropout=0",)),
        "weight_decay_off": Switch(("train.weight_decay=0",)),
        "truncate_50": Switch(("train.truncate=50",)),
        "bf16": Switch(("train.precision=bf16",)),
        "rounded_20_epochs": Switch(("train.rounded_epochs=20",)),
        "multi_task_0.05": Switch(("train.multi_task=0.05",)),
        "early_stopping_20": Switch(("train.patience=20",)),
        "epochs_halved": Switch((f"train.epochs={config.train.epochs // 2}",)),
        "regime_scaling_off": Switch((f"data.channels={plain}", "regimes.by=[]")),
        "means_unread": Switch(("model.reads_means=false",)),
        "age_unread": Switch(unread=("age",)),
        "newness_unread": Switch(unread=("new",)),
        "regime_unread": Switch(unread=("regime",)),
        "type_unread": Switch(unread=("type",)),
        **{f"cell_{name}": Switch((f"model.cell={name}",)) for name in CELLS},
    }
    same = {f"init_{config.train.init}", f"cell_{config.model.cell}"}
    same |= set() if config.model.reads_means else {"means_unread"}
    same |= set() if config.regimes.by else {"regime_scaling_off", "regime_unread"}
    same |= set() if config.types.by else {"type_unread"}
    return {DEFAULT: Switch()} | {name: switch for name, switch in every.items() if name not in same}


class Blind(Network):
    """The network with some of its inputs at zero."""

    def __init__(self, config: Config, unread: Sequence[str]) -> None:
        super().__init__(config)
        n, n_regimes = len(config.data.channels), config.regimes.count if config.regimes.by else 0
        age = (1 + len(config.model.mean_rates) * config.model.reads_means) * n
        regime = slice(age + 2, age + 2 + n_regimes)
        columns = {
            "age": slice(age, age + 1),
            "new": slice(age + 1, age + 2),
            "regime": regime,
            "type": slice(regime.stop, None),
        }
        self.read = torch.ones(n_inputs(config))
        for name in unread:
            self.read[columns[name]] = 0

    def forward(
        self,
        inputs: Tensor,
        states: Sequence[Tensor] = (),
        product: Product = dense,
        real: Tensor | None = None,
    ) -> tuple[Outputs, list[Tensor]]:
        return super().forward(inputs * self.read, states, product, real)


def measured(config: Config, unread: Sequence[str], parts: Parts) -> Row:
    """Train on a fold; figures over its played devices."""
    fit, aside, unseen = features_of_parts(config, parts.fit, parts.calibrate, parts.play)
    early_stopping = mean_lead_over(parts.calibrate, config)
    began = time.monotonic()
    network, curves = train(lambda of: Blind(of, unread), fit, aside, config, early_stopping=early_stopping)
    took_s = time.monotonic() - began
    predictions = predict(network, unseen, config)
    estimates = [estimate for estimate, _ in predictions]
    figures = {"whole": rmse_over_rows(estimates, unseen, config, config.train.above_cap_share)}
    figures |= {str(n): rmse_of_late_starts(network, unseen, config, n) for n in UNSEEN_ROWS}
    risks = [[risk for _, risk in predict(network, aside, config)], [risk for _, risk in predictions]]
    return figures | {"lead": mean_lead_s(*risks, parts, config), "epochs": len(curves.loss), "train_s": took_s}


def mean_lead_s(aside: Sequence[Float32], unseen: Sequence[Float32], parts: Parts, config: Config) -> float:
    """Mean lead on the played devices at the threshold that the devices put aside give for the default budget."""
    rules = rules_of_config(config)
    calibrate, play = (
        [risk[:, rules.policy.horizon].astype(np.float64) for risk in risks] for risks in (aside, unseen)
    )
    budget = parse_budget(default_budget(config.data.counts), fleet_size=len(parts.play))
    chosen = choose(table_over(calibrate, parts.calibrate, rules), budget)
    (fleet,) = alerts_at([chosen.threshold], play, parts.play, rules)
    return early_warning(fleet, rules).strict.mean_lead_s


def rmse_of_late_starts(network: Network, lives: Sequence[Features], config: Config, n: int) -> float:
    """Over the last rows of lives whose first n rows are not seen."""
    late = [from_row(life, n) for life in lives if life.failed and len(life.z) > n + 1]
    off = [
        (estimate - np.minimum(life.left, config.rul.cap))[life.left <= LEFT_MAX * config.model.cadence]
        for (estimate, _), life in zip(predict(network, late, config), late, strict=True)
    ]
    return float(np.sqrt(np.mean(np.concatenate(off) ** 2)))


def tables(rows: Sequence[Row]) -> str:
    """A table a set: figures of the default, and of each switch what it adds to the default of the same fold and seed;
    a minus means that the switch is better, but for `lead`. A figure that older rows lack is left out.
    """
    text = []
    for name in dict.fromkeys(row["set"] for row in rows):
        of_set = [row for row in rows if row["set"] == name]
        default = {(row["fold"], row["seed"]): row for row in of_set if row["switch"] == DEFAULT}
        lines = []
        for switch in dict.fromkeys(row["switch"] for row in of_set):
            pairs = [
                (row, default[row["fold"], row["seed"]])
                for row in of_set
                if row["switch"] == switch and (row["fold"], row["seed"]) in default
            ]
            if not pairs:
                continue
            whole = statistics.mean(row["whole"] for row, _ in pairs)
            both = {f: [(row[f], than[f]) for row, than in pairs if f in row and f in than] for f in FIGURES}
            show = mean_of if switch == DEFAULT else span_of
            off = [show(values) if values else "" for values in both.values()]
            pace = statistics.median(row["train_s"] / than["train_s"] for row, than in pairs)
            lines.append((switch, len(pairs), f"{whole:.2f}", *off, f"{pace:.2f}"))
        head = ("switch", "runs", "whole", *(f"{figure}, more" for figure in FIGURES), "time")
        text.append(f"## {name}\n\n{markdown(head, lines)}\n")
    return "\n".join(text)


def mean_of(pairs: Sequence[tuple[float, float]]) -> str:
    return f"{statistics.mean(value for value, _ in pairs):.2f}"


def span_of(pairs: Sequence[tuple[float, float]]) -> str:
    """Mean difference, and from the least to the most."""
    more = [value - than for value, than in pairs]
    return f"{statistics.mean(more):+.2f} ({min(more):+.2f} to {max(more):+.2f})"


def runs_of(chosen: argparse.Namespace, by_name: Mapping[str, Switch]) -> Iterator[Run]:
    """The default recipe and the chosen switches, for each fold and seed."""
    names = dict.fromkeys((DEFAULT, *(chosen.only or by_name)))
    for fold, seed, name in itertools.product(chosen.folds, chosen.seeds, names):
        switch = by_name[name]
        config = read_config(chosen.config, [*chosen.changes, f"seed={seed}", *switch.changes])
        recipe = hashlib.sha256(f"{config.model_dump_json()} {switch.unread}".encode()).hexdigest()[:12]
        set_name = f"{config.name} {chosen.asked}".strip()
        run = {"set": set_name, "switch": name, "fold": fold, "seed": seed, "recipe": recipe}
        yield run, partial(done, run, config, switch, chosen)


def done(run: Row, config: Config, switch: Switch, chosen: argparse.Namespace) -> list[Row]:
    """The row of one run, with a line of progress."""
    parts = fold_of(config, chosen.data, run["fold"])
    asked = tuple(history for history in parts.play if history.device.startswith(chosen.asked))
    row = measured(config, switch.unread, replace(parts, play=asked))
    where = f"fold {run['fold']}, seed {run['seed']}, {run['switch']}"
    print(f"{where}: {row['whole']:.2f}, {row['train_s']:.0f} s", file=sys.stderr)
    return [row]


def main(argv: Sequence[str] | None = None) -> None:
    parser = parser_of("ablation", __doc__)
    parser.add_argument("config", type=Path, help="the default recipe")
    add_folds_and_seeds(parser, [0, 1], [0])
    parser.add_argument("--only", nargs="+", metavar="SWITCH", help="beside the default; all there are by default")
    parser.add_argument("--set", dest="changes", action="append", default=[], metavar="KEY=VALUE", help="of both")
    parser.add_argument("--asked", default="", metavar="PREFIX", help="only devices whose names begin so are asked")
    chosen = parser.parse_args(argv)
    by_name = switches(read_config(chosen.config, chosen.changes))
    if unknown := [name for name in chosen.only or () if name not in by_name]:
        parser.error(f"no switch {unknown[0]!r}; there are {', '.join(by_name)}")
    print(tables(rows_of_runs(chosen.json, "ablation", runs_of(chosen, by_name))), flush=True)


if __name__ == "__main__":
    main()
