"""Which field is the time: units by how near the clock they are, local times by quarter hours."""

import pytest

from agent.sample.moments import moment_of
from tests.unit.sample.sampled import NOW_S

ARRIVED = [(NOW_S + at) * 10**9 for at in range(3)]


def moment(*values, name="ts"):
    return moment_of([{name: value, "temp": 21.5} for value in values], ARRIVED)


@pytest.mark.parametrize(("unit", "scale"), [("s", 1), ("ms", 1000), ("us", 10**6), ("ns", 10**9)])
def test_units_by_the_clock(unit, scale):
    found = moment(*[(NOW_S + at) * scale for at in range(3)])
    assert (found.field, found.unit, found.zone) == ("ts", unit, "")


@pytest.mark.parametrize(
    ("texts", "zone"),
    [
        ("2026-11-27T23:18:5{}", "Etc/GMT-2"),
        ("2026-11-27 14:18:5{}", "Etc/GMT+7"),
        ("2026-11-27T21:18:5{}", ""),
        ("2026-11-27T22:18:5{}+01:00", ""),
    ],
)
def test_local_times_are_named_by_their_offset(texts, zone):
    found = moment(*[texts.format(at) for at in range(3)], name="Time")
    assert (found.field, found.unit, found.zone) == ("Time", "iso8601", zone)


@pytest.mark.parametrize(
    "values",
    [(1, 2, 3), (NOW_S, NOW_S, NOW_S), (NOW_S + 7200, NOW_S + 7201, NOW_S + 7202), ("soon", "now", "later"),
     ("2020-01-01T00:00:00Z", "2020-01-01T00:00:01Z", "2020-01-01T00:00:02Z")],
)  # fmt: skip
def test_what_is_no_time_of_now_is_left_for_that_of_arrival(values):
    """A counter, a time that stands still, one of the future, texts, and long ago."""
    assert moment(*values).unit == "arrival"


def test_a_field_of_any_name_is_a_time_near_the_clock_alone():
    assert moment(*[NOW_S + at for at in range(3)], name="x").field == "x"
    assert moment(*[NOW_S - 1000 + at for at in range(3)], name="x").field == ""
    assert moment(*[NOW_S - 1000 + at for at in range(3)], name="ts").field == "ts"


def test_a_time_of_long_ago_is_asked_about_and_not_taken():
    found = moment(*[NOW_S - 300 * 86_400 + at for at in range(3)])
    assert found.field == ""
    assert found.why.endswith(
        'the time of arrival. Is it ts, 300 days behind the clock? Then time = { field = "ts", unit = "s" }'
    )
