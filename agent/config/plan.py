"""What the settings mean for their bundles: plain values for the layers that know no configuration."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from agent.bundle.file import Bundle
from agent.bundle.manifest import Manifest
from agent.config.readers import Reader, readers
from agent.config.settings import Agent, Model, Settings, SourceSettings
from agent.core import Core
from agent.core.bounds import Bounds
from agent.core.model import Model as CoreModel
from agent.core.model import load_engine
from agent.judge.threshold import Chosen, choose, parse_budget
from agent.words import Source, plain_channels


@dataclass(frozen=True, slots=True)
class PlannedModel:
    """A model that would run.

    chosen    the threshold for its budget
    sources   indexes of the sources that it reads, among those of the plan
    channels  for each of them: index of each of the bundle's channels among that source's `fields`
    """

    name: str
    bundle: Bundle
    budget: str
    chosen: Chosen
    sources: tuple[int, ...]
    channels: tuple[tuple[int, ...], ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """What would run: the models, the sources that at least one of them reads, and the QoS of each source."""

    models: tuple[PlannedModel, ...]
    sources: tuple[Source, ...]
    qos: tuple[int, ...]


def plan(settings: Settings, bundles: Mapping[str, Bundle]) -> Plan:
    """Settings that `load` has accepted, with the bundle of each model by the model's name."""
    every = [Reader(index, model, bundles[model.name].manifest) for index, model in enumerate(settings.model)]
    read = [(source, of_it) for source in settings.source if (of_it := readers(every, source))]
    sources = tuple(_source(source, of_it) for source, of_it in read)
    models = tuple(_model(model, bundles[model.settings.name], read, sources) for model in every)
    return Plan(models, sources, tuple(source.qos for source, _ in read))


def build(settings: Settings, plan: Plan) -> Core:
    """The core that runs, with the engine, decoders and judge inside it: `check` builds what `run` builds.

    Raises BundleRefused when the bundle's model cannot be run, or does not compute its golden rows.
    """
    models = [
        CoreModel(
            name=model.name,
            bundle=model.bundle,
            engine=load_engine(model.bundle),
            threshold=model.chosen.threshold,
            sources=model.sources,
            channels=model.channels,
        )
        for model in plan.models
    ]
    return Core(plan.sources, models, bounds(settings.agent))


def _source(source: SourceSettings, models: Sequence[Reader]) -> Source:
    """A source with the payload field of every channel that a model of it has, each field once."""
    return Source(
        name=source.name,
        topics=(source.topic,),
        time_field=source.time.field,
        time_unit=source.time.unit,
        channels=plain_channels(*dict.fromkeys(field for model in models for field in _fields(source, model))),
        future_max_s=source.future_max.total_seconds(),
        past_max_s=source.past_max.total_seconds(),
        report_extra=source.report_extra,
        first_seen=source.first_seen,
        codec=source.codec,
    )


def _fields(source: SourceSettings, model: Reader) -> tuple[str, ...]:
    """The payload field of each of the model's channels, in the bundle's order."""
    return tuple(source.channels.get(channel, channel) for channel in model.channels)


def _model(
    model: Reader,
    bundle: Bundle,
    read: Sequence[tuple[SourceSettings, Sequence[Reader]]],
    sources: Sequence[Source],
) -> PlannedModel:
    own = [index for index, (_, models) in enumerate(read) if model in models]
    return PlannedModel(
        name=model.settings.name,
        bundle=bundle,
        budget=model.settings.budget,
        chosen=threshold(model.settings, model.manifest),
        sources=tuple(own),
        channels=tuple(tuple(map(sources[index].fields.index, _fields(read[index][0], model))) for index in own),
    )


def threshold(model: Model, manifest: Manifest) -> Chosen:
    """The threshold for the budget. Raises ValueError when the budget is not one."""
    return choose(manifest.thresholds, parse_budget(model.budget, fleet_size=model.fleet_size))


def bounds(agent: Agent) -> Bounds:
    """The core's hard sizes."""
    return Bounds(
        devices_max=agent.devices_max,
        batch_max=agent.batch_max,
        payload_bytes_max=agent.payload_bytes_max,
        device_id_bytes_max=agent.device_id_bytes_max,
        tick_every_s=agent.tick_every.total_seconds(),
        stale_after_s=agent.stale_after.total_seconds(),
        forget_after_s=agent.forget_after.total_seconds(),
    )
