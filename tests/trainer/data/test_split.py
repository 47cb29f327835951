"""How devices are dealt out when not all of them failed."""

from dataclasses import replace

import pytest

from agent.errors import DataRefused
from tests.trainer.fleet import fleet
from trainer.data.history import History
from trainer.data.split import Split, split


def mixed(n: int, *, failed: int) -> list[History]:
    """n devices of which the first `failed` failed."""
    return [one if index < failed else replace(one, t_fail=None) for index, one in enumerate(fleet(n))]


@pytest.mark.parametrize("seed", range(5))
def test_every_part_gets_its_share_of_the_failed_devices(seed: int) -> None:
    parts = split(mixed(40, failed=10), Split(seed=seed, fit=24, calibrate=8, play=8))
    assert [sum(one.failed for one in part) for part in (parts.fit, parts.calibrate, parts.play)] == [6, 2, 2]
    assert len({one.device for part in (parts.fit, parts.calibrate, parts.play) for one in part}) == 40


def test_another_seed_deals_other_devices() -> None:
    first, other = (split(mixed(40, failed=10), Split(seed=seed, fit=24, calibrate=8, play=8)) for seed in (0, 1))
    assert {one.device for one in first.play} != {one.device for one in other.play}


def test_a_part_without_a_failure_is_refused_with_the_number_that_would_do() -> None:
    fleet_of_40 = mixed(40, failed=4)
    with pytest.raises(DataRefused, match="no device of the 2 in part 'calibrate' failed; of all 40, 4 did") as no:
        split(fleet_of_40, Split(fit=27, calibrate=2, play=11))
    assert "raise split.calibrate to 11, or record more" in str(no.value)
    for fit in range(11, 19):
        split(fleet_of_40, Split(fit=fit, calibrate=11, play=29 - fit))


def test_one_device_alone_is_refused() -> None:
    with pytest.raises(DataRefused, match=r"split: 1 device, but split.fit \+ calibrate \+ play is 4\n  Lower"):
        split(fleet(1), Split(fit=1, calibrate=2, play=1))
