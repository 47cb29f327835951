"""Warning without labels on four public recordings, beside the goals and what a prototype reached.

    FOREWARN_DATA=folder python -m bench.unlabelled --json build/unlabelled.json

One bank of charts for all sets, fixed beforehand (trainer/anomaly/bank.py); where a set has labelled machines beside
those that are measured, they choose among it, its parts and what a plant has (trainer/anomaly/labelled.py), and nothing
else. Thresholds are blind, from normal time of the calibration machines. Every figure is one of machines or files that
neither the net nor a threshold saw:

SKAB     two halves of the files, each measured by the other: its first 400 rows and the run without anomalies teach,
         the run gives the threshold of 2 false alarms an hour, the half's labels choose the charts
ASD      six servers teach (30 days), choose by their labelled days, and measure the other six, and the other way round;
         a server learns its normal from its 7 days before the labelled ones; 1 false alarm a device-day
C-MAPSS  half of the engines teach, a fifth calibrates, both with the first 40 % of their lives; the rest is measured
Azure    machines 1-10, days 8-45, give pool and threshold; everything after that, and the other ten, is measured
"""

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from sklearn.metrics import average_precision_score, roc_auc_score

from agent.score import early_warning, fault_intervals
from agent.score.early_warning import observed_device
from agent.score.fault_intervals import LabelledDevice
from bench.blind import Detector, Labelled, Rules, blind_threshold, bounds, spells
from bench.folds import parser_of
from bench.public_sets import AZURE_ERRORS, SKAB_FREE, Recording, asd, azure, cmapss, recording, skab, skab_halves
from bench.result import markdown, ratio, write
from trainer.anomaly.bank import EWMA, LIMITS, SMOOTHING, default_bank, lasting
from trainer.anomaly.charts import ChartSpec
from trainer.config import Anomaly
from trainer.data.history import Float64

BANK = default_bank(Anomaly().ahead, has_events=False)
WITH_EVENTS = default_bank(Anomaly().ahead, has_events=True)[:1]
"""The sensors there are white noise: neither the net nor smoothing has any skill."""
DAY_S, HOUR_S = 86_400.0, 3600.0

GOALS = {  # row: figure: (at least, at most, prototype)
    "SKAB": {
        "row_f1": (0.77, None, "0.752"),
        "far": (None, 0.14, "0.108"),
        "events": (0.80, None, "0.78"),
        "false_per_h": (None, 2.0, "1.5"),
        "auc": (0.86, None, "0.86"),
    },
    "ASD": {
        "ap": (0.42, None, "0.376"),
        "recall": (0.66, None, "0.57"),
        "real_over_asked": (0.5, 1.5, "1.00"),
        "median_delay_min": (None, 20.0, "19"),
    },
    **{
        f"C-MAPSS FD00{number}": {
            "mean_lead": (lead, None, prototype),
            "detected": (detected, None, "0.96"),
            "false_per_1000": (None, 1.0, "0.7"),
        }
        for number, lead, detected, prototype in (
            (1, 85, 0.95, "87.9"), (2, 75, 0.95, "76.8"), (3, 66, 0.80, "66.1"), (4, 75, 0.95, "76.1")
        )
    },
    "Azure PdM": {"recall_72h": (0.95, None, "1.00"), "days_per_false": (60.0, None, "98")},
}  # fmt: skip
Figures = dict[str, float | str]


def windows_of(machine: Recording, rules: Rules, detector: Detector) -> Labelled:
    t_s = machine.t_s[rules.rows :]
    return Labelled(detector.s(machine), t_s, bounds(machine.faulty[rules.rows :], t_s))


def labelled(machine: Recording, score: Float64, threshold: float, rules: Rules, first: int) -> LabelledDevice:
    t_s = machine.t_s[first:]
    told = spells(score, threshold, rules, t_s)
    return LabelledDevice(
        machine.name, float(t_s[0]) - rules.every_s, float(t_s[-1]), bounds(machine.faulty[first:], t_s), told
    )


def cut(one: Recording, rows: slice) -> Recording:
    return replace(one, t_s=one.t_s[rows], x=one.x[rows], faulty=one.faulty[rows], regime=one.regime[rows])


