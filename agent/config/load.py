"""Configuration files -> settings that have been checked against everything they name; all problems at once."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from agent.bundle import file
from agent.bundle.file import Bundle
from agent.config import agree, fit, topics
from agent.config.agree import Fault
from agent.config.alert_settings import Alerts, Commands
from agent.config.broker_settings import Broker
from agent.config.fields import age_faults, channels_of, codec_faults, field_faults, row_doubts
from agent.config.gather import LISTS, Gathered, gather
from agent.config.lines import Key
from agent.config.plan import Plan, build, plan
from agent.config.problem import Problem
from agent.config.readers import Reader, Sources, owners, readers
from agent.config.settings import Agent, Model, Publish, Settings
from agent.config.source_settings import SourceSettings
from agent.config.training import training_doubts
from agent.config.wording import what_is_wrong
from agent.errors import BundleRefused, ConfigurationRefused

OneTable = TypeVar("OneTable", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Examined:
    """A configuration that would run, with what is doubtful in it, or the problems of one that would not."""

    problems: tuple[Problem, ...]
    settings: Settings | None = None
    plan: Plan | None = None
    doubts: tuple[Problem, ...] = ()


def load(path: Path, environ: Mapping[str, str]) -> Settings:
    """The settings of a file, or of a folder's forewarn.toml. Raises ConfigurationRefused that lists every problem."""
    examined = examine(path, environ)
    if examined.settings is None:
        listed = "\n  ".join(map(str, examined.problems))
        many = "1 problem" if len(examined.problems) == 1 else f"{len(examined.problems)} problems"
        raise ConfigurationRefused(path, f"{many}\n  {listed}", next_step=f"`forewarn check {path}` lists them again.")
    return examined.settings


def problems(path: Path, environ: Mapping[str, str]) -> list[Problem]:
    """Everything that is wrong with a configuration; empty when it would run."""
    return list(examine(path, environ).problems)


def examine(path: Path, environ: Mapping[str, str], read: Callable[[Path], Bundle] = file.read) -> Examined:
    """Read, validate, and check against the bundle and the machine, without running the bundle's model.

    read  reads a bundle; raises BundleRefused
    """
    return _examined(gather(path), environ, read)


def check(
    path: Path, environ: Mapping[str, str], verify: Callable[[Settings, Path], None] = lambda _, __: None
) -> Examined:
    """What `examine` does; then build all that `run` builds, but for the state directory and the network.

    verify  is given each bundle before it is run here; raises BundleRefused
    """
    gathered = gather(path)
    examined = _examined(gathered, environ, file.read)
    if examined.settings is None or examined.plan is None:
        return examined
    try:
        for model in examined.plan.models:
            verify(examined.settings, model.bundle.path)
        if all(one.channels or one.width or one.joins for one in examined.plan.sources):  # else nothing runs yet
            build(examined.settings, examined.plan)
    except BundleRefused as error:
        paths: list[Path | str] = [model.bundle.path for model in examined.plan.models]
        gathered.report(*_bundle_fault(paths.index(error.where), error))
        return Examined(tuple(gathered.problems))
    settings, models = examined.settings, examined.plan.models
    sources = [*enumerate(settings.source)]
    faults = [*agree.broker_doubts(settings), *agree.alert_doubts(settings), *topics.topic_doubts(sources)]
    timeless = {one.name for one in examined.plan.sources if one.time_unit == "arrival"}
    faults += agree.time_doubts(settings.agent, [index for index, source in sources if source.name in timeless])
    for index, model in enumerate(models):
        for head, judged in model.heads.items():
            faults += fit.budget_doubts(index, settings.model[index], head, judged)
    every = [Reader(index, model, models[index].bundle.manifest) for index, model in enumerate(settings.model)]
    faults += fit.reader_doubts(owners(sources), every)
    for owner in owners(sources):
        read_by = readers(every, owner)
        faults += [*fit.channel_doubts(owner, read_by), *row_doubts(owner, read_by)]
        faults += training_doubts(owner, read_by)
    return replace(examined, doubts=tuple(gathered.problem(key, what) for key, what in faults))


def _examined(gathered: Gathered, environ: Mapping[str, str], read: Callable[[Path], Bundle]) -> Examined:
    settings = None
    try:
        settings = Settings.read(gathered, environ)
    except ValidationError as error:
        for details in error.errors(include_url=False):
            key = details["loc"]
            if not _is_noise(key, details["type"], gathered):
                gathered.report(key[:-1] if key[-1] == "[key]" else key, what_is_wrong(details))
    bundles = _check_tables(gathered, read)
    if settings is None or gathered.problems:
        return Examined(tuple(sorted(gathered.problems, key=lambda problem: (problem.file, problem.line))))
    return Examined((), settings, plan(settings, bundles))


