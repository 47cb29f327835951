"""From a config and a data folder to a bundle: read, split, train, calibrate, measure, write."""

import importlib.metadata
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile

import msgspec
import numpy as np

from agent.bundle import file
from agent.bundle.file import Bundle
from agent.bundle.golden import Golden
from agent.bundle.manifest import (
    SCHEMA_VERSION,
    Channel,
    CreatedFrom,
    JudgePolicy,
    Manifest,
    Numerics,
    RiskHead,
    RulHead,
    ThresholdRow,
    ThresholdTable,
)
from agent.errors import BundleRefused, ConfigurationRefused
from agent.judge.threshold import default_budget, parse_budget
from agent.score.time_unit import unit_of
from agent.words import Float32
from trainer.bundle.model_card import card
from trainer.config import Config
from trainer.data.check_parts import check_parts
from trainer.data.dataset import channel_info, histories_of, time_unit
from trainer.data.digest import digest_of
from trainer.data.history import History, failure_time
from trainer.data.recorded import write_recorded
from trainer.data.spacing import cadence_of
from trainer.data.split import Parts, split
from trainer.evaluation.metrics import figures
from trainer.evaluation.playback import NEVER, play
from trainer.evaluation.plot import plot_curves, plot_reliability
from trainer.evaluation.threshold_sweep import Rules, mean_lead_at_budget, threshold_table
from trainer.evaluation.warmup import LateStart, brier_after, late_starts, warmup_rows
from trainer.export import streaming
from trainer.export.calibrate import calibrated
from trainer.export.golden import golden
from trainer.export.onnx_graph import export
from trainer.export.streaming import Streaming
from trainer.model.features import features_of, fit_scaling
from trainer.model.network import Network
from trainer.training.checkpoint import Checkpoint, Curves, training_keys
from trainer.training.loop import train
from trainer.training.teacher import TrainedTeacher
from trainer.training.validation import EarlyStopping

CHECKPOINT = "checkpoint.pt"
GOLDEN_TOLERANCE = 0.01
"""An activation that rounds to the other side on another CPU moves a cell by less than this; a wrong weight by more."""


def fit(config: Config, data: Path | None, out: Path, *, anew: bool = False) -> Path:
    """Train and write everything into the folder `out`; returns the bundle's path. Raises ForewarnError.

    `data` is the folder of recorded sets; a simulated one needs none. A run that was killed goes on where it was,
    unless it is to begin `anew`.
    """
    if config.distill is not None:
        what = "[distill] asks for a teacher"
        raise ConfigurationRefused(config.name, what, next_step="Use `forewarn-train distill`, or take it out.")
    parts, data_sha256 = ready(config, data)
    make_folder(out)
    if anew:
        (out / CHECKPOINT).unlink(missing_ok=True)
    return written(config, parts, data_sha256, out)


def ready(config: Config, data: Path | None) -> tuple[Parts, str]:
    """The histories in their parts, and the digest of the data, once a rehearsal has shown that a bundle can be made.

    Raises ForewarnError for whatever in data or configuration would end the fit after its training.
    """
    histories = histories_of(config, data)
    parts, data_sha256 = split(histories, config.split), digest_of(histories)
    check_parts(parts, config)
    rehearse(config, parts, data_sha256)
    return parts, data_sha256


def rehearse(config: Config, parts: Parts, data_sha256: str) -> None:
    """Make the bundle of a network that has learnt nothing, and play it: its sizes, names and rows are the same.

    Raises ConfigurationRefused for a bundle that an agent would refuse, DataRefused for rows that one would drop.
    """
    network = Network(config).eval()
    bundle = unmeasured(config, parts, streaming.of(network, fit_scaling(parts.fit, config), config), data_sha256)
    members = {
        "model.onnx": bundle.model,
        "model.fp32.onnx": bundle.model_fp32,
        "golden.npz": golden(bundle, parts.calibrate).pack(),
        "report.json": b"{}",
        "MODEL_CARD.md": b"",
    }
    with TemporaryDirectory() as folder:
        try:
            file.write(Path(folder) / bundle.path, bundle.manifest, members)
        except BundleRefused as error:
            what = f"an agent would refuse its bundle, so nothing was trained: {error.what}"
            next_step = "Change what it names, or lower model.hidden."
            raise ConfigurationRefused(config.name, what, next_step=next_step) from None
    play(bundle, bundle.model, [*parts.calibrate, *parts.play], NEVER)