def skab_figures(data: Path, seed: int, charts: Sequence[ChartSpec]) -> dict[str, Figures]:
    rules = Rules(400, 30, 1.0, 300.0, 2 / HOUR_S)
    files = skab(data)
    free = files.pop(SKAB_FREE)
    runs = [cut(free, slice(rows[0], rows[-1] + 1)) for rows in np.array_split(np.arange(len(free.x)), 8)]
    halves = skab_halves(sorted(files), seed)
    results: dict[str, SkabRows] = {"SKAB": SkabRows(), "SKAB, EWMA alone": SkabRows()}
    for own, others in (halves, halves[::-1]):
        fit = [cut(files[name], slice(0, rules.rows)) for name in own] + runs
        detector = Detector.fit((*charts, LIMITS), rules, fit, events=np.zeros(8, bool), seed=seed).with_bank(charts)
        detector = detector.with_scales([detector.s(one) for one in runs])
        normal = [detector.s(one) for one in runs]
        played = {name: detector.s(files[name]) for name in others}
        chosen, name_of_choice = detector.chosen(normal, [windows_of(files[name], rules, detector) for name in own])
        for row, use in (("SKAB", chosen), ("SKAB, EWMA alone", detector.with_bank([EWMA]))):
            threshold, of = blind_threshold([use.of(one) for one in normal], rules), results[row]
            of.choices.append(name_of_choice)
            for name in others:
                score, t_s = use.of(played[name]), files[name].t_s[rules.rows :]
                device = labelled(files[name], score, threshold, rules, rules.rows)
                stands = np.zeros(len(score), bool)
                for spell in device.spells:
                    stands |= (t_s >= spell.raised_s) & (t_s < spell.cleared_s)
                of.scores.append(score)
                of.rows.append(score >= threshold)
                of.states.append(stands)
                of.truth.append(files[name].faulty[rules.rows :])
                of.devices.append(device)
    return {row: of.figures(rules) for row, of in results.items()}


@dataclass(slots=True)
class SkabRows:
    """What one method says of the files, a list item a file; choices: a half."""

    scores: list[Float64] = field(default_factory=list)
    rows: list[np.ndarray] = field(default_factory=list)
    states: list[np.ndarray] = field(default_factory=list)
    truth: list[np.ndarray] = field(default_factory=list)
    devices: list[LabelledDevice] = field(default_factory=list)
    choices: list[str] = field(default_factory=list)

    def figures(self, rules: Rules) -> Figures:
        measured = fault_intervals.measure(self.devices, h_max_s=rules.h_max_s)
        faulty = np.concatenate(self.truth)
        states = f1_far_mar(np.concatenate(self.states), faulty, "state")
        return {
            **f1_far_mar(np.concatenate(self.rows), faulty, "row"),
            "events": measured.strict.detection_rate,
            "mean_delay_s": measured.strict.mean_delay_s,
            "false_per_h": measured.false_alarms_per_s * HOUR_S,
            "real_over_asked": measured.false_alarms_per_s / rules.budget_per_s,
            "auc": float(roc_auc_score(faulty, np.concatenate(self.scores))),
            **{f"alert_{key}": value for key, value in states.items()},
            "charts": ", ".join(self.choices),
        }


def f1_far_mar(said: np.ndarray, faulty: np.ndarray, name: str) -> Figures:
    hits, false, missed = (said & faulty).sum(), (said & ~faulty).sum(), (~said & faulty).sum()
    return {
        f"{name}_f1": float(2 * hits / (2 * hits + false + missed)),
        "far": float(false / (~faulty).sum()),
        "mar": float(missed / faulty.sum()),
    }


