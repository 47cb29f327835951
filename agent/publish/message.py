"""Alert events and scores as the JSON that people and machines subscribe to (docs/schemas/, docs/topics.md)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

import msgspec
import numpy as np

from agent.bundle.head import shortest
from agent.bundle.heads import HEADS
from agent.bundle.manifest import Manifest
from agent.judge.no_model import numbers
from agent.publish.topic import Topics
from agent.sources import Source
from agent.store.cursor import Due
from agent.words import OF_NO_MODEL, AlertChange, AlertEvent, BundleLabel, Quality, Scores

Time = str | int | float


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message to publish at QoS 1; a retained one replaces its forerunner."""

    topic: str
    payload: bytes
    retain: bool


class TimeToFault(msgspec.Struct, frozen=True):
    """The bundle's outermost quantiles and the one nearest the middle; the longest it can say is `at_most`."""

    expected: float
    low: float
    high: float
    at_most: float
    unit: str


class BundleName(msgspec.Struct, frozen=True):
    name: str
    version: str
    digest: str


class Contribution(msgspec.Struct, frozen=True):
    """A channel's share of `anomaly`."""

    channel: str
    share: float


class EventMessage(msgspec.Struct, frozen=True, omit_defaults=True):
    """The payload of the event topic and of a standing alert. Times are ISO 8601, or numbers of cycles."""

    event: AlertChange
    alert: str
    sequence: int
    device: str
    source: str
    model: str
    head: str
    state: str
    severity: str
    t: Time
    t_ns: int
    raised_t: Time
    raised_t_ns: int
    quality: str
    cause: str
    risk: dict[str, float]
    bundle: BundleName
    time_to_fault: TimeToFault | None = None
    anomaly: float | None = None
    learning_rows: int | None = None
    contribution: tuple[Contribution, ...] = ()
    learned_from_unusual_rows: bool = False
    decided_by: BundleName | None = None
    silent_s: float | None = None
    silent_after_s: float | None = None
    raises: int | None = None
    within_s: float | None = None
    devices: tuple[str, ...] = ()
    group: str = ""
    until: str | None = None
    at: str | None = None
    by: str = ""
    note: str = ""


class ScoreMessage(msgspec.Struct, frozen=True, omit_defaults=True):
    """One row's score, a list for each head of the bundle; numbers read back as the same float32."""

    device: str
    model: str
    t: Time
    t_ns: int
    quality: str
    risk: tuple[float, ...] = ()
    rul: tuple[float, ...] = ()
    anomaly: tuple[float, ...] = ()
    contribution: tuple[float, ...] = ()
    learned: tuple[float, ...] = ()


def event_message(event: AlertEvent) -> bytes:
    """What the event topic says, and the alert topic while the alert stands; from the event alone."""
    by = event.decided_by or event.bundle
    message = EventMessage(
        event=event.kind,
        alert=event.alert,
        sequence=event.sequence,
        device=event.device,
        source=event.source,
        model=event.model,
        head=event.head,
        state=(event.state != "normal" and event.hidden) or event.state,
        severity=event.severity,
        t=time(event.t_ns, by.time_unit),
        t_ns=event.t_ns,
        raised_t=time(event.raised_t_ns, event.bundle.time_unit),
        raised_t_ns=event.raised_t_ns,
        quality=event.quality,
        cause=event.cause,
        risk={},
        bundle=_name(event.bundle),
        decided_by=_name(event.decided_by) if event.decided_by else None,
        until=str(time(event.hidden_until_ns, "s")) if event.hidden_until_ns else None,
        at=str(time(event.at_ns, "s")) if event.at_ns else None,
        by=event.by,
        note=event.note,
        devices=event.devices,
        group=event.group,
    )
    members = msgspec.to_builtins(message)
    for name, head in HEADS.items():
        members |= head.members(event.outputs.get(name, ()), by)
    if event.head in OF_NO_MODEL:
        members |= numbers(event)
    return msgspec.json.encode(members)


def outgoing(due: Due, topics: Topics) -> Outgoing:
    """What MQTT says of an event, or of what stands: the retained message of that is empty where nothing does."""
    payload = event_message(due.event) if due.event is not None else b""
    if not due.is_alert:
        return Outgoing(topics.event, payload, retain=False)
    stands = due.event is not None and due.event.state != "normal"
    return Outgoing(topics.alert(*due.key), payload if stands else b"", retain=True)


def score_messages(
    scores: Scores, sources: Sequence[Source], manifest: Manifest, topics: Topics
) -> Iterator[tuple[str, bytes]]:
    """Topic and payload of each score of a model, which has this manifest; the scores count `sources`."""
    names = [sources[source].name for source in scores.source.tolist()]
    is_left_out = np.logical_or.reduce([np.isnan(output).any(axis=1) for output in scores.outputs.values()])
    said = (scores.device.tolist(), scores.t_ns.tolist(), scores.quality.tolist())
    for row, (source, device, t_ns, quality) in enumerate(zip(names, *said, strict=True)):
        message = ScoreMessage(
            device=device,
            model=scores.model,
            t=time(t_ns, manifest.time_unit),
            t_ns=t_ns,
            quality=Quality(quality).name.lower(),
        )
        outputs = {
            name: [shortest(value) for value in output[row]]
            for name, output in scores.outputs.items()
            if not is_left_out[row]
        }
        yield topics.score(source, device, scores.model), msgspec.json.encode(msgspec.to_builtins(message) | outputs)


def time(t_ns: int, time_unit: Literal["s", "cycle", "unknown"]) -> Time:
    """Event time for people: the number of the cycle, or ISO 8601 in UTC to the microsecond; unknown: a number."""
    if time_unit != "s":
        whole, rest = divmod(t_ns, 10**9)
        return t_ns / 1e9 if rest else whole
    return datetime.fromtimestamp(t_ns // 10**9, UTC).replace(microsecond=t_ns // 1000 % 10**6).isoformat()


def _name(bundle: BundleLabel) -> BundleName:
    return BundleName(bundle.name, bundle.version, bundle.digest)
