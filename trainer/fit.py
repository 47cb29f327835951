"""From a config and a data folder to a bundle: read, split, rehearse, train, calibrate, measure, write."""

import importlib.metadata
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile

import msgspec
import numpy as np
from tqdm import tqdm

from agent.bundle.file import Bundle
from agent.errors import BundleRefused, ConfigurationRefused, DataRefused
from agent.judge.threshold import choose, default_budget, finest_budget, parse_budget, vouched_for
from agent.score.time_unit import unit_of
from agent.words import Float32
from trainer.anomaly.calibrate import anomaly_table
from trainer.anomaly.defaults import with_defaults
from trainer.anomaly.learn import Learnt, learn, notes_on_learning, rehearsed
from trainer.anomaly.report import anomaly_report
from trainer.bundle.anomaly_card import anomaly_card, anomaly_section
from trainer.bundle.assemble import (
    code_version,
    new_bundle,
    report_json,
    with_manifest,
    write_file,
)
from trainer.bundle.model_card import model_card
from trainer.config import Config
from trainer.data.check import check_parts
from trainer.data.dataset import histories_of, parts_of
from trainer.data.history import History, digest_of
from trainer.data.plural import plural
from trainer.data.split import Parts
from trainer.data.stages import size, stage
from trainer.data.table import write_table
from trainer.evaluation.judge_rules import rules_of_config
from trainer.evaluation.metrics import Figures, figures
from trainer.evaluation.playback import NEVER, play
from trainer.evaluation.plot import plot_curves, plot_reliability
from trainer.evaluation.threshold_sweep import mean_lead_at, mean_lead_at_budget, threshold_table
from trainer.evaluation.warmup import LateStart, brier_after, late_starts, warmup_rows
from trainer.export.calibrate import calibrated
from trainer.export.streaming import streaming_of
from trainer.model.features import features_of, fit_scaling
from trainer.model.network import Network
from trainer.training.checkpoint import Checkpoint, Curves, training_keys
from trainer.training.loop import train
from trainer.training.teacher import TrainedTeacher
from trainer.training.validation import EarlyStopping

CHECKPOINT = "checkpoint.pt"
REHEARSED_ROWS = 3000
"""Of each device: what an agent would drop of a recording shows there, and long ones take minutes to play."""


def fit(config: Config, data: Path | None, out: Path, *, anew: bool = False, made: str = "") -> Path:
    """Train and write everything into the folder `out`; returns the bundle's path. Raises ForewarnError.

    `data` is the folder of recorded sets; a simulated one needs none. A run that was killed goes on where it was,
    unless it is to begin `anew`. The text of a configuration that was `made` for it lies beside the bundle.
    """
    if config.distill is not None:
        what = "[distill] asks for a teacher"
        raise ConfigurationRefused(config.name, what, next_step="Use `forewarn-train distill`, or take it out.")
    is_open = not config.heads
    config, parts, data_sha256 = prepare(config, data)
    make_folder(out)
    if made:
        (out / "fit.toml").write_text(made, encoding="utf-8")
        tqdm.write(f"configuration: {out / 'fit.toml'}", file=sys.stderr)
    if anew:
        (out / CHECKPOINT).unlink(missing_ok=True)
    if is_open and len(config.heads) > 1:
        return train_both_and_write(config, parts, data_sha256, out)
    return train_and_write(config, parts, data_sha256, out)