def _bundle_fault(index: int, error: BundleRefused) -> Fault:
    return ("model", index, "bundle"), f"{error.where}: {error.what}"


def _is_noise(key: Key, kind: str, gathered: Gathered) -> bool:
    """What follows from another problem: a key may be in a file that cannot be read; faulty sources are not too few."""
    if kind == "too_short" and key[0] in LISTS and len(key) == 1:
        return gathered.is_partial or bool(gathered.lists[str(key[0])])
    return kind == "missing" and gathered.is_partial


def _check_tables(gathered: Gathered, read: Callable[[Path], Bundle]) -> dict[str, Bundle]:
    """Check what is valid by itself against what it names, even where other tables are not.

    Returns the bundles, by the names of their models.
    """
    values = gathered.tables
    agent, publish = _valid(Agent, values.get("agent", {})), _valid(Publish, values.get("publish", {}))
    sources = _valid_list(SourceSettings, gathered.lists["source"])
    brokers = _brokers(gathered)
    output = _valid(Broker, values["output"]) if "output" in values else brokers.get("")

    faults: list[Fault] = []
    if agent is not None:
        faults += [*agree.agent_faults(agent), *agree.qos_faults(agent, sources), *agree.journal_faults(agent, sources)]
    for name, broker in brokers.items():
        faults += agree.broker_faults(("brokers", name) if name else ("broker",), broker)
    if output is not None and "output" in values:
        faults += agree.broker_faults(("output",), output)
    faults += topics.topic_faults(sources, publish, brokers, output)
    takes_commands = _valid(Commands, values.get("commands", {})) not in (None, Commands())
    if agent is not None and publish is not None and takes_commands:
        faults += topics.command_faults(sources, publish, agent)
    for index, source in sources:
        faults += topics.name_faults(index, source)
        if agent is not None:
            faults += agree.silence_faults(index, source, agent)
        if not gathered.is_partial:
            faults += agree.named_broker_faults(index, source, gathered.table_names().get("brokers", []))
    alerts = _valid(Alerts, values.get("alerts", {}))
    if alerts is not None and not gathered.is_partial and len(sources) == len(gathered.lists["source"]):
        faults += agree.maintenance_faults(alerts, [source for _, source in sources])
    bundles: dict[str, Bundle] = {}
    faults += _check_models(gathered, sources, bundles, read)
    for key, what in faults:
        gathered.report(key, what)
    return bundles


def _brokers(gathered: Gathered) -> dict[str, Broker]:
    """The valid ones, by the `broker` of sources."""
    tables = {"": gathered.tables.get("broker", {})}
    for name in gathered.table_names().get("brokers", []):
        tables[name] = gathered.tables["brokers"][name]  # type: ignore[index]  # table_names says that it is one
    valid = {name: _valid(Broker, table) for name, table in tables.items()}
    return {name: broker for name, broker in valid.items() if broker is not None}


def _check_models(
    gathered: Gathered, sources: Sources, bundles: dict[str, Bundle], read: Callable[[Path], Bundle]
) -> Iterator[Fault]:
    """Each model by itself, which fills in `bundles`; all of them with their sources, once every one is there."""
    given = gathered.lists["model"]
    models = []
    joins = {source.name: source.joins for _, source in sources}
    for index, model in _valid_list(Model, given):
        manifest = None
        try:
            bundle = bundles[model.name] = read(model.bundle)
            manifest = bundle.manifest
            models.append(Reader(index, model, manifest))
        except BundleRefused as error:
            yield _bundle_fault(index, error)
        yield from fit.budget_faults(index, model, manifest)
        if not gathered.is_partial:
            yield from fit.named_faults(index, model, [name for name in gathered.names("source") if name], joins)
    has_all_models, has_all_sources = len(models) == len(given), len(sources) == len(gathered.lists["source"])
    torn = list(fit.joins_faults(sources)) if has_all_sources else []
    yield from torn
    all_owners = owners(sources)
    for owner in all_owners:
        yield from age_faults(owner)
        channels = channels_of(owner, readers(models, owner) if has_all_models else ())
        for index, source in owner.parts:
            yield from codec_faults(index, source, channels[index])
        if models and has_all_models:  # else nobody knows what a source lacks
            yield from fit.channel_faults(owner, models)
        elif not given:
            yield from field_faults(owner, ())
    if models and has_all_models and sources and has_all_sources and not torn:
        yield from fit.no_source_faults(all_owners, models)


def _valid(kind: type[OneTable], values: object) -> OneTable | None:
    try:
        return kind.model_validate(values)
    except ValidationError:
        return None


def _valid_list(kind: type[OneTable], tables: Sequence[object]) -> list[tuple[int, OneTable]]:
    """The valid ones, each with its place in the list."""
    values = ((index, _valid(kind, table)) for index, table in enumerate(tables))
    return [(index, value) for index, value in values if value is not None]
