"""The bundle file: reproducible, written whole or not at all, and refused in words whatever is wrong with it."""

from hashlib import sha256
from pathlib import Path

import msgspec
import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import helper, numpy_helper

from agent.bundle import file, golden, stored_zip
from agent.bundle.file import MANIFEST, MEMBER_BYTES_MAX
from agent.bundle.golden import Golden
from agent.bundle.manifest import Manifest, Member
from agent.errors import BundleRefused
from tests.bundles import small_members, write_small_bundle
from tests.small_anomaly import anomaly_manifest
from tests.small_bundle import small_manifest

SMALL = small_manifest()
MEMBERS = small_members()
GOLDEN = golden.unpack(MEMBERS["golden.npz"], SMALL)


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> bytes:
    return write_small_bundle(tmp_path_factory.mktemp("bundle") / "small.fwb").read_bytes()


def refused(tmp_path: Path, data: bytes, match: str | None = None) -> None:
    path = tmp_path / "broken.fwb"
    path.write_bytes(data)
    with pytest.raises(BundleRefused, match=match) as caught:
        file.read(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert caught.value.next_step


def packed(manifest: Manifest | dict[str, object], members: dict[str, bytes] = MEMBERS, *, vouch: bool = True) -> bytes:
    """A bundle file that `write` would not write; the manifest vouches for the members unless told not to."""
    as_dict = msgspec.to_builtins(manifest)
    if vouch:
        as_dict["members"] = {
            name: {"sha256": sha256(data).hexdigest(), "size_bytes": len(data)} for name, data in members.items()
        }
    return stored_zip.pack({MANIFEST: msgspec.json.encode(as_dict), **members})


def test_what_was_written_is_read(tmp_path):
    bundle = file.read(write_small_bundle(tmp_path / "small.fwb"))
    assert bundle.manifest == msgspec.structs.replace(SMALL, members=bundle.manifest.members)
    assert set(bundle.manifest.members) == set(MEMBERS)
    assert (bundle.model, bundle.model_fp32) == (MEMBERS["model.onnx"], MEMBERS["model.fp32.onnx"])
    assert (bundle.report, bundle.card) == (b"{}", "# small\n")
    written = stored_zip.unpack((tmp_path / "small.fwb").read_bytes(), members_max=6)
    assert bundle.digest == sha256(written[MANIFEST]).hexdigest()


def test_packing_again_gives_the_same_bytes_in_any_order_of_members(tmp_path, whole):
    file.write(tmp_path / "again.fwb", SMALL, dict(reversed(MEMBERS.items())))
    assert (tmp_path / "again.fwb").read_bytes() == whole


def test_a_refused_write_leaves_the_old_file_and_nothing_else(tmp_path, whole):
    path = write_small_bundle(tmp_path / "small.fwb")
    with pytest.raises(BundleRefused, match="warmup_rows"):
        file.write(path, msgspec.structs.replace(SMALL, warmup_rows=-1), MEMBERS)
    assert [each.name for each in tmp_path.iterdir()] == ["small.fwb"]
    assert path.read_bytes() == whole


def test_write_to_nowhere_is_refused(tmp_path):
    with pytest.raises(BundleRefused, match="no such file or directory"):
        file.write(tmp_path / "absent" / "small.fwb", SMALL, MEMBERS)


def test_missing_and_wrong_paths_are_refused(tmp_path):
    for path in (tmp_path / "absent.fwb", tmp_path, Path("/dev/zero"), tmp_path / ("n" * 300)):
        with pytest.raises(BundleRefused):
            file.read(path)


@pytest.mark.slow
def test_every_truncation_is_refused(tmp_path, whole):
    for size in range(0, len(whole), 7):
        refused(tmp_path, whole[:size], "is not a whole bundle")


@pytest.mark.slow
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(0, 7000), st.integers(1, 255)), min_size=1, max_size=3))
def test_flipped_bits_are_refused(tmp_path, whole, flips):
    data = bytearray(whole)
    for place, bits in flips:
        data[place] ^= bits
    if data != whole:
        refused(tmp_path, bytes(data))


CONTENT = st.binary(max_size=200) | st.sampled_from([*MEMBERS.values(), b"{}", b"[" * 10_000, b"\xff" * 9])


@pytest.mark.slow
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(st.sampled_from([*MEMBER_BYTES_MAX]), CONTENT, min_size=1))
def test_any_members_are_refused_in_words(tmp_path, members):
    """Whole zips with anything inside; the manifest, where there is one, is never the right one."""
    refused(tmp_path, stored_zip.pack(members))


BROKEN = st.binary(max_size=200).filter(lambda content: content != b"{}")  # a report, and drawn as one of our constants


