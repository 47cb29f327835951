"""Golden rows: what the model computed where it was made, to be computed again where it runs.

Rows of one or several device histories, each with the state it started from, so that a row that differs can be named.
Kept as `golden.npz`, which numpy can read; here it is read without numpy's parser, which trusts the file too much.
"""

import re
import struct
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, fields
from math import prod
from typing import TYPE_CHECKING, Protocol

import numpy as np

from agent.bundle import stored_zip
from agent.bundle.manifest import Manifest
from agent.bundle.work import VERIFY_WORK_MAX, Work
from agent.errors import BundleRefused
from agent.words import Float32, Int64

if TYPE_CHECKING:  # file.py reads golden rows, and only the check below needs to know a whole bundle
    from agent.bundle.file import Bundle

ROWS_MAX = 10_000
BATCH_SIZES = (1, 2, 3, 17, 256, 512)
HOSTILE = np.array([np.nan, np.inf, -np.inf, 1e30, -1e30], np.float32)

_MAGIC = b"\x93NUMPY\x01\x00"
_HEADER = re.compile(rb"\{'descr': '<f4', 'fortran_order': False, 'shape': \((\d{1,9}),(?: (\d{1,9}))?\), \} *\n")
_ALIGNED_TO = 64


Outputs = dict[str, Float32]  # state_out, risk, rul by name, a golden row each
NEXT_STEP = (
    "Another CPU kind may round otherwise: make the bundle on a machine like this one, or with a wider tolerance."
)


class _Differs(Exception):
    """The model computes other numbers than it should."""


class Steps(Protocol):
    """The part of an engine that the check needs; agent.step.engine.Engine is one."""

    def run(self, x: Float32, dt: Float32, state: Float32) -> tuple[Float32, Float32, Float32]: ...


@dataclass(frozen=True)
class Golden:
    """T rows: inputs x [T, F], dt [T], state [T, S]; outputs state_out [T, S], risk [T, K], rul [T, Q]; all float32."""

    x: Float32
    dt: Float32
    state: Float32
    state_out: Float32
    risk: Float32
    rul: Float32

    def pack(self) -> bytes:
        """The bytes of `golden.npz`, the same for the same rows."""
        return stored_zip.pack({f"{name}.npy": _pack_array(array) for name, array in self._arrays()})

    def _arrays(self) -> Iterator[tuple[str, Float32]]:
        for one in fields(self):
            yield one.name, getattr(self, one.name)

    def check_shapes(self, manifest: Manifest) -> None:
        """Raise ValueError unless there are 1 to ROWS_MAX rows of the manifest's widths."""
        n_rows = len(self.x)
        n_rul = len(manifest.rul.quantiles) if manifest.rul else 0
        wide = {"x": manifest.n_channels, "state": manifest.state_size, "state_out": manifest.state_size}
        wide |= {"risk": len(manifest.risk.horizons_s), "rul": n_rul}
        if not 1 <= n_rows <= ROWS_MAX:
            raise ValueError(f"it has {n_rows} rows, must be 1 to {ROWS_MAX}")
        for name, array in self._arrays():
            want = (n_rows, wide[name]) if name in wide else (n_rows,)
            if array.shape != want or array.dtype != np.float32:
                raise ValueError(f"{name} is {array.dtype} {list(array.shape)}, must be float32 {list(want)}")


def unpack(data: bytes, manifest: Manifest) -> Golden:
    """Raises ValueError that says what is wrong."""
    names = [one.name for one in fields(Golden)]
    members = stored_zip.unpack(data, members_max=len(names))
    if sorted(members) != sorted(f"{name}.npy" for name in names):
        raise ValueError(f"it holds {', '.join(sorted(members))}; must be the arrays {', '.join(names)}")
    golden = Golden(**{name: _unpack_array(name, members[f"{name}.npy"]) for name in names})
    golden.check_shapes(manifest)
    for name in ("dt", "state", "state_out", "risk", "rul"):
        if not np.isfinite(getattr(golden, name)).all():
            raise ValueError(f"{name} holds NaN or infinity")
    return golden


