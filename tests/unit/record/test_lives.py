"""Under which name a device is recorded, so that its times rise."""

import numpy as np

from agent.record.lives import Lives, unreadable
from agent.table.recording import readable_name


def named(lives: Lives, *rows: tuple[str, int]) -> list[str]:
    """Names in the recording, "" for a row that is left out."""
    names, is_kept = lives.names([device for device, _ in rows], np.array([t for _, t in rows], np.int64))
    found = iter(names)
    return [next(found) if kept else "" for kept in is_kept]


def test_a_counter_that_starts_again_is_another_life():
    lives = Lives({}, counts_cycles=True)
    assert named(lives, ("p1", 1), ("p2", 1), ("p1", 2), ("p1", 1), ("p2", 2), ("p1", 2)) == [
        "p1", "p2", "p1", "p1~2", "p2", "p1~2",
    ]  # fmt: skip
    assert named(lives, ("p1", 1)) == ["p1~3"]
    assert lives.name("p1") == "p1~3"
    assert (lives.name("p9"), len(lives)) == ("p9", 2)


def test_a_clock_that_is_put_back_while_it_runs_is_another_name_too():
    lives = Lives({}, counts_cycles=False)
    assert named(lives, ("p1", 100), ("p1", 60), ("p1", 70)) == ["p1", "p1~2", "p1~2"]


def test_after_a_restart_a_row_that_was_recorded_before_is_left_out():
    lives = Lives({"p1": 90, "p1~2": 50, "p2": 10}, counts_cycles=False)
    assert named(lives, ("p1", 40), ("p1", 50), ("p1", 51), ("p2", 11), ("p1", 51)) == ["", "", "p1~2", "p2", "p1~3"]


def test_after_a_restart_a_lower_counter_is_another_life():
    lives = Lives({"p1~10": 50, "p1~9": 70}, counts_cycles=True)
    assert named(lives, ("p1", 3), ("p1", 4)) == ["p1~11", "p1~11"]


def test_names_are_written_so_that_a_reader_takes_them_and_none_means_two_devices():
    devices = ["p1", "line1/p1", "a b", "p1~2", "p%2F1", "ü", "ü/1", "a+b"]
    names = [readable_name(device) for device in devices]
    assert names == ["p1", "line1%2Fp1", "a b", "p1%7E2", "p%252F1", "ü", "%C3%BC%2F1", "a%2Bb"]
    assert list(unreadable(devices)) == []
    long = "x" * 120 + "/////"
    assert list(unreadable([long, "p1"])) == [long]
    assert named(Lives({}, counts_cycles=False), ("line1/p1", 5), ("line1/p1", 4)) == ["line1%2Fp1", "line1%2Fp1~2"]
