"""Golden rows: what the model computed where it was made, to be computed again where it runs.

Rows of one or several device histories, each with the state it started from, so that a row that differs can be named.
Kept as `golden.npz`, which numpy can read; here it is read without numpy's parser, which trusts the file too much.
"""

import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import numpy as np

from agent.bundle import stored_zip
from agent.bundle.heads import HEADS, widths
from agent.bundle.manifest import Manifest
from agent.words import Float32

ROWS_MAX = 10_000

_MAGIC = b"\x93NUMPY\x01\x00"
_HEADER = re.compile(rb"\{'descr': '<f4', 'fortran_order': False, 'shape': \((\d{1,9}),(?: (\d{1,9}))?\), \} *\n")
_ALIGNED_TO = 64
_INPUTS = ("x", "dt", "state")


@dataclass(frozen=True)
class Golden:
    """T rows: inputs x [T, F], dt [T], state [T, S]; state_out [T, S] and outputs [T, width] by head; all float32."""

    x: Float32
    dt: Float32
    state: Float32
    state_out: Float32
    outputs: dict[str, Float32]

    def pack(self) -> bytes:
        """The bytes of `golden.npz`, the same for the same rows."""
        return stored_zip.pack({f"{name}.npy": _pack_array(array) for name, array in self._arrays().items()})

    def _arrays(self) -> dict[str, Float32]:
        heads = {name: self.outputs[name] for name in HEADS if name in self.outputs}
        return {name: getattr(self, name) for name in _INPUTS} | {"state_out": self.state_out} | heads

    def check_shapes(self, manifest: Manifest) -> None:
        """Raise ValueError unless there are 1 to ROWS_MAX rows of the manifest's widths."""
        n_rows = len(self.x)
        wide = {"x": manifest.n_channels, "state": manifest.state_size, "state_out": manifest.state_size}
        wide |= dict.fromkeys(HEADS, 0) | widths(manifest)
        if not 1 <= n_rows <= ROWS_MAX:
            raise ValueError(f"it has {n_rows} rows, must be 1 to {ROWS_MAX}")
        if missing := widths(manifest).keys() - self.outputs.keys():
            raise ValueError(f"it has no {', '.join(sorted(missing))}")
        for name, array in self._arrays().items():
            want = (n_rows, wide[name]) if name in wide else (n_rows,)
            if array.shape != want or array.dtype != np.float32:
                raise ValueError(f"{name} is {array.dtype} {list(array.shape)}, must be float32 {list(want)}")


def concatenated(parts: Sequence[Golden]) -> Golden:
    """The rows of all parts, at least one, part after part."""
    rows = {name: np.concatenate([getattr(part, name) for part in parts]) for name in (*_INPUTS, "state_out")}
    outputs = {name: np.concatenate([part.outputs[name] for part in parts]) for name in parts[0].outputs}
    return Golden(**rows, outputs=outputs)


def unpack(data: bytes, manifest: Manifest) -> Golden:
    """Raises ValueError that says what is wrong."""
    heads, names = widths(manifest), [*_INPUTS, "state_out", *HEADS]
    members = stored_zip.unpack(data, members_max=len(names))
    needed = {f"{name}.npy" for name in names if name not in HEADS or name in heads}
    if not needed <= set(members) <= {f"{name}.npy" for name in names}:
        raise ValueError(f"it holds {', '.join(sorted(members))}; must be the arrays {', '.join(names)}")
    arrays = {name: _unpack_array(name, members[f"{name}.npy"]) for name in names if f"{name}.npy" in members}
    outputs = {name: array for name, array in arrays.items() if name in HEADS}
    golden = Golden(**{name: arrays[name] for name in (*_INPUTS, "state_out")}, outputs=outputs)
    golden.check_shapes(manifest)
    for name, array in arrays.items():
        if name != "x" and not np.isfinite(array).all():
            raise ValueError(f"{name} holds NaN or infinity")
    return Golden(golden.x, golden.dt, golden.state, golden.state_out, {name: outputs[name] for name in heads})


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
