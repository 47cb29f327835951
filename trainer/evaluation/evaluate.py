"""A bundle's figures on the official test set and on the devices it kept for playing, through the agent's core.

int8 and fp32 go the same way; the baselines learn from the bundle's own fit and calibration devices and go through its
judge. The test set, where there is one, is read here and nowhere else.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

from agent.bundle.file import Bundle
from agent.errors import ConfigurationRefused, DataRefused
from agent.judge.threshold import Judged, choose, default_budget, parse_budget
from agent.replay.inline import PlayedDevice
from agent.replay.result import Replay, Truth, assess
from agent.score.time_unit import Unit, unit_of
from trainer.config import Config
from trainer.data.dataset import histories_of, parts_of
from trainer.data.history import Float64, History, digest_of, failure_time
from trainer.evaluation.compare import RIVALS, MethodResult, bundle_result, rival_result
from trainer.evaluation.interval_coverage import IntervalCoverage, coverage_of
from trainer.evaluation.metrics import Figures, figures
from trainer.evaluation.playback import NEVER, play
from trainer.evaluation.stream_starts import StreamStart, left_out, stream_starts

FORMS = ("int8", "fp32")


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

    test      of engines known to be new, as these are; by part of the data set, then by form; {} without a test set
    compared  "lstm" (int8) and each of RIVALS at the same budget
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
    if manifest.risk is None:
        what = "has no head risk, and evaluate measures risk and remaining life"
        next_step = "`forewarn replay` measures its alerts; its report.json has those of its held-out devices."
        raise ConfigurationRefused("--bundle", what, next_step=next_step)
    config = Config.model_validate_json(manifest.created_from.config)
    recorded = histories_of(config, data)
    if digest_of(recorded) != manifest.created_from.data_sha256:
        what = f"is not the data that {manifest.name} {manifest.version} was made from"
        raise DataRefused(data or "data", what, next_step="Its play devices would not be the ones it has never seen.")
    tests = config.data.read_tests(config.channels, data)
    parts = parts_of(config, recorded)
    order = {history.owner: place for place, history in enumerate(recorded)}  # that of the files, as ever
    kept = sorted(parts.play, key=lambda history: order[history.owner])
    tuning = sorted((*parts.fit, *parts.calibrate), key=lambda history: order[history.owner])
    try:
        allowed = parse_budget(budget or default_budget(manifest.time_unit), fleet_size=len(kept))
    except ValueError as error:
        raise ConfigurationRefused("--budget", str(error), next_step="Give one of these forms.") from error
    judged = {head: Judged(allowed, choose(of.thresholds, allowed)) for head, of in manifest.judging.items()}
    chosen = judged["risk"].chosen
    truth = Truth({history.device: history.t_fail for history in kept})
    models = {"int8": bundle.model, "fp32": bundle.model_fp32}
    played = {form: play(bundle, models[form], kept, chosen.threshold) for form in FORMS}
    compared = {"lstm": bundle_result(manifest, chosen, played["int8"], kept)}
    unfit: dict[str, str] = {}
    for name in RIVALS if baselines else ():
        try:
            compared[name] = rival_result(name, manifest, tuning, kept, allowed)
        except DataRefused as error:
            unfit[name] = error.what
    return Evaluation(
        name=f"{manifest.name} {manifest.version}",
        unit=unit_of(manifest),
        cap_s=config.rul.cap,
        bytes={form: len(models[form]) for form in FORMS},
        test={part: {form: tested(bundle, models[form], test) for form in FORMS} for part, test in tests.items()},
        held_out={form: figures(played[form], kept, manifest) for form in FORMS},
        replay={form: assess(bundle, "inline", judged, played[form], truth) for form in FORMS},
        starts=stream_starts(bundle, kept, chosen.threshold),
        compared=compared,
        left_out=unfit,
    )


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
    replay = evaluation.replay["int8"]
    content = {
        "bundle": evaluation.name,
        "test": evaluation.test,
        "bytes": evaluation.bytes,
        "held_out": evaluation.held_out,
        "beginnings": evaluation.starts,
        "unseen_rows_left_out": left_out(evaluation.starts),
        "early_warning": {
            "limit": replay.limit,
            **msgspec.to_builtins(replay.early_warning),
            "fp32": evaluation.replay["fp32"].early_warning,
            "age_only": replay.age_only,
        },
        "compared": {name: compared_as_json(one) for name, one in evaluation.compared.items()},
        "left_out": evaluation.left_out,
    }
    return msgspec.json.format(msgspec.json.encode(content)) + b"\n"


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