def prepare(config: Config, data: Path | None) -> tuple[Config, Parts, str]:
    """The config with its heads decided, the histories in their parts, and the digest of the data, once a rehearsal has
    shown that a bundle can be made.

    Raises ForewarnError for whatever in data or configuration would end the fit after its training.
    """
    stage("reads the recordings")
    is_open, histories = not config.heads, histories_of(config, data)
    stage(f"{size(histories)}: checks them")
    config = with_defaults(config, histories)
    try:
        parts, data_sha256 = parts_of(config, histories), digest_of(histories)
    except DataRefused as error:
        if not is_open or not has_risk(config):
            raise
        config = with_defaults(config.model_copy(update={"heads": ("anomaly",)}), histories)
        parts, data_sha256 = parts_of(config, histories), digest_of(histories)
        why = f"{error.what}. {error.next_step}"
        tqdm.write(f"{config.name}: trains the head anomaly alone; for risk, {why}", file=sys.stderr)
    try:
        check_parts(parts, config.requirements)
    except DataRefused as error:
        if not is_open or not has_risk(config):
            raise
        config = config.model_copy(update={"heads": ("risk",)})
        check_parts(parts, config.requirements)
        tqdm.write(f"{config.name}: trains the head risk alone; for anomaly, {error.what}", file=sys.stderr)
    if "anomaly" in config.heads:
        for note in notes_on_learning(config, parts):
            tqdm.write(note, file=sys.stderr)
    stage("makes and plays a bundle that has learnt nothing")
    rehearse(config, parts, data_sha256)
    return config, parts, data_sha256


def rehearse(config: Config, parts: Parts, data_sha256: str) -> None:
    """Make the bundle of a network that has learnt nothing, and play it: its sizes, names and rows are the same.

    Raises ConfigurationRefused for a bundle that an agent would refuse, DataRefused for rows that one would drop.
    """
    model = streaming_of(Network(config).eval(), fit_scaling(parts.fit, config), config) if has_risk(config) else None
    head = rehearsed(config, parts) if "anomaly" in config.heads else None
    bundle = new_bundle(config, parts, model, data_sha256, head)
    with TemporaryDirectory() as folder:
        try:
            write_file(Path(folder) / bundle.path, bundle, parts.calibrate, report=b"{}", card="")
        except BundleRefused as error:
            what = f"an agent would refuse its bundle, so nothing was trained: {error.what}"
            next_step = "Change what it names, or lower model.hidden or anomaly.hidden."
            raise ConfigurationRefused(config.name, what, next_step=next_step) from None
    first_rows = [history.only(slice(REHEARSED_ROWS)) for history in (*parts.calibrate, *parts.play)]
    play(bundle, bundle.model, first_rows, NEVER)


def has_risk(config: Config) -> bool:
    """Configurations from before there was another head name none."""
    return config.heads != ("anomaly",)


def make_folder(out: Path) -> None:
    """Raises ConfigurationRefused where nothing could be written after the training."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=out):
            pass
    except OSError as error:
        what = str(error.strerror).lower()
        raise ConfigurationRefused(f"--out {out}", what, next_step="Give a folder that can be written in.") from None


def train_and_write(
    config: Config, parts: Parts, data_sha256: str, out: Path, teacher: TrainedTeacher | None = None
) -> Path:
    """Train, measure on `parts.play`, and write everything into the folder; returns the bundle's path."""
    head = learn(config, parts) if "anomaly" in config.heads else None
    if head is not None and not has_risk(config):
        return write_anomaly(config, parts, anomaly_bundle(config, parts, data_sha256, head), head, out)
    return write_risk(
        config, parts, train_bundle(config, parts, data_sha256, out / CHECKPOINT, teacher, head), out, teacher, head
    )


def train_both_and_write(config: Config, parts: Parts, data_sha256: str, out: Path) -> Path:
    """Train both heads, and write the bundle of the one that warned the calibration devices longer ahead, at the
    default budget or the finest that they can vouch for.

    A few failures teach `risk` little, and where it warns of none of them the charts of `anomaly` may: what a plant has
    without a network is among them. Of equals `risk` is kept, if it warned of any: it also estimates what is left.
    """
    of_risk, of_anomaly = (config.model_copy(update={"heads": (head,)}) for head in ("risk", "anomaly"))
    head = learn(of_anomaly, parts)
    charts = anomaly_bundle(of_anomaly, parts, data_sha256, head)
    trained = train_bundle(of_risk, parts, data_sha256, out / CHECKPOINT)
    tables = [table for one in (trained[0], charts) for _, table in one.manifest.judging.values()]
    budget = vouched_for(parse_budget(default_budget(charts.manifest.time_unit), fleet_size=0), *tables)
    risk_s, charts_s = (mean_lead_at(table, budget) for table in tables)
    kept = "risk" if risk_s >= charts_s and risk_s > 0 else "anomaly"
    unit = unit_of(charts.manifest)
    allowed = finest_budget(budget.rate_per_s, budget.time_unit)
    leads = f"risk {unit.text(risk_s)}, anomaly {unit.text(charts_s)}"
    judged = plural(tables[0].failures or 0, "calibration failure")
    what = f'keeps the head {kept}; mean lead on the {judged} at "{allowed}": {leads}; `heads` decides otherwise'
    tqdm.write(f"{config.name}: {what}", file=sys.stderr)
    if kept == "risk":
        return write_risk(of_risk, parts, trained, out)
    (out / CHECKPOINT).unlink()
    head = replace(head, choice=replace(head.choice, why=f"{head.choice.why}; {what}"))
    return write_anomaly(of_anomaly, parts, charts, head, out)


