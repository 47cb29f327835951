"""What `forewarn check` says: every problem, or what would run."""

from typing import Self

import msgspec

from agent.config.load import Examined
from agent.config.problem import Problem
from agent.config.settings import Broker
from agent.decode.topic import Pattern
from agent.judge.threshold import Chosen, verdict

SOURCES_SHOWN = 3
DIGEST_SHOWN = 12


class Reads(msgspec.Struct, frozen=True):
    """A source and the topic filter it subscribes to."""

    source: str
    topics: str
    qos: int


class Runs(msgspec.Struct, frozen=True):
    """The bundle that runs."""

    path: str
    name: str
    version: str
    digest: str


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


class WouldRun(msgspec.Struct, frozen=True):
    """What a valid configuration comes to."""

    node: str
    broker: str
    reads: tuple[Reads, ...]
    bundle: Runs
    judge: Budgeted
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
    manifest = plan.bundle.manifest
    return Report(
        (),
        WouldRun(
            node=settings.agent.node,
            broker=_address(settings.broker),
            reads=tuple(Reads(one.name, Pattern.parse(one.topic).filter, one.qos) for one in settings.source),
            bundle=Runs(str(plan.bundle.path), manifest.name, manifest.version, plan.bundle.digest),
            judge=Budgeted.of(settings.model.budget, plan.chosen),
            publishes=f"{settings.publish.prefix}/{settings.agent.node}/",
            output=_address(settings.output_broker),
        ),
        examined.doubts,
    )


def one_line(runs: WouldRun) -> str:
    """What would run, to be read by a person."""
    shown = [f"{one.source} ({one.topics})" for one in runs.reads[:SOURCES_SHOWN]]
    if len(runs.reads) > SOURCES_SHOWN:
        shown.append(f"{len(runs.reads) - SOURCES_SHOWN} more")
    bundle, judge = runs.bundle, runs.judge
    reads = f"reads {', '.join(shown)} from {runs.broker}"
    model = f"runs {bundle.name} {bundle.version} ({bundle.digest[:DIGEST_SHOWN]})"
    threshold = f'at threshold {judge.threshold:g} for "{judge.budget}"'
    doubt = "extrapolated: " if judge.extrapolated else ""
    return f"{reads}, {model} {threshold} ({doubt}{judge.verdict}), publishes {runs.publishes} to {runs.output}"


def _address(broker: Broker) -> str:
    return f"{'mqtts' if broker.tls else 'mqtt'}://{broker.host}:{broker.port}"
