"""The nouns that leave the hot path as types. No logic."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final, Literal, NamedTuple, get_args

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

AlertHead = Literal["risk", "anomaly"]  # of a model: what raises alerts
Severity = Literal["warning", "minor", "major", "critical"]
SEVERITIES: tuple[Severity, ...] = ("warning", "minor", "major", "critical")

TimeUnit = Literal["s", "ms", "us", "ns", "iso8601", "cycle", "arrival"]
FirstSeen = Literal["unknown", "new"]
Compression = Literal["none", "gzip", "zstd", "auto"]
InterventionKind = Literal["repaired", "replaced", "inspected"]
LabelKind = Literal["good", "bad", "note"]
AlertState = Literal["normal", "unacknowledged", "acknowledged", "returned_unacknowledged", "latched"]
SILENCE: Final = "silence"  # heads of alerts that are of no model and no bundle: nothing is heard,
FLOOD: Final = "flood"  # or many alerts are raised at once
OF_NO_MODEL: Final = (SILENCE, FLOOD)
HideKind = Literal["shelved", "suppressed", "maintenance", "out_of_service"]
AlertChange = Literal[
    "raised",
    "updated",
    "returned",
    "recurred",
    "acknowledged",
    "shelved",
    "suppressed",
    "maintenance",
    "out_of_service",
    "shown",
    "cleared",
]
AlertCause = Literal[
    "risk",
    "anomaly",
    "below_threshold",
    "forgotten",
    "source_removed",
    "model_removed",
    "new_life",
    "repaired",
    "replaced",
    "inspected",
    "silence",
    "flood",
    "heard_again",
    "not_watched",
    "command",
    "acknowledged",
    "reset",
    "expired",
    "schedule",
]
AlertAction = Literal[
    "acknowledge", "reset", "shelve", "unshelve", "suppress", "unsuppress", "out_of_service", "in_service"
]
ALERT_ACTIONS: tuple[AlertAction, ...] = get_args(AlertAction)
Outcome = Literal["done", "needless", "unknown", "refused"]


class Quality(IntEnum):
    """How good a score is. Rows that are not OK neither raise nor clear (law 4)."""

    OK = 0
    WARMING_UP = 1
    GAP = 2
    OUT_OF_DOMAIN = 3
    STALE = 4
    STUCK = 5
    STOPPED = 6  # the machine stands, as planned: the row is not stepped


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


class BundleLabel(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a reader of an alert must know of a bundle, which may be gone by then.

    digest     SHA-256 of its manifest
    time_unit  what its event times count: seconds since 1970, or cycles
    horizons   of `risk`, as texts: "15 cycles", "6 h"
    quantiles  of `rul`, lowest first; none where the bundle has no `rul`
    cap_s      the longest that its `rul` was taught to say, in seconds or cycles
    channels   of `contribution`, by name; none where the bundle has no `anomaly`
    """

    name: str
    version: str
    digest: str
    time_unit: Literal["s", "cycle", "unknown"]
    horizons: tuple[str, ...]
    quantiles: tuple[float, ...]
    cap_s: float
    channels: tuple[str, ...] = ()


MAIN_MODEL = "main"  # name of a model that is given none, and of the one model of older forewarns
AlertKey = tuple[str, str, str, str]  # source, device, model, head: at most one alert stands of each

UNKNOWN_BUNDLE = BundleLabel("unknown", "unknown", "unknown", "unknown", (), (), 0.0)


