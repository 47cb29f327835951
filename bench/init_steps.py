"""How many epochs a good start of the weights saves: Xavier, orthogonal and forget bias against torch's own start.

    FOREWARN_DATA=folder python -m bench.init_steps configs/train/cmapss-fd001.toml --json build/init_steps.json

Each seed trains one network a start, by the same schedule on the same fold of the training engines. The mark is the
validation RMSE that torch's start has at two thirds of its schedule: chosen before anything was measured. It is that of
`trainer.training.validation.rmse_over_rows` over the fold's engines, which are not learnt from, the weights averaged
over about ten steps so that it follows them. Counted are the epochs until a run is first as good as that, so that
torch's start may come to it earlier too. A run that never is counts as its whole schedule. A run that is in the JSON is
not done again.
"""

import argparse
import itertools
import math
import statistics
import sys
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from bench.folds import Row, Run, add_folds_and_seeds, features_of_parts, fold_of, parser_of, rows_of_runs
from bench.result import markdown, ratio, write
from trainer.config import Config
from trainer.config_file import read_config
from trainer.model.network import Network
from trainer.training.loop import train

PLAIN = "torch"
GOOD = ("forget_one", "chrono")
MARK_AT = 2 / 3
AVERAGE = 0.9


def mark(plain: Sequence[float]) -> float:
    """RMSE that torch's start has at two thirds of its schedule."""
    return plain[math.ceil(MARK_AT * len(plain)) - 1]


def epochs_to(goal: float, rmse: Sequence[float]) -> int:
    """Epochs until a curve is first at most `goal`; all of them where it never is."""
    return next((epoch for epoch, value in enumerate(rmse, start=1) if value <= goal), len(rmse))


def compared(rows: Sequence[Row]) -> list[Row]:
    """A row a fold and seed that has every start."""
    comparisons = []
    for fold, seed in dict.fromkeys((row["fold"], row["seed"]) for row in rows):
        by_start = {row["init"]: row["rmse"] for row in rows if (row["fold"], row["seed"]) == (fold, seed)}
        if by_start.keys() >= {PLAIN, *GOOD}:
            goal = mark(by_start[PLAIN])
            epochs = {start: epochs_to(goal, by_start[start]) for start in (PLAIN, *GOOD)}
            comparisons.append({"fold": fold, "seed": seed, "mark": goal, "epochs": epochs})
    return comparisons


def table(comparisons: Sequence[Row]) -> str:
    """The epochs of every fold and seed, and the medians."""
    head = ("fold, seed", "mark", PLAIN, *(f"{start} ({what})" for start in GOOD for what in ("epochs", "saved")))
    lines = []
    for row in comparisons:
        epochs = row["epochs"]
        saved = [text for start in GOOD for text in (epochs[start], f"{1 - epochs[start] / epochs[PLAIN]:.0%}")]
        lines.append((f"{row['fold']}, {row['seed']}", f"{row['mark']:.2f}", epochs[PLAIN], *saved))
    if comparisons:
        of = {start: [1 - row["epochs"][start] / row["epochs"][PLAIN] for row in comparisons] for start in GOOD}
        medians = [text for start in GOOD for text in ("", f"{statistics.median(of[start]):.0%}")]
        lines.append(("median", "", "", *medians))
    return markdown(head, lines)


def runs_of(chosen: argparse.Namespace) -> Iterator[Run]:
    """A fold, a seed and a start each."""
    for fold, seed, start in itertools.product(chosen.folds, chosen.seeds, (PLAIN, *GOOD)):
        schedule = [f"train.epochs={chosen.epochs}", f"train.average={AVERAGE}"]
        config = read_config(chosen.config, [f"seed={seed}", f"train.init={start}", *schedule])
        run = {"set": config.name, "init": start, "fold": fold, "seed": seed, "epochs": chosen.epochs}
        yield run, partial(done, run, config, chosen.data)


def done(run: Row, config: Config, data: Path | None) -> list[Row]:
    """The row of one run: validation RMSE after each epoch, with a line of progress."""
    parts = fold_of(config, data, run["fold"])
    rmse = train(Network, *features_of_parts(config, parts.fit, parts.play), config)[1].rmse
    where = f"fold {run['fold']}, seed {run['seed']}, {run['init']}"
    print(f"{where}: {rmse[-1]:.2f} at last", file=sys.stderr, flush=True)
    return [{"rmse": rmse}]


def main(argv: Sequence[str] | None = None) -> None:
    parser = parser_of("init_steps", __doc__)
    parser.add_argument("config", type=Path)
    add_folds_and_seeds(parser, [0], [0, 1, 2, 3, 4])
    parser.add_argument("--epochs", type=int, default=40, help="of the whole schedule")
    chosen = parser.parse_args(argv)
    rows = rows_of_runs(chosen.json, "init_steps", runs_of(chosen))
    comparisons = compared(rows)
    print(table(comparisons), flush=True)
    ratios = {
        f"{start}_over_torch": ratio([row["epochs"][start] / row["epochs"][PLAIN] for row in comparisons])
        for start in GOOD
    }
    write(chosen.json, "init_steps", rows, ratios)


if __name__ == "__main__":
    main()
