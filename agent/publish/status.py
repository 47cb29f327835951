"""The status topic: whether the agent does its work, and what it could not use."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, Self, TypeVar

import msgspec

from agent.config.budgeted import Budgeted
from agent.config.plan import PlannedModel
from agent.core.view import ModelView
from agent.mqtt.link_state import LinkState
from agent.words import AlertHead

SHED_MAX = 5  # devices that the status names
Name = TypeVar("Name", bound=str)  # of a reason, or of a device


class ModelStatus(msgspec.Struct, frozen=True):
    """A bundle that runs, and what its calibration devices say of the budgets.

    name, version and digest are the bundle's. `sources` are those that the model reads, `devices` those of them by the
    quality that the model gives. `heads` are those that raise alerts.
    """

    name: str
    version: str
    digest: str
    heads: dict[AlertHead, Budgeted]
    sources: tuple[str, ...]
    devices: dict[str, int]
    learning: int
    unusual_normal: int

    @classmethod
    def of(cls, model: PlannedModel, sources: Sequence[str], view: ModelView) -> Self:
        """`sources` are the names of all that are read, `devices` those of the model by quality."""
        bundle, manifest = model.bundle, model.bundle.manifest
        return cls(
            name=manifest.name,
            version=manifest.version,
            digest=bundle.digest,
            heads=Budgeted.of_each(model.heads),
            sources=tuple(sources[index] for index in model.sources),
            devices=view.devices_by_quality(),
            learning=view.n_learning(),
            unusual_normal=view.n_unusual(),
        )


class LinkStatus(msgspec.Struct, frozen=True):
    """A connection to a broker; `subscriptions` is empty for the output, `why` while it is connected.

    path         who takes messages apart: `fast`, or `paho` alone
    limits       what the broker says that it cannot do, in words
    other_agent  what speaks for another agent of our name, "" for nothing
    requests     messages that asked devices for something, such as a birth of Sparkplug, since the agent started
    """

    connected: bool
    protocol: str
    subscriptions: dict[str, str]
    why: str
    path: Literal["fast", "paho"]
    limits: list[str]
    other_agent: str
    requests: int

    @classmethod
    def of(
        cls,
        link: LinkState,
        *,
        path: Literal["fast", "paho"],
        subscriptions: dict[str, str],
        limits: Sequence[str],
        other_agent: str,
        requests: int = 0,
    ) -> Self:
        return cls(
            connected=link.is_connected,
            protocol=link.protocol.name,
            subscriptions=subscriptions,
            why=link.why,
            path=path,
            limits=list(limits),
            other_agent=other_agent,
            requests=requests,
        )


class BrokerStatus(msgspec.Struct, frozen=True):
    """All connections: `input` is the only or the first one that messages come from, `inputs` are further ones by name.

    The first is that of [broker], where a source reads from it.
    """

    input: LinkStatus
    inputs: dict[str, LinkStatus]
    output: LinkStatus

    def by_name(self) -> dict[str, LinkStatus]:
        """As a person is told of them."""
        further = {f"input {name}": link for name, link in self.inputs.items()}
        return {"input": self.input, **further, "output": self.output}


class Status(msgspec.Struct, frozen=True):
    """The payload of the status topic.

    durability     `agent.durability`, as it runs
    taken          messages that the core has taken since its state began
    lag_s          age of the newest message when it was stepped, null when none has come
    clock_ahead_s  times of arrival are so far ahead of this machine's clock, which was set back; 0 where it was not
    devices        by quality; `stale` ones have fallen silent
    drops          source -> reason -> count since the agent started, doubts such as `missing_channel` included
    interventions  what was done to machines, as taken since the agent started
    queues         `outbox` and `parked` messages; `waiting_rows` of devices that are beyond their share
    undecodable    source -> share of its newest messages that could not be read, of sources above
                   `agent.undecodable_max`
    shed           source -> device -> rows that were left out since the agent started, of the SHED_MAX worst devices
    models         by the name that the configuration gives them
    held           why no message is taken for now: what comes cannot be kept on the disk; "" while it can
    unheard        names of sources of which nothing was ever read, though messages of them could come
    silent         names of sources from which nothing is read any more, by an alert that stands
    log_lines_lost lines that could not be written, since the agent started
    written_bytes  to the state directory since the agent started, by what they were for; `written_bytes_per_day` is
                   the pace of all of them in the last day, or since the agent started, null in its
                   first hour
    """

    node: str
    version: str
    durability: str
    time: str
    taken: int
    rates: dict[str, float]
    lag_s: float | None
    clock_ahead_s: float
    queues: dict[str, int]
    devices: dict[str, int]
    alerts: dict[str, int]
    interventions: int
    drops: dict[str, dict[str, int]]
    undecodable: dict[str, float]
    shed: dict[str, dict[str, int]]
    held: str
    unheard: list[str]
    silent: list[str]
    log_lines_lost: int
    written_bytes: dict[str, int]
    written_bytes_per_day: int | None
    models: dict[str, ModelStatus]
    broker: BrokerStatus


def by_source(counts: Iterable[Mapping[tuple[str, Name], int]]) -> dict[str, dict[str, int]]:
    """Add counters of (source, reason) up, as source -> reason -> count; messages of no source stand under ""."""
    drops: dict[str, dict[str, int]] = {}
    for one in counts:
        for (source, reason), count in sorted(one.items()):
            of_source = drops.setdefault(source, {})
            of_source[reason] = of_source.get(reason, 0) + count
    return drops


def one_line(status: Status) -> str:
    """The status for a person who asks the service manager."""
    devices = sum(status.devices.values())
    broker = status.broker.by_name()
    links = [f"{name} away: {link.why}" for name, link in broker.items() if not link.connected]
    links += [f"{name}: another agent of this name?" for name, link in broker.items() if link.other_agent]
    links += [f"{source}: {share:.0%} of its messages cannot be read" for source, share in status.undecodable.items()]
    links += [f"nothing is taken: {status.held}"] if status.held else []
    links += [f"nothing of {source} was ever read" for source in status.unheard]
    links += [f"{source} is silent" for source in status.silent]
    alerts = status.alerts["standing"]
    stand = "1 alert stands" if alerts == 1 else f"{alerts} alerts stand"
    hidden = f", {status.alerts['hidden']} hidden" if status.alerts["hidden"] else ""
    return f"{devices} devices ({status.devices['ok']} ok), {stand}{hidden}, {', '.join(links) or 'connected'}"
