"""Golden rows: kept as bytes that numpy reads too, and stepped again before a bundle may run."""

import io
from dataclasses import dataclass, fields, replace
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.bundle import golden, stored_zip
from agent.bundle.golden import ROWS_MAX, Golden
from agent.bundle.manifest import Manifest, Numerics
from agent.bundle.work import VERIFY_WORK_MAX, Work
from agent.errors import BundleRefused
from agent.step.engine import Engine
from agent.words import Float32
from tests.bundles import small_golden
from tests.small_bundle import small_manifest, small_model

MODEL = small_model()
MANIFEST = small_manifest()
GOLDEN = small_golden(MODEL, MANIFEST)
ENGINE = Engine(MODEL, MANIFEST)


@dataclass(frozen=True)
class Checked:
    """What `verify` reads of a bundle."""

    golden: Golden = GOLDEN
    manifest: Manifest = MANIFEST
    path: Path = Path("small.fwb")


@dataclass(frozen=True)
class Changed:
    """The engine with its outputs changed by a function of the batch."""

    change: object

    def run(self, x: Float32, dt: Float32, state: Float32) -> tuple[Float32, Float32, Float32]:
        return self.change(x, *ENGINE.run(x, dt, state))  # type: ignore[operator]


def verify(change, **bundle: object) -> None:
    golden.verify(Checked(**bundle), Changed(change))  # type: ignore[arg-type]


def test_the_engine_that_made_them_passes():
    golden.verify(Checked(), ENGINE)  # type: ignore[arg-type]


def test_rows_come_back_bit_for_bit_and_numpy_reads_the_same():
    data = GOLDEN.pack()
    back, by_numpy = golden.unpack(data, MANIFEST), np.load(io.BytesIO(data), allow_pickle=False)
    for name in ("x", "dt", "state", "state_out", "risk", "rul"):
        want = getattr(GOLDEN, name)
        for got in (getattr(back, name), by_numpy[name]):
            assert (got.dtype, got.shape, got.tobytes()) == (np.float32, want.shape, want.tobytes())


def test_a_row_off_by_more_than_the_tolerance_is_named():
    def change(x, state, risk, rul):
        moved = risk.copy()
        moved[(x == GOLDEN.x[5]).all(axis=1), 1] += np.float32(0.01)
        return state, moved, rul

    with pytest.raises(BundleRefused, match=r"small.fwb: golden row 5 gives risk\[1\] = .*, the bundle says"):
        verify(change)
    verify(change, manifest=msgspec.structs.replace(MANIFEST, numerics=Numerics("tolerance", 0.02)))


def test_a_nan_where_the_bundle_has_a_number_differs():
    with pytest.raises(BundleRefused, match=r"golden row 0 gives rul\[0\] = nan"):
        verify(lambda x, state, risk, rul: (state, risk, rul * np.float32("nan")))


def test_a_neighbour_that_moves_another_row_by_one_bit_is_found():
    """Within the tolerance of golden values, but not exact."""

    def leak(x, state, risk, rul):
        moved = risk.copy()
        if not np.isfinite(x).all() and len(x) == 17:
            moved[0, 0] = np.nextafter(risk[0, 0], np.float32(1))
        return state, moved, rul

    with pytest.raises(
        BundleRefused, match=r"golden row 0 gives another risk in a batch of 17 than alone, though .*exact"
    ):
        verify(leak)
    verify(leak, manifest=msgspec.structs.replace(MANIFEST, numerics=Numerics("tolerance", 1e-4)))


def test_the_sign_of_zero_is_a_bit_too():
    def flip(x, state, risk, rul):
        return state, risk * np.float32(-0.0 if len(x) == 17 else 0.0), rul

    with pytest.raises(BundleRefused, match="another risk in a batch of 17"):
        verify(flip, golden=replace(GOLDEN, risk=GOLDEN.risk * np.float32(0)))


def test_the_tolerance_is_a_part_of_the_largest_value():
    """`rul` reaches beyond 100 cycles, so 1e-4 of it is more than 0.009; `risk` is within 1."""
    verify(lambda x, state, risk, rul: (state, risk, rul + np.float32(0.009)))
    with pytest.raises(BundleRefused, match=r"rul\[0\]"):
        verify(lambda x, state, risk, rul: (state, risk, rul + np.float32(0.02)))


def test_every_batch_size_is_tried():
    seen = set()

    def note(x, state, risk, rul):
        seen.add((len(x), bool(np.isnan(x).any() and np.isinf(x).any() and (np.abs(x) == np.float32(1e30)).any())))
        return state, risk, rul

    verify(note)
    assert {(1, False), (2, True), (3, True), (17, True), (256, True)} <= seen


@pytest.mark.parametrize("n_rows", [1, 2, 12])
@pytest.mark.parametrize("kind", ["exact", "tolerance"])
def test_the_work_of_verification_is_what_was_counted_before(kind, n_rows):
    """Calls and rows, counted as they come to the engine."""
    batches = []
    manifest = msgspec.structs.replace(MANIFEST, numerics=Numerics(kind, 1e-4))
    few = Golden(*(getattr(GOLDEN, one.name)[:n_rows] for one in fields(Golden)))
    verify(lambda x, *outputs: batches.append(len(x)) or outputs, golden=few, manifest=manifest)
    assert golden.verify_work(Work(per_row=0, per_call=1), manifest, n_rows) == len(batches)
    assert golden.verify_work(Work(per_row=1, per_call=0), manifest, n_rows) == sum(batches)


def test_a_model_may_have_as_many_golden_rows_as_can_be_verified():
    work = Work(per_row=10**7, per_call=10**5)
    most = golden.rows_max(work, MANIFEST)
    assert golden.verify_work(work, MANIFEST, most) <= VERIFY_WORK_MAX < golden.verify_work(work, MANIFEST, most + 1)
    assert 1 < most < ROWS_MAX
    assert golden.rows_max(Work(1, 1), MANIFEST) == ROWS_MAX
    assert golden.rows_max(Work(VERIFY_WORK_MAX, 1), MANIFEST) == 0


def test_outputs_of_another_shape_are_refused():
    with pytest.raises(BundleRefused, match=r"risk comes as float32 \[1, 2\], must be float32 \[1, 3\]"):
        verify(lambda x, state, risk, rul: (state, risk[:, :2], rul))


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"x": GOLDEN.x[:, :2]}, r"x is float32 \[12, 2\], must be float32 \[12, 3\]"),
        ({"dt": GOLDEN.dt[:5]}, r"dt is float32 \[5\], must be float32 \[12\]"),
        ({"risk": GOLDEN.risk * np.float32("nan")}, "risk holds NaN"),
        ({"state": GOLDEN.state + np.float32("inf")}, "state holds NaN or infinity"),
        ({name: getattr(GOLDEN, name)[:0] for name in ("x", "dt", "state", "state_out", "risk", "rul")}, "0 rows"),
    ],
)
def test_rows_that_cannot_be_are_refused(changed, words):
    with pytest.raises(ValueError, match=words):
        golden.unpack(replace(GOLDEN, **changed).pack(), MANIFEST)


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
