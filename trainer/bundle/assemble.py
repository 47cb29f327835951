"""A bundle in memory and as a file: what its manifest says of configuration and data, its two graphs, its members."""

import importlib.metadata
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from agent.bundle import file
from agent.bundle.file import Bundle
from agent.bundle.golden import Golden
from agent.bundle.manifest import (
    SCHEMA_VERSION,
    AnomalyHead,
    Cadence,
    Channel,
    Chart,
    CreatedFrom,
    Manifest,
    Numerics,
    RiskHead,
    RulHead,
    RunsWhile,
    ThresholdRow,
    ThresholdTable,
)
from trainer.anomaly.learn import Learnt
from trainer.bundle.golden_rows import golden
from trainer.bundle.longest_runs import longest_runs
from trainer.config import Config
from trainer.data.history import ChannelInfo, History, failure_time
from trainer.data.split import Parts
from trainer.evaluation.judge_rules import anomaly_policy, policy_of
from trainer.export.onnx_graph import export, state_blocks
from trainer.export.streaming import Streaming

GOLDEN_TOLERANCE = 0.01
"""An activation that rounds to the other side on another CPU moves a cell by less than this; a wrong weight by more."""
ANOMALY_MARGIN = 10.0
"""Ranges of a channel by which a row may leave it where charts alone judge: it is held against the device's own normal,
and another level than the fit devices', or a fault beyond it, is what they are for. Farther is no measurement.
"""
CLOSEST_MAX = 0.75
"""Of the cadence: live rows may come this close although recorded ones came more evenly."""


def new_bundle(
    config: Config, parts: Parts, model: Streaming | None, data_sha256: str, learnt: Learnt | None = None
) -> Bundle:
    """The bundle of a risk model, of an anomaly head, or of both, before anything was measured with it.

    It plays like any other, and has no golden rows.
    """
    anomaly = None if learnt is None else learnt.model
    empty = np.empty((0, 0), np.float32)
    return Bundle(
        path=Path(f"{config.name}-{config.version}.fwb"),
        manifest=new_manifest(config, parts, model, data_sha256, learnt),
        digest="0" * 64,
        model=export(model, "int8", anomaly),
        model_fp32=export(model, "fp32", anomaly),
        golden=Golden(empty, empty, empty, empty, {}),
        report=b"",
        card="",
    )


def new_manifest(
    config: Config, parts: Parts, model: Streaming | None, data_sha256: str, learnt: Learnt | None
) -> Manifest:
    """What is known before anything was measured: nothing warms up, and one threshold stands for the table to come."""
    margin = config.data.out_of_domain_margin
    learnt_from = (*parts.fit, *parts.calibrate)
    return Manifest(
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
        trained_for="joined" if model is None or config.augment.join_share > 0 else "from_new",
        time_unit=config.data.counts,
        channels=channels_of(config, parts),
        out_of_domain_margin=max(margin, ANOMALY_MARGIN) if model is None else margin,
        cadence=cadence_of(config, (*parts.fit, *parts.calibrate, *parts.play)),
        state=state_blocks(model, None if learnt is None else learnt.model),
        warmup_rows=0,
        numerics=Numerics(kind="exact", tolerance=GOLDEN_TOLERANCE),
        risk=None if model is None else RiskHead(horizons_s=config.risk.horizons),
        rul=None if model is None else RulHead(quantiles=(config.rul.low, 0.5, config.rul.high), cap_s=config.rul.cap),
        judge=None if model is None else policy_of(config),
        thresholds=None if model is None else no_table(config.judge.h_max, config.judge.h_min),
        lives_s=tuple(life_s(history, config.model.cadence) for history in learnt_from if history.failed),
        metrics={},
        members={},
        unfailed_s=tuple(
            float(history.observed_left()[0]) + config.model.cadence for history in learnt_from if not history.failed
        ),
        anomaly=None if learnt is None else anomaly_head(config, learnt),
        runs=runs_of(config),
    )


def runs_of(config: Config) -> RunsWhile | None:
    """When a machine runs; its channel is judged by nothing else, so its range means nothing."""
    runs = config.runs
    if runs is None:
        return None
    (info,) = config.data.channel_info((runs.channel,))
    return RunsWhile(channel_of(info, low=runs.above, high=runs.above), runs.above, runs.after)


