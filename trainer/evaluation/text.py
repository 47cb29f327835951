"""What `forewarn-train` prints: after `fit` the error and the budget, after `evaluate` the figures as tables."""

import math
from collections.abc import Mapping, Sequence

from agent.bundle.manifest import Manifest
from agent.judge.threshold import choose, default_budget, parse_budget, verdict
from agent.replay.result import Replay, by_head
from agent.replay.wording import faults_text
from agent.score.early_warning import EarlyWarning, Interval
from agent.score.time_unit import Unit, unit_of
from trainer.data.plural import plural
from trainer.evaluation.anomaly_text import anomaly_as_text
from trainer.evaluation.evaluate import FORMS, Evaluation
from trainer.evaluation.interval_coverage import IntervalCoverage, percent
from trainer.evaluation.metrics import HorizonFigures
from trainer.evaluation.stream_starts import NEAR, left_out

WORSE = "The estimate of the remaining life is worse than a constant: do not rely on it."
LEARN_MORE = "Train for more epochs (train.epochs), or on more devices that failed, and look at curves.png."


def fit_as_text(manifest: Manifest) -> str:
    """What `fit` says at its end, before anybody runs the bundle: its estimate's error, and what a budget comes to."""
    of_risk = [] if manifest.risk is None else [estimate_as_text(manifest), budget_as_text(manifest)]
    of_anomaly = [] if manifest.anomaly is None else [anomaly_as_text(manifest)]
    return "\n".join(of_risk + of_anomaly)


def estimate_as_text(manifest: Manifest) -> str:
    """The estimate's error on the held-out devices beside that of a constant."""
    unit, measured = unit_of(manifest), manifest.metrics
    rmse_s, constant_s = measured["play_rmse"], measured["play_rmse_of_constant"]
    devices = plural(len(manifest.created_from.play_devices), "held-out device")
    lines = [f"remaining life of {devices}: {beside_constant(rmse_s, constant_s, unit)}"]
    if rmse_s > constant_s:
        lines += [WORSE, LEARN_MORE]
    return "\n".join(lines)


def beside_constant(rmse_s: float, constant_s: float, unit: Unit) -> str:
    return f"RMSE {unit.of(rmse_s):.2f} {unit.plural}, of the best constant {unit.of(constant_s):.2f}"


def budget_as_text(manifest: Manifest) -> str:
    """What the default budget comes to with this bundle, and the finest one that its devices can vouch for."""
    default = default_budget(manifest.time_unit)
    chosen = choose(manifest.judging["risk"].thresholds, parse_budget(default, fleet_size=0))
    lines = [budget_line(manifest, default)]
    if chosen.extrapolated:
        finest = choose(manifest.judging["risk"].thresholds, parse_budget(chosen.finest_budget, fleet_size=0))
        advice = f'Set budget = "{chosen.finest_budget}" in the agent, or train' if finest.warned_of else "Train"
        lines += [budget_line(manifest, chosen.finest_budget), f"{advice} on more devices."]
    return "\n".join(lines)


def budget_line(manifest: Manifest, budget: str) -> str:
    """The threshold that the budget chooses, and what warnings at it gave the calibration devices."""
    table = manifest.judging["risk"].thresholds
    chosen = choose(table, parse_budget(budget, fleet_size=0))
    lead_s = next(row.mean_lead_s for row in table.rows if row.threshold == chosen.threshold)
    lead = f"mean lead {unit_of(manifest).text(lead_s)}"
    return f'budget "{budget}": threshold {chosen.threshold:.4f}, {lead}; {verdict(chosen)}'


