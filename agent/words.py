"""The nouns that leave the hot path as types. No logic."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Literal

import msgspec
import numpy as np
import numpy.typing as npt

from agent.reasons import ReasonName

Bool = npt.NDArray[np.bool_]
Float32 = npt.NDArray[np.float32]
Int64 = npt.NDArray[np.int64]
UInt8 = npt.NDArray[np.uint8]
UInt32 = npt.NDArray[np.uint32]
Devices = npt.NDArray[np.object_]  # of str: references to the ids, not copies

DropCounts = Counter[tuple[str, ReasonName]]  # (source, reason) -> messages, "" for no source

Severity = Literal["warning", "minor", "major", "critical"]
SEVERITIES: tuple[Severity, ...] = ("warning", "minor", "major", "critical")

TimeUnit = Literal["s", "ms", "us", "ns", "iso8601", "cycle", "arrival"]
FirstSeen = Literal["unknown", "new"]


class Quality(IntEnum):
    """How good a score is. Rows that are not OK neither raise nor clear (law 4)."""

    OK = 0
    WARMING_UP = 1
    GAP = 2
    OUT_OF_DOMAIN = 3
    STALE = 4


@dataclass(frozen=True, slots=True)
class Source:
    """A topic pattern and how to read its messages.

    topic        MQTT topic with one level `{device}`, e.g. `plant/{device}/telemetry`
    time_field   payload field with the event time, "" with unit `arrival`
    time_unit    `cycle` is a counter (one second a cycle) that is never compared with arrival time
    fields       payload field of each channel, in the bundle's channel order
    future_max_s a reading further ahead of its arrival than this is dropped (`future`)
    past_max_s   a clock that is steadily further behind arrival than this is wrong
    report_extra count payload fields that no channel names
    codec        name in `agent.decode.codec.CODECS` of what reads the payloads
    first_seen   what a device is when its first row is heard: of unknown age, or new
    """

    name: str
    topic: str
    time_field: str
    time_unit: TimeUnit
    fields: tuple[str, ...]
    future_max_s: float = 300.0
    past_max_s: float = 3600.0
    report_extra: bool = True
    first_seen: FirstSeen = "unknown"
    codec: str = "json_object"


@dataclass(frozen=True, slots=True)
class Scores:
    """What one model scored in one call, as columns in the order of the entries.

    model name; entry int64 [n] number of the message; source int64 [n] index; device [n] its device's id;
    t_ns int64 [n] event time; quality uint8 [n]; outputs float32 [n, width] by head (agent.bundle.heads).
    """

    model: str
    entry: Int64
    source: Int64
    device: Devices
    t_ns: Int64
    quality: UInt8
    outputs: Mapping[str, Float32]


class BundleLabel(msgspec.Struct, frozen=True):
    """What a reader of an alert must know of a bundle, which may be gone by then.

    digest     SHA-256 of its manifest
    time_unit  what its event times count: seconds since 1970, or cycles
    horizons   of `risk`, as texts: "15 cycles", "6 h"
    quantiles  of `rul`, lowest first; none where the bundle has no `rul`
    cap_s      the longest that its `rul` was taught to say, in seconds or cycles
    """

    name: str
    version: str
    digest: str
    time_unit: Literal["s", "cycle", "unknown"]
    horizons: tuple[str, ...]
    quantiles: tuple[float, ...]
    cap_s: float


MAIN_MODEL = "main"  # name of a model that is given none, and of the one model of older forewarns
AlertKey = tuple[str, str, str, str]  # source, device, model, head: at most one alert stands of each

UNKNOWN_BUNDLE = BundleLabel("unknown", "unknown", "unknown", "unknown", (), (), 0.0)


class AlertEvent(msgspec.Struct, frozen=True):
    """One step in the life of an alert, complete enough to be published and stored.

    outputs  of the row that decided it, by head; empty where none did
    model  name of the `[[model]]` whose head it is; `bundle` is what that model ran when the alert was raised
    """

    kind: Literal["raised", "updated", "cleared"]
    alert: str
    sequence: int
    source: str
    device: str
    head: str
    state: Literal["unacknowledged", "normal"]
    severity: Severity
    entry: int
    t_ns: int
    raised_t_ns: int
    quality: str
    outputs: dict[str, tuple[float, ...]]
    cause: Literal["risk", "below_threshold", "forgotten", "source_removed", "model_removed", "new_life"]
    clock_epoch: int = 0  # how often the device's clock or counter had begun anew when the alert was raised
    t_epoch: int = -1  # and at `t_ns`; -1 in a table of a version that did not keep it
    bundle: BundleLabel = UNKNOWN_BUNDLE  # raised the alert; older forewarns did not say in the alert table which one
    decided_by: BundleLabel | None = None  # decided this step and gave `outputs`, where `bundle` did not
    model: str = MAIN_MODEL

    @property
    def key(self) -> AlertKey:
        """Whose alert it is; the events of one key are published in their order."""
        return self.source, self.device, self.model, self.head


@dataclass(frozen=True, slots=True)
class Drop:
    """One dropped or doubtful message, a sample of what `Core.counts` counts."""

    source: str
    device: str
    topic: str
    reason: ReasonName
    detail: str


@dataclass(frozen=True, slots=True)
class Shed:
    """What one device lost of one read: `n_shed` of `n_rows` beyond its share; `topic` is one that brought them."""

    source: str
    device: str
    topic: str
    n_rows: int
    n_shed: int


@dataclass(frozen=True, slots=True)
class Taken:
    """What an entry gives back.

    scores     one a model, in the order of the models
    forgotten  (source, device) that fell silent for good: what is kept of their alerts may go
    """

    scores: Sequence[Scores]
    alerts: Sequence[AlertEvent]
    drops: Sequence[Drop]
    forgotten: Sequence[tuple[str, str]] = ()
