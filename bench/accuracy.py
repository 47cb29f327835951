"""The C-MAPSS table: every set, several seeds, the deployed int8 bundle on the official test set.

    FOREWARN_DATA=folder python -m bench.accuracy --jobs 2 --json docs/figures/accuracy.json

Each run is `forewarn-train fit` and `forewarn-train evaluate` as a user would call them, but that nearly all training
engines are fitted and hardly any kept for playing: the test set does that. A run that is done is not done again, so
that a bench that was stopped goes on. The test set is read here and by `make demo`, and nowhere else; recipes are
chosen on folds of the training engines (bench/ablation.py). Rows of other sets that the JSON holds stay. Prints
Markdown; exits 0 whatever the figures are.

A set's own row is that of the one model which all four sets share, trained on the training engines of all of them;
"alone" is a model of that set's engines only, as the published figures are. RMSE is over the last row of each test
engine, the true remaining life capped at 125 cycles (raw: as it is).
"""

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from bench.folds import CONFIGS, parser_of
from bench.result import markdown, rows_in, write


@dataclass(frozen=True, slots=True)
class Table:
    """A config, and how its training engines are dealt out here."""

    config: Path
    fit: int
    calibrate: int
    play: int = 1


TABLES = {
    "fd001": Table(CONFIGS / "cmapss-fd001.toml", fit=89, calibrate=10),
    "fd002": Table(CONFIGS / "cmapss-fd002.toml", fit=239, calibrate=20),
    "fd003": Table(CONFIGS / "cmapss-fd003.toml", fit=89, calibrate=10),
    "fd004": Table(CONFIGS / "cmapss-fd004.toml", fit=228, calibrate=20),
    "shared": Table(CONFIGS / "cmapss-shared.toml", fit=668, calibrate=40),
}
GOALS = {"FD001": 9.7, "FD002": 9.6, "FD003": 9.4, "FD004": 9.4}
PUBLISHED = {"FD001": 10.97, "FD002": 12.55, "FD003": 10.90, "FD004": 14.08}
"""The best of the figures in docs/training.md, as their papers print them; whether each caps the truth is not known."""


def one_run(name: str, seed: int, data: Path, out: Path) -> dict[str, object]:
    """Fit and evaluate one seed, or read what an earlier call found."""
    figures = out / name / f"seed-{seed}" / "figures.json"
    if figures.exists():
        return dict(json.loads(figures.read_text()))
    deal_of, folder = TABLES[name], figures.parent
    trainer = [sys.executable, "-m", "trainer.cli"]
    deal = [f"split.fit={deal_of.fit}", f"split.calibrate={deal_of.calibrate}", f"split.play={deal_of.play}"]
    sets = [word for change in deal for word in ("--set", change)]
    began = time.monotonic()
    run([*trainer, "fit", str(deal_of.config), "--out", str(folder), "--data", str(data), "--seed", str(seed), *sets])
    train_s = time.monotonic() - began
    (bundle,) = folder.glob("*-[0-9]*.fwb")
    evaluated = folder / "evaluate.json"
    run(
        [*trainer, "evaluate", "--bundle", str(bundle), "--data", str(data), "--json", str(evaluated), "--no-baselines"]
    )
    figures_of = json.loads(evaluated.read_text())
    content = {"seed": seed, "train_s": train_s, "test": figures_of["test"], "bytes": figures_of["bytes"]}
    figures.write_text(json.dumps(content))
    print(f"{name}, seed {seed}: {train_s:.0f} s", file=sys.stderr, flush=True)
    return content


def run(command: Sequence[str]) -> None:
    """One thread a process, so that as many can go on side by side as there are cores."""
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env={**os.environ, "OMP_NUM_THREADS": "1"})