def make_folder(out: Path) -> None:
    """Raises ConfigurationRefused where nothing could be written after the training."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=out):
            pass
    except OSError as error:
        what = str(error.strerror).lower()
        raise ConfigurationRefused(f"--out {out}", what, next_step="Give a folder that can be written in.") from None


def written(config: Config, parts: Parts, data_sha256: str, out: Path, teacher: TrainedTeacher | None = None) -> Path:
    """Train, measure on `parts.play`, and write everything into the folder; returns the bundle's path."""
    checkpoint = out / CHECKPOINT
    bundle, curves, starts = trained(config, parts, data_sha256, checkpoint, teacher)
    held_out = figures(play(bundle, bundle.model, parts.play, NEVER), parts.play, bundle.manifest)
    measured = {
        "play_rmse": held_out.rmse_s,
        "play_rmse_of_constant": held_out.rmse_of_constant_s,
        "play_interval_coverage": held_out.interval.whole.share,
    }
    measured |= {f"play_brier_{h.horizon_s:g}": h.brier for h in held_out.horizons}
    measured["late_start_brier"], measured["whole_stream_brier"] = brier_after(starts, bundle.manifest.warmup_rows)
    bundle = amended(bundle, metrics=measured)

    path = out / f"{config.name}-{config.version}.fwb"
    members = {
        "model.onnx": bundle.model,
        "model.fp32.onnx": bundle.model_fp32,
        "golden.npz": golden(bundle, parts.calibrate).pack(),
        "report.json": report(bundle.manifest, curves, held_out, teacher and teacher.report(config)),
        "MODEL_CARD.md": card(bundle.manifest, config, held_out).encode(),
    }
    file.write(path, bundle.manifest, members)
    (out / "metrics.json").write_bytes(members["report.json"])
    (out / "config.json").write_text(config.model_dump_json(indent=2) + "\n")
    plot_curves(curves, out / "curves.png")
    plot_reliability(held_out, unit_of(bundle.manifest), out / "reliability.png")
    write_recorded(parts.play, config.channels, out / "play.csv", out / "truth.csv")
    checkpoint.unlink()
    return path


def trained(
    config: Config,
    parts: Parts,
    data_sha256: str,
    checkpoint: Path | None = None,
    teacher: TrainedTeacher | None = None,
) -> tuple[Bundle, Curves, list[LateStart]]:
    """Train, calibrate, and choose warm-up and thresholds: the bundle in memory, with nothing known of `parts.play`.

    The bundle has no golden rows and no measured figures yet; it plays like any other. A training that was killed goes
    on from `checkpoint`. A teacher draws the estimate to its own.
    """
    scaling = fit_scaling(parts.fit, config)
    lives, validation = (
        [features_of(history, scaling, config.model) for history in part] for part in (parts.fit, parts.calibrate)
    )
    made_of = {
        "version of forewarn": code_version(),
        "version of torch": importlib.metadata.version("torch"),
        "data": data_sha256[:16],
        **training_keys(config),
    }
    if teacher is not None:
        made_of["teacher"] = teacher.sha256[:16]
    network, curves = train(
        Network,
        lives,
        validation,
        config,
        teacher=teacher.for_loop(config) if teacher else None,
        early_stopping=worth_over(parts.calibrate, config),
        checkpoint=Checkpoint(checkpoint, made_of) if checkpoint else None,
    )
    model = calibrated(streaming.of(network, scaling, config), network, validation, config)
    bundle = unmeasured(config, parts, model, data_sha256)
    starts = late_starts(bundle, parts.calibrate)
    bundle = amended(bundle, warmup_rows=warmup_rows(starts))
    bundle = amended(bundle, thresholds=threshold_table(bundle, parts.calibrate, config.judge.thresholds))
    return bundle, curves, starts


def worth_over(histories: Sequence[History], config: Config) -> EarlyStopping:
    """What warnings from the risks of `histories` would be worth at the default budget: mean lead in seconds."""
    rules = rules_of_config(config)
    budget = parse_budget(default_budget(time_unit(config)), fleet_size=len(histories))

    def mean_lead(risks: Sequence[Float32]) -> float:
        return mean_lead_at_budget(
            [risk[:, rules.policy.horizon].astype(np.float64) for risk in risks], histories, rules, budget
        )

    return mean_lead


def rules_of_config(config: Config) -> Rules:
    """The rules of the bundle that the config will make, while there is none yet."""
    judge = config.judge
    return Rules(policy_of(config), config.model.cadence, judge.h_max, judge.h_min, judge.thresholds)


