"""What `forewarn check` says: every problem, or what would run."""

from collections.abc import Iterator
from typing import Self

import msgspec

from agent.config.load import Examined
from agent.config.plan import Plan, PlannedModel
from agent.config.problem import Problem
from agent.config.settings import Broker
from agent.decode.topic import Pattern
from agent.judge.threshold import Chosen, verdict

NAMES_SHOWN = 3
DIGEST_SHOWN = 12


class Subscribes(msgspec.Struct, frozen=True):
    """A source and the topic filter it subscribes to."""

    source: str
    topics: str
    qos: int


class Budgeted(msgspec.Struct, frozen=True):
    """The threshold that keeps to the budget; false alarms a second and device, as the bundle's table has them.

    The other fields as in `Chosen`; `verdict` says them in words.
    """

    budget: str
    threshold: float
    false_alarms_per_s: float
    extrapolated: bool
    finest_budget: str
    warned_of: int
    failures: int | None
    alarm_share: float | None
    verdict: str

    @classmethod
    def of(cls, budget: str, chosen: Chosen) -> Self:
        return cls(
            budget=budget,
            threshold=chosen.threshold,
            false_alarms_per_s=chosen.rate_per_s,
            extrapolated=chosen.extrapolated,
            finest_budget=chosen.finest_budget,
            warned_of=chosen.warned_of,
            failures=chosen.failures,
            alarm_share=chosen.alarm_share,
            verdict=verdict(chosen),
        )


class RunsModel(msgspec.Struct, frozen=True):
    """A model: its bundle, the threshold for its budget, and the names of the sources that it reads."""

    name: str
    path: str
    bundle: str
    version: str
    digest: str
    judge: Budgeted
    reads: tuple[str, ...]


class WouldRun(msgspec.Struct, frozen=True):
    """What a valid configuration comes to."""

    node: str
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
        Subscribes(source.name, Pattern.parse(source.topics[0]).filter, qos)
        for source, qos in zip(plan.sources, plan.qos, strict=True)
    ]
    return Report(
        (),
        WouldRun(
            node=settings.agent.node,
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
        judge=Budgeted.of(model.budget, model.chosen),
        reads=tuple(plan.sources[index].name for index in model.sources),
    )


def text(runs: WouldRun) -> Iterator[str]:
    """What would run, to be read by a person: a line for the whole; where there are several models, a line for each."""
    shown = [f"{read.source} ({read.topics})" for read in runs.reads[:NAMES_SHOWN]]
    if len(runs.reads) > NAMES_SHOWN:
        shown.append(f"{len(runs.reads) - NAMES_SHOWN} more")
    models = [_model(model) for model in runs.models]
    does = f"runs {models[0]}" if len(models) == 1 else f"runs {len(models)} models"
    yield f"reads {', '.join(shown)} from {runs.broker}, {does}, publishes {runs.publishes} to {runs.output}"
    if len(models) > 1:
        for model, words in zip(runs.models, models, strict=True):
            reads = model.reads[:NAMES_SHOWN]
            more = f" and {len(model.reads) - len(reads)} more" if len(model.reads) > len(reads) else ""
            yield f"{model.name}: {words}, reads {', '.join(reads)}{more}"


def _model(model: RunsModel) -> str:
    judge = model.judge
    doubt = "extrapolated: " if judge.extrapolated else ""
    bundle = f"{model.bundle} {model.version} ({model.digest[:DIGEST_SHOWN]})"
    return f'{bundle} at threshold {judge.threshold:g} for "{judge.budget}" ({doubt}{judge.verdict})'


def _address(broker: Broker) -> str:
    return f"{'mqtts' if broker.tls else 'mqtt'}://{broker.host}:{broker.port}"
