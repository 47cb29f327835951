"""Readings that wait, and how a snapshot keeps them: a JSON header, then all times, then all values, little-endian."""

from collections.abc import Mapping
from typing import Annotated, NamedTuple

import msgspec
import numpy as np

from agent.errors import Unreadable
from agent.words import Float32, Int64

_WIDTH_MAX = 65_536


class Waiting(NamedTuple):
    """Readings of a device that wait, in time order: t_ns int64 [n] rising, x float32 [n, F]."""

    t_ns: Int64
    x: Float32


class KeptWaiting(NamedTuple):
    """What a snapshot kept: readings by slot, and what their columns meant by the name of their source."""

    waiting: Mapping[int, Waiting]
    layouts: Mapping[str, str]


class _Header(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How many readings wait of which slots, and how wide they are."""

    slots: tuple[Annotated[int, msgspec.Meta(ge=0)], ...]
    counts: tuple[Annotated[int, msgspec.Meta(ge=1)], ...]
    width: Annotated[int, msgspec.Meta(ge=0, le=_WIDTH_MAX)]
    layouts: dict[str, str]


def pack_waiting(waiting: Mapping[int, Waiting], layouts: Mapping[str, str]) -> bytes:
    """The readings by slot as bytes; b"" for none."""
    if not waiting:
        return b""
    slots = sorted(waiting)
    ordered = [waiting[slot] for slot in slots]
    counts = tuple(len(one.t_ns) for one in ordered)
    head = msgspec.json.encode(_Header(tuple(slots), counts, ordered[0].x.shape[1], dict(layouts)))
    times, values = [one.t_ns.tobytes() for one in ordered], [one.x.tobytes() for one in ordered]
    return b"".join([len(head).to_bytes(8, "little"), head, *times, *values])


def read_waiting(kept: bytes) -> KeptWaiting:
    """What `pack_waiting` gave. Raises ValueError for anything else."""
    if not kept:
        return KeptWaiting({}, {})
    start = 8 + int.from_bytes(kept[:8], "little")
    try:
        head = msgspec.json.decode(kept[8:start], type=_Header)
    except Unreadable as error:
        raise ValueError(f"the header of waiting readings: {error}") from None
    n_readings = sum(head.counts)
    is_whole = len(kept) - start == n_readings * (8 + 4 * head.width)
    if not is_whole or not len(head.slots) == len(head.counts) == len(set(head.slots)):
        raise ValueError("the waiting readings are not of the size that their header says")
    times = np.frombuffer(kept, np.int64, n_readings, start)
    values = np.frombuffer(kept, np.float32, n_readings * head.width, start + 8 * n_readings)
    ends = np.cumsum(head.counts)[:-1]
    parts = zip(np.split(times, ends), np.split(values.reshape(n_readings, head.width), ends), strict=True)
    waiting = {slot: Waiting(t_ns.copy(), x.copy()) for slot, (t_ns, x) in zip(head.slots, parts, strict=True)}
    if any((one.t_ns[1:] <= one.t_ns[:-1]).any() for one in waiting.values()):
        raise ValueError("the waiting readings are not in time order")
    return KeptWaiting(waiting, head.layouts)
