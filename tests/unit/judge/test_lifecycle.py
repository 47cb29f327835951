import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.judge.lifecycle import STATES, TRANSITIONS, TRIGGERS, alert_id, apply, next_state

TEXT = st.text(max_size=12)


def test_an_id_is_fixed_for_ever():
    """Published ids are stored by others: a change of this value breaks every consumer."""
    assert alert_id("press", "p1", "main", "risk", 0, 57 * 10**9) == "ba5d094f2d111fb9dce589e94dfff561"


WHOSE = st.tuples(TEXT, TEXT, TEXT | st.just("main"), TEXT, st.just(0), st.integers(0, 2**62))


@given(WHOSE, WHOSE)
def test_ids_differ_where_content_differs(one, other):
    """The length prefixes keep `ab` + `c` from being `a` + `bc`."""
    assert (alert_id(*one) == alert_id(*other)) is (one == other)


def test_a_new_clock_epoch_is_another_id():
    assert alert_id("press", "p1", "main", "risk", 0, 5) != alert_id("press", "p1", "main", "risk", 1, 5)


@pytest.mark.slow
@given(st.sampled_from(STATES), st.sampled_from(TRIGGERS))
def test_the_compiled_table_is_the_one_that_is_read(state, trigger):
    """And what no row allows is an error that says so, never a state that nobody meant."""
    before = np.array([STATES.index(state)] * 3, np.uint8)
    if (state, trigger) in TRANSITIONS:
        assert [STATES[after] for after in apply(before, trigger).tolist()] == [TRANSITIONS[state, trigger]] * 3
        assert next_state(state, trigger) == TRANSITIONS[state, trigger]
    else:
        with pytest.raises(ValueError, match=f"an alert that is {state} has no transition for '{trigger}'"):
            apply(before, trigger)


def test_every_state_can_be_left_and_reached():
    assert {state for state, _ in TRANSITIONS} == set(TRANSITIONS.values())
