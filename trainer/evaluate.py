"""A bundle's figures on the official test set and on the devices it kept for playing, through the agent's core.

int8 and fp32 go the same way; the baselines learn from the bundle's own fit and calibration devices and go through its
judge. The test set, where there is one, is read here and nowhere else.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

from agent.bundle.file import Bundle
from agent.errors import DataRefused
from agent.judge.threshold import choose, default_budget, parse_budget
from agent.replay.measure import EarlyWarning
from agent.replay.play import PlayedDevice
from agent.replay.result import Replay, assess
from agent.replay.unit import Unit, unit_of
from trainer.baselines import BASELINES
from trainer.compare import Warned, baseline, warned
from trainer.config import Config
from trainer.data.history import Float64, History, failure_time
from trainer.data.read import histories_of, official_tests_of
from trainer.digest import digest_of
from trainer.held_out import Figures, figures
from trainer.joined import NEAR, Beginning, beginnings
from trainer.played import NEVER, play

FORMS = ("int8", "fp32")


class LastRows(msgspec.Struct, frozen=True):
    """Remaining life at the last row of each test engine, in cycles: RMSE and the NASA score (Saxena et al., 2008).

    capped: the truth counts as at most the model's cap; raw: as it is.
    """

    n_engines: int
    rmse_capped: float
    rmse_raw: float
    nasa_score: float
    nasa_score_raw: float


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Everything `forewarn-train evaluate` prints, int8 and fp32 by name.

    test      of engines known to be new, as these are; by part of the data set, then by form; {} without a test set
    compared  "lstm" (int8) and each of BASELINES at the same budget
    """

    name: str
    unit: Unit
    cap_s: float
    bytes: dict[str, int]
    test: dict[str, dict[str, LastRows]]
    held_out: dict[str, Figures]
    replay: dict[str, Replay]
    beginnings: tuple[Beginning, ...]
    compared: dict[str, Warned]


def evaluate(bundle: Bundle, data: Path | None, budget: str = "", baselines: bool = True) -> Evaluation:
    """Play the test engines and the bundle's own play engines; `budget` "" is the default of the bundle's time unit.

    Raises DataRefused for data that the bundle was not made from, ValueError for a budget in none of the three forms.
    """
    manifest = bundle.manifest
    config = Config.model_validate_json(manifest.created_from.config)
    recorded = histories_of(config, data)
    if digest_of(recorded) != manifest.created_from.data_sha256:
        what = f"is not the data that {manifest.name} {manifest.version} was made from"
        raise DataRefused(data or "data", what, next_step="Its play devices would not be the ones it has never seen.")
    tests = official_tests_of(config, data)
    of = manifest.created_from
    kept = [history for history in recorded if history.device in of.play_devices]
    known = [history for history in recorded if history.device in (*of.fit_devices, *of.calibrate_devices)]
    wanted = parse_budget(budget or default_budget(manifest.time_unit), fleet_size=len(kept))
    chosen = choose(manifest.thresholds, wanted)
    truth = {history.device: history.t_fail for history in kept}
    models = {"int8": bundle.model, "fp32": bundle.model_fp32}
    played = {form: play(bundle, models[form], kept, chosen.threshold) for form in FORMS}
    return Evaluation(
        name=f"{manifest.name} {manifest.version}",
        unit=unit_of(manifest),
        cap_s=config.rul.cap,
        bytes={form: len(models[form]) for form in FORMS},
        test={part: {form: tested(bundle, models[form], test) for form in FORMS} for part, test in tests.items()},
        held_out={form: figures(played[form], kept, manifest) for form in FORMS},
        replay={form: assess(bundle, "inline", wanted, chosen, played[form], truth) for form in FORMS},
        beginnings=beginnings(bundle, kept, chosen.threshold),
        compared={
            "lstm": warned(manifest, chosen, played["int8"], kept),
            **{name: baseline(name, manifest, known, kept, wanted) for name in (BASELINES if baselines else ())},
        },
    )


def tested(bundle: Bundle, model: bytes, test: Sequence[History]) -> LastRows:
    """The official figures of one graph; a test engine's first row is its first cycle."""
    assert bundle.manifest.rul is not None
    return last_rows(play(bundle, model, test, NEVER, first_seen="new"), test, bundle.manifest.rul.cap_s)


def last_rows(played: Sequence[PlayedDevice], histories: Sequence[History], cap: float) -> LastRows:
    """The official figures: one answer an engine, at its last row."""
    found = np.array([told.rul[-1, 1] for told in played], np.float64)
    left = np.array([failure_time(history) - history.t_s[-1] for history in histories])
    capped, raw = found - np.minimum(left, cap), found - left
    return LastRows(len(histories), rms(capped), rms(raw), nasa_score(capped), nasa_score(raw))


def rms(error: Float64) -> float:
    return float(np.sqrt(np.mean(error**2)))


def nasa_score(error: Float64) -> float:
    """Sum of exp(-d/13) - 1 for early and exp(d/10) - 1 for late answers d = predicted - true."""
    return float(np.sum(np.where(error < 0, np.exp(-error / 13), np.exp(error / 10)) - 1))


