"""The simulated fleet as a data set: the same by seed, whole lives, nothing missing but what is meant to be."""

from collections import Counter

import numpy as np
import pytest

from agent.errors import DataRefused
from trainer.data.pumps.fleet import CHANNELS, COMPLETE_ROWS, NOISE, OFFSET, histories, measured
from trainer.data.pumps.life import HOUR_S, HOURS_MAX, PARTS, lives

pytestmark = pytest.mark.slow

NAMES = tuple(channel.name for channel in CHANNELS)


def test_a_fleet_is_the_same_to_the_bit_by_seed_and_a_pump_in_a_fleet_of_any_size() -> None:
    few, many, others = histories(5, 3, NAMES), histories(21, 3, NAMES), histories(5, 4, NAMES)
    for mine, same, other in zip(few, many, others, strict=False):
        assert (mine.device, mine.t_fail) == (same.device, same.t_fail)
        assert mine.x.tobytes() == same.x.tobytes()
        assert mine.t_s.tobytes() == same.t_s.tobytes()
        assert mine.t_fail != other.t_fail
    assert len({history.t_fail for history in many}) == 21


def test_every_pump_fails_within_the_hour_after_its_last_row() -> None:
    for history in histories(60, 0, NAMES):
        assert history.t_fail is not None
        assert 0 < history.t_fail - history.t_s[-1] <= HOUR_S
        assert len(history.t_s) <= HOURS_MAX
        steps = np.diff(history.t_s)
        assert (steps >= HOUR_S).all()
        assert (steps[-COMPLETE_ROWS + 1 :] == HOUR_S).all()
        assert (history.t_s % HOUR_S == 0).all()


def test_values_are_missing_and_rows_leave_gaps_rarely_but_not_never() -> None:
    fleet = histories(60, 0, NAMES)
    missing = np.concatenate([np.isnan(history.x) for history in fleet]).mean(axis=0)
    assert (missing > 0).all()
    assert (missing < 0.02).all()
    gaps = np.concatenate([np.diff(history.t_s) for history in fleet]) / HOUR_S - 1
    assert 0.001 < (gaps > 0).mean() < 0.01
    assert 5 < gaps.max() <= 24, "a longer silence would be lost history"


def test_sensors_show_the_pump_with_noise_and_a_lasting_error_of_their_own() -> None:
    fleet = lives(40, 0)
    errors = []
    for history, life in zip(histories(40, 0, NAMES), fleet, strict=True):
        hour = np.round((history.t_s - history.t_s[0]) / HOUR_S).astype(int)
        assert np.isfinite(measured(life)).all()
        errors.append(history.x - measured(life)[hour])
    lasting = np.array([np.nanmean(one, axis=0) for one in errors])
    noise = np.concatenate([one - np.nanmean(one, axis=0) for one in errors])
    assert np.nanstd(noise, axis=0) == pytest.approx(NOISE, rel=0.05)
    assert lasting.std(axis=0) == pytest.approx(OFFSET, rel=0.4)


def test_lives_end_by_every_part_and_their_length_says_little() -> None:
    fleet = lives(200, 5)
    assert set(Counter(life.plan.first for life in fleet)) == set(PARTS)
    lived = np.array([life.t_fail_h for life in fleet])
    assert 350 < lived.mean() < 450
    assert lived.std() > 100
    assert {life.plan.serviced for life in fleet} == {"none", "bearings", "seal"}


def test_channels_come_as_asked() -> None:
    (whole,), (two,) = histories(1, 0, NAMES), histories(1, 0, ("oil", "speed"))
    assert two.x.tobytes() == whole.x[:, [7, 0]].tobytes()
    with pytest.raises(DataRefused, match="no channel 'T24'"):
        histories(1, 0, ("T24",))
