"""The core's state as bytes: a magic word, a JSON header, then whole arrays by column group. No pickle.

Little-endian. The store adds the checksum; here the sizes and the meaning are checked. The header says of each group
what its columns are, so that a snapshot is read by name: one of another version that has other columns is refused by
the group's name, a group that it lacks starts empty, and so does that of a model whose bundle has changed since.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from agent.align.alignment import OF_ALIGNMENT
from agent.core.silence import OF_SILENCE
from agent.core.snapshot_header import ColumnHeader, GroupHeader, Header, read, refused
from agent.devices.columns import Columns
from agent.devices.slots import GONE, NO_SOURCE, OWNER, Slots
from agent.errors import StateRefused
from agent.judge.lifecycle import STATES
from agent.words import SEVERITIES, Quality

MAGIC = b"FWSTATE\n"
OF_MODELS = "model/"  # begins the names of groups that come and go with a model
COME_AND_GO = (  # and with the rules of sources: another digest, and they start empty
    OF_MODELS,
    OF_ALIGNMENT,
    OF_SILENCE,
)

_DTYPES = ("|b1", "|u1", "<u4", "<i8", "<f4")  # of all columns that there are
_NOT_NEGATIVE = ("clock_epoch", "raised_epoch", "rows", "sequence")
_MAY_BE_NAN = ("held",)  # or infinite
_BELOW = {
    "alert_state": len(STATES),
    "level": len(SEVERITIES),
    "lower_level": len(SEVERITIES),
    "severity": len(SEVERITIES),
    "quality": len(Quality),
}

Arrays = Mapping[str, npt.NDArray[Any]]


def describe(slots: Slots, digests: Mapping[str, str]) -> tuple[GroupHeader, ...]:
    """The groups of a slot table, as a header has them; `digests` of bundles by group, where a model has it."""
    return tuple(GroupHeader(name, digests.get(name, ""), _columns(group)) for name, group in slots.groups.items())


class Cut:
    """The state of a core as of one entry, that is copied while the core goes on (`agent.devices.columns`).

    entry  how many entries it holds
    """

    def __init__(self, header: Header, slots: Slots, memories: Mapping[str, Callable[[], bytes]]) -> None:
        """header lacks the memories; each of these is packed when all is, from what does not change any more."""
        self.entry = header.entry
        self._header = header
        self._memories = memories
        self._copies = [slots.groups[group.name].begin_copy(len(header.devices)) for group in header.groups]

    @property
    def is_whole(self) -> bool:
        return all(copy.is_whole for copy in self._copies)

    @property
    def n_bytes_left(self) -> int:
        """Of the columns, at most so many are not copied yet."""
        return sum(copy.n_bytes_left for copy in self._copies)

    def copy_next(self, n_bytes: int) -> None:
        """Copy about `n_bytes` more of the columns; in the thread of the core, between two entries."""
        for copy in self._copies:
            n_bytes -= copy.copy_next(n_bytes)
            if n_bytes <= 0:
                return

    def copy_all(self) -> None:
        for copy in self._copies:
            copy.copy_all()

    def parts(self) -> Iterator[bytes | memoryview]:
        """The snapshot, once it is whole, piece by piece; in any thread. Nothing is copied again."""
        memories = {name: pack() for name, pack in self._memories.items()}
        sizes = tuple((name, len(kept)) for name, kept in memories.items())
        head = msgspec.json.encode(msgspec.structs.replace(self._header, memories=sizes))
        yield from (MAGIC, len(head).to_bytes(8, "little"), head)
        for copy in self._copies:
            for array in copy.arrays.values():
                yield array.reshape(-1).view(np.uint8).data
        yield from memories.values()


class Content(NamedTuple):
    """What a snapshot holds: its header, the arrays of each group, and its memories."""

    header: Header
    groups: Mapping[str, Arrays]
    memories: Mapping[str, bytes]


def read_content(data: bytes) -> Content:
    """All of a snapshot, whichever version and configuration it is of. Raises SnapshotRefused."""
    header, start = _header(data)
    n_slots = len(header.devices)
    groups: dict[str, Arrays] = {}
    for group in header.groups:
        groups[group.name], start = _arrays(data, start, group, n_slots)
    memories = {}
    for name, n_bytes in header.memories:
        memories[name] = data[start : start + n_bytes]
        start += n_bytes
    if start != len(data):
        raise refused(f"it has {len(data)} bytes, and its header describes {start}")
    sources = groups.get(OWNER, {}).get("source")
    if sources is None or sources.dtype != np.int64 or sources.ndim != 1:
        raise refused(f"it lacks the column group {OWNER!r}: nobody knows whose its devices are")
    if n_slots and not (sources.min() >= GONE and sources.max() < len(header.sources)):
        raise refused("a device names a source that the header does not")
    if any((device is None) != (source == NO_SOURCE) for device, source in zip(header.devices, sources, strict=True)):
        raise refused("a device has no source, or a free slot has one")
    return Content(header, groups, memories)


def unpack(data: bytes, groups: Sequence[GroupHeader], *, devices_max: int) -> Content:
    """Of a snapshot what fits the `groups` of this version and configuration. Raises SnapshotRefused, and StateRefused
    where the bound is at fault.

    Left out are groups of a model or a rule that is no more, or is another than it was. A group may lack columns that
    came with a later version than it was written by.
    """
    content = read_content(data)
    n_slots = len(content.header.devices)
    if n_slots > devices_max:  # the snapshot is good, and so may be those before it
        what = f"it has held {n_slots} devices, agent.devices_max is {devices_max}"
        raise StateRefused("snapshot", what, next_step="Raise agent.devices_max to what it was, or more.")
    current = {group.name: group for group in groups}
    arrays_of: dict[str, Arrays] = {}
    for group in content.header.groups:
        own = current.get(group.name)
        if own is None and not group.name.startswith(COME_AND_GO):
            raise refused(f"its column group {group.name!r} is unknown to this version")
        if own is None or own.digest != group.digest:
            continue
        if not {*group.columns} <= {*own.columns}:
            raise refused(f"its column group {group.name!r} has other columns than in this version")
        arrays_of[group.name] = content.groups[group.name]
    return content._replace(groups=arrays_of)


def is_whole(groups: Mapping[str, Arrays], slots: Slots) -> bool:
    """Whether nothing is missing of the groups that run, but for those that come and go as a whole."""
    return all(
        {name for name, _, _ in columns.layout()} <= {*groups[group], *columns.may_lack()}
        if group in groups
        else group.startswith(COME_AND_GO)
        for group, columns in slots.groups.items()
    )


def read_header(data: bytes) -> Header:
    """The header of a snapshot alone. Raises SnapshotRefused."""
    return _header(data)[0]


def digests_of_models(header: Header) -> dict[str, str]:
    """Digest of the bundle of each model whose groups a snapshot has, by name."""
    of_models = (group for group in header.groups if group.name.startswith(OF_MODELS))
    return {group.name.split("/")[1]: group.digest for group in of_models}


def _columns(group: Columns) -> tuple[ColumnHeader, ...]:
    arrays = group.arrays(0)
    return tuple(
        ColumnHeader(name, dtype.str, arrays[name].shape[1] if arrays[name].ndim > 1 else 0)
        for name, dtype, _ in group.layout()
    )


def _header(data: bytes) -> tuple[Header, int]:
    if not data.startswith(MAGIC):
        raise refused("it is not a forewarn snapshot")
    start = len(MAGIC) + 8
    end = start + int.from_bytes(data[len(MAGIC) : start], "little")
    return read(data[start:end]), end


def _arrays(data: bytes, start: int, group: GroupHeader, n_slots: int) -> tuple[Arrays, int]:
    """The arrays of a group, which begin at `start`, and where they end."""
    arrays = {}
    for column in group.columns:
        if column.dtype not in _DTYPES:
            raise refused(f"its column {column.name!r} is not one of numbers")
        dtype = np.dtype(column.dtype)
        shape = (n_slots, column.width) if column.width else (n_slots,)
        n_items = n_slots * (column.width or 1)
        end = start + n_items * dtype.itemsize
        if end > len(data):
            raise refused(f"it ends inside the array {column.name}")
        array = np.frombuffer(data, dtype, n_items, start).reshape(shape)
        if dtype.kind == "f" and column.name not in _MAY_BE_NAN and not np.isfinite(array).all():
            raise refused(f"a device's {column.name} is not finite")
        if column.name in _NOT_NEGATIVE and n_slots and array.min() < 0:
            raise refused(f"a device's {column.name} is negative")
        if column.name in _BELOW and n_slots and array.max() >= _BELOW[column.name]:
            raise refused(f"a device's {column.name} is one that there is not")
        arrays[column.name] = array
        start = end
    return arrays, start