def policy_of(config: Config) -> JudgePolicy:
    """How the judge of the bundle that the config will make goes from risks to alerts."""
    judge = config.judge
    return JudgePolicy(
        horizon=config.risk.horizons.index(judge.horizon),
        m=judge.m,
        n=judge.n,
        clear_ratio=judge.clear_ratio,
        clear_after_s=judge.clear_after,
        severity_risk=judge.severity_risk,
    )


def unmeasured(config: Config, parts: Parts, model: Streaming, data_sha256: str) -> Bundle:
    """The bundle in memory, before anything was measured with it: nothing warms up, one threshold, no golden rows."""
    judge = config.judge
    manifest = Manifest(
        schema_version=SCHEMA_VERSION,
        name=config.name,
        version=config.version,
        created_from=CreatedFrom(
            data_sha256=data_sha256,
            config=config.model_dump_json(),
            code_version=code_version(),
            seed=config.seed,
            fit_devices=tuple(history.device for history in parts.fit),
            calibrate_devices=tuple(history.device for history in parts.calibrate),
            play_devices=tuple(history.device for history in parts.play),
        ),
        trained_for="joined" if config.augment.join_share > 0 else "from_new",
        time_unit=time_unit(config),
        channels=channels(config, parts.fit),
        out_of_domain_margin=config.data.out_of_domain_margin,
        cadence=cadence_of(config.model, (*parts.fit, *parts.calibrate, *parts.play)),
        state=model.blocks,
        warmup_rows=0,
        numerics=Numerics(kind="exact", tolerance=GOLDEN_TOLERANCE),
        risk=RiskHead(horizons_s=config.risk.horizons),
        rul=RulHead(quantiles=(config.rul.low, 0.5, config.rul.high), cap_s=config.rul.cap),
        judge=policy_of(config),
        thresholds=ThresholdTable(judge.h_max, judge.h_min, 1.0, 1, (ThresholdRow(0.5, 0, 0.0, 0, 0.0),)),
        lives_s=tuple(life_s(one, config.model.cadence) for one in (*parts.fit, *parts.calibrate) if one.failed),
        metrics={},
        members={},
        unfailed_s=tuple(
            float(one.observed_left()[0]) + config.model.cadence
            for one in (*parts.fit, *parts.calibrate)
            if not one.failed
        ),
    )
    empty = np.empty((0, 0), np.float32)
    return Bundle(
        path=Path(f"{config.name}-{config.version}.fwb"),
        manifest=manifest,
        digest="0" * 64,
        model=export(model, "int8"),
        model_fp32=export(model, "fp32"),
        golden=Golden(empty, empty, empty, empty, empty, empty),
        report=b"",
        card="",
    )


def code_version() -> str:
    return importlib.metadata.version("forewarn")


def amended(bundle: Bundle, **fields: object) -> Bundle:
    """The same bundle with fields of its manifest replaced."""
    return replace(bundle, manifest=msgspec.structs.replace(bundle.manifest, **fields))


def life_s(history: History, every_s: float) -> float:
    """From one cadence before the first row to the failure."""
    return failure_time(history) - float(history.t_s[0]) + every_s


def channels(config: Config, fitted: Sequence[History]) -> tuple[Channel, ...]:
    """The model's channels with their range over the fit devices; one that was missing there may be missing again."""
    rows = np.concatenate([history.x for history in fitted])
    low, high = np.nanmin(rows, axis=0).tolist(), np.nanmax(rows, axis=0).tolist()
    missing = np.isnan(rows).any(axis=0).tolist()
    return tuple(
        Channel(
            name=one.name,
            unit=one.unit,
            description=one.description,
            low=low[column],
            high=high[column],
            may_be_missing=missing[column],
        )
        for column, one in enumerate(channel_info(config))
    )


def report(manifest: Manifest, curves: Curves, held_out: object, distilled: object) -> bytes:
    """report.json: of whom it learnt (null = nobody), the course of training, the figures on the held-out devices."""
    course = {"loss": curves.loss, "watched_rmse": curves.rmse}
    if curves.mean_lead:
        course["watched_mean_lead_s"] = curves.mean_lead
    content = {
        "bundle": {"name": manifest.name, "version": manifest.version},
        "trained_for": manifest.trained_for,
        "warmup_rows": manifest.warmup_rows,
        "held_out": held_out,
        "distilled": distilled,
        "curves": course,
        "thresholds": manifest.thresholds,
    }
    return msgspec.json.format(msgspec.json.encode(content)) + b"\n"
