"""A bundle's figures on the official test set and on the devices it kept for playing, through the agent's core.

int8 and fp32 go the same way; the baselines learn from the bundle's own fit and calibration devices and go through its
judge. The test set, where there is one, is read here and nowhere else.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np

from agent.bundle.file import Bundle
from agent.errors import DataRefused
from agent.judge.threshold import Judged, choose
from agent.replay.inline import PlayedDevice
from agent.replay.result import Replay, Truth, assess, by_head
from agent.score.time_unit import Unit, unit_of
from agent.words import AlertHead
from trainer.config import Config
from trainer.data.dataset import histories_of, parts_of, tests_of
from trainer.data.history import Float64, History, digest_of, failure_time
from trainer.evaluation.budget import budget_of
from trainer.evaluation.compare import RIVALS, MethodResult, bundle_result, rival_result
from trainer.evaluation.interval_coverage import IntervalCoverage, coverage_of
from trainer.evaluation.metrics import Figures, figures
from trainer.evaluation.playback import NEVER, play
from trainer.evaluation.stream_starts import StreamStart, left_out, stream_starts

FORMS = ("int8", "fp32")
NO_FAILURE = "nothing failed that its threshold could be chosen on; `forewarn-train compare` chooses it as the bundle's"


class LastRows(msgspec.Struct, frozen=True):
    """Remaining life at the last row of each test engine, in cycles: RMSE and the NASA score (Saxena et al., 2008).

    capped: the truth counts as at most the model's cap; raw: as it is. `rmse_of_constant` is that of the constant that
    is best on these very rows, capped. `interval` is over all rows within the cap; their truth is known as well.
    """

    n_engines: int
    rmse_capped: float
    rmse_raw: float
    nasa_score: float
    nasa_score_raw: float
    rmse_of_constant: float
    interval: IntervalCoverage


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Everything `forewarn-train evaluate` prints, int8 and fp32 by name.

    A bundle without risk has no `test`, `held_out` and `starts`, which are of the remaining life.

    test      of engines known to be new, as these are; by part of the data set, then by form; {} without a test set
    compared  "lstm" (the first head, int8), other heads and each of RIVALS at the same budget
    left_out  those of RIVALS that cannot be fitted to these devices, and why
    """

    name: str
    unit: Unit
    cap_s: float
    bytes: dict[str, int]
    test: dict[str, dict[str, LastRows]]
    held_out: dict[str, Figures]
    replay: dict[str, Replay]
    starts: tuple[StreamStart, ...]
    compared: dict[str, MethodResult]
    left_out: dict[str, str]


def evaluate(bundle: Bundle, data: Path | None, budget: str = "", baselines: bool = True) -> Evaluation:
    """Play the test engines and the bundle's own play engines; `budget` "" is the default of the bundle's time unit.

    Raises DataRefused for data that the bundle was not made from, ConfigurationRefused for a budget that is none.
    """
    manifest = bundle.manifest
    config = Config.model_validate_json(manifest.created_from.config)
    recorded = histories_of(config, data)
    if digest_of(recorded) != manifest.created_from.data_sha256:
        what = f"is not the data that {manifest.name} {manifest.version} was made from"
        raise DataRefused(data or "data", what, next_step="Its play devices would not be the ones it has never seen.")
    parts = parts_of(config, recorded)
    order = {history.owner: place for place, history in enumerate(recorded)}  # that of the files, as ever
    kept = sorted(parts.play, key=lambda history: order[history.owner])
    tuning = sorted((*parts.fit, *parts.calibrate), key=lambda history: order[history.owner])
    allowed = budget_of(budget, manifest, n_devices=len(kept))
    judged = {head: Judged(allowed, choose(of.thresholds, allowed)) for head, of in manifest.judging.items()}
    thresholds = {head: one.chosen.threshold for head, one in judged.items()}
    models = {"int8": bundle.model, "fp32": bundle.model_fp32}
    played = {form: play(bundle, models[form], kept, thresholds) for form in FORMS}
    compared, unfit = compared_with(bundle, played["int8"], Devices(tuning, kept, judged), baselines=baselines)
    has_risk = manifest.risk is not None
    tests = tests_of(config, data) if has_risk else {}
    return Evaluation(
        name=f"{manifest.name} {manifest.version}",
        unit=unit_of(manifest),
        cap_s=config.rul.cap,
        bytes={form: len(models[form]) for form in FORMS},
        test={part: {form: tested(bundle, models[form], test) for form in FORMS} for part, test in tests.items()},
        held_out={form: figures(played[form], kept, manifest) for form in FORMS} if has_risk else {},
        replay={form: assess(bundle, "inline", judged, played[form], truth_of(kept)) for form in FORMS},
        starts=stream_starts(bundle, kept, thresholds["risk"]) if has_risk else (),
        compared=compared,
        left_out=unfit,
    )


