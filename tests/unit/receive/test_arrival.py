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
    """The wall and the monotonic clock, in a test's hand."""
    now = {"wall": NOW_NS, "monotonic": 5 * S}
    monkeypatch.setattr(time, "time_ns", lambda: now["wall"])
    monkeypatch.setattr(time, "monotonic_ns", lambda: now["monotonic"])
    return now


def after(clocks, one, *, s, set_by_s=0):
    """What it tells `s` seconds later, the wall having been set meanwhile; since NOW_NS, in seconds."""
    clocks["monotonic"] += round(s * S)
    clocks["wall"] += round((s + set_by_s) * S)
    return (one.now_ns() - NOW_NS) / S


def clock(log=None, not_before_ns=0):
    return ArrivalClock(structlog.wrap_logger(None, processors=[log or LogCapture()]), not_before_ns)


def test_it_tells_the_walls_time_and_follows_it_forward(clocks):
    one = clock()
    assert after(clocks, one, s=0) == 0
    assert after(clocks, one, s=3) == 3
    assert after(clocks, one, s=1, set_by_s=1_000_000) == 1_000_004


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

    def late():
        clocks["monotonic"] += S
        clocks["wall"] += S
        return clocks["monotonic"]

    monkeypatch.setattr(time, "monotonic_ns", late)
    for _ in range(100):
        assert one.now_ns() <= clocks["wall"]


def test_a_clock_that_was_set_back_is_said_once_each_time(clocks):
    log = LogCapture()
    one = clock(log)
    one.now_ns()
    for by in (-0.9, -10, 0, 30, -40, 0):
        after(clocks, one, s=1, set_by_s=by)
    assert [(line["event"], line["by_s"]) for line in log.entries] == [("clock_set_back", 10.9), ("clock_set_back", 40)]
