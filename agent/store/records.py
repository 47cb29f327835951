"""What the journal keeps, one record each: the entries of the core, and what the inputs must know again.

A record is written before the core takes its entry. `Begun` is the first one of each file: what the records before it
have made of the inputs, so that no older file is needed for that.
"""

from collections.abc import Sequence

import msgspec

from agent.core.entries import (
    AlertsKept,
    Entry,
    Forget,
    Heartbeat,
    HistoryLost,
    InterventionsKept,
    Listening,
    Messages,
    StateBehind,
)
from agent.core.input_log import Origin, Waiting
from agent.errors import Unreadable

VERSION = 1


class KeptInput(msgspec.Struct, frozen=True, array_like=True):
    """What the input from one broker must know again; see `agent.core.input_log.Recovered`."""

    recent: dict[int, bytes]
    waiting: list[Waiting]
    notes: dict[str, int]


class Begun(msgspec.Struct, frozen=True, array_like=True, tag="begun"):
    """A file of the journal begins at `entry`.

    rules  fingerprint of all that shapes what an entry does: another one, and the same entries may give other alerts
    """

    version: int
    entry: int
    rules: str
    inputs: dict[str, KeptInput]


class Arrived(msgspec.Struct, frozen=True, array_like=True, tag="messages"):
    """`Messages`, and their `Origin`."""

    topics: Sequence[str]
    payloads: Sequence[bytes]
    arrived_ns: Sequence[int]
    among: tuple[str, ...]
    broker: str
    packet_ids: Sequence[int]
    n_waited: int


class Beat(msgspec.Struct, frozen=True, array_like=True, tag="beat"):
    """`Heartbeat`."""

    log_time_ns: int


class Lost(msgspec.Struct, frozen=True, array_like=True, tag="lost"):
    """`HistoryLost`."""

    source: str
    devices: Sequence[str]


class Listens(msgspec.Struct, frozen=True, array_like=True, tag="listens"):
    """`Listening`."""

    sources: tuple[str, ...]


class Forgets(msgspec.Struct, frozen=True, array_like=True, tag="forget"):
    """`Forget`."""

    devices: Sequence[tuple[str, str]]


class Kept(msgspec.Struct, frozen=True, array_like=True, tag="waiting"):
    """Changes among the rows that wait."""

    broker: str
    changes: Sequence[Waiting]


class Noted(msgspec.Struct, frozen=True, array_like=True, tag="noted"):
    """A number that an input must know again."""

    broker: str
    name: str
    value: int


class SessionBegun(msgspec.Struct, frozen=True, array_like=True, tag="session"):
    """The broker has no session of ours any more."""

    broker: str


Record = Begun | Arrived | Beat | Listens | Lost | Forgets | Kept | Noted | SessionBegun
_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(Record)


class Unknown(Exception):
    """Bytes that no record of this version has, though they are what was written."""


def encode(record: Record) -> bytes:
    return _ENCODER.encode(record)


def decode(body: bytes | memoryview) -> Record:
    """Raises Unknown."""
    try:
        record: Record = _DECODER.decode(body)
    except (*Unreadable, TypeError) as error:
        raise Unknown(str(error)) from None
    if isinstance(record, Begun) and record.version != VERSION:
        raise Unknown(f"its version is {record.version}, this forewarn reads version {VERSION}")
    return record


def record_of(entry: Entry, origin: Origin) -> Record:
    """The record of an entry that comes while the agent runs."""
    match entry:
        case Messages():
            return Arrived(
                entry.topics,
                entry.payloads,
                entry.arrived_ns,
                entry.among,
                origin.broker,
                origin.packet_ids,
                origin.n_waited,
            )
        case Heartbeat():
            return Beat(entry.log_time_ns)
        case Listening():
            return Listens(entry.sources)
        case HistoryLost():
            return Lost(entry.source, list(entry.devices))
        case Forget():
            return Forgets(entry.devices)
        case AlertsKept() | InterventionsKept() | StateBehind():
            raise TypeError(f"{type(entry).__name__} is of a start, which ends with a snapshot")


def entry_of(record: Record) -> Entry | None:
    """The entry of a record, None for one that tells of inputs alone."""
    match record:
        case Arrived():
            return Messages(record.topics, record.payloads, record.arrived_ns, record.among)
        case Beat():
            return Heartbeat(record.log_time_ns)
        case Listens():
            return Listening(record.sources)
        case Lost():
            return HistoryLost(record.source, record.devices)
        case Forgets():
            return Forget(record.devices)
        case Begun() | Kept() | Noted() | SessionBegun():
            return None


def n_entries(record: Record) -> int:
    """How many entries of the log the record is."""
    match record:
        case Arrived():
            return len(record.topics)
        case Begun() | Kept() | Noted() | SessionBegun():
            return 0
        case Beat() | Listens() | Lost() | Forgets():
            return 1
