from hypothesis import given
from hypothesis import strategies as st

from agent.judge.lifecycle import TRANSITIONS, alert_id

TEXT = st.text(max_size=12)


def test_an_id_is_fixed_for_ever():
    """Published ids are stored by others: a change of this value breaks every consumer."""
    assert alert_id("press", "p1", "risk", 0, 57 * 10**9) == "ba5d094f2d111fb9dce589e94dfff561"


WHOSE = st.tuples(TEXT, TEXT, TEXT, st.just(0), st.integers(0, 2**62))


@given(WHOSE, WHOSE)
def test_ids_differ_where_content_differs(one, other):
    """The length prefixes keep `ab` + `c` from being `a` + `bc`."""
    assert (alert_id(*one) == alert_id(*other)) is (one == other)


def test_a_new_clock_epoch_is_another_id():
    assert alert_id("press", "p1", "risk", 0, 5) != alert_id("press", "p1", "risk", 1, 5)


def test_every_state_can_be_left_and_reached():
    assert {state for state, _ in TRANSITIONS} == set(TRANSITIONS.values())
