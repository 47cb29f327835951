"""Never behind what a plant has: five simulated plants of other kinds, the head beside limits, EWMA, smoothing and age.

    python -m bench.plants --json build/plants.json

Twenty machines a plant: eight healthy ones teach and calibrate, four that failed are labelled, and eight that fail are
measured. Noise hangs together in time and over channels, and machines differ in level and spread. All methods get a
blind threshold at the same budget from the same healthy time. `anomaly` is the default bank without a label; in
`anomaly, labelled` the four choose among it, its parts and what the plant has (trainer/anomaly/labelled.py). `bundle,
labelled` is what `forewarn-train fit` ships when it is given the twelve, with failures and no word of heads. What a
plant has: limits (the farthest a channel was off in healthy time), EWMA of each channel, smoothing of each channel, and
age, which knows how long each other machine ran, and has the same budget.

jumps    a step of one channel that stays
drifts   two channels run away slowly
bursts   short bursts, ever more often
cycles   a cycle of the machine changes its shape
regimes  load changes level and noise of all channels; at a fault one channel follows it no longer
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from agent.bundle.file import read
from agent.judge.threshold import Budget, choose
from agent.score.age_only import choose_age, warned_by_age
from agent.score.early_warning import Spell, bootstrap95, observed_device
from agent.score.early_warning import measure as early_warning
from bench.blind import Detector, Labelled, Rules, blind_threshold, spells
from bench.folds import parser_of
from bench.public_sets import Recording, recording
from bench.result import markdown, ratio, write
from bench.unlabelled import BANK
from trainer.anomaly.bank import EWMA, LIMITS, SMOOTHING
from trainer.anomaly.charts import ChartSpec
from trainer.config import Config, Judge, Model, Risk, Rul, Train
from trainer.data.history import Float64, History
from trainer.data.split import Parts
from trainer.data.table.section import Table
from trainer.evaluation.playback import NEVER, play
from trainer.evaluation.threshold_sweep import alerts_at, judged_scores, rules_of
from trainer.fit import train_both_and_write

KINDS = ("jumps", "drifts", "bursts", "cycles", "regimes")
MACHINES, HEALTHY, LABELLED, CHANNELS = 20, 8, 4, 6
MEASURED = slice(HEALTHY + LABELLED, None)
ROWS, WARNING_ROWS = 2000, 250
RULES = Rules(rows=400, hold=30, every_s=60.0, h_max_s=WARNING_ROWS * 60.0, budget_per_s=1 / (2000 * 60.0))
RIVALS = {
    "limits": (LIMITS,),
    "ewma": (EWMA,),
    "smoothing": (SMOOTHING,),
}
OURS = ("anomaly", "anomaly, labelled", "bundle, labelled")
Row = dict[str, Any]


def plant(kind: str, seed: int) -> list[Recording]:
    """Machines of one kind; the first HEALTHY never fail, the others at their last row. Faulty: since a fault began."""
    draw = np.random.default_rng((KINDS.index(kind), seed))
    mixing = draw.normal(size=(CHANNELS, CHANNELS)) * 0.5 + np.eye(CHANNELS)
    machines = []
    for number in range(MACHINES):
        rows = ROWS if number < HEALTHY else int(draw.integers(ROWS // 2, ROWS))
        x = normal(kind, rows, mixing, draw)
        begins = rows if number < HEALTHY else rows - int(draw.integers(WARNING_ROWS // 3, WARNING_ROWS))
        spoil(kind, x, begins, draw)
        x = x * np.exp(draw.normal(size=CHANNELS) * 0.3) + draw.normal(size=CHANNELS) * 2
        machines.append(recording(f"{kind}-{number}", 60.0 * np.arange(rows), x, np.arange(rows) >= begins))
    return machines


def normal(kind: str, rows: int, mixing: Float64, draw: np.random.Generator) -> Float64:
    """Noise of the first order in time, mixed over channels; a cycle or a load beside it."""
    noise = draw.normal(size=(rows, CHANNELS)) @ mixing
    for row in range(1, rows):
        noise[row] = 0.7 * noise[row - 1] + 0.7 * noise[row]
    if kind == "cycles":
        noise += 2 * np.sin(2 * np.pi * np.arange(rows)[:, None] / 40 + np.arange(CHANNELS))
    if kind == "regimes":
        load = np.repeat(draw.integers(0, 3, rows // 25 + 1), 25)[:rows, None]
        noise = noise * (1 + 0.3 * load) + load * np.linspace(-2, 2, CHANNELS)
    return noise


def spoil(kind: str, x: Float64, begins: int, draw: np.random.Generator) -> None:
    """Change the rows from `begins` on, in place."""
    rows, channel = len(x) - begins, int(draw.integers(CHANNELS))
    since = np.arange(rows)
    if kind == "jumps":
        x[begins:, channel] += 1.5 * x[:begins, channel].std()
    elif kind == "drifts":
        pair = [channel, (channel + 1) % CHANNELS]
        x[begins:, pair] += (3 * since / WARNING_ROWS)[:, None] * x[:begins, pair].std(axis=0)
    elif kind == "bursts":
        struck = draw.random(rows) < 0.02 + 0.1 * since / WARNING_ROWS
        x[begins:, channel] += np.where(struck, 5 * draw.choice([-1, 1], rows), 0) * x[:begins, channel].std()
    elif kind == "cycles":
        x[begins:, channel] += 1.5 * np.sin(2 * np.pi * since / 10)
    else:
        x[begins:, channel] = x[:begins, channel].mean() + 0.3 * (x[begins:, channel] - x[:begins, channel].mean())


def alerts_of(charts: Sequence[ChartSpec], machines: Sequence[Recording], seed: int) -> list[list[tuple[Spell, ...]]]:
    """Alerts of each machine that is measured, by charts that the healthy ones taught: all of them, and, of a bank,
    those that the labelled machines choose.
    """
    healthy, labelled = machines[:HEALTHY], machines[HEALTHY : HEALTHY + LABELLED]
    every = tuple(dict.fromkeys((*charts, LIMITS))) if len(charts) > 1 else charts
    detector = Detector.fit(every, RULES, healthy, events=np.zeros(CHANNELS, bool), seed=seed).with_bank(charts)
    normal_s = [detector.s(one) for one in healthy]
    detector = detector.with_scales(normal_s)
    uses = [detector]
    if len(charts) > 1:
        uses.append(
            detector.chosen(
                [one / detector.scales for one in normal_s], [windows_of(one, detector) for one in labelled]
            )[0]
        )
    scores = [detector.s(one) for one in machines[MEASURED]]
    alerts = []
    for use in uses:
        threshold = blind_threshold([use.of(one / use.scales) for one in normal_s], RULES)
        alerts.append(
            [
                spells(use.of(s), threshold, RULES, one.t_s[RULES.rows :])
                for s, one in zip(scores, machines[MEASURED], strict=True)
            ]
        )
    return alerts


def config_of(seed: int) -> Config:
    """As a user would write it: no head is named, so `fit` keeps the one that warns the calibration machines."""
    names, h_max = tuple(f"c{number}" for number in range(CHANNELS)), RULES.h_max_s
    return Config(
        name="plant",
        version="0.1.0",
        seed=seed,
        heads=("risk", "anomaly"),
        data=Table(dataset="table", rows=("rows.csv",), channels=names),
        model=Model(hidden=32, cadence=RULES.every_s, dt_max=10 * RULES.every_s),
        train=Train(epochs=60, batch=4),
        risk=Risk(horizons=(h_max / 4, h_max / 2, h_max)),
        rul=Rul(cap=h_max),
        judge=Judge(horizon=h_max, clear_after=RULES.hold * RULES.every_s, h_max=h_max, h_min=0.0),
    )


def by_bundle(machines: Sequence[Recording], seed: int) -> list[tuple[Spell, ...]]:
    """Alerts of the bundle that `forewarn-train fit` ships: half of the healthy and of the labelled machines teach, the
    others calibrate; its graph is played through the agent's core, and judged as an agent judges it.
    """
    histories = [
        History(one.name, one.t_s, one.x.astype(np.float32), None if number < HEALTHY else float(one.t_s[-1]))
        for number, one in enumerate(machines)
    ]
    known, play_ = histories[: HEALTHY + LABELLED], tuple(histories[MEASURED])
    with TemporaryDirectory() as folder:
        parts = Parts(tuple(known[::2]), tuple(known[1::2]), play_)
        bundle = read(train_both_and_write(config_of(seed), parts, "0" * 64, Path(folder)))
    ((head, (policy, table)),) = bundle.manifest.judging.items()
    threshold = choose(table, Budget("", RULES.budget_per_s, "s")).threshold
    scores = [judged_scores(one, head, policy) for one in play(bundle, bundle.model, play_, NEVER)]
    (fleet,) = alerts_at([threshold], scores, play_, rules_of(bundle.manifest, head))
    return [one.spells for one in fleet]


def windows_of(machine: Recording, detector: Detector) -> Labelled:
    """One window: the time before the failure in which an alert is a true one."""
    t_s = machine.t_s
    return Labelled(detector.s(machine), t_s[RULES.rows :], np.array([[t_s[-1] - RULES.h_max_s, t_s[-1]]]))


def by_age(machines: Sequence[Recording]) -> list[tuple[Spell, ...]]:
    """The calendar of agent/score/age_only.py: it knows the lives of all other machines, healthy ones among them."""
    lives_s = [float(one.t_s[-1]) + RULES.every_s for one in machines]
    budget = Budget("", RULES.budget_per_s, "s")
    alerts = []
    for index in range(HEALTHY + LABELLED, MACHINES):
        others = [life_s for other, life_s in enumerate(lives_s[HEALTHY:], HEALTHY) if other != index]
        age_s = choose_age(others, lives_s[:HEALTHY], budget, h_max_s=RULES.h_max_s, h_min_s=0.0).threshold
        one = observed_device("", machines[index].t_s, RULES.every_s, lives_s[index], ())
        alerts.append(warned_by_age([one], age_s, RULES.h_max_s)[0].spells)
    return alerts


def rows_of(kind: str, seed: int) -> list[Row]:
    """Detection, lead and false alarms of each method on one plant."""
    machines = plant(kind, seed)
    methods = {name: alerts_of(charts, machines, seed)[0] for name, charts in RIVALS.items()}
    methods |= dict(zip(OURS, (*alerts_of(BANK, machines, seed), by_bundle(machines, seed)), strict=True))
    methods["age"] = by_age(machines)
    rows: list[Row] = []
    for method, alerts in methods.items():
        fleet = [
            observed_device(one.name, one.t_s[RULES.rows :], RULES.every_s, float(one.t_s[-1]), told)
            for one, told in zip(machines[MEASURED], alerts, strict=True)
        ]
        score = early_warning(fleet, h_max_s=RULES.h_max_s, h_min_s=0.0)
        rows.append(
            {
                "plant": kind,
                "seed": str(seed),
                "method": method,
                "detected": score.strict.detection_rate,
                "mean_lead_rows": score.strict.mean_lead_s / RULES.every_s,
                "leads_rows": [one.lead_s / RULES.every_s for one in score.devices],
                "real_over_asked": score.false_alarms_per_s / RULES.budget_per_s,
            }
        )
    return rows


def table(rows: Sequence[Row]) -> str:
    """Means over the seeds, and the head less the best of what the plant has: with its 95 % interval over machines."""
    lines = []
    for kind in dict.fromkeys(row["plant"] for row in rows):
        methods = dict.fromkeys(row["method"] for row in rows)
        leads = {method: leads_of(rows, kind, method) for method in methods}
        best = max((method for method in methods if method not in OURS), key=lambda method: leads[method].mean())
        for method in methods:
            ahead = ""
            if method in OURS:
                interval, _ = bootstrap95(leads[method] - leads[best])
                mean = (leads[method] - leads[best]).mean()
                ahead = f"{mean:+.1f} ({interval.low:+.1f} to {interval.high:+.1f}) over {best}"
            detected, real = (mean_of(rows, kind, method, figure) for figure in ("detected", "real_over_asked"))
            lines.append((kind, method, f"{detected:.2f}", f"{leads[method].mean():.1f}", f"{real:.2f}", ahead))
    return markdown(("plant", "method", "detected", "mean lead, rows", "real/asked", "lead over the best"), lines)


def leads_of(rows: Sequence[Row], kind: str, method: str) -> Float64:
    """float64 [machines of all seeds], 0 where a machine was not warned of."""
    found = [row["leads_rows"] for row in rows if row["plant"] == kind and row["method"] == method]
    return np.concatenate(found)


def over_the_best(rows: Sequence[Row], kind: str) -> list[float]:
    """Mean lead of the labelled head over that of the best of the plant's own, a seed each; none where it has none."""
    leads: dict[str, dict[str, float]] = {}
    for row in rows:
        if row["plant"] == kind:
            leads.setdefault(str(row["seed"]), {})[str(row["method"])] = float(row["mean_lead_rows"])
    bests = [(lead[OURS[-1]], max(lead[method] for method in (*RIVALS, "age"))) for lead in leads.values()]
    return [ours / best for ours, best in bests if best > 0]


def mean_of(rows: Sequence[Row], kind: str, method: str, figure: str) -> float:
    return float(np.mean([row[figure] for row in rows if row["plant"] == kind and row["method"] == method]))


def main(argv: Sequence[str] | None = None) -> None:
    parser = parser_of("plants", __doc__)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=[*KINDS])
    parser.add_argument("--seeds", type=int, nargs="+", default=[*range(100, 105)], help="none that a recipe has seen")
    chosen = parser.parse_args(argv)
    rows: list[Row] = []
    for kind in chosen.kinds:
        for seed in chosen.seeds:
            rows += rows_of(kind, seed)
            print(f"{kind}, seed {seed}", file=sys.stderr, flush=True)
            ratios = {f"{one} mean lead over the best": ratio(over_the_best(rows, one)) for one in chosen.kinds}
            write(chosen.json, "plants", rows, ratios)
    print(table(rows))


if __name__ == "__main__":
    main()