def channel_of(info: ChannelInfo, **measured: Any) -> Channel:
    """What a bundle keeps of a column, and what was measured of it."""
    return Channel(
        name=info.name,
        unit=info.unit,
        description=info.description,
        missing=info.missing,
        words=info.words,
        missing_words=info.missing_words,
        column=info.column,
        event=info.event,
        **measured,
    )


def anomaly_head(config: Config, learnt: Learnt) -> AnomalyHead:
    """The head before its thresholds are known."""
    bank = learnt.model.bank
    share = 1 / len(bank.charts)
    return AnomalyHead(
        charts=tuple(
            Chart(spec.residual, spec.ahead, spec.rate, spec.mix, scale, share)
            for spec, scale in zip(bank.charts, learnt.model.scales, strict=True)
        ),
        learning_rows=bank.learning.rows,
        policy=anomaly_policy(config),
        thresholds=no_table(config.anomaly_h_max, config.judge.h_min),
    )


def no_table(h_max_s: float, h_min_s: float) -> ThresholdTable:
    """One threshold, which stands for the table to come."""
    return ThresholdTable(h_max_s, h_min_s, 1.0, 1, (ThresholdRow(0.5, 0, 0.0, 0, 0.0),))


def with_manifest(bundle: Bundle, **fields: object) -> Bundle:
    """The same bundle with fields of its manifest replaced."""
    return replace(bundle, manifest=msgspec.structs.replace(bundle.manifest, **fields))


def write_file(path: Path, bundle: Bundle, golden_of: Sequence[History], report: bytes, card: str) -> None:
    """Write the bundle with golden rows of the given histories. Raises BundleRefused for one an agent would refuse."""
    members = {
        "model.onnx": bundle.model,
        "model.fp32.onnx": bundle.model_fp32,
        "golden.npz": golden(bundle, golden_of).pack(),
        "report.json": report,
        "MODEL_CARD.md": card.encode(),
    }
    file.write(path, bundle.manifest, members)


def code_version() -> str:
    return importlib.metadata.version("forewarn")


def cadence_of(config: Config, histories: Sequence[History]) -> Cadence:
    """The cadence that was asked for, and how close rows came in the recordings: closer is not as in training."""
    every_s = config.model.cadence
    closest_s = min((float(np.diff(one.t_s).min()) for one in histories if len(one.t_s) > 1), default=every_s)
    return Cadence(every_s, config.model.dt_max, least_s=min(closest_s, CLOSEST_MAX * every_s))


def life_s(history: History, every_s: float) -> float:
    """From one cadence before the first row to the failure."""
    return failure_time(history) - float(history.t_s[0]) + every_s


def channels_of(config: Config, parts: Parts) -> tuple[Channel, ...]:
    """The model's channels with their range over the fit devices; one that was missing there may be missing again."""
    rows = np.concatenate([history.x for history in parts.fit])
    low, high = np.nanmin(rows, axis=0).tolist(), np.nanmax(rows, axis=0).tolist()
    missing = np.isnan(rows).any(axis=0).tolist()
    steady_s, absent_s = longest_runs((*parts.fit, *parts.calibrate), config.model.dt_max)
    return tuple(
        channel_of(
            info,
            low=low[column],
            high=high[column],
            may_be_missing=missing[column],
            steady_max_s=float(steady_s[column]),
            absent_max_s=float(absent_s[column]),
        )
        for column, info in enumerate(config.data.channel_info(config.channels))
    )


def report_json(
    manifest: Manifest, course: dict[str, list[float]], held_out: object, distilled: object, anomaly: object = None
) -> bytes:
    """report.json: the course of training, the figures on the held-out devices, teacher and anomaly (null = none)."""
    content = {
        "bundle": {"name": manifest.name, "version": manifest.version},
        "trained_for": manifest.trained_for,
        "warmup_rows": manifest.warmup_rows,
        "held_out": held_out,
        "distilled": distilled,
        "curves": course,
        "thresholds": manifest.thresholds,
        "anomaly": anomaly,
    }
    return msgspec.json.format(msgspec.json.encode(content)) + b"\n"
