"""Recorded rows: what is read, and what is refused with its place."""

import gzip
import lzma

import msgspec
import numpy as np
import pytest

from agent.errors import DataRefused
from agent.replay.recorded import Layout, asked_for, read_labelled, read_recorded
from agent.table.lives.logs import LabelKeys
from tests.small_bundle import small_manifest

HEADER = "device,t,temp,load,wear\n"


def recorded(tmp_path, text: str | bytes, name: str = "data.csv", layout: Layout | None = None):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_recorded([str(path)], small_manifest(), layout).devices


def test_reads_devices_by_name_and_channels_in_the_bundles_order(tmp_path):
    found = recorded(tmp_path, "device,t,wear,temp,load\np10,1,3,1,2\np2,1,6,4,5\np10,2.5,9,7,\n")
    assert [one.device for one in found] == ["p10", "p2"]
    assert found[0].t_s.tolist() == [1.0, 2.5]
    assert found[0].x.dtype == np.float32
    np.testing.assert_array_equal(found[0].x, np.float32([[1, 2, 3], [7, np.nan, 9]]))


@pytest.mark.parametrize("missing", ["", "nan", "NaN"])
def test_an_empty_cell_is_a_missing_value(tmp_path, missing):
    assert np.isnan(recorded(tmp_path, f"{HEADER}p1,1,{missing},2,3\n")[0].x[0]).tolist() == [True, False, False]


def test_a_channel_that_may_be_missing_needs_no_column(tmp_path):
    assert np.isnan(recorded(tmp_path, "device,t,temp,wear\np1,1,1,3\n")[0].x[0, 1])


def test_reads_compressed_files_and_a_byte_order_mark(tmp_path):
    text = f"\ufeff{HEADER}p1,1,1,2,3\r\n".encode()
    for name, data in (("d.csv", text), ("d.csv.xz", lzma.compress(text)), ("d.csv.gz", gzip.compress(text))):
        assert recorded(tmp_path, data, name)[0].x.tolist() == [[1, 2, 3]]


def test_float32_comes_back_to_the_bit(tmp_path):
    x = np.random.default_rng(0).normal(500, 300, (50, 3)).astype(np.float32)
    lines = [f"p1,{t + 1},{','.join(map(str, row))}\n" for t, row in enumerate(x)]
    assert recorded(tmp_path, HEADER + "".join(lines))[0].x.tobytes() == x.tobytes()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", r"data.csv: is empty"),
        (HEADER, r"data.csv: holds no rows"),
        ("device,t,temp,load,waer\np,1,1,2,3\n", r"no column 'wear' \(a channel of bundle small, nearest 'waer'\)"),
        ("device,t,temp,wear,wear\np,1,1,2,3\n", r"column 'wear' is there twice"),
        ("device,time,temp,wear\np,1,1,2\n", r"no column 't' \(--time\)"),
        (f"{HEADER}p,1,1,2\n", r"line 2 has 4 cells, the header has 5"),
        (f"{HEADER}p,1,1,2,3\np,2,1,x7,3\n", r"line 3: column 'load' is 'x7', not a number"),
        (f"{HEADER}p,,1,2,3\n", r"line 2: column 't' is empty, not a time"),
        (f"{HEADER}p,-1,1,2,3\n", r"line 2: column 't' is '-1', not a time"),
        (f"{HEADER}p,1e30,1,2,3\n", r"'1e30', not a time\n  Each row needs a number of cycles; --time-unit is 'cycle'"),
        (f"{HEADER}p,2,1,2,3\nq,1,1,2,3\np,1,1,2,3\n", r"line 4: device 'p' at '1' follows '2' in data.csv line 2"),
        (f"{HEADER}p,2,1,2,3\np,2,1,2,3\n", r"line 3: device 'p' at '2' follows '2' in data.csv line 2"),
        (f"{HEADER}p,1,1,2,1e39\n", r"line 2: column 'wear' is '1e39', not a finite number"),
        (f"{HEADER}p,1,inf,2,3\n", r"line 2: column 'temp' is 'inf', not a finite number"),
        (f"{HEADER}p,1,,,\n", r"line 2: device 'p' has no value of any channel"),
        (f"{HEADER},1,1,2,3\n", r"line 2: column 'device' is empty"),
        (f"{HEADER}a/b,1,1,2,3\n", r"line 2: device 'a/b' holds one of / \+ #"),
    ],
)
def test_refuses_with_file_line_and_column(tmp_path, text, told):
    with pytest.raises(DataRefused, match=told) as refused:
        recorded(tmp_path, text)
    assert str(refused.value).startswith(str(tmp_path / "data.csv"))


def test_other_columns_are_left_out_and_rows_without_a_value_are_told(tmp_path):
    """Case T5, and what an agent drops."""
    path = tmp_path / "data.csv"
    path.write_text("note,device,t,temp,load,wear\nx,p,1,1,2,3\n,p,2,,,\nx,p,3,4,5,6\n")
    found = read_recorded([str(path)], small_manifest())
    assert found.devices[0].x.tolist() == [[1, 2, 3], [4, 5, 6]]
    assert found.doubts == ("1 rows hold no value of any channel and are left out, as live",)


