"""Whether a model computes here what its bundle promises: its golden rows, alone and among hostile neighbours."""

from bisect import bisect_right
from math import prod
from pathlib import Path
from typing import Protocol

import numpy as np

from agent.bundle.golden import ROWS_MAX, Golden
from agent.bundle.manifest import Manifest
from agent.bundle.work import VERIFY_WORK_MAX, Work
from agent.errors import BundleRefused
from agent.words import Float32, Int64

BATCH_SIZES = (1, 2, 3, 17, 256, 512)
HOSTILE = np.array([np.nan, np.inf, -np.inf, 1e30, -1e30], np.float32)
NEXT_STEP = (
    "Another CPU kind may round otherwise: make the bundle on a machine like this one, or with a wider tolerance."
)
STATE = "state_out"
Outputs = dict[str, Float32]  # state_out and the heads by name, a golden row each


class _Differs(Exception):
    """The model computes other numbers than it should."""


class Steps(Protocol):
    """The part of an engine that the check needs; agent.step.engine.Engine is one."""

    def run(self, x: Float32, dt: Float32, state: Float32) -> tuple[Float32, dict[str, Float32]]: ...


def verify_work(work: Work, manifest: Manifest, n_rows: int) -> int:
    """The work of `verify` for a model's `work` and `n_rows` golden rows."""
    calls = {size: -(-n_rows // len(_places(size))) for size in _batch_sizes(manifest)}
    return work.of(sum(calls.values()), sum(size * n_calls for size, n_calls in calls.items()))


def rows_max(work: Work, manifest: Manifest) -> int:
    """Most golden rows that a bundle with such a model may have."""
    counts = range(ROWS_MAX + 1)
    return bisect_right(counts, VERIFY_WORK_MAX, key=lambda n_rows: verify_work(work, manifest, n_rows)) - 1


def verify(golden: Golden, manifest: Manifest, engine: Steps, where: Path) -> None:
    """Step every golden row in batches of 1, 2, 3, 17, 256 and 512; `engine` holds the int8 model of the
    bundle at `where`.

    Against the golden values the manifest's tolerance holds, as a part of a column's largest golden value where that
    is above 1. Among themselves the batch sizes agree to the bit when the numerics are `exact`, with hostile neighbours
    too.
    Raises BundleRefused that names row, output, got and want.
    """
    numerics = manifest.numerics
    try:
        alone = _outputs(golden, engine, batch_size=1)
        _check_values(golden, alone, numerics.tolerance)
        for batch_size in _batch_sizes(manifest)[1:]:
            _check_bits(alone, _outputs(golden, engine, batch_size), batch_size)
    except _Differs as error:
        raise BundleRefused(where, str(error), next_step=NEXT_STEP) from None


def _batch_sizes(manifest: Manifest) -> tuple[int, ...]:
    """Only where the numerics are `exact` do other sizes than 1 have to agree with it."""
    return BATCH_SIZES if manifest.numerics.kind == "exact" else BATCH_SIZES[:1]


def _places(batch_size: int) -> Int64:
    """int64, where golden rows stand in a batch; every other place is a hostile device's."""
    return np.arange(0, batch_size, 2)


def _check_values(golden: Golden, alone: Outputs, tolerance: float) -> None:
    for name, got in alone.items():
        want = golden.state_out if name == STATE else golden.outputs[name]
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
    outputs: Outputs = {STATE: np.empty_like(golden.state_out)}
    outputs |= {name: np.empty_like(array) for name, array in golden.outputs.items()}
    places = _places(batch_size)
    for start in range(0, len(golden.x), len(places)):
        rows = np.arange(start, min(start + len(places), len(golden.x)))
        at = places[: len(rows)]
        batch = [_hostile((batch_size, *array.shape[1:]), start) for array in (golden.x, golden.dt, golden.state)]
        for array, rows_of in zip(batch, (golden.x, golden.dt, golden.state), strict=True):
            array[at] = rows_of[rows]
        state_out, of_heads = engine.run(*batch)
        for name, output in {STATE: state_out, **of_heads}.items():
            want = (batch_size, outputs[name].shape[1])
            if output.shape != want or output.dtype != np.float32:
                raise _Differs(f"{name} comes as {output.dtype} {list(output.shape)}, must be float32 {list(want)}")
            outputs[name][rows] = output[at]
    return outputs


def _hostile(shape: tuple[int, ...], seed: int) -> Float32:
    """float32 of `shape`, NaN, infinities and +-1e30 in an order that `seed` shifts."""
    return HOSTILE[(np.arange(prod(shape)) + seed) % len(HOSTILE)].reshape(shape)
