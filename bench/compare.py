"""The supervised bundle beside every method without a network, at the same budget: how much further ahead does it warn?

    FOREWARN_DATA=folder python -m bench.compare --json build/compare.json

A seed deals the devices of a set anew, trains the bundle, and fits every method to the same devices; all is played and
judged as `forewarn-train compare` does it. Each set is compared twice: every device known to be new (bundle and
boosting are told, the calendar always knows), and of unknown age. The best statistical method is the one with the
longest mean lead over all seeds, of limits, EWMA, CUSUM, T2 with Q and Holt-Winters; beside it stands the best of all
that learn nothing from failures, networks and forests among them. Ratios are of one seed each. What is in the
JSON is not done again, so a bench that takes hours may be stopped, and several processes may fill one file.

On ASD and SKAB, which have fault intervals, it is the bundle's `anomaly` head beside isolation forest and T2 with Q:
how many of the intervals could each detect at an equal real rate of false alarms (`detected_at_equal`)?
Prints Markdown, progress on stderr; exits 0 whatever the figures are.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

from agent.bundle.file import Bundle, read
from agent.words import FirstSeen
from bench.folds import CONFIGS, Row, Run, parser_of, rows_of_runs
from bench.result import Ratio, markdown, ratio, write
from trainer.comparison.compare import METHODS, compare
from trainer.config import Config
from trainer.config_file import read_config
from trainer.data.dataset import histories_of, parts_of
from trainer.data.history import digest_of
from trainer.fit import fit, train_bundle

SETS = {f"fd00{number}": CONFIGS / f"cmapss-fd00{number}.toml" for number in (1, 2, 3, 4)} | {
    "pumps": CONFIGS / "pumps.toml"
}
UNLABELLED = {
    "asd": (CONFIGS / "public/asd.toml", "1 per device per d"),
    "skab": (CONFIGS / "public/skab.toml", "2 per device per h"),
}
"""Sets for the anomaly head, and the budget of each."""
FOREST, T2_Q = "isolation_forest", "t2_q"
LSTM, BOOSTING, BEST, BEST_UNLABELLED = "lstm", "boosting", "best_statistical", "best_unlabelled"
STATISTICAL = ("limits", "ewma", "cusum", "t2_q", "holt_winters")
UNLABELLED_METHODS = (*STATISTICAL, "isolation_forest", "kmeans", "half_space_trees", "lstm_autoencoder")
"""Those that learn nothing from failures but their threshold and parameters."""
ASK_FOR_AGE = {BOOSTING}
AGES: tuple[FirstSeen, ...] = ("new", "unknown")
GOALS = {BEST: 1.40, BOOSTING: 1.05}
"""Of the ratios where devices are known to be new."""
RIVALS: dict[str, Sequence[str]] = {BEST: STATISTICAL, BEST_UNLABELLED: UNLABELLED_METHODS, BOOSTING: (BOOSTING,)}
RECALL_GOALS = {FOREST: 1.22, T2_Q: 1.0}


def runs(arguments: argparse.Namespace) -> Iterator[Run]:
    """A run a set and a seed: both kinds of knowledge share the trained bundle."""
    for name in arguments.sets:
        for seed in arguments.seeds:
            measure = anomaly_rows if name in UNLABELLED else rows_of
            yield {"set": name, "seed": seed}, partial(measure, name, seed, arguments)


def config_of(name: str, seed: int, epochs: int | None) -> Config:
    """The set's own configuration; the seed is that of the split too."""
    config = read_config(UNLABELLED[name][0] if name in UNLABELLED else SETS[name])
    train = config.train.model_copy(update={"epochs": epochs or config.train.epochs})
    return config.model_copy(
        update={"seed": seed, "train": train, "split": config.split.model_copy(update={"seed": seed})}
    )


def rows_of(name: str, seed: int, arguments: argparse.Namespace) -> list[Row]:
    """Train once, and compare with every device known to be new and with none: a row a method and a kind."""
    began, data, methods = time.monotonic(), arguments.data, arguments.methods
    config = config_of(name, seed, arguments.epochs)
    bundle = new_bundle(config, data)
    print(f"{config.name}, seed {config.seed}: trained in {time.monotonic() - began:.0f} s", file=sys.stderr)
    rows: list[Row] = []
    for first_seen in AGES:
        told = [name for name in methods if name in ASK_FOR_AGE] if rows else methods
        found = compare([bundle], data, methods=told, seeds=1, first_seen=first_seen)
        new = [{"method": name, "left_out": why} for name, why in found.left_out.items()]
        new += [{"budget": found.budget.text, **msgspec.to_builtins(row)} for row in found.rows]
        same = [row for row in rows if row["method"] not in {LSTM, *ASK_FOR_AGE}]  # does not depend on it
        rows += [{**row, "first_seen": first_seen} for row in (*new, *same)]
    print(f"{config.name}, seed {config.seed}: compared by {time.monotonic() - began:.0f} s", file=sys.stderr)
    return rows


def anomaly_rows(name: str, seed: int, arguments: argparse.Namespace) -> list[Row]:
    """Train the anomaly head, and compare: a row a method."""
    config = config_of(name, seed, arguments.epochs).model_copy(update={"heads": ("anomaly",)})
    with TemporaryDirectory() as folder:
        bundle = read(fit(config, arguments.data, Path(folder)))
    found = compare([bundle], arguments.data, budget=UNLABELLED[name][1], methods=[*RECALL_GOALS], seeds=1)
    rows: list[Row] = [{"method": rival, "left_out": why} for rival, why in found.left_out.items()]
    rows += [{"budget": found.budget.text, **msgspec.to_builtins(row)} for row in found.rows]
    return [{**row, "first_seen": "unknown"} for row in rows]


