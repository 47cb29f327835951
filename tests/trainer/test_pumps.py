"""The simulated fleet as a data set: the same by seed, whole lives, nothing missing but what is meant to be."""

import numpy as np
import pytest

from agent.errors import DataRefused
from trainer.data.pump_life import HOURS_MAX
from trainer.data.pumps import CHANNELS, histories

NAMES = tuple(channel.name for channel in CHANNELS)


def test_a_fleet_is_the_same_to_the_bit_by_seed_and_a_pump_in_a_fleet_of_any_size() -> None:
    few, many, others = histories(5, 3, NAMES), histories(21, 3, NAMES), histories(5, 4, NAMES)
    for mine, same, other in zip(few, many, others, strict=False):
        assert (mine.device, mine.t_fail) == (same.device, same.t_fail)
        assert mine.x.tobytes() == same.x.tobytes()
        assert mine.t_s.tobytes() == same.t_s.tobytes()
        assert mine.t_fail != other.t_fail
    assert len({history.t_fail for history in many}) == 21


def test_every_pump_fails_within_its_rows_and_says_so_in_whole_hours() -> None:
    for history in histories(60, 0, NAMES):
        assert history.t_fail is not None
        assert 0 <= history.t_fail - history.t_s[-1] <= 3600
        assert len(history.t_s) <= HOURS_MAX
        assert (np.diff(history.t_s) >= 3600).all()
        assert (history.t_s % 3600 == 0).all()


def test_channels_come_as_asked() -> None:
    (whole,), (two,) = histories(1, 0, NAMES), histories(1, 0, ("oil", "speed"))
    assert two.x.tobytes() == whole.x[:, [7, 0]].tobytes()
    with pytest.raises(DataRefused, match="no channel 'T24'"):
        histories(1, 0, ("T24",))
