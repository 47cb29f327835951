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
import math
import os
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.ablation import N_FOLDS, dealt
from bench.result import append, markdown, ratio, rows_in, write
from trainer.config import Config
from trainer.config_file import read_config
from trainer.data.dataset import histories_of
from trainer.data.split import Parts
from trainer.model.features import features_of, fit_scaling
from trainer.model.network import Network
from trainer.training.loop import train

PLAIN = "torch"
GOOD = ("forget_one", "chrono")
MARK_AT = 2 / 3
AVERAGE = 0.9


def curve(config: Config, parts: Parts) -> list[float]:
    """Validation RMSE after each epoch."""
    scaling = fit_scaling(parts.fit, config)
    fit, unseen = ([features_of(one, scaling, config.model) for one in part] for part in (parts.fit, parts.play))
    return train(Network, fit, unseen, config)[1].rmse


def mark(plain: Sequence[float]) -> float:
    """What torch's start has at two thirds of its schedule."""
    return plain[math.ceil(MARK_AT * len(plain)) - 1]


def epochs_to(wanted: float, rmse: Sequence[float]) -> int:
    """Epochs until a curve is first at most `wanted`; all of them where it never is."""
    return next((epoch for epoch, value in enumerate(rmse, start=1) if value <= wanted), len(rmse))


def compared(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """A row a fold and seed that has every start."""
    found = []
    for fold, seed in dict.fromkeys((row["fold"], row["seed"]) for row in rows):
        by_start = {row["init"]: row["rmse"] for row in rows if (row["fold"], row["seed"]) == (fold, seed)}
        if by_start.keys() >= {PLAIN, *GOOD}:
            wanted = mark(by_start[PLAIN])
            epochs = {start: epochs_to(wanted, by_start[start]) for start in (PLAIN, *GOOD)}
            found.append({"fold": fold, "seed": seed, "mark": wanted, "epochs": epochs})
    return found


def told(rows: Sequence[dict[str, Any]]) -> str:
    """The epochs of every fold and seed, and the medians."""
    head = ("fold, seed", "mark", PLAIN, *(f"{start} ({what})" for start in GOOD for what in ("epochs", "saved")))
    lines = []
    for row in rows:
        epochs = row["epochs"]
        saved = [text for start in GOOD for text in (epochs[start], f"{1 - epochs[start] / epochs[PLAIN]:.0%}")]
        lines.append((f"{row['fold']}, {row['seed']}", f"{row['mark']:.2f}", epochs[PLAIN], *saved))
    if rows:
        of = {start: [1 - row["epochs"][start] / row["epochs"][PLAIN] for row in rows] for start in GOOD}
        medians = [text for start in GOOD for text in ("", f"{statistics.median(of[start]):.0%}")]
        lines.append(("median", "", "", *medians))
    return markdown(head, lines)


def main(argv: Sequence[str] | None = None) -> None:
    arguments = argparse.ArgumentParser(
        prog="python -m bench.init_steps", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.add_argument("config", type=Path)
    arguments.add_argument("--folds", type=int, nargs="+", choices=range(N_FOLDS), default=[0])
    arguments.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    arguments.add_argument("--epochs", type=int, default=40, help="of the whole schedule")
    arguments.add_argument("--data", type=Path, default=os.environ.get("FOREWARN_DATA"), help="default: $FOREWARN_DATA")
    arguments.add_argument("--json", type=Path)
    chosen = arguments.parse_args(argv)
    rows = rows_in(chosen.json)
    for fold in chosen.folds:
        for seed in chosen.seeds:
            for start in (PLAIN, *GOOD):
                changes = [
                    f"seed={seed}",
                    f"train.init={start}",
                    f"train.epochs={chosen.epochs}",
                    f"train.average={AVERAGE}",
                ]
                config = read_config(chosen.config, changes)
                run = {"set": config.name, "init": start, "fold": fold, "seed": seed, "epochs": chosen.epochs}
                if any(row.items() >= run.items() for row in rows):
                    continue
                row = run | {"rmse": curve(config, dealt(config, histories_of(config, chosen.data))[fold])}
                append(chosen.json, "init_steps", row)
                rows.append(row)
                print(f"fold {fold}, seed {seed}, {start}: {row['rmse'][-1]:.2f} at last", file=sys.stderr, flush=True)
    rows = rows_in(chosen.json) or rows
    found = compared(rows)
    print(told(found), flush=True)
    over = {f"{start}_over_torch": ratio([r["epochs"][start] / r["epochs"][PLAIN] for r in found]) for start in GOOD}
    write(chosen.json, "init_steps", rows, over)


if __name__ == "__main__":
    main()
