"""What `forewarn check` says: every problem, or what would run."""

from collections.abc import Iterator, Sequence
from datetime import timedelta

import msgspec

from agent.config.broker_settings import Broker
from agent.config.budgeted import Budgeted
from agent.config.load import Examined
from agent.config.plan import Plan, PlannedModel
from agent.config.problem import Problem
from agent.decode.alert_command import ALERT_COMMAND
from agent.decode.command import COMMAND
from agent.decode.label_command import LABEL_COMMAND
from agent.decode.topic import Pattern
from agent.sources import AlignRule
from agent.values.durations import format_duration
from agent.words import AlertHead

NAMES_SHOWN = 3
CHANNELS_SHOWN = 6
NO_MODEL = "there is no [[model]], so `forewarn record` and `forewarn sample` can run, and `forewarn run` cannot"
DIGEST_SHOWN = 12


class Subscribes(msgspec.Struct, frozen=True):
    """A source: the broker and topic filters that it is read from, and how messages become rows.

    channels  where a payload has each, by the channel's name
    rows      when one is made, in words
    """

    source: str
    broker: str
    topics: tuple[str, ...]
    qos: int
    codec: str
    device: str
    joins: str
    channels: dict[str, str]
    rows: str


class RunsModel(msgspec.Struct, frozen=True):
    """A model: its bundle, the threshold of each head for its budget, and the names of the sources that it reads."""

    name: str
    path: str
    bundle: str
    version: str
    digest: str
    heads: dict[AlertHead, Budgeted]
    reads: tuple[str, ...]


class WouldRun(msgspec.Struct, frozen=True):
    """What a valid configuration comes to."""

    node: str
    durability: str
    broker: str
    reads: tuple[Subscribes, ...]
    models: tuple[RunsModel, ...]
    publishes: str
    output: str


class Report(msgspec.Struct, frozen=True):
    """Problems, or what would run; never both. `doubts` are of what would run."""

    problems: tuple[Problem, ...]
    would_run: WouldRun | None
    doubts: tuple[Problem, ...] = ()


def report(examined: Examined) -> Report:
    settings, plan = examined.settings, examined.plan
    if settings is None or plan is None:
        return Report(examined.problems, None)
    reads = [
        Subscribes(
            source=source.name,
            broker=_address(settings.broker_of(by.broker)),
            topics=tuple(Pattern.parse(topic).filter for topic in source.topics),
            qos=by.qos,
            codec=source.codec,
            device=source.device,
            joins=source.joins,
            channels=dict(zip(names, source.fields, strict=True)),
            rows=_rows(source.align),
        )
        for source, by, names in zip(plan.sources, plan.subscriptions, plan.names, strict=True)
    ]
    return Report(
        (),
        WouldRun(
            node=settings.agent.node,
            durability=settings.agent.durability,
            broker=_address(settings.broker),
            reads=tuple(reads),
            models=tuple(_runs(model, plan) for model in plan.models),
            publishes=f"{settings.publish.prefix}/{settings.agent.node}/",
            output=_address(settings.output_broker),
        ),
        examined.doubts,
    )


def _runs(model: PlannedModel, plan: Plan) -> RunsModel:
    manifest = model.bundle.manifest
    return RunsModel(
        name=model.name,
        path=str(model.bundle.path),
        bundle=manifest.name,
        version=manifest.version,
        digest=model.bundle.digest,
        heads=Budgeted.of_each(model.heads),
        reads=tuple(plan.sources[index].name for index in model.sources),
    )


def text(runs: WouldRun) -> Iterator[str]:
    """What would run, to be read by a person: the whole, each source, and each model where there are several."""
    shown = [f"{read.source} ({_some(read.topics)})" for read in runs.reads[:NAMES_SHOWN]]
    if len(runs.reads) > NAMES_SHOWN:
        shown.append(f"{len(runs.reads) - NAMES_SHOWN} more")
    brokers = list(dict.fromkeys(read.broker for read in runs.reads))
    models = [_model(model) for model in runs.models]
    reads = f"reads {', '.join(shown)} from {' and '.join(brokers)}"
    if models:
        does = f"runs {models[0]}" if len(models) == 1 else f"runs {len(models)} models"
        yield f"{reads}, {does}, publishes {runs.publishes} to {runs.output}"
    else:
        yield f"{reads}; {NO_MODEL}"
    if runs.durability == "journal":
        yield "keeps a journal: what is acknowledged to a broker is on the disk, so a crash loses none of it"
    for read in runs.reads:
        yield _source(read, of_several=len(brokers) > 1)
    if len(models) > 1:
        for model, words in zip(runs.models, models, strict=True):
            yield f"{model.name}: {words}, reads {_some(model.reads)}"


def _some(names: Sequence[str], n_max: int = NAMES_SHOWN) -> str:
    more = f" and {len(names) - n_max} more" if len(names) > n_max else ""
    return ", ".join(names[:n_max]) + more


def _source(read: Subscribes, *, of_several: bool) -> str:
    """A source in one line: codec, device, channels, rows."""
    channels = [name if name == field else f"{name} from {field}" for name, field in read.channels.items()]
    if read.codec == COMMAND:
        return f"{read.source}: interventions in devices of {read.joins}, by command"
    if read.codec == LABEL_COMMAND:
        return f"{read.source}: labels of alerts of {read.joins}, by command"
    if read.codec == ALERT_COMMAND:
        return f"{read.source}: what is done with alerts of {read.joins}, by command"
    read_from = f" from {read.broker}" if of_several else ""
    what = _some(channels, CHANNELS_SHOWN) or "no channel"
    rows = f"into the rows of {read.joins}" if read.joins else read.rows
    return f"{read.source}: {read.codec}{read_from}, device {read.device}: {what}; {rows}"


def _rows(align: AlignRule) -> str:
    """When a row is made."""
    every, max_age, lateness = (
        format_duration(timedelta(seconds=span_s)) for span_s in (align.every_s, align.max_age_s, align.lateness_s)
    )
    parts = [f"a row each {every}" if align.every_s else "a row a reading"]
    if align.max_age_s:
        parts.append(f"values held for {max_age}")
    if align.quorum:
        parts.append(f"with {align.quorum:.0%} of the channels")
    if align.lateness_s:
        parts.append(f"{lateness} waited for older readings")
    return ", ".join(parts)


def _model(model: RunsModel) -> str:
    bundle = f"{model.bundle} {model.version} ({model.digest[:DIGEST_SHOWN]})"
    return f"{bundle} at {'; at '.join(_head(name, judged, len(model.heads)) for name, judged in model.heads.items())}"


def _head(name: str, judged: Budgeted, n_heads: int) -> str:
    doubt = "extrapolated: " if judged.extrapolated else ""
    of_head = f" of {name}" if n_heads > 1 else ""
    return f'threshold {judged.threshold:g}{of_head} for "{judged.budget}" ({doubt}{judged.verdict})'


def _address(broker: Broker) -> str:
    return f"{'mqtts' if broker.tls else 'mqtt'}://{broker.host}:{broker.port}"