Trained = tuple[Bundle, Curves, list[LateStart]]
"""What `train_bundle` gives."""


def write_risk(
    config: Config,
    parts: Parts,
    trained: Trained,
    out: Path,
    teacher: TrainedTeacher | None = None,
    head: Learnt | None = None,
) -> Path:
    """The bundle of a network, and of a `head` of anomaly beside it; returns its path."""
    bundle, curves, starts = trained
    stage(f"plays what is held out ({size(parts.play)})")
    played = play(bundle, bundle.model, parts.play, NEVER)
    held_out = figures(played, parts.play, bundle.manifest)
    bundle = with_manifest(bundle, metrics=metrics_of(held_out, starts, bundle.manifest.warmup_rows))
    of_anomaly = None if head is None else anomaly_report(bundle, head, parts, config)
    report = report_json(bundle.manifest, course_of(curves), held_out, teacher and teacher.report(config), of_anomaly)
    card = model_card(bundle.manifest, config, held_out)
    if head is not None:
        card += "\n" + anomaly_section(bundle.manifest, head) + "\n"
    path = write_bundle(config, parts, bundle, card, report, out)
    plot_curves(curves.loss, curves.rmse, curves.mean_lead, out / "curves.png")
    plot_reliability(held_out, unit_of(bundle.manifest), out / "reliability.png")
    (out / CHECKPOINT).unlink()
    return path


def anomaly_bundle(config: Config, parts: Parts, data_sha256: str, head: Learnt) -> Bundle:
    """The bundle of the head that needs no labels, in memory, with nothing known of `parts.play`."""
    return with_anomaly_table(new_bundle(config, parts, None, data_sha256, head), head, parts, config)


def write_anomaly(config: Config, parts: Parts, bundle: Bundle, head: Learnt, out: Path) -> Path:
    """The bundle of the head that needs no labels; returns its path."""
    report = report_json(
        bundle.manifest, {"loss": head.losses}, None, None, anomaly_report(bundle, head, parts, config)
    )
    return write_bundle(config, parts, bundle, anomaly_card(bundle.manifest, config, head), report, out)


def with_anomaly_table(bundle: Bundle, head: Learnt, parts: Parts, config: Config) -> Bundle:
    """The same bundle with the thresholds of its anomaly head, and how often each chart leads at that of the default
    budget.
    """
    anomaly = bundle.manifest.anomaly
    assert anomaly is not None
    stage(f"plays {size(parts.calibrate)} for the thresholds of anomaly")
    table, said = anomaly_table(bundle, parts.calibrate, config)
    if said:
        tqdm.write(said, file=sys.stderr)
    budget = parse_budget(default_budget(bundle.manifest.time_unit), fleet_size=0)
    shares = head.shares(choose(table, budget).threshold)
    charts = tuple(msgspec.structs.replace(one, share=share) for one, share in zip(anomaly.charts, shares, strict=True))
    return with_manifest(bundle, anomaly=msgspec.structs.replace(anomaly, charts=charts, thresholds=table))