def asd_figures(data: Path, seed: int, charts: Sequence[ChartSpec]) -> dict[str, Figures]:
    rules = Rules(7 * 288, 12, 300.0, DAY_S, 1 / DAY_S)
    servers = asd(data)
    order = (np.random.default_rng(seed).permutation(12) + 1).tolist()
    figures: dict[str, Figures] = {}
    results: dict[str, tuple[list[float], list[LabelledDevice], list[str]]] = {}
    for own, others in ((order[:6], order[6:]), (order[6:], order[:6])):
        fit = [servers[name][0] for name in own]
        detector = Detector.fit((*charts, LIMITS), rules, fit, events=np.zeros(19, bool), seed=seed).with_bank(charts)
        normal = [detector.s(one) for one in fit]
        detector = detector.with_scales(normal)
        normal = [one / detector.scales for one in normal]
        both = {name: concatenated(*servers[name], rules.rows) for name in servers}
        faulty = {name: servers[name][1].faulty for name in servers}
        chosen, name_of_choice = detector.chosen(normal, [windows_of(both[name], rules, detector) for name in own])
        alone = detector.with_bank([SMOOTHING])
        for row, use in (("ASD", chosen), ("ASD, all charts", detector), ("ASD, smoothing alone", alone)):
            threshold = blind_threshold([use.of(one) for one in normal], rules)
            precision, devices, choices = results.setdefault(row, ([], [], []))
            choices.append(name_of_choice)
            for name in others:
                score = use.of(use.s(both[name]))
                precision.append(float(average_precision_score(faulty[name], score)))
                devices.append(labelled(both[name], score, threshold, rules, rules.rows))
    for row, (precision, devices, choices) in results.items():
        measured = fault_intervals.measure(devices, h_max_s=rules.h_max_s)
        figures[row] = {
            "ap": float(np.mean(precision)),
            "recall": measured.strict.detection_rate,
            "recall_lenient": measured.lenient.detection_rate,
            "median_delay_min": measured.strict.median_delay_s / 60,
            "real_over_asked": measured.false_alarms_per_s / rules.budget_per_s,
            "charts": ", ".join(choices) if row == "ASD" else "-",
        }
    return figures


def concatenated(before: Recording, after: Recording, rows: int) -> Recording:
    x = np.concatenate((before.x[-rows:], after.x))
    faulty = np.concatenate((before.faulty[-rows:], after.faulty))
    return recording(before.name, 300.0 * np.arange(len(x)), x, faulty)


