"""Times in the unit of the reader."""

import msgspec
import pytest

from agent.score.time_unit import unit_of
from tests.small_bundle import small_manifest


def unit(time_unit: str, h_max_s: float):
    manifest = small_manifest()
    thresholds = msgspec.structs.replace(manifest.judging["risk"].thresholds, h_max_s=h_max_s)
    return unit_of(msgspec.structs.replace(manifest, time_unit=time_unit, thresholds=thresholds))


@pytest.mark.parametrize(
    ("time_unit", "h_max_s", "text", "exposure"),
    [
        ("cycle", 60, "60 cycles", "1000 cycles"),
        ("s", 7 * 86_400, "7 days", "30 device-days"),
        ("s", 4 * 86_400, "96 hours", "30 device-days"),
        ("s", 90 * 60, "90 minutes", "device-day"),
        ("s", 90, "90 seconds", "device-hour"),
    ],
)
def test_the_horizon_decides(time_unit, h_max_s, text, exposure):
    found = unit(time_unit, h_max_s)
    assert (found.text(h_max_s), found.exposure) == (text, exposure)


def test_one_is_singular_and_rates_are_per_exposure():
    assert unit("cycle", 60).text(1) == "1 cycle"
    assert unit("cycle", 60).rate(0.001) == 1
    assert unit("s", 7 * 86_400).rate(1 / 86_400) == unit("s", 86_400).rate(1 / 86_400) == 30
    assert unit("s", 90 * 60).rate(1 / 86_400) == 1
    assert unit("s", 90).rate(1 / 3600) == 1


def test_long_spans_are_rounded_and_grouped():
    assert unit("s", 7 * 86_400).text(11_474.2 * 86_400) == "11,474 days"
    assert unit("cycle", 60).text(999.5) == "999.5 cycles"
