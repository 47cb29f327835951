"""Golden rows are stepped again before a bundle may run."""

from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import numpy as np
import pytest

from agent.bundle import verify as verification
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


def with_risk(risk: Float32) -> Golden:
    return replace(GOLDEN, outputs=GOLDEN.outputs | {"risk": risk})


def first_rows(n: int) -> Golden:
    arrays = {name: getattr(GOLDEN, name)[:n] for name in ("x", "dt", "state", "state_out")}
    return Golden(**arrays, outputs={name: array[:n] for name, array in GOLDEN.outputs.items()})


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

    def run(self, x: Float32, dt: Float32, state: Float32) -> tuple[Float32, dict[str, Float32]]:
        after, outputs = ENGINE.run(x, dt, state)
        after, risk, rul = self.change(x, after, outputs["risk"], outputs["rul"])  # type: ignore[operator]
        return after, {"risk": risk, "rul": rul}


def verify(change, **bundle: object) -> None:
    one = Checked(**bundle)  # type: ignore[arg-type]
    verification.verify(one.golden, one.manifest, Changed(change), one.path)


def test_the_engine_that_made_them_passes():
    verification.verify(GOLDEN, MANIFEST, ENGINE, Path("small.fwb"))


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
        verify(flip, golden=with_risk(GOLDEN.outputs["risk"] * np.float32(0)))


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
    few = first_rows(n_rows)
    verify(lambda x, *outputs: batches.append(len(x)) or outputs, golden=few, manifest=manifest)
    assert verification.verify_work(Work(per_row=0, per_call=1), manifest, n_rows) == len(batches)
    assert verification.verify_work(Work(per_row=1, per_call=0), manifest, n_rows) == sum(batches)


def test_a_model_may_have_as_many_golden_rows_as_can_be_verified():
    work = Work(per_row=10**7, per_call=10**5)
    most = verification.rows_max(work, MANIFEST)
    assert (
        verification.verify_work(work, MANIFEST, most)
        <= VERIFY_WORK_MAX
        < verification.verify_work(work, MANIFEST, most + 1)
    )
    assert 1 < most < ROWS_MAX
    assert verification.rows_max(Work(1, 1), MANIFEST) == ROWS_MAX
    assert verification.rows_max(Work(VERIFY_WORK_MAX, 1), MANIFEST) == 0


def test_outputs_of_another_shape_are_refused():
    with pytest.raises(BundleRefused, match=r"risk comes as float32 \[1, 2\], must be float32 \[1, 3\]"):
        verify(lambda x, state, risk, rul: (state, risk[:, :2], rul))