def as_text(evaluation: Evaluation) -> str:
    """The figures of `evaluate` as tables for a terminal."""
    unit, budget = evaluation.unit, evaluation.replay["int8"].limit.budget
    lines = [*last_rows_as_text(evaluation), *held_out_as_text(evaluation)]
    for int8, fp32 in zip(*(by_head(evaluation.replay[form]).values() for form in FORMS), strict=True):
        lines += alerts_as_text(int8, fp32, unit)
    if evaluation.starts:
        lines += [
            f"\nhowever a stream begins, int8; rows at most {unit.text(NEAR * evaluation.cap_s)} before the failure",
            *starts_as_text(evaluation),
            *left_out_as_text(evaluation),
        ]
    lines += [
        f"\nbeside what a plant has without it, at {budget} on the same devices",
        *warnings_as_text({name: one.early_warning for name, one in evaluation.compared.items()}, unit),
        *(f"{name} is left out: {why}" for name, why in evaluation.left_out.items()),
    ]
    return "\n".join(lines)


def held_out_as_text(evaluation: Evaluation) -> list[str]:
    """Risk and remaining life over all rows of the held-out devices; of a bundle without them the size alone."""
    unit, size = evaluation.unit, ("bytes of the model", *(f"{evaluation.bytes[form]:,}" for form in FORMS))
    if not evaluation.held_out:
        return [evaluation.name, *table([("", *FORMS), size])]
    held_out = [evaluation.held_out[form] for form in FORMS]
    rows = [
        (f"RMSE of the remaining life, {unit.plural}", *(f"{unit.of(one.rmse_s):.2f}" for one in held_out)),
        ("  of the best constant", *(f"{unit.of(one.rmse_of_constant_s):.2f}" for one in held_out)),
        *coverage_as_rows([one.interval for one in held_out], unit),
    ]
    for both in zip(*(one.horizons for one in held_out), strict=True):
        rows += horizon_as_rows(both, unit)
    kept = held_out[0]
    return [
        f"{evaluation.name}: all rows of {plural(kept.n_devices, 'held-out device')}",
        *table([("", *FORMS), *rows, size]),
        *([WORSE] if kept.rmse_s > kept.rmse_of_constant_s else []),
    ]


def alerts_as_text(int8: Replay, fp32: Replay, unit: Unit) -> list[str]:
    """What the alerts of one head were worth, and what its threshold was chosen from."""
    forms = {"int8": int8.early_warning, "fp32": fp32.early_warning}
    forms[f"age only, {unit.text(int8.age_only.age_s)}"] = int8.age_only.early_warning
    limit, faults = int8.limit, int8.fault_intervals
    doubt = "extrapolated" if limit.extrapolated else "calibrated"
    of_head = "early warning" if int8.head == "risk" else f"early warning by {int8.head}"
    return [
        f"\n{of_head} on the same devices at {limit.budget} ({doubt}), threshold {limit.threshold:.4f}",
        limit.verdict,
        *([faults_text(faults, unit)] if faults is not None else []),
        *(warnings_as_text(forms, unit) if int8.early_warning.failures or faults is None else []),
    ]


def last_rows_as_text(evaluation: Evaluation) -> list[str]:
    """The official figures, nothing for a data set without a test set."""
    lines = []
    for part, forms in evaluation.test.items():
        rows = [
            ("", *FORMS),
            ("RMSE, true life capped", *(f"{forms[form].rmse_capped:.3f}" for form in FORMS)),
            ("  of the best constant", *(f"{forms[form].rmse_of_constant:.3f}" for form in FORMS)),
            ("RMSE, true life raw", *(f"{forms[form].rmse_raw:.3f}" for form in FORMS)),
            ("NASA score, capped", *(f"{forms[form].nasa_score:.1f}" for form in FORMS)),
            ("NASA score, raw", *(f"{forms[form].nasa_score_raw:.1f}" for form in FORMS)),
            *coverage_as_rows([forms[form].interval for form in FORMS], evaluation.unit),
        ]
        lines += [f"{evaluation.name}: last rows of {forms['int8'].n_engines} test engines of {part}", *table(rows), ""]
    return lines