class Devices(NamedTuple):
    """Those that a method learns from, those that are played, and what is chosen for each head."""

    tuning: Sequence[History]
    kept: Sequence[History]
    judged: Mapping[AlertHead, Judged]


def compared_with(
    bundle: Bundle, played: Sequence[PlayedDevice], devices: Devices, *, baselines: bool
) -> tuple[dict[str, MethodResult], dict[str, str]]:
    """The first head as "lstm" and others by their name, then RIVALS under the first one's rules; and who is left out,
    and why.
    """
    first = next(iter(devices.judged))
    compared = {
        "lstm" if head == first else head: bundle_result(bundle.manifest, one.chosen, played, devices.kept, head)
        for head, one in devices.judged.items()
    }
    unfit: dict[str, str] = {}
    for name in RIVALS if baselines else ():
        try:
            if not any(history.failed for history in devices.tuning):
                raise DataRefused(name, NO_FAILURE, next_step="")
            budget = devices.judged[first].budget
            compared[name] = rival_result(name, bundle.manifest, devices.tuning, devices.kept, budget, first)
        except DataRefused as error:
            unfit[name] = error.what
    return compared, unfit


def truth_of(histories: Sequence[History]) -> Truth:
    """What is known of the devices; fault intervals where one of them has any."""
    t_fail_s = {history.device: history.t_fail for history in histories}
    if not any(len(history.faults) for history in histories):
        return Truth(t_fail_s)
    return Truth(t_fail_s, {one.device: np.minimum(one.faults, one.t_s[-1]) for one in histories})


def tested(bundle: Bundle, model: bytes, test: Sequence[History]) -> LastRows:
    """The official figures of one graph; a test engine's first row is its first cycle."""
    assert bundle.manifest.rul is not None
    return last_rows(play(bundle, model, test, NEVER, first_seen="new"), test, bundle.manifest.rul.cap_s)


def last_rows(played: Sequence[PlayedDevice], histories: Sequence[History], cap: float) -> LastRows:
    """The official figures: one estimate an engine, at its last row."""
    estimate = np.array([device.rul[-1, 1] for device in played], np.float64)
    left_by_engine = [failure_time(history) - history.t_s for history in histories]
    left = np.array([rows[-1] for rows in left_by_engine])
    truth = np.minimum(left, cap)
    capped, raw, constant = estimate - truth, estimate - left, truth - truth.mean()
    of_device = np.repeat(np.arange(len(histories)), [len(rows) for rows in left_by_engine])
    left_of_rows = np.concatenate(left_by_engine)
    within = left_of_rows <= cap
    rul = np.concatenate([device.rul for device in played])[within]
    interval = coverage_of(rul, left_of_rows[within], of_device[within], len(histories), cap)
    scores = nasa_score(capped), nasa_score(raw)
    return LastRows(len(histories), rms(capped), rms(raw), *scores, rms(constant), interval)


def rms(error: Float64) -> float:
    return float(np.sqrt(np.mean(error**2)))


def nasa_score(error: Float64) -> float:
    """Sum of exp(-d/13) - 1 for early and exp(d/10) - 1 for late answers d = predicted - true."""
    return float(np.sum(np.where(error < 0, np.exp(-error / 13), np.exp(error / 10)) - 1))


def as_json(evaluation: Evaluation) -> bytes:
    """The figures under stable names; `test` is empty where there is no test set."""
    views = {form: by_head(replay) for form, replay in evaluation.replay.items()}
    first, *others = views["int8"]
    content = {
        "bundle": evaluation.name,
        "test": evaluation.test,
        "bytes": evaluation.bytes,
        "held_out": evaluation.held_out,
        "beginnings": evaluation.starts,
        "unseen_rows_left_out": left_out(evaluation.starts),
        "early_warning": warnings_as_json(views["int8"][first], views["fp32"][first]),
        "other_heads": {head: warnings_as_json(views["int8"][head], views["fp32"][head]) for head in others},
        "compared": {name: compared_as_json(one) for name, one in evaluation.compared.items()},
        "left_out": evaluation.left_out,
    }
    return msgspec.json.format(msgspec.json.encode(content)) + b"\n"


def warnings_as_json(int8: Replay, fp32: Replay) -> dict[str, object]:
    """The alerts of one head, by both graphs."""
    return {
        "head": int8.head,
        "limit": int8.limit,
        **msgspec.to_builtins(int8.early_warning),
        "fp32": fp32.early_warning,
        "age_only": int8.age_only,
        "fault_intervals": int8.fault_intervals,
    }


def compared_as_json(result: MethodResult) -> dict[str, object]:
    """One method: its threshold, what that cost on the devices that chose it, and its early-warning score."""
    return {
        "threshold": result.chosen.threshold,
        "calibrated_rate_per_s": result.chosen.rate_per_s,
        "extrapolated": result.chosen.extrapolated,
        "warned_of": result.chosen.warned_of,
        "failures": result.chosen.failures,
        "early_warning": result.early_warning,
    }
