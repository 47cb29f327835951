"""The core's state as bytes: a magic word, a JSON header, then whole arrays. No pickle, no object a device.

Little-endian. The store adds the checksum; here the sizes and the meaning are checked.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from agent.devices.columns import Columns
from agent.devices.slots import GONE, DeviceColumns
from agent.errors import SnapshotRefused, Unreadable
from agent.judge.evidence import Evidence

MAGIC = b"FWSTATE\n"
SCHEMA_VERSION = 4
_START_OVER = "The agent starts from the next older snapshot, or with every device as one never heard."

Arrays = Mapping[str, npt.NDArray[Any]]


class Header(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the arrays mean: who sits in which slot, and where in the input log this was."""

    schema_version: int
    bundle_digest: str
    numerics: str
    entry: int
    log_time_ns: int
    next_tick_ns: int
    new_from_ns: int | None
    complete_from_ns: int | None
    sources: tuple[str, ...]
    devices: tuple[str | None, ...]


def pack(header: Header, columns: Sequence[Arrays]) -> bytes:
    """Header and arrays of `len(header.devices)` slots each, in their fields' order."""
    head = msgspec.json.encode(header)
    arrays = [np.ascontiguousarray(array).tobytes() for group in columns for array in group.values()]
    return b"".join([MAGIC, len(head).to_bytes(8, "little"), head, *arrays])


def unpack(data: bytes, *, digest: str, state_size: int, max_devices: int) -> tuple[Header, Arrays, Arrays]:
    """Header, device columns and evidence. Raises SnapshotRefused for anything but a whole snapshot of this bundle."""
    header, start = _header(data)
    if header.bundle_digest != digest:
        raise _refused(f"it belongs to bundle {header.bundle_digest[:12]}, the agent runs {digest[:12]}")
    n_slots = len(header.devices)
    if n_slots > max_devices:
        raise _refused(f"it holds {n_slots} devices, agent.devices_max is {max_devices}")
    columns, start = _arrays(data, start, DeviceColumns, n_slots, {"state": state_size})
    evidence, start = _arrays(data, start, Evidence, n_slots, {})
    if start != len(data):
        raise _refused(f"{len(data) - start} bytes follow the last array")
    if not np.isfinite(columns["state"]).all():
        raise _refused("a device's state is not finite")
    sources = columns["source"]
    if n_slots and not (sources.min() >= GONE and sources.max() < len(header.sources)):
        raise _refused("a device names a source that the header does not")
    return header, columns, evidence


def read_header(data: bytes) -> Header:
    """The header of a snapshot alone. Raises SnapshotRefused."""
    return _header(data)[0]


def _header(data: bytes) -> tuple[Header, int]:
    if not data.startswith(MAGIC):
        raise _refused("it is not a forewarn snapshot")
    start = len(MAGIC) + 8
    end = start + int.from_bytes(data[len(MAGIC) : start], "little")
    try:
        version = msgspec.json.decode(data[start:end], type=_Version).schema_version
        if version != SCHEMA_VERSION:
            raise _refused(f"its schema is version {version}, this forewarn reads version {SCHEMA_VERSION}")
        return msgspec.json.decode(data[start:end], type=Header), end
    except Unreadable as error:
        raise _refused(f"its header cannot be read ({error})") from None


def _arrays(
    data: bytes, start: int, kind: type[Columns], n_slots: int, widths: Mapping[str, int]
) -> tuple[Arrays, int]:
    arrays = {}
    for name, dtype, _ in kind.layout():
        shape = (n_slots, widths[name]) if name in widths else (n_slots,)
        n_items = int(np.prod(shape))
        end = start + n_items * dtype.itemsize
        if end > len(data):
            raise _refused(f"it ends inside the array {name}")
        arrays[name] = np.frombuffer(data, dtype, n_items, start).reshape(shape)
        start = end
    return arrays, start


class _Version(msgspec.Struct, frozen=True):
    schema_version: int


def _refused(what: str) -> SnapshotRefused:
    return SnapshotRefused("snapshot", what, next_step=_START_OVER)