def verify_work(work: Work, manifest: Manifest, n_rows: int) -> int:
    """The work of `verify` for a model's `work` and `n_rows` golden rows."""
    calls = {size: -(-n_rows // len(_places(size))) for size in _batch_sizes(manifest)}
    return work.of(sum(calls.values()), sum(size * n_calls for size, n_calls in calls.items()))


def rows_max(work: Work, manifest: Manifest) -> int:
    """Most golden rows that a bundle with such a model may have."""
    counts = range(ROWS_MAX + 1)
    return bisect_right(counts, VERIFY_WORK_MAX, key=lambda n_rows: verify_work(work, manifest, n_rows)) - 1


def verify(bundle: "Bundle", engine: Steps) -> None:
    """Step every golden row in batches of 1, 2, 3, 17, 256 and 512; `engine` holds the int8 model of `bundle`.

    Against the golden values the manifest's tolerance holds, as a part of a column's largest golden value where that
    is above 1. Among themselves the batch sizes agree to the bit when the numerics are `exact`, with hostile neighbours
    too.
    Raises BundleRefused that names row, output, got and want.
    """
    golden, numerics = bundle.golden, bundle.manifest.numerics
    try:
        alone = _outputs(golden, engine, batch_size=1)
        _check_values(golden, alone, numerics.tolerance)
        for batch_size in _batch_sizes(bundle.manifest)[1:]:
            _check_bits(alone, _outputs(golden, engine, batch_size), batch_size)
    except _Differs as error:
        raise BundleRefused(bundle.path, str(error), next_step=NEXT_STEP) from None


def _batch_sizes(manifest: Manifest) -> tuple[int, ...]:
    """Only where the numerics are `exact` do other sizes than 1 have to agree with it."""
    return BATCH_SIZES if manifest.numerics.kind == "exact" else BATCH_SIZES[:1]


def _places(batch_size: int) -> Int64:
    """int64, where golden rows stand in a batch; every other place is a hostile device's."""
    return np.arange(0, batch_size, 2)


def _check_values(golden: Golden, alone: Outputs, tolerance: float) -> None:
    for name, got in alone.items():
        want: Float32 = getattr(golden, name)
        span = np.maximum(1.0, np.abs(want).max(axis=0))  # [S], [K] or [Q]: a counter must not excuse a cell
        differs = ~(np.abs(got - want) <= tolerance * span)  # NaN differs
        if differs.any():
            row, column = (int(places[0]) for places in np.nonzero(differs))
            off = f"golden row {row} gives {name}[{column}] = {got[row, column]:.6g}"
            raise _Differs(f"{off}, the bundle says {want[row, column]:.6g}")


def _check_bits(alone: Outputs, together: Outputs, batch_size: int) -> None:
    for name, got in together.items():
        differs = (got.view(np.uint32) != alone[name].view(np.uint32)).any(axis=1)
        if differs.any():
            off = f"golden row {int(differs.argmax())} gives another {name} in a batch of {batch_size} than alone"
            raise _Differs(f"{off}, though the manifest says that the numerics are exact")


def _outputs(golden: Golden, engine: Steps, batch_size: int) -> Outputs:
    """Every row's outputs, stepped `batch_size` rows at a time, hostile ones among them."""
    names = ("state_out", "risk", "rul")
    outputs: Outputs = {name: np.empty_like(getattr(golden, name)) for name in names}
    places = _places(batch_size)
    for start in range(0, len(golden.x), len(places)):
        rows = np.arange(start, min(start + len(places), len(golden.x)))
        at = places[: len(rows)]
        batch = [_hostile((batch_size, *array.shape[1:]), start) for array in (golden.x, golden.dt, golden.state)]
        for array, rows_of in zip(batch, (golden.x, golden.dt, golden.state), strict=True):
            array[at] = rows_of[rows]
        for name, found in zip(names, engine.run(*batch), strict=True):
            want = (batch_size, outputs[name].shape[1])
            if found.shape != want or found.dtype != np.float32:
                raise _Differs(f"{name} comes as {found.dtype} {list(found.shape)}, must be float32 {list(want)}")
            outputs[name][rows] = found[at]
    return outputs


def _hostile(shape: tuple[int, ...], seed: int) -> Float32:
    """float32 of `shape`, NaN, infinities and +-1e30 in an order that `seed` shifts."""
    return HOSTILE[(np.arange(prod(shape)) + seed) % len(HOSTILE)].reshape(shape)


def _pack_array(array: Float32) -> bytes:
    """An .npy file of format 1.0."""
    header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {array.shape}, }}".encode("ascii")
    size = len(_MAGIC) + 2 + len(header) + 1
    header += b" " * (-size % _ALIGNED_TO) + b"\n"
    return _MAGIC + struct.pack("<H", len(header)) + header + np.ascontiguousarray(array, "<f4").tobytes()


def _unpack_array(name: str, data: bytes) -> Float32:
    start = len(_MAGIC) + 2
    size = int.from_bytes(data[len(_MAGIC) : start], "little")
    header = _HEADER.fullmatch(data[start : start + size])
    if data[: len(_MAGIC)] != _MAGIC or header is None:
        raise ValueError(f"{name} is not a float32 array of one or two dimensions")
    shape = tuple(int(dim) for dim in header.groups() if dim is not None)
    held = len(data) - start - size
    if prod(shape) * 4 != held:
        raise ValueError(f"{name} claims the shape {list(shape)} and has {held} bytes")
    return np.frombuffer(data, "<f4", offset=start + size).reshape(shape)
