"""Rows of stops are left out of recordings, and what is left knows of them."""

import numpy as np
import pytest

from agent.errors import DataRefused
from tests.trainer.fleet import NAMES
from trainer.data.history import ChannelInfo, History, digest_of
from trainer.data.runs import Runs, read_channels, without_stops

COUNT = [ChannelInfo("count")]
RUNS = Runs(channel="on", above=0.5, after=2.0)


def machine(*on: float) -> History:
    """A row a second, one channel that counts the rows, and `on`."""
    x = np.stack((np.arange(len(on)), np.array(on)), axis=1).astype(np.float32)
    return History("m", np.arange(1.0, len(on) + 1), x, None, faults=np.array([[3.0, 5.0]]))


ON = [0.0] * 3 + [1.0] * 12 + [0.0] * 4 + [1.0] * 12


def test_rows_of_stops_and_starts_are_left_out_and_kept_beside(capsys):
    (one,) = without_stops([machine(*ON)], COUNT, RUNS)
    assert one.x[:, 0].tolist() == [*range(5, 15), *range(21, 31)]
    assert (one.t_s - 1).tolist() == one.x[:, 0].tolist() == (one.t_ns / 1e9 - 1).tolist()
    assert one.stopped.t_s.tolist() == [1, 2, 3, 4, 5, *range(16, 22)]
    assert one.stopped.value.tolist() == [0, 0, 0, 1, 1, 0, 0, 0, 0, 1, 1]
    assert one.stops.tolist() == [[-np.inf, 5], [15, 21]], "a row speaks of the time since the row before it"
    assert one.faults.tolist() == [[3, 5]]
    assert capsys.readouterr().err == (
        "11 rows of stops and starts are left out (35.5%): a machine runs while on is above 0.5\n"
    )


def test_a_part_of_a_recording_knows_its_own_stops():
    (one,) = without_stops([machine(*ON)], COUNT, RUNS)
    early, late = one.between(0, 12), one.between(12, 99)
    assert (early.stopped.t_s.tolist(), late.stopped.t_s.tolist()) == ([1, 2, 3, 4, 5], [*range(16, 22)])
    assert digest_of([early]) != digest_of([early.between(6, 99)]), "the data of a bundle includes its stops"


def test_some_rows_know_what_it_stood_between_them():
    (one,) = without_stops([machine(*ON)], COUNT, RUNS)
    assert one.watched_s.tolist() == [*range(1, 32)]
    first, later, none = one.only(slice(4)), one.only(slice(4, None)), one.only(slice(20, None))
    assert (first.watched_s.tolist(), later.watched_s.tolist()) == ([*range(1, 10)], [*range(10, 32)])
    assert none.watched_s.tolist() == []


def test_a_channel_of_the_model_may_say_it():
    assert read_channels(["count", "on"], RUNS) == ("count", "on")
    (one,) = without_stops([machine(*ON)], [*COUNT, ChannelInfo("on")], RUNS)
    assert one.x.shape == (20, 2)
    assert set(one.x[:, 1]) == {1.0}


def test_a_row_that_says_no_more_than_that_a_machine_runs_is_no_row():
    one = machine(*ON)
    one.x[10, 0] = np.nan
    (kept,) = without_stops([one], COUNT, RUNS)
    assert 10.0 not in kept.x[:, 0]
    assert len(kept.t_s) == 19


def test_machines_that_hardly_run_are_left_out_and_a_bound_that_nothing_is_above_is_refused(capsys):
    kept = without_stops([machine(*ON), machine(*[0.0] * 30)], COUNT, RUNS)
    assert len(kept) == 1
    assert "1 device with fewer than 8 others, too" in capsys.readouterr().err
    with pytest.raises(DataRefused, match=r"no machine has 8 rows in which on is above 7; it is 0 to 1"):
        without_stops([machine(*ON)], COUNT, Runs(channel="on", above=7.0))


def test_the_names_that_are_read():
    assert read_channels(NAMES, None) == NAMES
    assert read_channels(NAMES, RUNS) == (*NAMES, "on")
