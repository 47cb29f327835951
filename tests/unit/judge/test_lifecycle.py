from hypothesis import given
from hypothesis import strategies as st

from agent.judge.lifecycle import TRANSITIONS, alert_id

TEXT = st.text(max_size=12)


def test_an_id_is_fixed_for_ever():
    """Published ids are stored by others: a change of this value breaks every consumer."""
    assert alert_id("p1", "risk", 0, 57 * 10**9) == "004c75c0c372bdbe5fa86ad89e2b029b"


@given(TEXT, TEXT, TEXT, TEXT, st.integers(0, 2**62), st.integers(0, 2**62))
def test_ids_differ_where_content_differs(device, other_device, head, other_head, t_ns, other_t_ns):
    """The length prefixes keep `ab` + `c` from being `a` + `bc`."""
    same = (device, head, t_ns) == (other_device, other_head, other_t_ns)
    assert (alert_id(device, head, 0, t_ns) == alert_id(other_device, other_head, 0, other_t_ns)) is same


def test_a_new_clock_epoch_is_another_id():
    assert alert_id("p1", "risk", 0, 5) != alert_id("p1", "risk", 1, 5)


def test_every_state_can_be_left_and_reached():
    assert {state for state, _ in TRANSITIONS} == set(TRANSITIONS.values())
