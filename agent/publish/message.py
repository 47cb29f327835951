"""Alert events and scores as the JSON that people and machines subscribe to (docs/schemas/, docs/topics.md)."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Literal

import msgspec
import numpy as np

from agent.bundle.file import Bundle
from agent.bundle.manifest import Manifest
from agent.publish.topic import Topics
from agent.store.outbox import Outgoing
from agent.words import AlertEvent, Quality, Scores, Source

Time = str | int | float


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


class EventMessage(msgspec.Struct, frozen=True, omit_defaults=True):
    """The payload of the event topic and of a standing alert. Times are ISO 8601, or numbers of cycles."""

    event: Literal["raised", "updated", "cleared"]
    alert: str
    sequence: int
    device: str
    source: str
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


class ScoreMessage(msgspec.Struct, frozen=True):
    """One row's score; numbers read back as the same float32."""

    device: str
    t: Time
    t_ns: int
    quality: str
    risk: list[float]
    rul: list[float]


def event_message(event: AlertEvent, bundle: Bundle) -> bytes:
    """What the event topic says, and the alert topic while the alert stands."""
    manifest = bundle.manifest
    horizons = [duration(horizon_s, manifest) for horizon_s in manifest.risk.horizons_s]
    return msgspec.json.encode(
        EventMessage(
            event=event.kind,
            alert=event.alert,
            sequence=event.sequence,
            device=event.device,
            source=event.source,
            head=event.head,
            state=event.state,
            severity=event.severity,
            t=time(event.t_ns, manifest.time_unit),
            t_ns=event.t_ns,
            raised_t=time(event.raised_t_ns, manifest.time_unit),
            raised_t_ns=event.raised_t_ns,
            quality=event.quality,
            cause=event.cause,
            risk=dict(zip(horizons, map(_short, event.risk), strict=False)),  # a forgotten device has no risk
            bundle=BundleName(manifest.name, manifest.version, bundle.digest),
            time_to_fault=_time_to_fault(event, manifest),
        )
    )


def outgoing(event: AlertEvent, bundle: Bundle, topics: Topics) -> list[Outgoing]:
    """The two messages of an event: what happened, and what stands now (an empty payload when it ended)."""
    payload = event_message(event, bundle)
    stands = payload if event.state != "normal" else b""
    return [
        Outgoing(event.kind, topics.event, payload, retain=False),
        Outgoing(event.kind, topics.alert(event.source, event.device, event.head), stands, retain=True),
    ]


def score_messages(
    scores: Scores, sources: Sequence[Source], manifest: Manifest, topics: Topics
) -> Iterator[tuple[str, bytes]]:
    """Topic and payload of each score; `sources` are those that the scores count."""
    names = [sources[source].name for source in scores.source.tolist()]
    said = (scores.device.tolist(), scores.t_ns.tolist(), scores.quality.tolist())
    for source, device, t_ns, quality, risk, rul in zip(names, *said, scores.risk, scores.rul, strict=True):
        message = ScoreMessage(
            device=device,
            t=time(t_ns, manifest.time_unit),
            t_ns=t_ns,
            quality=Quality(quality).name.lower(),
            risk=[_short(value) for value in risk],
            rul=[_short(value) for value in rul],
        )
        yield topics.score(source, device), msgspec.json.encode(message)


def time(t_ns: int, time_unit: Literal["s", "cycle"]) -> Time:
    """Event time for people: the number of the cycle, or ISO 8601 in UTC to the microsecond."""
    if time_unit == "cycle":
        whole, rest = divmod(t_ns, 10**9)
        return t_ns / 1e9 if rest else whole
    return datetime.fromtimestamp(t_ns // 10**9, UTC).replace(microsecond=t_ns // 1000 % 10**6).isoformat()


def duration(span_s: float, manifest: Manifest) -> str:
    """A horizon in the largest unit that divides it: "15 cycles", "6 h", "90 s"."""
    if manifest.time_unit == "cycle":
        return f"{span_s:g} cycles"
    for unit, size_s in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if span_s % size_s == 0:
            return f"{span_s / size_s:g} {unit}"
    return f"{span_s:g} s"


def _time_to_fault(event: AlertEvent, manifest: Manifest) -> TimeToFault | None:
    if manifest.rul is None or not event.rul:
        return None
    quantiles = manifest.rul.quantiles
    middle = min(range(len(quantiles)), key=lambda index: abs(quantiles[index] - 0.5))
    unit = "cycles" if manifest.time_unit == "cycle" else "s"
    low, expected, high = (_short(event.rul[index]) for index in (0, middle, -1))
    return TimeToFault(expected, low, high, manifest.rul.cap_s, unit)


def _short(value: float) -> float:
    """The float with the fewest digits that reads back as the same float32."""
    return float(str(np.float32(value)))
