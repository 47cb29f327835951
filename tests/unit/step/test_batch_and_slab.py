import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from agent.devices.slots import GONE, NO_SLOT, NO_SOURCE, Slab
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


class SlabAgainstDict(RuleBasedStateMachine):
    """The slab against a dict of (source, device) -> mark; a slot's mark must stay its device's own."""

    def __init__(self):
        super().__init__()
        self.slab = Slab(state_size=2, max_devices=70, n_sources=3)
        self.model: dict[tuple[int, str], float] = {}
        self.ownerless: dict[str, float] = {}
        self.marks = 0

    @rule(device=st.integers(0, 40).map(str), source=st.integers(0, 2))
    def claim(self, device, source):
        if self.slab.find(source, device) is not None:
            return
        is_full = len(self.model) + len(self.ownerless) == 70
        slot = self.slab.claim(source, device)
        if device in self.ownerless:  # it goes to whoever names it next, with all that is known of it
            self.model[source, device] = self.ownerless.pop(device)
            return
        assert (slot is None) == is_full
        if slot is not None:
            assert not self.slab.columns.state[slot].any()
            self.marks += 1
            self.slab.columns.state[slot] = self.marks
            self.model[source, device] = float(self.marks)

    @precondition(lambda self: self.model)
    @rule(data=st.data())
    def release(self, data):
        source, device = key = data.draw(st.sampled_from(sorted(self.model)))
        slot = self.slab.find(source, device)
        assert self.slab.release(slot) == device
        assert self.slab.columns.source[slot] == NO_SOURCE
        del self.model[key]

    @rule(gone=st.integers(0, 2))
    def start_again_without_a_source(self, gone):
        """As a snapshot is taken over when the configuration no longer has one."""
        columns = {name: array.copy() for name, array in self.slab.columns.arrays(len(self.slab.devices)).items()}
        columns["source"][columns["source"] == gone] = GONE
        devices = list(self.slab.devices)
        self.slab = Slab(state_size=2, max_devices=70, n_sources=3)
        self.slab.refill(devices, columns)
        kept = {device: mark for (source, device), mark in self.model.items() if source == gone}
        self.model = {key: mark for key, mark in self.model.items() if key[0] != gone}
        either = {**kept, **self.ownerless}
        self.ownerless = {device: self.mark_of(GONE, device) for device in either}
        for device, mark in self.ownerless.items():
            assert mark in (kept.get(device), either[device])

    def mark_of(self, source, device):
        columns = self.slab.columns
        (slot,) = [
            slot for slot, name in enumerate(self.slab.devices) if name == device and columns.source[slot] == source
        ]
        return float(columns.state[slot, 0])

    @invariant()
    def every_device_has_its_own(self):
        assert len(self.slab) == len(self.model) + len(self.ownerless)
        assert (self.slab.ownerless() is None) == (not self.ownerless)
        for (source, device), mark in self.model.items():
            slot = self.slab.find(source, device)
            assert self.slab.columns.source[slot] == source
            assert self.slab.columns.state[slot].tolist() == [mark, mark]
        asked = [*self.model, (1, "unheard of")]
        sources, devices = np.array([source for source, _ in asked]), [device for _, device in asked]
        found = [self.slab.find(source, device) for source, device in self.model]
        assert self.slab.slots(sources, devices).tolist() == [*found, NO_SLOT]


TestSlabAgainstDict = SlabAgainstDict.TestCase
TestSlabAgainstDict.settings = settings(max_examples=40, stateful_step_count=100, deadline=None)


def test_a_free_slot_cannot_be_released():
    slab = Slab(2, 4, 1)
    slab.release(slab.claim(0, "p1"))
    with pytest.raises(LookupError, match="free already"):
        slab.release(0)