def rows_of(name: str, runs: Sequence[dict[str, object]]) -> list[dict[str, object]]:
    """A row a part of the data set: means over the seeds, and the seeds' own figures."""
    tests = [one["test"] for one in runs]
    seeds = [one["seed"] for one in runs]
    train_s = [float(str(one["train_s"])) for one in runs]
    rows: list[dict[str, object]] = []
    for part in dict(tests[0]):  # type: ignore[call-overload]
        int8 = [test[part]["int8"] for test in tests]  # type: ignore[index]
        fp32 = [test[part]["fp32"] for test in tests]  # type: ignore[index]
        capped = [one["rmse_capped"] for one in int8]
        rows.append(
            {
                "set": part if name == "shared" else f"{part} alone",
                "config": TABLES[name].config.name,
                "rmse_capped_mean": statistics.mean(capped),
                "rmse_capped_sd": statistics.stdev(capped) if len(capped) > 1 else None,
                "rmse_raw_mean": statistics.mean(one["rmse_raw"] for one in int8),
                "nasa_score_mean": statistics.mean(one["nasa_score"] for one in int8),
                "nasa_score_raw_mean": statistics.mean(one["nasa_score_raw"] for one in int8),
                "fp32_rmse_capped_mean": statistics.mean(one["rmse_capped"] for one in fp32),
                "seeds": seeds,
                "rmse_capped": capped,
                "train_s": statistics.mean(train_s),
                "goal": GOALS[part],
                "published": PUBLISHED[part],
                "test_engines": int8[0]["n_engines"],
            }
        )
    return rows


def table(rows: Sequence[dict[str, object]]) -> str:
    """Markdown, a line a row."""
    head = (
        "set",
        "RMSE int8, mean",
        "sd",
        "each seed",
        "goal",
        "published",
        "fp32",
        "int8 off by",
        "raw truth",
        "NASA",
        "NASA, raw",
        "fit, s",
    )
    lines = []
    for row in rows:
        mean, fp32 = float(str(row["rmse_capped_mean"])), float(str(row["fp32_rmse_capped_mean"]))
        sd = row["rmse_capped_sd"]
        lines.append(
            (
                row["set"],
                f"**{mean:.2f}**",
                "" if sd is None else f"{sd:.2f}",
                " ".join(f"{one:.2f}" for one in row["rmse_capped"]),  # type: ignore[attr-defined]
                row["goal"],
                f"{row['published']:.2f}",
                f"{fp32:.2f}",
                f"{mean / fp32 - 1:+.2%}",
                f"{row['rmse_raw_mean']:.2f}",
                f"{row['nasa_score_mean']:.0f}",
                f"{row['nasa_score_raw_mean']:.0f}",
                f"{row['train_s']:.0f}",
            )
        )
    return markdown(head, lines)


def main(argv: Sequence[str] | None = None) -> None:
    parser = parser_of("accuracy", __doc__)
    parser.add_argument("--sets", nargs="+", choices=[*TABLES], default=[*TABLES], metavar="SET", help=" ".join(TABLES))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--jobs", type=int, default=1, help="runs side by side, one thread each")
    parser.add_argument("--out", type=Path, default=Path("build/accuracy"), help="bundles and figures of each run")
    chosen = parser.parse_args(argv)
    if chosen.data is None:
        parser.error("name the data folder: --data or FOREWARN_DATA")
    runs = [(name, seed) for name in chosen.sets for seed in chosen.seeds]
    with ThreadPoolExecutor(chosen.jobs) as pool:
        figures = list(pool.map(lambda run: one_run(*run, chosen.data, chosen.out), runs))
    rows = []
    for name in chosen.sets:
        rows += rows_of(name, [of_run for (of, _), of_run in zip(runs, figures, strict=True) if of == name])
    rows += [row for row in rows_in(chosen.json) if row["set"] not in {ours["set"] for ours in rows}]
    rows.sort(key=lambda row: str(row["set"]))
    print(table(rows))
    write(chosen.json, "accuracy", rows)


if __name__ == "__main__":
    main()
