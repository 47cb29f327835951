"""Golden rows: kept as bytes that numpy reads too."""

import io
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.bundle import golden, stored_zip
from agent.bundle.golden import Golden
from agent.words import Float32
from tests.bundles import small_golden
from tests.small_bundle import small_manifest, small_model

MANIFEST = small_manifest()
GOLDEN = small_golden(small_model(), MANIFEST)


def with_risk(risk: Float32) -> Golden:
    return replace(GOLDEN, outputs=GOLDEN.outputs | {"risk": risk})


def first_rows(n: int) -> Golden:
    arrays = {name: getattr(GOLDEN, name)[:n] for name in ("x", "dt", "state", "state_out")}
    return Golden(**arrays, outputs={name: array[:n] for name, array in GOLDEN.outputs.items()})


def array_of(rows: Golden, name: str) -> Float32:
    return rows.outputs[name] if name in rows.outputs else getattr(rows, name)


def test_rows_come_back_bit_for_bit_and_numpy_reads_the_same():
    data = GOLDEN.pack()
    back, by_numpy = golden.unpack(data, MANIFEST), np.load(io.BytesIO(data), allow_pickle=False)
    for name in ("x", "dt", "state", "state_out", "risk", "rul"):
        want = array_of(GOLDEN, name)
        for got in (array_of(back, name), by_numpy[name]):
            assert (got.dtype, got.shape, got.tobytes()) == (np.float32, want.shape, want.tobytes())


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        (replace(GOLDEN, x=GOLDEN.x[:, :2]), r"x is float32 \[12, 2\], must be float32 \[12, 3\]"),
        (replace(GOLDEN, dt=GOLDEN.dt[:5]), r"dt is float32 \[5\], must be float32 \[12\]"),
        (with_risk(GOLDEN.outputs["risk"] * np.float32("nan")), "risk holds NaN"),
        (replace(GOLDEN, state=GOLDEN.state + np.float32("inf")), "state holds NaN or infinity"),
        (first_rows(0), "0 rows"),
    ],
)
def test_rows_that_cannot_be_are_refused(changed, words):
    with pytest.raises(ValueError, match=words):
        golden.unpack(changed.pack(), MANIFEST)


def repacked(old: bytes, new: bytes) -> bytes:
    """The golden rows with something changed in every array's header; the zip around them is whole."""
    members = stored_zip.unpack(GOLDEN.pack(), members_max=6)
    return stored_zip.pack({name: data.replace(old, new) for name, data in members.items()})


def npz(**arrays: np.ndarray) -> bytes:
    target = io.BytesIO()
    np.savez(target, **arrays)
    return target.getvalue()


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "does not begin like a zip"),
        (npz(x=np.zeros((2, 3), np.float32)), "x.npy"),
        (stored_zip.pack({"x.npy": b""}), "it holds x.npy; must be the arrays x, dt, state"),
        (npz(x=np.array([{"a": 1}], dtype=object)), "x.npy"),
        (repacked(b"'<f4'", b"'|O8'"), "is not a float32 array"),
        (repacked(b"(12, 3)", b"(99, 3)"), r"claims the shape \[99, 3\] and has 144 bytes"),
        (repacked(b"False", b"True "), "is not a float32 array"),
    ],
)
def test_other_files_are_refused(data, words):
    with pytest.raises(ValueError, match=words):
        golden.unpack(data, MANIFEST)


@given(st.binary(max_size=120), st.sampled_from(["x", "risk"]))
def test_any_array_bytes_are_refused(data, name):
    """The zip around them is whole, so the array itself must be found wrong."""
    members = stored_zip.unpack(GOLDEN.pack(), members_max=6)
    with pytest.raises(ValueError):
        golden.unpack(stored_zip.pack({**members, f"{name}.npy": data}), MANIFEST)
