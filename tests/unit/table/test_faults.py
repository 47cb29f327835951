"""Fault intervals from a file: what is one fault, what is left out, and what is refused with its place."""

from pathlib import Path

import numpy as np
import pytest

from agent.errors import DataRefused
from agent.replay.recorded import read_fault_intervals
from tests.recorded import worn
from tests.small_bundle import small_manifest

MANIFEST = small_manifest()


def read(folder: Path, *lines: str):
    path = folder / "faults.csv"
    path.write_text("\n".join(["device,start,end", *lines]) + "\n")
    return read_fault_intervals(path, [worn("p1", 90), worn("p2", 60)], MANIFEST)


def test_intervals_rise_and_those_that_overlap_or_touch_are_one_fault(tmp_path):
    faults, doubts = read(tmp_path, "p1,70,80", "p1,10,20", "p1,15,30", "p1,30,31")
    assert {name: of.tolist() for name, of in faults.items()} == {"p1": [[10, 31], [70, 80]]}
    assert doubts == ()


def test_a_fault_without_an_end_still_stood_at_the_last_row(tmp_path):
    faults, _ = read(tmp_path, "p2,50,")
    np.testing.assert_array_equal(faults["p2"], [[50, 61]], "one cadence after row 60")


def test_faults_after_the_recording_and_of_other_devices_are_left_out_and_told(tmp_path):
    faults, (others, later) = read(tmp_path, "p1,10,20", "p1,91,95", "p9,1,2")
    assert list(faults) == ["p1"]
    assert "p9" in others
    assert "1 fault(s) begin after their device's last row and are left out" in later


@pytest.mark.parametrize(
    ("line", "what"),
    [("p1,20,10", "end is not after start"), ("p1,20,20", "end is not after start"), ("p1,,10", "'start' is empty")],
)
def test_a_line_that_is_no_interval_is_refused_with_its_place(tmp_path, line, what):
    with pytest.raises(DataRefused, match=rf"faults.csv: line 3.*{what}"):
        read(tmp_path, "p1,1,2", line)