def train_bundle(
    config: Config,
    parts: Parts,
    data_sha256: str,
    checkpoint: Path | None = None,
    teacher: TrainedTeacher | None = None,
    head: Learnt | None = None,
) -> Trained:
    """Train, calibrate, and choose warm-up and thresholds: the bundle in memory, with nothing known of `parts.play`.

    The bundle has no golden rows and no measured figures yet; it plays like any other. A training that was killed goes
    on from `checkpoint`. A teacher draws the estimate to its own; a `head` of anomaly goes into the same bundle.
    """
    scaling = fit_scaling(parts.fit, config)
    lives, validation = (
        [features_of(history, scaling, config.model) for history in part] for part in (parts.fit, parts.calibrate)
    )
    stage(f"trains on {size(parts.fit)}")
    network, curves = train(
        Network,
        lives,
        validation,
        config,
        teacher=teacher.for_loop(config) if teacher else None,
        early_stopping=mean_lead_over(parts.calibrate, config),
        checkpoint=Checkpoint(checkpoint, made_of(config, data_sha256, teacher)) if checkpoint else None,
    )
    stage("calibrates risk and interval")
    model = calibrated(streaming_of(network, scaling, config), network, validation, config)
    bundle = new_bundle(config, parts, model, data_sha256, head)
    if head is not None:
        bundle = with_anomaly_table(bundle, head, parts, config)
    stage("plays late starts, for the warm-up")
    starts = late_starts(bundle, parts.calibrate)
    bundle = with_manifest(bundle, warmup_rows=warmup_rows(starts))
    stage(f"plays {size(parts.calibrate)} for the thresholds of risk")
    bundle = with_manifest(bundle, thresholds=threshold_table(bundle, parts.calibrate, config.judge.thresholds))
    return bundle, curves, starts


def write_bundle(config: Config, parts: Parts, bundle: Bundle, card: str, report: bytes, out: Path) -> Path:
    """Write the bundle, and beside it what people and `forewarn replay` read; returns the bundle's path."""
    path = out / bundle.path
    stage("writes the bundle")
    write_file(path, bundle, parts.calibrate, report, card)
    (out / "metrics.json").write_bytes(report)
    (out / "config.json").write_text(config.model_dump_json(indent=2) + "\n")
    write_table(parts.play, config.channels, out / "play.csv", out / "truth.csv", out / "faults.csv", config.runs)
    return path


def made_of(config: Config, data_sha256: str, teacher: TrainedTeacher | None) -> dict[str, str]:
    """All that a training depends on, in words: a checkpoint of another training is refused."""
    versions = {
        "version of forewarn": code_version(),
        "version of torch": importlib.metadata.version("torch"),
        "data": data_sha256[:16],
        **training_keys(config),
    }
    return versions if teacher is None else versions | {"teacher": teacher.sha256[:16]}


def mean_lead_over(histories: Sequence[History], config: Config) -> EarlyStopping:
    """Risks of `histories` to the mean lead, in seconds, of their warnings at the default budget."""
    rules = rules_of_config(config)
    budget = parse_budget(default_budget(config.data.counts), fleet_size=len(histories))

    def mean_lead(risks: Sequence[Float32]) -> float:
        scores = [risk[:, rules.policy.horizon].astype(np.float64) for risk in risks]
        return mean_lead_at_budget(scores, histories, rules, budget)

    return mean_lead


def metrics_of(held_out: Figures, starts: Sequence[LateStart], n_warmup_rows: int) -> dict[str, float]:
    """The figures that the manifest keeps."""
    metrics = {
        "play_rmse": held_out.rmse_s,
        "play_rmse_of_constant": held_out.rmse_of_constant_s,
        "play_interval_coverage": held_out.interval.whole.share,
    }
    metrics |= {f"play_brier_{horizon.horizon_s:g}": horizon.brier for horizon in held_out.horizons}
    metrics["late_start_brier"], metrics["whole_stream_brier"] = brier_after(starts, n_warmup_rows)
    return metrics


def course_of(curves: Curves) -> dict[str, list[float]]:
    """The course of training as report.json names it."""
    course = {"loss": curves.loss, "watched_rmse": curves.rmse}
    return course | {"watched_mean_lead_s": curves.mean_lead} if curves.mean_lead else course
