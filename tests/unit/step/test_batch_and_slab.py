import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from agent.step.batch import rounds
from agent.step.slab import NO_SLOT, NO_SOURCE, Slab


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


class SlabAgainstDict(RuleBasedStateMachine):
    """The slab against a dict of device -> (source, mark); a slot's mark must stay its device's own."""

    def __init__(self):
        super().__init__()
        self.slab = Slab(state_size=2, max_devices=70)
        self.model: dict[str, tuple[int, float]] = {}
        self.marks = 0

    @rule(device=st.integers(0, 120).map(str), source=st.integers(0, 3))
    def claim(self, device, source):
        if self.slab.find(device) is not None:
            return
        slot = self.slab.claim(device, source)
        assert (slot is None) == (len(self.model) == 70)
        if slot is not None:
            assert not self.slab.columns.state[slot].any()
            self.marks += 1
            self.slab.columns.state[slot] = self.marks
            self.model[device] = (source, float(self.marks))

    @precondition(lambda self: self.model)
    @rule(data=st.data())
    def release(self, data):
        device = data.draw(st.sampled_from(sorted(self.model)))
        slot = self.slab.find(device)
        assert self.slab.release(slot) == device
        assert self.slab.columns.source[slot] == NO_SOURCE
        del self.model[device]

    @invariant()
    def every_device_has_its_own(self):
        assert len(self.slab) == len(self.model)
        for device, (source, mark) in self.model.items():
            slot = self.slab.find(device)
            assert self.slab.columns.source[slot] == source
            assert self.slab.columns.state[slot].tolist() == [mark, mark]
        asked = [*self.model, "unheard of"]
        assert self.slab.slots(asked).tolist() == [*(self.slab.find(device) for device in self.model), NO_SLOT]


TestSlabAgainstDict = SlabAgainstDict.TestCase
TestSlabAgainstDict.settings = settings(max_examples=40, stateful_step_count=100, deadline=None)


def test_a_free_slot_cannot_be_released():
    slab = Slab(2, 4)
    slab.release(slab.claim("p1", 0))
    with pytest.raises(LookupError, match="free already"):
        slab.release(0)
