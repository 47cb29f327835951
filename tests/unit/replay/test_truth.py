"""What became of the devices: what is read, and what is refused with its place."""

import pytest

from agent.errors import DataRefused
from agent.replay.truth import read_truth


def read(tmp_path, text: str, *devices: str):
    path = tmp_path / "truth.csv"
    path.write_text(text)
    return read_truth(path, devices)


def test_truth_names_when_a_device_failed_or_that_it_did_not(tmp_path):
    text = "device,t_fail\np2,\np1,192\nother,7\n"
    assert read(tmp_path, text, "p1", "p2") == {"p1": 192.0, "p2": None}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("device,fails\n", r"line 1 is 'device,fails', not 'device,t_fail'"),
        ("device,t_fail\np1,soon\n", r"line 2 column 't_fail' is 'soon', not a time"),
        ("device,t_fail\np1,nan\n", r"'nan', not a time"),
        ("device,t_fail\np1\n", r"line 2 has 1 cells, not 2"),
        ("device,t_fail\np1,7\np1,9\n", r"line 3 gives device 'p1' again"),
        ("device,t_fail\np2,7\n", r"says nothing of 1 recorded device\(s\): p1"),
    ],
)
def test_truth_is_refused_with_line_and_column(tmp_path, text, told):
    with pytest.raises(DataRefused, match=told):
        read(tmp_path, text, "p1")
