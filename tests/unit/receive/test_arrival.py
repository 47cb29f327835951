"""The clock of arrival beside a wall clock that is set about."""

import time

import pytest
import structlog
from structlog.testing import LogCapture

from agent.receive.arrival import ArrivalClock

S = 10**9
NOW_NS = 1_800_000_000 * S


@pytest.fixture
def clocks(monkeypatch):
    """The wall and the time since the boot, in a test's hand."""
    now = {"wall": NOW_NS, "boot": 5 * S}
    monkeypatch.setattr(time, "time_ns", lambda: now["wall"])
    monkeypatch.setattr(time, "clock_gettime_ns", lambda which: {time.CLOCK_BOOTTIME: now["boot"]}[which])
    return now


def after(clocks, one, *, s, set_by_s=0):
    """What it tells `s` seconds later, the wall having been set meanwhile; since NOW_NS, in seconds."""
    clocks["boot"] += round(s * S)
    clocks["wall"] += round((s + set_by_s) * S)
    return (one.now_ns() - NOW_NS) / S


def clock(log=None, not_before_ns=0):
    return ArrivalClock(structlog.wrap_logger(None, processors=[log or LogCapture()]), not_before_ns)


def test_it_tells_the_walls_time_and_follows_it_forward(clocks):
    one = clock()
    assert after(clocks, one, s=0) == 0
    assert after(clocks, one, s=3) == 3
    assert after(clocks, one, s=1, set_by_s=80_000) == 80_004
    assert after(clocks, one, s=1_000_000) == 1_080_004, "the machine has slept"


def test_a_wall_that_is_set_back_does_not_stop_it(clocks):
    """It goes on second by second, and tells the wall's time again when that has caught up."""
    one = clock()
    one.now_ns()
    assert [after(clocks, one, s=1, set_by_s=by) for by in (0, -10, 0, 0)] == [1, 2, 3, 4]
    assert after(clocks, one, s=1, set_by_s=13) == 8


def test_it_begins_where_the_last_life_ended(clocks):
    """As on a gateway without a clock of its own, which boots in 1970 each time."""
    one = clock(not_before_ns=NOW_NS + 7 * S)
    assert after(clocks, one, s=2) == 9


def test_a_pause_between_the_two_clocks_puts_it_ahead_for_no_longer_than_itself(clocks, monkeypatch):
    """However often the process is held up between looking at one and at the other."""
    one = clock()

    def late(_):
        clocks["boot"] += S
        clocks["wall"] += S
        return clocks["boot"]

    monkeypatch.setattr(time, "clock_gettime_ns", late)
    for _ in range(100):
        assert one.now_ns() <= clocks["wall"]


def test_a_clock_that_was_set_back_is_said_once_each_time(clocks):
    log = LogCapture()
    one = clock(log)
    one.now_ns()
    for by in (-0.9, -10, 0, 30, -40, 0):
        after(clocks, one, s=1, set_by_s=by)
    assert [(line["event"], line["by_s"]) for line in log.entries] == [("clock_set_back", 10.9), ("clock_set_back", 40)]


YEAR_S = 400 * 86_400


def test_a_wall_that_leaps_and_comes_back_is_not_followed(clocks):
    log = LogCapture()
    one = clock(log)
    one.now_ns()
    assert [after(clocks, one, s=10, set_by_s=by) for by in (YEAR_S, 0, 0, -YEAR_S, 0)] == [10, 20, 30, 40, 50]
    assert [line["event"] for line in log.entries] == ["clock_leapt", "clock_came_back"]
    assert log.entries[0]["by_s"] == YEAR_S


def test_one_that_stays_there_is_followed_after_a_minute(clocks):
    """As on a gateway without a clock of its own, once NTP has set it."""
    log = LogCapture()
    one = clock(log)
    one.now_ns()
    told = [after(clocks, one, s=20, set_by_s=by) for by in (YEAR_S, 0, 0, 0, 0)]
    assert told == [20, 40, 60, YEAR_S + 80, YEAR_S + 100]
    assert [line["event"] for line in log.entries] == ["clock_leapt", "clock_leap_followed"]


def test_one_that_was_behind_is_followed_at_once(clocks):
    """As on a gateway that boots in 1970 behind its last snapshot, once NTP has set it: it was wrong before."""
    one = clock(not_before_ns=NOW_NS + 7 * S)
    assert after(clocks, one, s=1) == 8
    assert after(clocks, one, s=1, set_by_s=YEAR_S) == YEAR_S + 2


def test_each_leap_has_its_minute(clocks):
    one = clock()
    one.now_ns()
    for _ in range(9):
        after(clocks, one, s=10, set_by_s=YEAR_S)
        told = after(clocks, one, s=10, set_by_s=-YEAR_S)
    assert told == 180


def test_a_start_follows_the_wall_at_once(clocks):
    """The agent may have been away for so long."""
    assert after(clocks, clock(not_before_ns=NOW_NS - YEAR_S * S), s=1) == 1


def test_days_ahead_of_the_wall_are_said_with_what_to_do(clocks):
    log = LogCapture()
    clock(log, not_before_ns=NOW_NS + YEAR_S * S).now_ns()
    (line,) = log.entries
    assert (line["event"], line["by_s"]) == ("clock_set_back", YEAR_S)
    assert "400 days ahead of the wall" in line["next_step"]