def test_a_recording_names_its_columns_unit_and_zone(tmp_path):
    manifest = msgspec.structs.replace(small_manifest(), time_unit="s")
    path = tmp_path / "data.csv"
    path.write_text("machine,Zeit,temp,load,wear\np,2026-07-15 12:00,1,2,3\n")
    layout = Layout("machine", "Zeit", zone="Europe/Berlin")
    assert read_recorded([str(path)], manifest, layout).devices[0].t_ns.tolist() == [1_784_109_600 * 10**9]
    path.write_text("machine,Zeit,temp,load,wear\np,1784109600000,1,2,3\n")
    layout = Layout("machine", "Zeit", "ms")
    assert read_recorded([str(path)], manifest, layout).devices[0].t_ns.tolist() == [1_784_109_600 * 10**9]


def test_a_channel_has_its_recorded_column_or_its_name(tmp_path):
    """A file of training, and one that `fit` or `forewarn record` wrote."""
    first, *rest = small_manifest().channels
    manifest = msgspec.structs.replace(
        small_manifest(), channels=(msgspec.structs.replace(first, column="T 1", missing=(-9999.0,)), *rest)
    )
    for name in ("T 1", "temp"):
        path = tmp_path / "data.csv"
        path.write_text(f"device,t,{name},load,wear\np,1,-9999,2,3\np,2,5,2,3\n")
        np.testing.assert_array_equal(read_recorded([str(path)], manifest).devices[0].x[:, 0], np.float32([np.nan, 5]))


def test_devices_are_bounded(tmp_path):
    with pytest.raises(DataRefused, match="line 10002: is of device number 10,001"):
        recorded(tmp_path, HEADER + "".join(f"p{i},1,1,2,3\n" for i in range(10_001)))


def truth(tmp_path, text: str, *devices: str):
    """When each of some devices with the cycles 1 to 90 failed, and what is told."""
    path = tmp_path / "truth.csv"
    path.write_text(text)
    data = tmp_path / "data.csv"
    lines = [f"{device},{cycle},1,2,3\n" for device in devices for cycle in range(1, 91)]
    data.write_text(HEADER + "".join(lines))
    labels = LabelKeys.model_validate({"failures": str(path)})
    found = read_labelled(asked_for(small_manifest(), [str(data)], Layout(), labels))
    return found.t_fail_s, found.doubts


def test_truth_names_when_a_device_failed_or_that_it_did_not(tmp_path):
    """Devices without a line did not fail, lines of others are left out; both are told."""
    found, doubts = truth(tmp_path, "device,t_fail,note\np2,,\np1,192,x\nother,7,\n", "p1", "p2", "p3")
    assert found == {"p1": 192.0, "p2": None, "p3": None}
    assert [doubt.partition(": ")[2] for doubt in doubts] == [
        "1 device(s) without rows are left out: other",
        "1 device(s) have no line and count as not failed: p3",
    ]


@pytest.mark.parametrize("written", ["line1/p7", "line1%2Fp7"])
def test_truth_may_name_a_recorded_device_as_the_machine_is_called_or_as_the_recording_does(tmp_path, written):
    found, doubts = truth(tmp_path, f"device,t_fail\n{written},192\n", "line1%2Fp7")
    assert found == {"line1%2Fp7": 192.0}
    assert not doubts


def test_a_machine_may_fail_several_times(tmp_path):
    """Its lives are cut at each failure, as a training cuts them, and that is told."""
    found, doubts = truth(tmp_path, "device,t_fail\np1,40\np1,70.5\np2,\n", "p1", "p2")
    assert found == {"p1": 40.0, "p1~2": 70.5, "p1~3": None, "p2": None}
    assert doubts == ("failures and repairs cut 1 machine(s) into 3 lives; each is played as a device of its own",)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("device,fails\n", r"line 1: no column 't_fail' \(nearest 'fails'\)"),
        ("device,t_fail\np1,soon\n", r"line 2: column 't_fail' is 'soon', not a number"),
        ("device,t_fail\np1,-7\n", r"line 2: column 't_fail' is '-7', not a time"),
        ("device,t_fail\np1\n", r"line 2 has 1 cells, the header has 2"),
        ("device,t_fail\np1,9e8\n", r"line 2: device 'p1' fails at '9e8', far from its last row \('1' to '90'\)"),
        ("device,t_fail\nP1 ,7\n", r"line 2: device 'P1 ' has no rows; nearest 'p1'"),
        ("device,t_fail\n,7\n", r"line 2: column 'device' is empty"),
    ],
)
def test_truth_is_refused_with_line_and_column(tmp_path, text, told):
    with pytest.raises(DataRefused, match=told):
        truth(tmp_path, text, "p1")