@pytest.mark.slow
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from([name for name in MEMBERS if name != "MODEL_CARD.md"]), BROKEN)
def test_members_that_a_hostile_manifest_vouches_for_are_looked_into(tmp_path, name, content):
    """Digests that agree prove nothing: whoever can write the members can write the manifest."""
    refused(tmp_path, packed(SMALL, {**MEMBERS, name: content}), f"{name} .*is refused: ")


def test_a_changed_member_is_named(tmp_path):
    members = dict(MEMBERS)
    data = packed(SMALL, members).replace(b"# small\n", b"# smell\n")
    repaired = stored_zip.pack({**stored_zip_members(data)})
    refused(tmp_path, repaired, "MODEL_CARD.md is not the one that the manifest vouches for")


def stored_zip_members(data: bytes) -> dict[str, bytes]:
    """The members of a stored zip whose checksums no longer agree."""
    members, at = {}, 0
    while data[at : at + 4] == b"PK\x03\x04":
        size, name_size = int.from_bytes(data[at + 18 : at + 22], "little"), data[at + 26]
        start = at + 30 + name_size
        members[data[at + 30 : start].decode()] = data[start : start + size]
        at = start + size
    return members


@pytest.mark.parametrize("name", MEMBERS)
def test_a_member_that_is_missing_is_named(tmp_path, name):
    left = {other: data for other, data in MEMBERS.items() if other != name}
    refused(tmp_path, packed(SMALL, left), f"has no {name}")


def test_a_member_that_nobody_knows_is_refused(tmp_path):
    left = {name: data for name, data in MEMBERS.items() if name != "report.json"}
    refused(tmp_path, packed(SMALL, {**left, "evil.pkl": b""}), "holds evil.pkl, which")
    with pytest.raises(BundleRefused, match=r"holds evil\.pkl"):
        file.write(tmp_path / "x.fwb", SMALL, {**MEMBERS, "evil.pkl": b""})


@pytest.mark.slow
def test_a_member_over_its_bound_is_refused(tmp_path):
    refused(
        tmp_path, packed(SMALL, {**MEMBERS, "MODEL_CARD.md": b" " * (2**20 + 1)}), "MODEL_CARD.md is larger than 1 MiB"
    )
    refused(tmp_path, packed(SMALL)[:-1] + b"\0" * 2**26, "larger than 64 MiB")


def test_a_manifest_that_vouches_for_too_little_is_refused(tmp_path):
    partial = msgspec.structs.replace(SMALL, members={"model.onnx": Member("0" * 64, 1)})
    refused(tmp_path, packed(partial, vouch=False), r"its manifest vouches for \['model.onnx'\], not")


def test_a_manifest_with_another_size_is_refused(tmp_path):
    manifest = msgspec.to_builtins(file.read(write_small_bundle(tmp_path / "small.fwb")).manifest)
    manifest["members"]["report.json"]["size_bytes"] += 1
    refused(tmp_path, packed(manifest, vouch=False), "report.json is not the one that the manifest vouches for")


def test_a_manifest_is_bounded_before_it_is_read(tmp_path):
    refused(
        tmp_path, stored_zip.pack({MANIFEST: b"x" * (2**20 + 1), **MEMBERS}), "its manifest.json is larger than 1 MiB"
    )
    refused(tmp_path, stored_zip.pack({MANIFEST: b'{"a":' + b"[" * 2**19, **MEMBERS}), "manifest.json is refused")


def test_the_order_of_metrics_makes_no_other_file(tmp_path, whole):
    for name, metrics in (("a", {"x": 1.0, "y": 2.0}), ("b", {"y": 2.0, "x": 1.0})):
        file.write(tmp_path / name, msgspec.structs.replace(SMALL, metrics=metrics), MEMBERS)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_newer_schema_is_refused_by_its_number(tmp_path):
    newer = msgspec.to_builtins(SMALL) | {"schema_version": 2, "unheard_of": True}
    refused(tmp_path, packed(newer), "manifest schema 2, this forewarn reads up to 1\n  Install a newer forewarn")


def test_a_state_that_says_nothing_of_new_devices_starts_them_with_zeros(tmp_path):
    """As in bundles that were made before there was such a value."""
    manifest = msgspec.to_builtins(SMALL)
    manifest["state"] = [{"name": one["name"], "size": one["size"]} for one in manifest["state"]]
    (tmp_path / "older.fwb").write_bytes(packed(manifest))
    assert file.read(tmp_path / "older.fwb").manifest.new_state == (0.0,) * 5
    assert SMALL.new_state == (0.0, 0.0, 0.0, 0.0, 1.0)


