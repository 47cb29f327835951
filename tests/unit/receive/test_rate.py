"""At most so many messages of a source in a second, and those who send little lose none."""

import math
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.receive.rate import Rate, level

HOG, FLEET = ("press", "hog"), [("press", f"p{number}") for number in range(20)]


def taken(rate: Rate, devices, now_s: float) -> Counter:
    """Of each device, how many of the messages of a read are taken."""
    came = Counter(devices)
    return came if rate.take(came, now_s) else Counter(device for device in devices if rate.take_one(device))


def test_no_more_than_the_rate_is_taken_in_any_second():
    rate = Rate(100)
    for second in range(3):
        n_taken = [taken(rate, [HOG] * 60, second + tenth / 10).total() for tenth in range(9)]
        assert n_taken == [60, 40, 0, 0, 0, 0, 0, 0, 0]


def test_below_the_rate_nothing_is_left_out_however_it_comes():
    rate = Rate(100)
    for second in range(3):
        for tenth in range(9):
            assert rate.take(Counter([HOG] * 10 + FLEET[:1]), second + tenth / 10)


def test_from_its_second_second_on_a_hog_costs_the_others_nothing():
    """It sends a hundred in each tenth of a second, and each of the fleet one a second, each in a read of its own."""
    rate = Rate(100)
    n_taken: list[Counter] = []
    for second in range(4):
        n_taken.append(Counter())
        for tenth in range(10):
            for devices in ([HOG] * 100, *([device] for device in FLEET[tenth * 2 : tenth * 2 + 2])):
                n_taken[-1] += taken(rate, devices, second + tenth / 10)
    assert [one.total() for one in n_taken] == [100] * 4
    for one in n_taken[1:]:
        assert one == Counter({HOG: 80, **dict.fromkeys(FLEET, 1)})


def test_a_device_that_has_calmed_down_is_held_back_no_longer():
    rate = Rate(10)
    for now_s in (0.0, 1.0):
        taken(rate, [HOG] * 100 + FLEET[:1], now_s)
    assert taken(rate, [HOG] * 10, 2.0) == {HOG: 9}, "by what the second before brought"
    assert taken(rate, [HOG] * 10, 3.0) == {HOG: 10}
    taken(rate, [HOG] * 100, 4.0)
    assert taken(rate, [HOG] * 10, 99.0) == {HOG: 10}, "nothing came for long"


@pytest.mark.parametrize(
    ("demands", "in_all", "each"),
    [([], 10, math.inf), ([5, 5], 10, math.inf), ([6, 5], 10, 5), ([1, 1, 100], 10, 8), ([9] * 100, 10, 1)],
)
def test_the_level_gives_each_the_same_beyond_those_who_want_less(demands, in_all, each):
    assert level(demands, in_all) == each


@pytest.mark.slow
@given(st.lists(st.integers(1, 1000), min_size=1), st.integers(1, 2000))
def test_the_level_gives_out_all_there_is_and_no_more(demands, in_all):
    each = level(demands, in_all)
    given_out = sum(min(demand, each) for demand in demands)
    if each == math.inf:
        assert given_out <= in_all
    elif each > 1:
        assert given_out == pytest.approx(in_all)