def coverage_as_rows(forms: Sequence[IntervalCoverage], unit: Unit) -> list[tuple[str, ...]]:
    """The interval over all rows within the cap, a column a form; then of devices, then by what is left."""
    whole, devices = [one.whole for one in forms], [one.of_devices for one in forms]
    if not whole[0].n_rows:
        return [("interval: no row is within the cap", *("-" for _ in forms))]
    rows = [
        ("interval holds the truth", *(f"{one.share:.1%}" for one in whole)),
        ("  by the draw of devices, 95 %", *(percent(one.share_95) for one in whole)),
        ("  too long: sooner than it allows", *(f"{one.sooner:.1%}" for one in whole)),
        ("  of a device, tenth to ninth tenth", *(percent(Interval(one.low, one.high)) for one in devices)),
        ("  of the middle device", *(f"{one.median:.0%}" for one in devices)),
    ]
    for parts in zip(*(one.by_left for one in forms), strict=True):
        least, most = unit.of(parts[0].left_min_s), unit.text(parts[0].left_max_s)
        rows.append((f"  {least:.4g} to {most} left", *(f"{one.share:.0%}" for one in parts)))
    return rows


def horizon_as_rows(forms: Sequence[HorizonFigures], unit: Unit) -> list[tuple[str, ...]]:
    """One horizon, a column a form."""
    first = forms[0]
    name = unit.text(first.horizon_s)
    return [
        (f"Brier, {name} (base {first.brier_of_base_rate:.4f})", *(f"{one.brier:.4f}" for one in forms)),
        ("  said and observed differ by", *(f"{one.calibration_error:.4f}" for one in forms)),
    ]


def starts_as_text(evaluation: Evaluation) -> list[str]:
    """A line a way to begin."""
    unit = evaluation.unit
    rows = [("", f"RMSE, {unit.plural}", "interval holds", "Brier", "detected", "mean lead", "false alarms")]
    for start in evaluation.starts:
        seen = f"{start.unseen_rows} rows unseen" if start.unseen_rows else f"whole, {start.first_seen}"
        strict = start.early_warning.strict
        rows.append(
            (
                seen,
                figure(unit.of(start.rmse_s), ".2f"),
                figure(start.interval_coverage, ".1%"),
                figure(start.brier, ".4f"),
                f"{strict.detected} of {start.early_warning.failures}",
                figure(unit.of(strict.mean_lead_s), ".1f"),
                f"{start.early_warning.false_alarms}",
            )
        )
    return table(rows)


def left_out_as_text(evaluation: Evaluation) -> list[str]:
    """A line where no device has so many rows as some streams were to begin after."""
    rows = left_out(evaluation.starts)
    return [f"{' / '.join(map(str, rows))} rows unseen: left out, no held-out device has more rows"] if rows else []


def figure(value: float, form: str) -> str:
    """The figure, or a dash where there was nothing to measure."""
    return "-" if math.isnan(value) else f"{value:{form}}"


def warnings_as_text(results: Mapping[str, EarlyWarning], unit: Unit) -> list[str]:
    """A line a detector."""
    alarms = ("false alarms", "in false alarm", "late")
    heading = ("", "detected", "95 %", f"mean lead, {unit.plural}", "95 %", "median", *alarms)
    return table([heading, *(warning_row(name, one, unit) for name, one in results.items())])


def warning_row(name: str, result: EarlyWarning, unit: Unit) -> tuple[str, ...]:
    strict = result.strict
    rate, lead = strict.detection_rate_95, strict.mean_lead_s_95
    return (
        name,
        f"{strict.detected} of {result.failures}",
        f"{rate.low:.0%} to {rate.high:.0%}",
        f"{unit.of(strict.mean_lead_s):.1f}",
        f"{unit.of(lead.low):.1f} to {unit.of(lead.high):.1f}",
        f"{unit.of(strict.median_lead_s):.1f}",
        f"{result.false_alarms} in {unit.text(result.exposure_s)}",
        f"{result.false_alarm_share:.1%}",
        f"{len(result.late)}",
    )


def table(rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Columns as wide as their widest cell; the first to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join([first.ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(rest, widths[1:], strict=True))])
        for first, *rest in rows
    ]
