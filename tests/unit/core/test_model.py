"""A bundle's model is loaded and verified before it may step a device; whatever stops it is a bundle refused."""

from contextlib import suppress
from dataclasses import replace

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.bundle import file, onnx_graph
from agent.bundle.file import Bundle
from agent.bundle.protobuf import Malformed
from agent.core.model import load_engine
from agent.errors import BundleRefused
from agent.step.engine import Engine, ModelFailed
from tests.bundles import write_small_bundle
from tests.small_bundle import small_manifest, small_model

MODEL, MANIFEST = small_model(), small_manifest()


@pytest.fixture(scope="module")
def bundle(tmp_path_factory) -> Bundle:
    return file.read(write_small_bundle(tmp_path_factory.mktemp("bundle") / "small.fwb"))


def with_split_sizes_of_rank_2() -> bytes:
    """Loads, and fails at the first row."""
    model = onnx.ModelProto.FromString(MODEL)
    next(one for one in model.graph.initializer if one.name == "parts").dims[:] = [1, 3]
    return model.SerializeToString()


def run_once(engine: Engine) -> None:
    engine.run(np.zeros((2, 3), np.float32), np.zeros(2, np.float32), np.zeros((2, 5), np.float32))


def test_a_good_bundle_gives_an_engine_that_steps(bundle):
    run_once(load_engine(bundle))


@pytest.mark.parametrize("model", [b"", b"\xff\xff", MODEL[:-1], MODEL[:200], with_split_sizes_of_rank_2()])
def test_what_onnx_runtime_refuses_at_loading_or_at_the_first_row_is_a_bundle_refused(bundle, capfd, model):
    with pytest.raises(BundleRefused, match=r"small\.fwb: model\.onnx is refused by ONNX Runtime: \S") as caught:
        load_engine(replace(bundle, model=model))
    assert "forewarn-train" in caught.value.next_step
    assert capfd.readouterr() == ("", ""), "what is raised is not printed as well"


def test_golden_rows_that_differ_are_a_bundle_refused(bundle):
    rows = bundle.golden
    off = replace(rows, outputs=rows.outputs | {"risk": rows.outputs["risk"] + np.float32(0.5)})
    wrong = replace(bundle, golden=off)
    with pytest.raises(BundleRefused, match=r"golden row 0 gives risk\[0\]"):
        load_engine(wrong)


@pytest.mark.slow
@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, len(MODEL) - 1), st.integers(1, 255)), min_size=1, max_size=2))
def test_a_model_that_passes_the_check_runs_or_is_refused_in_words(flips):
    """Bytes flipped anywhere; nothing but the two refusals comes out."""
    model = bytearray(MODEL)
    for place, bits in flips:
        model[place] ^= bits
    with suppress(Malformed, ModelFailed):
        onnx_graph.check(bytes(model), MANIFEST)
        run_once(Engine(bytes(model), MANIFEST))