class AlertEvent(msgspec.Struct, frozen=True):
    """One step in the life of an alert, complete enough to be published and stored.

    outputs  of the row that decided it, by head; empty where none did
    by, note  who decided the step, and what he says of it
    group    id of the flood in which it was raised; a flood itself names `devices` whose alerts are in it
    model  name of the `[[model]]` whose head it is; `bundle` is what that model ran when the alert was raised
    """

    kind: AlertChange
    alert: str
    sequence: int
    source: str
    device: str
    head: str
    state: AlertState
    severity: Severity
    entry: int
    t_ns: int
    raised_t_ns: int
    quality: str
    outputs: dict[str, tuple[float, ...]]
    cause: AlertCause
    clock_epoch: int = 0  # how often the device's clock or counter had begun anew when the alert was raised
    t_epoch: int = -1  # and at `t_ns`; -1 in a table of a version that did not keep it
    bundle: BundleLabel = UNKNOWN_BUNDLE  # raised the alert; older forewarns did not say in the alert table which one
    decided_by: BundleLabel | None = None  # decided this step and gave `outputs`, where `bundle` did not
    model: str = MAIN_MODEL
    hidden: HideKind | None = None  # it stands, and is not shown in its state
    hidden_until_ns: int = 0  # log time; 0 for until somebody ends it
    at_ns: int = 0  # log time of a step that a person, or the end of a span, has decided
    by: str = ""
    note: str = ""
    group: str = ""
    devices: tuple[str, ...] = ()

    @property
    def key(self) -> AlertKey:
        """Whose alert it is; the events of one key are published in their order."""
        return self.source, self.device, self.model, self.head


class Hide(NamedTuple):
    """Alerts are not shown, and none is raised, from log time since_ns until until_ns, 0 for until somebody ends it."""

    kind: HideKind
    since_ns: int
    until_ns: int
    by: str = ""
    note: str = ""


HideChange = tuple[AlertKey, HideKind, Hide | None]  # of all alerts whose key agrees, "" agreeing with any


class AlertCommand(NamedTuple):
    """What a person does with alerts of a device: with the one of an id, or with all that model and head name.

    source  the one whose device it is; device "" for all of it, where alerts are hidden or shown
    alert   id, "" for any; model, head: "" for any
    for_ns  how long they are hidden, 0 for until somebody ends it
    ref     what the answer repeats, so that the sender knows it as his
    """

    action: AlertAction
    source: str
    device: str
    alert: str = ""
    model: str = ""
    head: str = ""
    for_ns: int = 0
    by: str = ""
    note: str = ""
    ref: str = ""


class Handled(NamedTuple):
    """What came of a command that was taken at log time at_ns.

    alerts  ids of those that it changed
    detail  why nothing was done, "" where something was
    """

    command: AlertCommand
    at_ns: int
    outcome: Outcome
    alerts: tuple[str, ...] = ()
    until_ns: int = 0
    detail: str = ""


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


class InterventionLabel(NamedTuple):
    """Somebody worked on a machine, at event time `t_ns` by the message `entry`: a label for the trainer.

    source     the one whose device it is
    time_unit  what `t_ns` counts
    note       what was said about it
    is_known   the agent had heard of the device
    """

    source: str
    device: str
    t_ns: int
    kind: InterventionKind
    entry: int
    time_unit: Literal["s", "cycle"] = "s"
    note: str = ""
    is_known: bool = True


class AlertLabel(NamedTuple):
    """What a person says of an alert; it changes no score and no alert.

    alert   id
    label   good: it was right; bad: it was a false alarm; note: a remark. Of good and bad the latest by `t_ns` counts
    t_ns    when it was said, in ns since 1970
    by      who says it, "" where nobody knows
    source  whose command says it: only alerts of its own devices can be labelled
    """

    alert: str
    label: LabelKind
    t_ns: int
    note: str = ""
    by: str = ""
    source: str = ""


class Request(NamedTuple):
    """What a source's devices must be asked for: a message to the broker that the source is read from."""

    source: str
    topic: str
    payload: bytes


@dataclass(frozen=True, slots=True)
class Taken:
    """What an entry gives back.

    scores        one a model, in the order of the models
    forgotten     (source, device) that fell silent for good: what is kept of their alerts may go
    requests      to be published to the brokers of their sources
    labels        what was done to machines
    rows          aligned rows in the source's columns, of a core that keeps them
    alert_labels  what people say of alerts
    handled       what came of commands
    hides         whose alerts are hidden from now on, or are not any more: None instead of the hide
    """

    scores: Sequence[Scores]
    alerts: Sequence[AlertEvent]
    drops: Sequence[Drop]
    forgotten: Sequence[tuple[str, str]] = ()
    requests: Sequence[Request] = ()
    labels: Sequence[InterventionLabel] = ()
    rows: Sequence[Any] = ()  # of agent.devices.rows.Rows, which is above this module
    alert_labels: Sequence[AlertLabel] = ()
    handled: Sequence[Handled] = ()
    hides: Sequence[HideChange] = ()