def cmapss_figures(data: Path, seed: int, charts: Sequence[ChartSpec]) -> dict[str, Figures]:
    rules = Rules(20, 10, 1.0, 125.0, 1 / 1000)
    figures: dict[str, Figures] = {}
    for number in (1, 2, 3, 4):
        engines = cmapss(data, number)
        order = np.random.default_rng(seed).permutation(len(engines))
        first, second = len(engines) // 2, len(engines) * 7 // 10
        young = [cut(engines[index], slice(0, len(engines[index].x) * 2 // 5)) for index in order]
        # smoothing foresees nothing there, on normal rows of the calibration engines: -1 to -6 %
        bank = [one for one in lasting(charts, rules.rows) if one != SMOOTHING]
        detector = Detector.fit((*bank, LIMITS), rules, young[:first], events=np.zeros(14, bool), seed=seed)
        normal = [detector.s(one) for one in young[first:second]]
        detector = detector.with_scales(normal)
        played = [(engines[index], detector.s(engines[index])) for index in order[second:]]
        for name, use in (("", detector.with_bank(bank)), (", limits alone", detector.with_bank([LIMITS]))):
            threshold = blind_threshold([use.of(one / use.scales) for one in normal], rules)
            fleet = []
            for one, s in played:
                told = spells(use.of(s), threshold, rules, one.t_s[rules.rows :])
                fleet.append(observed_device(one.name, one.t_s[rules.rows :], 1.0, float(one.t_s[-1]), told))
            score = early_warning.measure(fleet, h_max_s=rules.h_max_s, h_min_s=5.0)
            figures[f"C-MAPSS FD00{number}{name}"] = {
                "mean_lead": score.strict.mean_lead_s,
                "detected": score.strict.detection_rate,
                "detected_lenient": score.lenient.detection_rate,
                "false_per_1000": score.false_alarms_per_s * 1000,
                "real_over_asked": score.false_alarms_per_s / rules.budget_per_s,
            }
    return figures


def azure_figures(data: Path, seed: int, charts: Sequence[ChartSpec]) -> dict[str, Figures]:
    """No net: the sensors are white noise around a step, so one seed is all of them."""
    del seed, charts
    rules = Rules(7 * 24, 24, HOUR_S, 3 * DAY_S, 1 / (30 * DAY_S))
    machines, failed = azure(data)
    events = np.arange(4 + AZURE_ERRORS) >= 4
    calibrate = [cut(machines[name], slice(8 * 24 - rules.rows, 45 * 24)) for name in range(1, 11)]
    detector = Detector.fit(WITH_EVENTS, rules, calibrate, events=events, seed=0)
    normal = [detector.s(one) for one in calibrate]
    detector = detector.with_scales(normal)
    threshold = blind_threshold([detector.of(one / detector.scales) for one in normal], rules)
    devices = []
    for name, machine in machines.items():
        first = 45 * 24 if name <= 10 else 8 * 24
        score, t_s = detector.of(detector.s(machine))[first - rules.rows :], machine.t_s[first:]
        windows = np.array([(at - rules.h_max_s, at) for at in failed[name] if at > t_s[0]]).reshape(-1, 2)
        windows[1:, 0] = np.maximum(windows[1:, 0], windows[:-1, 1])
        told = spells(score, threshold, rules, t_s)
        devices.append(LabelledDevice(machine.name, float(t_s[0]) - HOUR_S, float(t_s[-1]), windows, told))
    score = fault_intervals.measure(devices, h_max_s=rules.h_max_s)
    device_s = sum(one.end_s - one.start_s for one in devices)
    return {
        "Azure PdM": {
            "recall_72h": score.strict.detection_rate,
            "mean_lead_h": (rules.h_max_s - score.strict.mean_delay_s) / HOUR_S,
            "days_per_false": device_s / DAY_S / max(score.false_alarms, 1),
            "real_over_asked": score.false_alarms / device_s / rules.budget_per_s,
        }
    }


SETS: dict[str, Callable[[Path, int, Sequence[ChartSpec]], dict[str, Figures]]] = {
    "azure": azure_figures,
    "skab": skab_figures,
    "asd": asd_figures,
    "cmapss": cmapss_figures,
}


def table(rows: Sequence[Figures]) -> str:
    """Each figure of each row over the seeds, beside its goal."""
    lines = []
    for row in dict.fromkeys(str(one["row"]) for one in rows):
        seeds = [one for one in rows if one["row"] == row]
        for figure in (name for name, value in seeds[0].items() if isinstance(value, float)):
            values = [float(one[figure]) for one in seeds]
            least, most, prototype = GOALS.get(row, {}).get(figure, (None, None, ""))
            goal = " ".join(f"{sign} {bound}" for sign, bound in ((">=", least), ("<=", most)) if bound is not None)
            mean = float(np.mean(values))
            reached = (least is None or mean >= least) and (most is None or mean <= most)
            verdict = ("reached" if reached else "missed") if goal else ""
            lines.append(
                (row, figure, f"{mean:.3g}", f"{min(values):.3g} to {max(values):.3g}", goal, prototype, verdict)
            )
    return markdown(("row", "figure", "mean", "over seeds", "goal", "prototype", ""), lines)


def main(argv: Sequence[str] | None = None) -> None:
    parser = parser_of("unlabelled", __doc__)
    parser.add_argument("--sets", nargs="+", choices=SETS, default=[*SETS])
    parser.add_argument("--seeds", type=int, nargs="+", default=[*range(5)])
    chosen = parser.parse_args(argv)
    rows: list[Figures] = []
    for name in chosen.sets:
        for seed in chosen.seeds[: 1 if name == "azure" else None]:
            began = time.monotonic()
            new = SETS[name](Path(chosen.data), seed, BANK)
            rows += [{"row": row, "seed": str(seed), **figures} for row, figures in new.items()]
            print(f"{name}, seed {seed}, {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
            write(chosen.json, "unlabelled", rows, ratios(rows))
    print(table(rows))


def ratios(rows: Sequence[Figures]) -> dict[str, dict[str, float | None]]:
    """Figure over goal, of those that shall be high."""
    over_goals = {}
    for row, figures in GOALS.items():
        for figure, (least, _, _) in figures.items():
            values = [float(one[figure]) / least for one in rows if least and one["row"] == row]
            over_goals[f"{row} {figure} over its goal"] = ratio(values)
    return over_goals


if __name__ == "__main__":
    main()
