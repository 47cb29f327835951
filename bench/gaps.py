"""What memory is worth on real lives: C-MAPSS with gaps in which no sensor says anything, a plain RNN beside the cells.

    FOREWARN_DATA=folder python -m bench.gaps --seeds 0 1 2 3 4 --json build/gaps.json

Every engine, fitted or asked, is silent for runs of 30 to 60 cycles, about a third of its life. Asked are the
engines of one fold of the training file; the test set is never read. The error counts in the gaps and in the ten rows
after them, where an estimate can only come from memory. Twice: with the running means beside the channels, which
remember by themselves, and with means so short that only the cell does. The config is that of FD001 with fewer epochs;
a cell without a forget gate starts with Xavier and orthogonal weights. Prints Markdown.
"""

import sys
import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from agent.words import Bool
from bench.folds import CONFIGS, Row, features_of_parts, fitted_and_asked, parser_of
from bench.result import Ratio, markdown, ratio, write
from trainer.config import Config
from trainer.config_file import read_config
from trainer.data.dataset import histories_of
from trainer.data.history import History
from trainer.model.cells import CELLS
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
    lives, unseen = features_of_parts(config, fit, [history for history, _ in asked])
    network, _ = train(Network, lives, unseen[:2], config.model_copy(update={"seed": seed}))
    off = [
        (estimate - np.minimum(life.left, config.rul.cap))[rows]
        for (estimate, _), life, (_, rows) in zip(predict(network, unseen, config), unseen, asked, strict=True)
    ]
    return float(np.sqrt(np.mean(np.concatenate(off) ** 2)))


def beside_first(rows: Sequence[Row]) -> tuple[str, dict[str, Ratio]]:
    """A table, each cell beside the first one with the same memory, and the ratios seed by seed."""
    first, ratios, lines = rows[0]["cell"], {}, []
    for row in rows:
        plain = next(other for other in rows if (other["memory"], other["cell"]) == (row["memory"], first))
        off = [ours / theirs for ours, theirs in zip(row["rmse"], plain["rmse"], strict=True)]
        ratios[f"{row['cell']}_over_{first}, {row['memory']}"] = ratio(off)
        spread = f"{np.std(row['rmse'], ddof=1):.2f}" if len(off) > 1 else ""
        lines.append((row["memory"], row["cell"], f"{np.mean(row['rmse']):.2f}", spread, f"{np.mean(off) - 1:+.0%}"))
    return markdown(("memory", "cell", "RMSE, cycles", "sd", f"beside {first}"), lines), ratios


def main(argv: Sequence[str] | None = None) -> None:
    parser = parser_of("gaps", __doc__)
    parser.add_argument("--cells", nargs="+", choices=list(CELLS), default=["rnn", "lstm"], metavar="CELL")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--epochs", type=int, default=60)
    chosen = parser.parse_args(argv)
    base = read_config(CONFIGS / "cmapss-fd001.toml", [f"train.epochs={chosen.epochs}", "augment.join_share=0"])
    histories = histories_of(base, chosen.data)
    rng = np.random.default_rng(0)
    silent = {history.device: with_gaps(history, rng) for history in histories}
    fitted, asked = ([silent[history.device] for history in part] for part in fitted_and_asked(histories))
    rows: list[Row] = []
    for memory, rates in MEANS.items():
        for cell in chosen.cells:
            model = base.model.model_copy(update={"cell": cell, "mean_rates": rates})
            config = base.model_copy(update={"model": model})
            began = time.monotonic()
            rmse = [error(config, [history for history, _ in fitted], asked, seed) for seed in chosen.seeds]
            rows.append({"memory": memory, "cell": cell, "rmse": rmse, "seeds": chosen.seeds})
            took_s = time.monotonic() - began
            print(f"{memory}, {cell}: {np.mean(rmse):.2f} in {took_s:.0f} s", file=sys.stderr, flush=True)
    table, ratios = beside_first(rows)
    print(table)
    write(chosen.json, "gaps", rows, ratios)


if __name__ == "__main__":
    main()
