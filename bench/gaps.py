"""What memory is worth on real lives: C-MAPSS with gaps in which no sensor says anything, a plain RNN beside the cells.

    FOREWARN_DATA=folder python -m bench.gaps --seeds 0 1 2 3 4 --json build/gaps.json

Every engine, those that are fitted and those that are asked, is silent for runs of 30 to 60 cycles, about a third of
its life. Asked are the engines of one fold of the training file; the test set is never read. The error counts in the
gaps and in the ten rows after them, where an answer can only come from memory. Twice: with the running means beside
the channels, which remember by themselves, and with means so short that only the cell does. The config is that of
FD001 with fewer epochs; a cell without a forget gate starts with Xavier and orthogonal weights. Prints Markdown.
"""

import argparse
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from agent.words import Bool
from bench.early_warning import SETS, folds
from bench.result import markdown, ratio, write
from trainer.config import Config
from trainer.config_file import read_config
from trainer.data.dataset import histories_of
from trainer.data.history import History
from trainer.model.cells import CELLS
from trainer.model.features import features_of, fit_scaling
from trainer.model.network import Network
from trainer.training.loop import train
from trainer.training.validation import predict

GAP_ROWS = (30, 61)
BETWEEN_ROWS = (50, 121)
AFTER_ROWS = 10
MEANS = {"with running means": (0.05, 0.02), "the cell alone": (0.9, 0.8)}


def with_gaps(history: History, rng: np.random.Generator) -> tuple[History, Bool]:
    """The history with silent runs, and which rows are asked: bool [T]."""
    x, asked = history.x.copy(), np.zeros(len(history.x), np.bool_)
    start = int(rng.integers(*BETWEEN_ROWS))
    while start < len(x):
        end = start + int(rng.integers(*GAP_ROWS))
        x[start:end] = np.nan
        asked[start : end + AFTER_ROWS] = True
        start = end + int(rng.integers(*BETWEEN_ROWS))
    return replace(history, x=x), asked


def error(config: Config, fit: Sequence[History], asked: Sequence[tuple[History, Bool]], seed: int) -> float:
    """RMSE of the remaining life, truth capped, over the asked rows of engines that were not fitted."""
    scaling = fit_scaling(fit, config)
    lives, watch = (
        [features_of(one, scaling, config.model) for one in part] for part in (fit, [one for one, _ in asked])
    )
    network, _ = train(Network, lives, watch[:2], config.model_copy(update={"seed": seed}))
    told = predict(network, watch, config)
    off = [
        (estimate - np.minimum(life.left, config.rul.cap))[rows]
        for (estimate, _), life, (_, rows) in zip(told, watch, asked, strict=True)
    ]
    return float(np.sqrt(np.mean(np.concatenate(off) ** 2)))


def main(argv: Sequence[str] | None = None) -> None:
    arguments = argparse.ArgumentParser(
        prog="python -m bench.gaps", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.add_argument("--cells", nargs="+", choices=list(CELLS), default=["rnn", "lstm"], metavar="CELL")
    arguments.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    arguments.add_argument("--epochs", type=int, default=60)
    arguments.add_argument("--data", type=Path, default=os.environ.get("FOREWARN_DATA"), help="default: $FOREWARN_DATA")
    arguments.add_argument("--json", type=Path)
    chosen = arguments.parse_args(argv)
    base = read_config(SETS["fd001"], [f"train.epochs={chosen.epochs}", "augment.join_share=0"])
    rng = np.random.default_rng(0)
    histories = histories_of(base, chosen.data)
    parts = folds(histories, 5, 0, 0.1)[0]
    silent = {history.device: with_gaps(history, rng) for history in histories}
    fit = [silent[one.device][0] for one in (*parts.fit, *parts.calibrate)]
    asked = [silent[one.device] for one in parts.play]
    rows = []
    for memory, rates in MEANS.items():
        for cell in chosen.cells:
            model = base.model.model_copy(update={"cell": cell, "mean_rates": rates})
            config = base.model_copy(update={"model": model})
            began = time.monotonic()
            found = [error(config, fit, asked, seed) for seed in chosen.seeds]
            rows.append({"memory": memory, "cell": cell, "rmse": found, "seeds": chosen.seeds})
            took = time.monotonic() - began
            print(f"{memory}, {cell}: {np.mean(found):.2f} in {took:.0f} s", file=sys.stderr, flush=True)
    ratios, lines = {}, []
    for row in rows:
        plain = next(one for one in rows if one["memory"] == row["memory"] and one["cell"] == chosen.cells[0])
        off = [mine / theirs for mine, theirs in zip(row["rmse"], plain["rmse"], strict=True)]
        ratios[f"{row['cell']}_over_{plain['cell']}, {row['memory']}"] = ratio(off)
        spread = f"{np.std(row['rmse'], ddof=1):.2f}" if len(off) > 1 else ""
        lines.append((row["memory"], row["cell"], f"{np.mean(row['rmse']):.2f}", spread, f"{np.mean(off) - 1:+.0%}"))
    print(markdown(("memory", "cell", "RMSE, cycles", "sd", f"beside {chosen.cells[0]}"), lines))
    write(chosen.json, "gaps", rows, ratios)


if __name__ == "__main__":
    main()