def as_json(found: Evaluation) -> bytes:
    """The figures under stable names; `test` is empty where there is no test set."""
    replay = found.replay["int8"]
    content = {
        "bundle": found.name,
        "test": found.test,
        "bytes": found.bytes,
        "held_out": found.held_out,
        "beginnings": found.beginnings,
        "early_warning": {
            "limit": replay.limit,
            **msgspec.to_builtins(replay.early_warning),
            "fp32": found.replay["fp32"].early_warning,
            "age_only": replay.age_only,
        },
        "compared": {name: compared_as_json(one) for name, one in found.compared.items()},
    }
    return msgspec.json.format(msgspec.json.encode(content)) + b"\n"


def compared_as_json(one: Warned) -> dict[str, object]:
    """One method: its threshold, what that cost on the devices that chose it, and its early-warning score."""
    return {
        "threshold": one.chosen.threshold,
        "calibrated_rate_per_s": one.chosen.rate_per_s,
        "extrapolated": one.chosen.extrapolated,
        "early_warning": one.found,
    }


def as_text(found: Evaluation) -> str:
    """The figures as tables for a terminal."""
    kept, replay, unit = found.held_out["int8"], found.replay["int8"], found.unit
    coverage = [("interval holds the truth", *(f"{found.held_out[form].interval_coverage:.1%}" for form in FORMS))]
    coverage += [
        (
            f"Brier, {unit.text(int8.horizon_s)} (base {int8.brier_of_base_rate:.4f})",
            f"{int8.brier:.4f}",
            f"{fp32.brier:.4f}",
        )
        for int8, fp32 in zip(kept.horizons, found.held_out["fp32"].horizons, strict=True)
    ]
    coverage.append(("bytes of the model", *(f"{found.bytes[form]:,}" for form in FORMS)))
    forms = {form: found.replay[form].early_warning for form in FORMS}
    forms[f"age only, {unit.text(replay.age_only.age_s)}"] = replay.age_only.early_warning
    limit = replay.limit
    doubt = "extrapolated: the calibration devices ran too short for it" if limit.extrapolated else "calibrated"
    return "\n".join(
        [
            *last_rows_as_text(found),
            f"{found.name}: all rows of {kept.n_devices} held-out devices",
            *table([("", *FORMS), *coverage]),
            f"\nearly warning on the same devices at {limit.budget} ({doubt}), threshold {limit.threshold:.4f}",
            *warnings_as_text(forms, unit),
            f"\nhowever a stream begins, int8; rows at most {unit.text(NEAR * found.cap_s)} before the failure",
            *beginnings_as_text(found),
            f"\nbeside what a plant has without it, at {limit.budget} on the same devices",
            *warnings_as_text({name: one.found for name, one in found.compared.items()}, unit),
        ]
    )


def last_rows_as_text(found: Evaluation) -> list[str]:
    """The official figures, nothing for a data set without a test set."""
    lines = []
    for part, forms in found.test.items():
        rows = [
            ("", *FORMS),
            ("RMSE, true life capped", *(f"{forms[form].rmse_capped:.3f}" for form in FORMS)),
            ("RMSE, true life raw", *(f"{forms[form].rmse_raw:.3f}" for form in FORMS)),
            ("NASA score, capped", *(f"{forms[form].nasa_score:.1f}" for form in FORMS)),
            ("NASA score, raw", *(f"{forms[form].nasa_score_raw:.1f}" for form in FORMS)),
        ]
        lines += [f"{found.name}: last rows of {forms['int8'].n_engines} test engines of {part}", *table(rows), ""]
    return lines


def beginnings_as_text(found: Evaluation) -> list[str]:
    """A line a way to begin."""
    unit = found.unit
    rows = [("", f"RMSE, {unit.plural}", "interval holds", "Brier", "detected", "mean lead", "false alarms")]
    for one in found.beginnings:
        seen = f"{one.unseen_rows} rows unseen" if one.unseen_rows else f"whole, {one.first_seen}"
        strict = one.early_warning.strict
        rows.append(
            (
                seen,
                f"{unit.of(one.rmse_s):.2f}",
                f"{one.interval_coverage:.1%}",
                f"{one.brier:.4f}",
                f"{strict.detected} of {one.early_warning.failures}",
                f"{unit.of(strict.mean_lead_s):.1f}",
                f"{one.early_warning.false_alarms}",
            )
        )
    return table(rows)


def warnings_as_text(found: Mapping[str, EarlyWarning], unit: Unit) -> list[str]:
    """A line a detector."""
    heading = ("", "detected", "95 %", f"mean lead, {unit.plural}", "95 %", "median", "false alarms", "late")
    return table([heading, *(warning_row(name, one, unit) for name, one in found.items())])


def warning_row(name: str, found: EarlyWarning, unit: Unit) -> tuple[str, ...]:
    strict = found.strict
    rate, lead = strict.detection_rate_95, strict.mean_lead_s_95
    return (
        name,
        f"{strict.detected} of {found.failures}",
        f"{rate.low:.0%} to {rate.high:.0%}",
        f"{unit.of(strict.mean_lead_s):.1f}",
        f"{unit.of(lead.low):.1f} to {unit.of(lead.high):.1f}",
        f"{unit.of(strict.median_lead_s):.1f}",
        f"{found.false_alarms} in {unit.text(found.exposure_s)}",
        f"{len(found.late)}",
    )


def table(rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Columns as wide as their widest cell; the first to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join([first.ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(rest, widths[1:], strict=True))])
        for first, *rest in rows
    ]
