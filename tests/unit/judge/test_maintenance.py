"""A maintenance window is open by the wall clock of its zone: each day, each week, or once."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.judge.maintenance import DAYS, Window, check, open_until


def ns(text: str, zone: str = "UTC") -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()) * 10**9


def until(begin: str, end: str, at: str, zone: str = "") -> str:
    """Until when it is open at a time of the zone, "" where it is not."""
    found = open_until(Window("press", (), begin, end, zone))(ns(at, zone or "UTC"))
    return datetime.fromtimestamp(found // 10**9, UTC).astimezone(ZoneInfo(zone or "UTC")).isoformat() if found else ""


@pytest.mark.parametrize(
    ("begin", "end", "at", "expected"),
    [
        ("22:00", "06:00", "2026-11-27T21:59:59", ""),
        ("22:00", "06:00", "2026-11-27T22:00:00", "2026-11-28T06:00:00+00:00"),
        ("22:00", "06:00", "2026-11-28T05:59:59", "2026-11-28T06:00:00+00:00"),
        ("22:00", "06:00", "2026-11-28T06:00:00", ""),
        ("08:00", "09:30", "2026-11-28T09:29:00", "2026-11-28T09:30:00+00:00"),
        ("sat 22:00", "mon 06:00", "2026-11-28T22:00:00", "2026-11-30T06:00:00+00:00"),
        ("sat 22:00", "mon 06:00", "2026-11-30T06:00:00", ""),
        ("sat 22:00", "mon 06:00", "2026-11-28T21:59:00", ""),
        ("2026-12-01T08:00", "2026-12-03T16:00", "2026-12-02T00:00:00", "2026-12-03T16:00:00+00:00"),
        ("2026-12-01T08:00", "2026-12-03T16:00", "2026-12-03T16:00:00", ""),
    ],
)
def test_it_is_open_from_its_begin_to_just_before_its_end(begin, end, at, expected):
    assert until(begin, end, at) == expected


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        ("2026-03-29T01:30:00", "2026-03-29T04:00:00+02:00"),  # an hour is left out in this night
        ("2026-10-25T01:30:00", "2026-10-25T04:00:00+01:00"),  # and one comes twice in this
    ],
)
def test_its_times_are_those_of_the_clock_on_the_wall(at, expected):
    assert until("01:00", "04:00", at, "Europe/Berlin") == expected


def test_in_an_hour_that_comes_twice_it_says_the_end_that_is_to_come():
    says = open_until(Window("press", (), "01:00", "02:30", "Europe/Berlin"))
    first, second = ns("2026-10-25T00:10:00"), ns("2026-10-25T01:10:00")
    assert (says(first), says(second)) == (ns("2026-10-25T00:30:00"), ns("2026-10-25T01:30:00"))


@given(
    st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1)),
    st.sampled_from([("22:00", "06:00"), ("fri 18:00", "mon 05:00"), ("00:00", "23:59")]),
    st.sampled_from(["", "Europe/Berlin", "America/New_York", "Asia/Kathmandu"]),
)
def test_it_stays_open_until_the_time_that_it_says_and_no_longer(at, window, zone):
    says = open_until(Window("press", (), *window, zone))
    at_ns = round(at.replace(tzinfo=UTC).timestamp()) * 10**9
    end_ns = says(at_ns)
    if end_ns:
        assert says(end_ns - 10**9)
        day = datetime.fromtimestamp(end_ns // 10**9, UTC).astimezone(ZoneInfo(zone or "UTC"))
        assert (DAYS[day.weekday()], f"{day:%H:%M}")[-len(window[1].split()) :] == tuple(window[1].split())
        assert end_ns - at_ns <= round(timedelta(days=4).total_seconds()) * 10**9


@pytest.mark.parametrize(
    ("begin", "end", "says"),
    [
        ("22:00", "22:00", "ends when it begins"),
        ("2026-12-03T16:00", "2026-12-01T08:00", "before it begins"),
        ("22:00", "sun 06:00", "must be two of"),
        ("24:00", "06:00", "must be two of"),
        ("tomorrow", "06:00", "must be two of"),
        ("2026-12-01T08:00", "9999-12-31T23:59", "before the year 2200"),
        ("2026-12-01T08:00+01:00", "2026-12-01T09:00+01:00", "no offset"),
    ],
)
def test_what_is_no_window_is_refused_in_words(begin, end, says):
    with pytest.raises(ValueError, match=says):
        check(begin, end)
