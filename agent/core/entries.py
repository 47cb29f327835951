"""The entries of the input log: all that reaches the core comes as one of these, and is numbered in its order."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from agent.core.marks import Key, Mark
from agent.words import AlertEvent, AlertKey, Hide, InterventionLabel


@dataclass(frozen=True, slots=True)
class Messages:
    """One read's messages, each an entry of its own; the three lists have one element a message.

    arrived_ns  wall time of arrival
    among       names of the sources that they may belong to: those that are read from one broker, since topics of
                another may be the same. () for all
    """

    topics: Sequence[str]
    payloads: Sequence[bytes]
    arrived_ns: Sequence[int]
    among: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """Nothing has arrived up to `log_time_ns`, the shell's wall time."""

    log_time_ns: int


@dataclass(frozen=True, slots=True)
class Listening:
    """From now on messages of these sources can come, and of no others: nobody else can be silent."""

    sources: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class HistoryLost:
    """Rows may be missing: the next row of each device of `source` ("" for all), or of those named, says `gap`.

    source   one that the configuration does not have any more may have another name now: all are meant
    devices  only these of the source; one that is not known has no history. Without any, for a while nobody of the
             source who is heard for the first time is taken for new (`agent.align.first_seen`)
    """

    source: str = ""
    devices: Collection[str] = ()


@dataclass(frozen=True, slots=True)
class StateBehind:
    """Rows may have been stepped after the snapshot that was restored, and nobody knows which."""


@dataclass(frozen=True, slots=True)
class AlertsKept:
    """What the alert table knows, as at a start in snapshot mode: alerts come from it, evidence starts empty.

    standing     the last event of each alert that stands
    newest       (source, device) -> clock epoch and event time of its newest event in the table. A row not newer
                 is dropped as late: it was stepped before the crash, and must not raise the same fault under a
                 second id. A mark of an epoch before the state's says nothing; one of an epoch after it says that
                 the state is that of another life, or of another clock.
    hides        whose alerts are hidden

    Devices whose alert stands get their slots first; an ended alert takes none, and waits for its device as a mark.
    """

    standing: Sequence[AlertEvent]
    newest: Mapping[Key, Mark]
    hides: Sequence[tuple[AlertKey, Hide]] = ()


@dataclass(frozen=True, slots=True)
class InterventionsKept:
    """What was done to machines after the snapshot that was restored, by the labels that were kept meanwhile."""

    labels: Sequence[InterventionLabel]


@dataclass(frozen=True, slots=True)
class Forget:
    """A person wants these devices, (source, device), not to be known any more."""

    devices: Sequence[Key]


Entry = Messages | Heartbeat | Listening | HistoryLost | StateBehind | AlertsKept | InterventionsKept | Forget