def new_bundle(config: Config, data: Path | None) -> Bundle:
    """The set's bundle, in memory."""
    histories = histories_of(config, data)
    return train_bundle(config, parts_of(config, histories), digest_of(histories))[0]


def leads_of(rows: Sequence[Row], name: str, first_seen: str) -> dict[str, dict[int, float]]:
    """Mean lead by method and seed, of those that could be fitted."""
    leads: dict[str, dict[int, float]] = {}
    for row in rows:
        if (row["set"], row["first_seen"]) == (name, first_seen) and "left_out" not in row:
            leads.setdefault(row["method"], {})[row["seed"]] = row["mean_lead_s"]
    return leads


def best_of(leads: Mapping[str, Mapping[int, float]], methods: Sequence[str]) -> str:
    """Of the methods, the one with the longest mean lead over the seeds; "" for none."""
    return max(
        (name for name in methods if name in leads), key=lambda name: statistics.mean(leads[name].values()), default=""
    )


def ratios_of(rows: Sequence[Row], sets: Sequence[str]) -> dict[str, Ratio]:
    """`lead_over_..._SET_new`: what is asked for; `..._unknown`: beside it. A ratio a seed."""
    ratios = {}
    for name in sets:
        for first_seen in AGES:
            leads = leads_of(rows, name, first_seen)
            for label, methods in RIVALS.items():
                method = best_of(leads, methods)
                theirs = leads.get(method, {})
                pairs = [(leads[LSTM][seed], lead_s) for seed, lead_s in theirs.items() if lead_s > 0]
                ratios[f"lead_over_{label}_{name}_{first_seen}"] = ratio([ours / other for ours, other in pairs])
    return ratios


def recall_ratios(rows: Sequence[Row], sets: Sequence[str]) -> dict[str, Ratio]:
    """`anomaly_recall_over_METHOD_SET`, at equal real false alarms, a ratio a seed."""
    ratios = {}
    for name in sets:
        detected: dict[str, dict[int, float]] = {}
        for row in rows:
            if row["set"] == name and "left_out" not in row:
                detected.setdefault(row["method"], {})[row["seed"]] = row["detected_at_equal"]
        for rival in RECALL_GOALS:
            pairs = [(detected[LSTM][seed], theirs) for seed, theirs in detected.get(rival, {}).items() if theirs > 0]
            ratios[f"anomaly_recall_over_{rival}_{name}"] = ratio([ours / theirs for ours, theirs in pairs])
    return ratios


def recall_table(rows: Sequence[Row], sets: Sequence[str]) -> str:
    """A line a set: the ratios beside their goals."""
    ratios = recall_ratios(rows, sets)
    head = ("set", *(f"recall over {rival} (goal {goal:.2f})" for rival, goal in RECALL_GOALS.items()))
    over = {name: [ratios[f"anomaly_recall_over_{rival}_{name}"] for rival in RECALL_GOALS] for name in sets}
    return markdown(head, [(name, *map(ratio_text, over[name])) for name in sets])


def table(rows: Sequence[Row], sets: Sequence[str]) -> str:
    """A line a set and kind: mean leads over the seeds, and the ratios beside their goals."""
    ratios = ratios_of(rows, sets)
    lines = []
    for name in sets:
        for first_seen in AGES:
            leads = leads_of(rows, name, first_seen)
            best = [best_of(leads, methods) for methods in RIVALS.values()]
            cells = [mean_of(leads, LSTM), *(f"{method} {mean_of(leads, method)}" for method in best)]
            over = [ratios[f"lead_over_{label}_{name}_{first_seen}"] for label in RIVALS]
            lines.append((f"{name}, {first_seen}", *cells, *map(ratio_text, over)))
    over_ = [f"over it{f' (goal {GOALS[label]:.2f})' if label in GOALS else ''}" for label in RIVALS]
    return markdown(("set, age", "LSTM, mean lead", "best statistical", "best unlabelled", "boosting", *over_), lines)


def mean_of(leads: Mapping[str, Mapping[int, float]], method: str) -> str:
    """Seconds, or cycles where the set counts cycles."""
    return f"{statistics.mean(leads[method].values()):.1f}" if method in leads else "-"


def ratio_text(ratio_: Ratio) -> str:
    if ratio_["median"] is None:
        return "-"
    return f"{ratio_['median']:.2f} ({ratio_['min']:.2f} to {ratio_['max']:.2f})"


def main(argv: Sequence[str] | None = None) -> None:
    parser = parser_of("compare", __doc__)
    every_set = [*SETS, *UNLABELLED]
    parser.add_argument("--sets", nargs="+", choices=every_set, default=every_set)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4], help="of split, training and methods")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=[*METHODS])
    parser.add_argument("--epochs", type=int, help="instead of the config's: a smoke run")
    arguments = parser.parse_args(argv)
    rows = rows_of_runs(arguments.json, "compare", runs(arguments))
    supervised = [name for name in arguments.sets if name in SETS]
    unlabelled = [name for name in arguments.sets if name in UNLABELLED]
    print(f"{table(rows, supervised)}\n\n{recall_table(rows, unlabelled)}")
    write(arguments.json, "compare", rows, ratios_of(rows, supervised) | recall_ratios(rows, unlabelled))


if __name__ == "__main__":
    main()
