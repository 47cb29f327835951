"""Fault intervals from a file: what is one fault, what is left out, and what is refused with its place."""

from pathlib import Path

import msgspec
import numpy as np
import pytest

from agent.bundle.manifest import Manifest
from agent.errors import DataRefused
from agent.replay.recorded import Layout, asked_for, read_labelled
from agent.table.lives.logs import LabelKeys
from tests.recorded import worn, write_recorded
from tests.small_bundle import small_manifest

MANIFEST = small_manifest()


def read(folder: Path, *lines: str):
    """Those of p1, with the cycles 1 to 90, and of p2, with those to 60."""
    path = folder / "faults.csv"
    path.write_text("\n".join(["device,start,end", *lines]) + "\n")
    rows = write_recorded(folder / "rows.csv", [worn("p1", 90), worn("p2", 60)])
    return faults_of(rows, path, MANIFEST)


def faults_of(rows: Path, faults: Path, manifest: Manifest):
    labels = LabelKeys.model_validate({"faults": str(faults)})
    found = read_labelled(asked_for(manifest, [str(rows)], Layout(), labels))
    return found.faults, found.doubts


def test_intervals_rise_and_those_that_touch_are_two(tmp_path):
    faults, doubts = read(tmp_path, "p1,70,80", "p1,10,20", "p1,20,31")
    assert {name: of.tolist() for name, of in faults.items()} == {"p1": [[10, 20], [20, 31], [70, 80]]}
    assert doubts == ()


def test_intervals_that_overlap_are_refused_with_both_lines(tmp_path):
    """As `fit` does: two lines for one fault would be counted as one here and as none there."""
    with pytest.raises(DataRefused, match=r"line 4: the fault of device 'p1' overlaps with that of line 2\n  Make one"):
        read(tmp_path, "p1,10,20", "p2,12,18", "p1,15,30")


def test_a_fault_without_an_end_still_stood_at_the_last_row(tmp_path):
    faults, _ = read(tmp_path, "p2,50,")
    np.testing.assert_array_equal(faults["p2"], [[50, 61]], "one cadence after row 60")


def test_faults_outside_of_the_rows_and_of_other_devices_are_left_out_and_told(tmp_path):
    faults, (others, outside) = read(tmp_path, "p1,10,20", "p1,91,95", "p2,99,", "p9,1,2")
    assert list(faults) == ["p1"]
    assert "p9" in others
    assert "2 of 3 lines are left out; line 3: of device 'p1' is outside of its rows ('1' to '90')" in outside


def test_where_every_fault_is_outside_of_the_rows_they_are_refused(tmp_path):
    what = r"line 2: of device 'p1' is outside of its rows \('1' to '90'\), as is every line\n  Are the times"
    with pytest.raises(DataRefused, match=what):
        read(tmp_path, "p1,0.2,0.5", "p9,1,2")


def test_the_rows_of_a_clock_are_shown_as_they_are_written(tmp_path):
    path = tmp_path / "faults.csv"
    path.write_text("device,start,end\np1,1,2\n")
    rows = tmp_path / "rows.csv"
    days = "".join(f"p1,2023-11-{day},0,0,0\n" for day in range(14, 23))
    rows.write_text(f"device,t,temp,load,wear\n{days}")
    manifest = msgspec.structs.replace(MANIFEST, time_unit="s")
    with pytest.raises(DataRefused, match=r"its rows \('2023-11-14' to '2023-11-22'\), as is every"):
        faults_of(rows, path, manifest)


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("p1,20,10", "column 'end' is '10', which is not after '20', the start of the fault of device 'p1'"),
        ("p1,20,20", "column 'end' is '20', which is not after '20'"),
        ("p1,,10", "'start' is empty"),
    ],
)
def test_a_line_that_is_no_interval_is_refused_with_its_place(tmp_path, line, what):
    with pytest.raises(DataRefused, match=rf"faults.csv: line 3.*{what}"):
        read(tmp_path, "p1,1,2", line)
