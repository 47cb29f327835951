"""Recorded rows: what is read, and what is refused with its place."""

import gzip
import lzma

import numpy as np
import pytest

from agent.errors import DataRefused
from agent.replay import csv_lines
from agent.replay.recorded import read_recorded
from tests.small_bundle import small_manifest

HEADER = "device,t,temp,load,wear\n"


def recorded(tmp_path, text: str | bytes, name: str = "data.csv"):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_recorded(path, small_manifest())


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
        ("", r"line 1 begins with '', not 'device,t'"),
        (HEADER, r"holds no rows"),
        ("device,t,temp,load,waer\np,1,1,2,3\n", r"column 'waer' is no channel of bundle small \(nearest: 'wear'\)"),
        ("device,t,temp,load,waer\np,1,1,2,3\n", r"channel 'wear' is missing \(nearest: 'waer'\)"),
        ("device,t,temp,wear,wear\np,1,1,2,3\n", r"column 'wear' is there twice"),
        (f"{HEADER}p,1,1,2\n", r"line 2 has 4 cells, the header has 5"),
        (f"{HEADER}p,1,1,2,3\np,2,1,x7,3\n", r"line 3 column 'load' is 'x7', not a number"),
        (f"{HEADER}p,,1,2,3\n", r"line 2 column 't' is '', not a number"),
        (f"{HEADER}p,nan,1,2,3\n", r"line 2 column 't': device 'p' at the impossible time nan"),
        (f"{HEADER}p,-1,1,2,3\n", r"line 2 column 't': device 'p' at the impossible time -1"),
        (f"{HEADER}p,1e30,1,2,3\n", r"impossible time 1e\+30"),
        (f"{HEADER}p,2,1,2,3\nq,1,1,2,3\np,1,1,2,3\n", r"line 4 column 't': device 'p' goes from 2 to 1"),
        (f"{HEADER}p,2,1,2,3\np,2,1,2,3\n", r"line 3 column 't': device 'p' goes from 2 to 2"),
        (f"{HEADER}p,1,1,2,1e39\n", r"line 2 column 'wear': device 'p' has a value beyond float32"),
        (f"{HEADER}p,1,inf,2,3\n", r"line 2 column 'temp': device 'p' has a value beyond float32"),
        (f"{HEADER}p,1,,,\n", r"line 2 has no value of device 'p' at all"),
        (f"{HEADER},1,1,2,3\n", r"line 2 column 'device': '' is empty"),
        (f"{HEADER}a/b,1,1,2,3\n", r"line 2 column 'device': 'a/b' holds one of / \+ #"),
        (HEADER.encode() + b"\xff,1,1,2,3\n", r"cannot be read: 'utf-8' codec"),
        (f'{HEADER}"p,1,1,2,3\n', r"cannot be read: unexpected end of data"),
        (f"{HEADER}{'p' * 200_000},1,1,2,3\n", r"line 2 is longer than 100000 characters"),
    ],
)
def test_refuses_with_file_line_and_column(tmp_path, text, told):
    with pytest.raises(DataRefused, match=told) as refused:
        recorded(tmp_path, text)
    assert str(refused.value).startswith(str(tmp_path / "data.csv"))


def test_refuses_a_torn_archive_and_a_file_that_is_not_there(tmp_path):
    torn = lzma.compress((HEADER + "p,1,1,2,3\n").encode())[:-20]
    with pytest.raises(DataRefused, match="cannot be read"):
        recorded(tmp_path, torn, "d.csv.xz")
    with pytest.raises(DataRefused, match="cannot be read"):
        recorded(tmp_path, b"no gzip", "d.csv.gz")
    with pytest.raises(DataRefused, match="No such file"):
        read_recorded(tmp_path / "none.csv", small_manifest())


def test_lines_and_devices_are_bounded(tmp_path, monkeypatch):
    with pytest.raises(DataRefused, match="line 10002 is of device number 10001"):
        recorded(tmp_path, HEADER + "".join(f"p{i},1,1,2,3\n" for i in range(10_001)))
    monkeypatch.setattr(csv_lines, "LINES_MAX", 3)
    assert len(recorded(tmp_path, HEADER + "p,1,1,2,3\np,2,1,2,3\n")[0].t_s) == 2
    with pytest.raises(DataRefused, match="line 4 is one too many"):
        recorded(tmp_path, HEADER + "p,1,1,2,3\n\np,2,1,2,3\n")
