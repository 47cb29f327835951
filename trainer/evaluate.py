"""A bundle's figures on the official test set and on the devices it kept for playing, through the agent's core.

int8 and fp32 go the same way. The test set is read here and nowhere else.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

from agent.bundle.file import Bundle
from agent.errors import DataRefused
from agent.judge.threshold import choose, parse_budget
from agent.replay.measure import EarlyWarning
from agent.replay.play import PlayedDevice
from agent.replay.result import Replay, assess
from trainer.config import Config
from trainer.data.cmapss import cmapss_folder, pick, read_test, read_train
from trainer.data.history import Float64, History, failure_time
from trainer.digest import digest_of
from trainer.held_out import Figures, figures
from trainer.played import play

BUDGET = "1 per 1000 cycles"
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
    """Everything `forewarn-train evaluate` prints, int8 and fp32 by name."""

    name: str
    bytes: dict[str, int]
    test: dict[str, LastRows]
    held_out: dict[str, Figures]
    replay: dict[str, Replay]


def evaluate(bundle: Bundle, data: Path, budget: str = BUDGET) -> Evaluation:
    """Play the test engines and the bundle's own play engines.

    Raises DataRefused for data that the bundle was not made from, ValueError for a budget in none of the three forms.
    """
    manifest = bundle.manifest
    config = Config.model_validate_json(manifest.created_from.config)
    folder = cmapss_folder(data)
    recorded = pick(read_train(folder, config.data.subset), config.data.channels)
    if digest_of(recorded) != manifest.created_from.data_sha256:
        what = f"is not the data that {manifest.name} {manifest.version} was made from"
        raise DataRefused(folder, what, next_step="Its play devices would not be the ones it has never seen.")
    test = pick(read_test(folder, config.data.subset), config.data.channels)
    kept = [history for history in recorded if history.device in manifest.created_from.play_devices]
    wanted = parse_budget(budget, fleet_size=len(kept))
    chosen = choose(manifest.thresholds, wanted)
    truth = {history.device: history.t_fail for history in kept}
    models = {"int8": bundle.model, "fp32": bundle.model_fp32}
    tested = {form: play(bundle, models[form], test, chosen.threshold) for form in FORMS}
    played = {form: play(bundle, models[form], kept, chosen.threshold) for form in FORMS}
    return Evaluation(
        name=f"{manifest.name} {manifest.version}",
        bytes={form: len(models[form]) for form in FORMS},
        test={form: last_rows(tested[form], test, config.rul.cap) for form in FORMS},
        held_out={form: figures(played[form], kept, manifest) for form in FORMS},
        replay={form: assess(bundle, "inline", wanted, chosen, played[form], truth) for form in FORMS},
    )


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
    """The figures under stable names; int8 at the top, since it is what runs."""
    int8, fp32, replay = found.test["int8"], found.test["fp32"], found.replay["int8"]
    content = {
        "bundle": found.name,
        "n_engines": int8.n_engines,
        "rmse_capped": int8.rmse_capped,
        "rmse_raw": int8.rmse_raw,
        "nasa_score": int8.nasa_score,
        "nasa_score_raw": int8.nasa_score_raw,
        "fp32": fp32,
        "bytes": found.bytes,
        "held_out": found.held_out,
        "early_warning": {
            "limit": replay.limit,
            **msgspec.to_builtins(replay.early_warning),
            "fp32": found.replay["fp32"].early_warning,
            "age_only": replay.age_only,
        },
    }
    return msgspec.json.format(msgspec.json.encode(content)) + b"\n"


def as_text(found: Evaluation) -> str:
    """The figures as tables for a terminal."""
    size = found.bytes
    rows = [
        ("", *FORMS),
        ("RMSE, true life capped", *(f"{found.test[form].rmse_capped:.3f}" for form in FORMS)),
        ("RMSE, true life raw", *(f"{found.test[form].rmse_raw:.3f}" for form in FORMS)),
        ("NASA score, capped", *(f"{found.test[form].nasa_score:.1f}" for form in FORMS)),
        ("NASA score, raw", *(f"{found.test[form].nasa_score_raw:.1f}" for form in FORMS)),
        ("bytes of the model", *(f"{size[form]:,}" for form in FORMS)),
    ]
    kept = found.held_out["int8"]
    coverage = [("interval holds the truth", *(f"{found.held_out[form].interval_coverage:.1%}" for form in FORMS))]
    coverage += [
        (
            f"Brier, {int8.horizon_s:g} cycles (base {int8.brier_of_base_rate:.4f})",
            f"{int8.brier:.4f}",
            f"{fp32.brier:.4f}",
        )
        for int8, fp32 in zip(kept.horizons, found.held_out["fp32"].horizons, strict=True)
    ]
    replay = found.replay["int8"]
    detectors = [(form, found.replay[form].early_warning) for form in FORMS]
    detectors.append((f"age only, {replay.age_only.age_s:g} cycles", replay.age_only.early_warning))
    heading = ("", "detected", "95 %", "mean lead", "95 %", "median", "false alarms", "late")
    limit = replay.limit
    doubt = "extrapolated: the calibration engines ran too short for it" if limit.extrapolated else "calibrated"
    return "\n".join(
        [
            f"{found.name}: last rows of {found.test['int8'].n_engines} test engines",
            *table(rows),
            f"\nall rows of {kept.n_devices} held-out engines",
            *table([("", *FORMS), *coverage]),
            f"\nearly warning on the same engines at {limit.budget} ({doubt}), threshold {limit.threshold:.4f}",
            *table([heading, *map(warning_row, detectors)]),
        ]
    )


def warning_row(detector: tuple[str, EarlyWarning]) -> tuple[str, ...]:
    name, found = detector
    strict = found.strict
    rate, lead = strict.detection_rate_95, strict.mean_lead_s_95
    return (
        name,
        f"{strict.detected} of {found.failures}",
        f"{rate.low:.0%} to {rate.high:.0%}",
        f"{strict.mean_lead_s:.1f}",
        f"{lead.low:.1f} to {lead.high:.1f}",
        f"{strict.median_lead_s:.1f}",
        f"{found.false_alarms} in {found.exposure_s:.0f}",
        f"{len(found.late)}",
    )


def table(rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Columns as wide as their widest cell; the first to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join([first.ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(rest, widths[1:], strict=True))])
        for first, *rest in rows
    ]