def test_a_table_without_failures_and_time_in_alarm_is_read_as_not_measured(tmp_path):
    """As in bundles that were made before they were counted."""
    manifest = msgspec.to_builtins(SMALL)
    del manifest["thresholds"]["failures"], manifest["unfailed_s"]
    for row in manifest["thresholds"]["rows"]:
        del row["false_alarm_s"]
    (tmp_path / "older.fwb").write_bytes(packed(manifest))
    older = file.read(tmp_path / "older.fwb").manifest
    assert (older.judging["risk"].thresholds.failures, older.unfailed_s) == (None, ())
    assert {row.false_alarm_s for row in older.judging["risk"].thresholds.rows} == {None}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"surprise": 1}, "unknown field `surprise`"),
        ({"warmup_rows": "3"}, r"Expected `int`, got `str` - at `\$.warmup_rows`"),
        ({"trained_for": "luck"}, "trained_for"),
        ({"judge": None}, "judge"),
        ({"warmup_rows": -1}, "makes no sense: warmup_rows is -1"),
    ],
)
def test_a_manifest_with_other_fields_is_refused(tmp_path, change, words):
    refused(tmp_path, packed(msgspec.to_builtins(SMALL) | change), words)


def many(array):
    return np.zeros((1200, *array.shape[1:]), np.float32)


def test_verification_that_would_take_too_long_is_refused_before_anything_runs(tmp_path):
    """One weight of 4 MB is multiplied with again and again: a small file, and 10^12 multiply-adds by 1,200 rows."""
    model = onnx.ModelProto.FromString(MEMBERS["model.onnx"])
    for name, shape in (("wide", (3, 1024)), ("square", (1024, 1024))):
        model.graph.initializer.append(numpy_helper.from_array(np.ones(shape, np.float32), name))
    model.graph.node.append(helper.make_node("MatMul", ["x1", "wide"], ["p0"]))
    for index in range(100):
        model.graph.node.append(helper.make_node("MatMul", [f"p{index}", "square"], [f"p{index + 1}"]))
    arrays = {name: many(getattr(GOLDEN, name)) for name in ("x", "dt", "state", "state_out")}
    rows = Golden(**arrays, outputs={name: many(array) for name, array in GOLDEN.outputs.items()})
    members = {**MEMBERS, "model.onnx": model.SerializeToString(), "golden.npz": rows.pack()}
    refused(
        tmp_path,
        packed(SMALL, members),
        r"its 1200 golden rows again would take 1.39e\+12 multiply-adds, at most 2e\+10",
    )


@pytest.mark.parametrize("report", [b"[]", b"3", b"", b'{"a":', b"{} {}", b"[" * 100_000])
def test_a_report_that_is_no_object_is_refused(tmp_path, report):
    refused(tmp_path, packed(SMALL, {**MEMBERS, "report.json": report}), "report.json or MODEL_CARD.md is refused")


def test_a_model_that_the_manifest_does_not_fit_is_refused(tmp_path):
    fewer = msgspec.structs.replace(SMALL, channels=SMALL.channels[:2])
    refused(tmp_path, packed(fewer), r"model.onnx is refused: input 'x' is \[b, 3\], the manifest promises \[b, 2\]")


WRONG_CHARTS = [
    ({"residual": "surprise"}, r"manifest.json is refused: Invalid enum value 'surprise' - at `\$.anomaly.charts\["),
    ({"mix": "sum"}, r"manifest.json is refused: Invalid enum value 'sum' - at `\$.anomaly.charts\["),
    ({"residual": "forecast"}, r"makes no sense: anomaly.charts\[0\].ahead is 0, must be 1 to 1024 for 'forecast'"),
    ({"residual": "event", "ahead": 3}, r"makes no sense: anomaly.charts has one of events, but no channel counts"),
    ({"rate": 0.0}, r"makes no sense: anomaly.charts\[0\].rate is 0.0, must be above 0 and at most 1"),
    ({"rate": 1.5}, r"makes no sense: anomaly.charts\[0\].rate is 1.5"),
    ({"rate": None}, r"manifest.json is refused: Expected `float`, got `null` - at `\$.anomaly.charts\[0\].rate`"),
]


@pytest.mark.parametrize(("change", "words"), WRONG_CHARTS, ids=[words for _, words in WRONG_CHARTS])
def test_a_chart_that_no_graph_can_have_is_refused(tmp_path, change, words):
    whole = anomaly_manifest()
    manifest = msgspec.to_builtins(whole)
    manifest["anomaly"]["charts"] = [manifest["anomaly"]["charts"][0] | change]
    refused(tmp_path, packed(manifest, small_members(whole)), words)


@pytest.mark.parametrize("more", [-1, 1])
def test_a_kept_block_of_another_size_than_the_graph_has_is_refused(tmp_path, more):
    whole = anomaly_manifest()
    members = small_members(whole)
    sizes = [block.size + more * (block.name == "own_mean") for block in whole.state]
    state = tuple(msgspec.structs.replace(block, size=size) for block, size in zip(whole.state, sizes, strict=True))
    words = rf"model.onnx is refused: input 'state' is \[b, 8\], the manifest promises \[b, {8 + more}\]"
    refused(tmp_path, packed(msgspec.structs.replace(whole, state=state), members), words)
