"""What the settings mean for their bundles: plain values for the layers that know no configuration."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from agent.bundle.file import Bundle
from agent.bundle.manifest import Manifest
from agent.config.commands import COMMAND_QOS, alert_source, command_source, label_source
from agent.config.plain import plain_channel, plain_source
from agent.config.readers import Owner, Reader, Sources, owners, readers
from agent.config.settings import Agent, Model, Settings
from agent.config.source_settings import Overload, SourceSettings
from agent.core import Core
from agent.core.bounds import Bounds
from agent.core.model import Model as CoreModel
from agent.core.model import load_engine
from agent.judge.threshold import Judged, choose_each
from agent.sources import Source, SourceChannel
from agent.words import AlertHead

Column = tuple[int, SourceChannel]  # place of its source in the configuration, and how that reads it


@dataclass(frozen=True, slots=True)
class PlannedModel:
    """A model that would run.

    heads     of each that is judged: its budget, and the threshold for it
    sources   indexes of the owners that it reads, among the sources of the plan
    channels  for each of them: index of each of the bundle's channels among the columns of that owner's rows
    """

    name: str
    bundle: Bundle
    heads: Mapping[AlertHead, Judged]
    sources: tuple[int, ...]
    channels: tuple[tuple[int, ...], ...]


@dataclass(frozen=True, slots=True)
class Subscription:
    """How messages of a source are got.

    broker    NAME of its [brokers.NAME], "" for [broker]
    rate_max  messages/s, 0 for no bound
    """

    broker: str
    qos: int
    overload: Overload
    rate_max: int


@dataclass(frozen=True, slots=True)
class Plan:
    """What would run.

    sources        those that a model reads, and those that join one of them; all where there is no model, or those
                   that map a channel where all are asked for. Behind them those that bring commands, where these are
                   taken
    subscriptions  of each source
    names          of each source: the names of its channels
    """

    models: tuple[PlannedModel, ...]
    sources: tuple[Source, ...]
    subscriptions: tuple[Subscription, ...]
    names: tuple[tuple[str, ...], ...]

    @property
    def qos(self) -> tuple[int, ...]:
        """Of the subscription of each source."""
        return tuple(of_source.qos for of_source in self.subscriptions)


@dataclass(frozen=True, slots=True)
class _Rows:
    """The rows of an owner: the models that read it, and its columns with their names, the owner's own first."""

    owner: Owner
    models: Sequence[Reader]
    columns: Mapping[Column, str]

    @property
    def parts(self) -> Sources:
        """The owner, and those that join it and bring something."""
        return [
            (index, source)
            for index, source in self.owner.parts
            if not source.joins or source.interventions or self.of_part(index)
        ]

    def of_part(self, index: int) -> list[SourceChannel]:
        """The columns of one source in it."""
        return [channel for of, channel in self.columns if of == index]


def plan(settings: Settings, bundles: Mapping[str, Bundle], *, reads_all: bool = False) -> Plan:
    """Settings that `load` has accepted, with the bundle of each model by the model's name.

    reads_all  with the channels that sources map and no model reads
    """
    every = [Reader(index, model, bundles[model.name].manifest) for index, model in enumerate(settings.model)]
    read = [
        _rows(owner, of_it, reads_all=reads_all)
        for owner in owners([*enumerate(settings.source)])
        if (of_it := readers(every, owner)) or (owner.mapped if reads_all else not every)
    ]
    parts = sorted((index, source, rows) for rows in read for index, source in rows.parts)
    place = {index: place for place, (index, _, _) in enumerate(parts)}
    targets = [rows.owner.source for rows in read]
    commands = [
        *((owner, command_source(settings, owner)) for owner in targets if settings.commands.interventions),
        *((owner, label_source(settings, owner)) for owner in targets if settings.commands.labels),
        *((owner, alert_source(settings, owner)) for owner in targets if settings.commands.alerts),
    ]
    return Plan(
        models=tuple(_model(model, bundles[model.settings.name], read, place) for model in every),
        sources=(
            *(_source(index, source, rows) for index, source, rows in parts),
            *(source for _, source in commands),
        ),
        subscriptions=(
            *(Subscription(source.broker, source.qos, source.overload, source.rate_max) for _, source, _ in parts),
            *(Subscription(owner.broker, COMMAND_QOS, owner.overload, 0) for owner, _ in commands),
        ),
        names=(
            *(tuple(name for (of, _), name in rows.columns.items() if of == index) for index, _, rows in parts),
            *(() for _ in commands),
        ),
    )


def build(settings: Settings, plan: Plan) -> Core:
    """The core that runs, with the engine, decoders and judge inside it: `check` builds what `run` builds.

    Raises BundleRefused when the bundle's model cannot be run, or does not compute its golden rows.
    """
    models = [
        CoreModel(
            name=model.name,
            bundle=model.bundle,
            engine=load_engine(model.bundle),
            thresholds={head: judged.chosen.threshold for head, judged in model.heads.items()},
            sources=model.sources,
            channels=model.channels,
        )
        for model in plan.models
    ]
    return Core(plan.sources, models, bounds(settings.agent), settings.alerts.rules)


def _rows(owner: Owner, models: Sequence[Reader], *, reads_all: bool) -> _Rows:
    """Each column once, whatever number of models reads it; without a model, or for all, what the sources map."""
    names = {name for model in models for name in model.channels}
    columns: dict[Column, str] = {}
    for index, source in owner.parts:
        for model in models:
            for channel in model.manifest.inputs:
                if owner.part_of(channel.name)[0] == index:
                    columns.setdefault((index, plain_channel(source, channel.name, channel)), channel.name)
        if reads_all or not models:
            columns |= {(index, plain_channel(source, name)): name for name in source.channels if name not in names}
    return _Rows(owner, models, columns)


def _source(index: int, source: SourceSettings, rows: _Rows) -> Source:
    plain = plain_source(source, rows.of_part(index), rows.owner.source)
    if not rows.owner.joined:
        return plain
    if not source.joins:
        return replace(plain, width=len(rows.columns))
    return replace(plain, columns=tuple(place for place, (of, _) in enumerate(rows.columns) if of == index))


def _model(model: Reader, bundle: Bundle, read: Sequence[_Rows], place: Mapping[int, int]) -> PlannedModel:
    own = [rows for rows in read if model in rows.models]
    return PlannedModel(
        name=model.settings.name,
        bundle=bundle,
        heads=judged_heads(model.settings, model.manifest),
        sources=tuple(place[rows.owner.index] for rows in own),
        channels=tuple(_columns(model, rows) for rows in own),
    )


def _columns(model: Reader, rows: _Rows) -> tuple[int, ...]:
    """The column of each of the model's channels."""
    places = {column: place for place, column in enumerate(rows.columns)}
    parts = [(channel, *rows.owner.part_of(channel.name)) for channel in model.manifest.inputs]
    return tuple(places[index, plain_channel(source, channel.name, channel)] for channel, index, source in parts)


def judged_heads(model: Model, manifest: Manifest) -> dict[AlertHead, Judged]:
    """The threshold of each head for its budget. Raises ValueError when a budget is not one."""
    budgets = {head: model.budget_of(head, manifest.time_unit) for head in manifest.judging}
    return choose_each(manifest, budgets, fleet_size=model.fleet_size, time_in_alarm_max=model.time_in_alarm_max)


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
