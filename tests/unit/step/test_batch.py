import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from agent.step.batch import rounds


@given(st.lists(st.integers(0, 6), max_size=80))
def test_a_round_holds_a_device_once_and_a_devices_rows_keep_their_order(slots):
    found = list(rounds(np.array(slots, np.int64)))
    order = [row for one in found for row in one.tolist()]
    assert sorted(order) == list(range(len(slots)))
    for one in found:
        taken = [slots[row] for row in one]
        assert taken
        assert len(set(taken)) == len(taken)
        assert one.tolist() == sorted(one)
    for slot in set(slots):
        mine = [row for row in order if slots[row] == slot]
        assert mine == sorted(mine)


@given(st.lists(st.integers(0, 6), min_size=1, max_size=80))
def test_there_are_as_many_rounds_as_the_busiest_device_has_rows(slots):
    assert len(list(rounds(np.array(slots, np.int64)))) == max(slots.count(slot) for slot in slots)
