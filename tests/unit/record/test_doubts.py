"""What a recording says of times that cannot be right, and of Sparkplug sources that brought nothing."""

import pytest
import structlog
from structlog.testing import capture_logs

from agent.core import Bounds, Core
from agent.core.entries import Messages
from agent.record.doubts import Doubts, unborn
from agent.sources import Source, plain_channels

NOW_S = 1_795_814_330


def source(unit: str, name: str = "press") -> Source:
    channels = plain_channels("temp")
    return Source(name=name, topics=(f"{name}/{{device}}",), time_field="t", time_unit=unit, channels=channels)


def heard(*times: int, unit: str) -> tuple[dict[str, str], list[dict[str, object]]]:
    """What is said of rows with these times."""
    sources = (source("s", "first"), source(unit))
    core = Core(sources, (), Bounds(), keeps_rows=True)
    with capture_logs() as lines:
        doubts = Doubts(sources, structlog.get_logger())
        for t in times:
            payload = f'{{"t": {t}, "temp": 1}}'.encode()
            doubts.hear(core.apply(Messages(["press/p1"], [payload], [NOW_S * 10**9])).rows)
    return doubts.of_source, lines


@pytest.mark.parametrize(
    ("t", "unit", "looks"),
    [
        (NOW_S, "ms", 'They look like seconds since 1970, which is the unit "s".'),
        (NOW_S * 1000, "us", 'They look like milliseconds since 1970, which is the unit "ms".'),
        (7, "s", 'They look like a counter, which is the unit "cycle".'),
    ],
)
def test_times_in_another_unit_are_said_once_with_what_they_look_like(t, unit, looks):
    doubts, lines = heard(t, t + 1, t + 2, unit=unit)
    assert doubts == {"press": f"times of 1970: is time.unit right? {looks}"}
    assert [(one["event"], one["log_level"], one["source"]) for one in lines] == [
        ("times_before_2000", "warning", "press")
    ]
    assert looks in lines[0]["next_step"]


@pytest.mark.parametrize(("t", "unit"), [(NOW_S, "s"), (NOW_S * 1000, "ms"), (7, "cycle")])
def test_times_of_today_and_counters_are_no_doubt(t, unit):
    assert heard(t, t + 1, unit=unit) == ({}, [])


def test_a_source_without_a_row_for_want_of_a_birth_is_told_of_ask():
    drops = {"press": {"no_birth": 3}, "first": {"malformed": 1}}
    of = (source("s", "first"), source("s"))
    none = {"press": 0, "first": 0}
    told = unborn(of, none, drops, asks=False)
    assert [*told] == ["press"]
    assert "--ask" in told["press"]
    assert unborn(of, none | {"press": 1}, drops, asks=False) == unborn(of, none, drops, asks=True) == {}
