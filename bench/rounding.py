"""What int8 costs, and what fine-tuning with rounded products gives back, on engines that were not learnt from.

    FOREWARN_DATA=folder python -m bench.rounding configs/train/cmapss-fd003.toml --seeds 0 1 2 --json rounding.json

One fold of the training engines is asked. Each seed is trained twice: as the config says, and with its last epochs
rounded as int8 rounds (`train.rounded_epochs`). Both networks then answer with plain products and with rounded ones,
which are those of the deployed graph (a test holds them equal). The test set is never read. Prints Markdown.
"""

import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import torch

from bench.folds import Row, features_of_parts, fitted_and_asked, parser_of
from bench.result import markdown, ratio, write
from trainer.config import Config
from trainer.config_file import read_config
from trainer.data.dataset import histories_of
from trainer.graph.fake_quantize import fake_quantized
from trainer.model.cells.cell import Product, dense
from trainer.model.features import Features, batch_of
from trainer.model.network import Network
from trainer.training.loop import train
from trainer.training.validation import rmse_over_rows


def error(network: Network, lives: Sequence[Features], config: Config, product: Product) -> float:
    """RMSE over the rows of a random cut, with the given products."""
    batch = batch_of(lives, config.model)
    with torch.no_grad():
        outputs, _ = network(torch.from_numpy(batch.inputs), (), product, torch.from_numpy(batch.real))
    estimate = (outputs.estimate.clamp(0, 1) * config.rul.cap).numpy()
    return rmse_over_rows([estimate[: len(life.z), column] for column, life in enumerate(lives)], lives, config)


def main(argv: Sequence[str] | None = None) -> None:
    parser = parser_of("rounding", __doc__)
    parser.add_argument("config", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, nargs="+", default=[0, 10], help="rounded ones, at the end")
    parser.add_argument("--set", dest="changes", action="append", default=[], metavar="KEY=VALUE")
    chosen = parser.parse_args(argv)
    rows: list[Row] = []
    for epochs in chosen.epochs:
        config = read_config(chosen.config, [*chosen.changes, f"train.rounded_epochs={epochs}"])
        lives, asked = features_of_parts(config, *fitted_and_asked(histories_of(config, chosen.data)))
        for seed in chosen.seeds:
            began = time.monotonic()
            network, _ = train(Network, lives, asked[:2], config.model_copy(update={"seed": seed}))
            off = {form: error(network, asked, config, by) for form, by in (("fp32", dense), ("int8", fake_quantized))}
            rows.append({"rounded_epochs": epochs, "seed": seed, **off, "train_s": time.monotonic() - began})
            print(rows[-1], file=sys.stderr, flush=True)
    lines, ratios = [], {}
    for epochs in chosen.epochs:
        runs = [row for row in rows if row["rounded_epochs"] == epochs]
        fp32, int8, train_s = (statistics.mean(row[figure] for row in runs) for figure in ("fp32", "int8", "train_s"))
        ratios[f"int8_over_fp32_{epochs}"] = ratio([row["int8"] / row["fp32"] for row in runs])
        lines.append((epochs, f"{fp32:.2f}", f"{int8:.2f}", f"{int8 / fp32 - 1:+.2%}", f"{train_s:.0f}"))
    print(markdown(("rounded epochs", "RMSE fp32", "RMSE int8", "int8 off by", "fit, s"), lines))
    write(chosen.json, "rounding", rows, ratios)


if __name__ == "__main__":
    main()
