"""C-MAPSS accuracy of the deployed int8 bundle: train each seed, evaluate it once on the official test set, one table.

    FOREWARN_DATA=folder python bench/accuracy.py --seeds 0 1 2 --json build/accuracy.json

The test set is read here and by `make demo`, nowhere else. Prints Markdown; exits 0 whatever the figures are.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path

GOAL_RMSE = 11.5


def one_seed(config: Path, seed: int, data: Path, out: Path) -> dict[str, float]:
    """Train and evaluate one seed; the figures of its row."""
    began = time.monotonic()
    trainer = [sys.executable, "-m", "trainer.cli"]
    subprocess.run(
        [*trainer, "fit", str(config), "--out", str(out), "--seed", str(seed)], check=True, stdout=sys.stderr
    )
    train_s = time.monotonic() - began
    (bundle,) = out.glob("*-[0-9]*.fwb")
    figures = out / "evaluate.json"
    evaluate = ["evaluate", "--bundle", str(bundle), "--data", str(data), "--json", str(figures)]
    subprocess.run([*trainer, *evaluate], check=True, stdout=sys.stderr)
    found = json.loads(figures.read_text())
    warning = found["early_warning"]
    return {
        "seed": seed,
        "rmse_capped": found["rmse_capped"],
        "fp32_rmse_capped": found["fp32"]["rmse_capped"],
        "rmse_raw": found["rmse_raw"],
        "nasa_score": found["nasa_score"],
        "detected": warning["strict"]["detected"],
        "played": warning["failures"],
        "mean_lead": warning["strict"]["mean_lead_s"],
        "size_ratio": found["bytes"]["int8"] / found["bytes"]["fp32"],
        "train_s": train_s,
    }


def table(rows: list[dict[str, float]]) -> str:
    """Markdown, a line a seed and one with mean and standard deviation."""
    lines = [
        "| seed | RMSE int8 | fp32 | int8 off by | RMSE, raw truth | NASA score | detected | mean lead "
        "| int8 / fp32 bytes | train s |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        off = row["rmse_capped"] / row["fp32_rmse_capped"] - 1
        lines.append(
            f"| {row['seed']:.0f} | {row['rmse_capped']:.2f} | {row['fp32_rmse_capped']:.2f} | {off:+.2%} "
            f"| {row['rmse_raw']:.2f} | {row['nasa_score']:.0f} | {row['detected']:.0f} of {row['played']:.0f} "
            f"| {row['mean_lead']:.1f} | {row['size_ratio']:.1%} | {row['train_s']:.0f} |"
        )
    if len(rows) > 1:
        means = {key: statistics.mean(row[key] for row in rows) for key in rows[0]}
        spread = statistics.stdev(row["rmse_capped"] for row in rows)
        lines.append(
            f"| **mean** | **{means['rmse_capped']:.2f}** (sd {spread:.2f}) | {means['fp32_rmse_capped']:.2f} "
            f"| {means['rmse_capped'] / means['fp32_rmse_capped'] - 1:+.2%} | {means['rmse_raw']:.2f} "
            f"| {means['nasa_score']:.0f} | {means['detected']:.1f} of {means['played']:.0f} "
            f"| {means['mean_lead']:.1f} | {means['size_ratio']:.1%} | {means['train_s']:.0f} |"
        )
    return "\n".join(lines)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--config", type=Path, default=Path("configs/train/cmapss-fd001.toml"))
    arguments.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    arguments.add_argument("--data", type=Path, default=os.environ.get("FOREWARN_DATA"), help="default: $FOREWARN_DATA")
    arguments.add_argument("--out", type=Path, default=Path("build/accuracy"))
    arguments.add_argument("--json", type=Path)
    chosen = arguments.parse_args()
    if chosen.data is None:
        arguments.error("name the data folder: --data or FOREWARN_DATA")
    rows = [one_seed(chosen.config, seed, chosen.data, chosen.out / f"seed-{seed}") for seed in chosen.seeds]
    print(table(rows))
    print(f"\nGoal: RMSE at most {GOAL_RMSE}, last row of each test engine, true RUL capped at 125.")
    if chosen.json:
        report = {"bench": "accuracy", "machine": {"platform": platform.platform()}, "rows": rows}
        chosen.json.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
