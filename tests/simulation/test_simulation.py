"""Law 3 over simulated histories: `make simulate` plays as many as one likes, this a few of each mode."""

import pytest

from tests.simulation.__main__ import regressions
from tests.simulation.one_seed import digest, play
from tests.simulation.plan import MODES, Mode, draw

SEEDS, A_TEST = 100, 25


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("first", range(0, SEEDS, A_TEST))
def test_whatever_happens_the_alerts_are_those_of_an_undisturbed_life(first: int, mode: Mode) -> None:
    """Crashes between any two steps, lost and torn writes, brokers that forget, cut connections, clocks that step."""
    for seed in range(first, first + A_TEST):
        wrong, _ = play(draw(seed, mode))
        assert not wrong, f"seed {seed}: `python -m tests.simulation --first {seed} --seeds 1 --show`"


@pytest.mark.slow
def test_what_once_failed_does_not_fail_again() -> None:
    for plan in regressions():
        wrong, _ = play(plan)
        assert not wrong, f"the history of seed {plan.seed} in {plan.mode} mode"


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES)
def test_a_seed_is_one_history(mode: Mode) -> None:
    """Played twice, it is the same to the last step: what a seed shows can be looked at again."""
    plan = draw(3, mode)
    assert digest(play(plan)[1]) == digest(play(plan)[1])
