"""Configuration files -> settings that have been checked against everything they name; all problems at once."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import NoneType, UnionType
from typing import TypeVar, get_args

from pydantic import BaseModel, ValidationError

from agent.bundle import file
from agent.bundle.file import Bundle
from agent.config import agree
from agent.config.agree import Fault
from agent.config.environment import take_environment
from agent.config.gather import Gathered, gather
from agent.config.lines import Key
from agent.config.plan import Plan, build, plan
from agent.config.problem import Problem
from agent.config.settings import Agent, Broker, Model, Publish, Settings, SourceSettings
from agent.config.wording import what_is_wrong
from agent.errors import BundleRefused, ConfigurationRefused

CREDENTIALS_DIRECTORY = "CREDENTIALS_DIRECTORY"
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


def examine(path: Path, environ: Mapping[str, str]) -> Examined:
    """Read, validate, and check against the bundle and the machine, without running the bundle's model."""
    return _examined(_gathered(path, environ))


def check(path: Path, environ: Mapping[str, str]) -> Examined:
    """What `examine` does; then build all that `run` builds, but for the state directory and the network."""
    gathered = _gathered(path, environ)
    examined = _examined(gathered)
    if examined.settings is None or examined.plan is None:
        return examined
    try:
        build(examined.settings, examined.plan)
    except BundleRefused as error:
        gathered.report(*_bundle_fault(error))
        return Examined(tuple(gathered.problems))
    faults = [
        *agree.topic_doubts(examined.settings.source),
        *agree.budget_doubts(examined.settings.model, examined.plan.chosen),
    ]
    return replace(examined, doubts=tuple(gathered.problem(key, what) for key, what in faults))


def _gathered(path: Path, environ: Mapping[str, str]) -> Gathered:
    gathered = gather(path)
    take_environment(gathered, environ, TYPES)
    _find_paths(gathered, environ)
    return gathered


def _examined(gathered: Gathered) -> Examined:
    settings = None
    try:
        settings = Settings.model_validate(gathered.values())
    except ValidationError as error:
        for one in error.errors(include_url=False):
            if not _is_noise(one["loc"], one["type"], gathered):
                gathered.report(one["loc"], what_is_wrong(one))
    bundle = _check_tables(gathered)
    if settings is None or bundle is None or gathered.problems:
        return Examined(tuple(sorted(gathered.problems, key=lambda one: (one.file, one.line))))
    return Examined((), settings, plan(settings, bundle))


def _bundle_fault(error: BundleRefused) -> Fault:
    return ("model", "bundle"), f"{error.where}: {error.what}"


def _is_noise(key: Key, kind: str, gathered: Gathered) -> bool:
    """What follows from another problem: a key may be in a file that cannot be read; faulty sources are not too few."""
    if kind == "too_short" and key == ("source",):
        return gathered.is_partial or bool(gathered.sources)
    return kind == "missing" and gathered.is_partial


def _types(model: type[BaseModel]) -> Iterator[tuple[Key, object]]:
    """The type of every key that is not in a list, Optional or not."""
    for name, field in model.model_fields.items():
        kinds = get_args(field.annotation) if isinstance(field.annotation, UnionType) else (field.annotation,)
        kind = next(kind for kind in kinds if kind is not NoneType)
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            for key, inner in _types(kind):
                yield (name, *key), inner
        elif name != "source":
            yield (name,), kind


TYPES: dict[Key, object] = dict(_types(Settings))


def _find_paths(gathered: Gathered, environ: Mapping[str, str]) -> None:
    """Make texts that name files paths: relative to the file they stand in, secrets to $CREDENTIALS_DIRECTORY."""
    for key, kind in TYPES.items():
        table: object = gathered.tables
        for part in key[:-1]:
            table = table.get(part) if isinstance(table, dict) else None
        text = table.get(key[-1]) if isinstance(table, dict) else None
        if kind is not Path or not isinstance(text, str) or not isinstance(table, dict):
            continue
        folder = gathered.place(key).folder
        if key[-1] == "password_file" and "/" not in text and CREDENTIALS_DIRECTORY in environ:
            folder = Path(environ[CREDENTIALS_DIRECTORY])
        table[key[-1]] = folder / text


def _check_tables(gathered: Gathered) -> Bundle | None:
    """Check what is valid by itself against what it names, even where other tables are not; returns the bundle."""
    values = gathered.tables
    agent, broker = _valid(Agent, values.get("agent", {})), _valid(Broker, values.get("broker", {}))
    output = _valid(Broker, values["output"]) if "output" in values else broker
    model, publish = _valid(Model, values.get("model", {})), _valid(Publish, values.get("publish", {}))
    valid = [_valid(SourceSettings, one) for one in gathered.sources]
    sources = [(index, source) for index, source in enumerate(valid) if source is not None]

    bundle = None
    faults: list[Fault] = []
    if agent is not None:
        faults += agree.agent_faults(agent)
    if broker is not None:
        faults += agree.broker_faults("broker", broker)
    if output is not None and output is not broker:
        faults += agree.broker_faults("output", output)
    if model is not None:
        try:
            bundle = file.read(model.bundle)
        except BundleRefused as error:
            faults.append(_bundle_fault(error))
        faults += agree.budget_faults(model, bundle.manifest if bundle else None)
    for index, source in sources:
        faults += agree.field_faults(index, source)
        if bundle is not None:
            faults += agree.source_faults(index, source, bundle.manifest)
    faults += agree.topic_faults(sources, publish, one_broker=_address(broker) == _address(output))
    for key, what in faults:
        gathered.report(key, what)
    return bundle


def _address(broker: Broker | None) -> tuple[str, int] | None:
    return (broker.host, broker.port) if broker else None


def _valid(kind: type[OneTable], values: object) -> OneTable | None:
    try:
        return kind.model_validate(values)
    except ValidationError:
        return None
