from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from agent.devices.columns import Columns, column
from agent.devices.slots import GONE, NO_SLOT, NO_SOURCE, OWNER, Slots
from agent.words import Float32


@dataclass(slots=True)
class Marks(Columns):
    mark: Float32 = column(np.float32, 0)


class SlotsAgainstDict(RuleBasedStateMachine):
    """The slot table against a dict of (source, device) -> mark; a slot's mark must stay its device's own."""

    def __init__(self):
        super().__init__()
        self.new_table()
        self.model: dict[tuple[int, str], float] = {}
        self.ownerless: dict[str, float] = {}
        self.marks = 0

    def new_table(self):
        self.slots = Slots(devices_max=70, n_sources=3)
        self.columns = self.slots.register("marks", Marks, mark=2)

    @rule(device=st.integers(0, 40).map(str), source=st.integers(0, 2))
    def claim(self, device, source):
        if self.slots.find(source, device) is not None:
            return
        is_full = len(self.model) + len(self.ownerless) == 70
        slot = self.slots.claim(source, device)
        if device in self.ownerless:  # it goes to whoever names it next, with all that is known of it
            self.model[source, device] = self.ownerless.pop(device)
            return
        assert (slot is None) == is_full
        if slot is not None:
            assert not self.columns.mark[slot].any()
            self.marks += 1
            self.columns.mark[slot] = self.marks
            self.model[source, device] = float(self.marks)

    @precondition(lambda self: self.model)
    @rule(data=st.data())
    def release(self, data):
        source, device = key = data.draw(st.sampled_from(sorted(self.model)))
        slot = self.slots.find(source, device)
        assert self.slots.release(slot) == device
        assert self.slots.source[slot] == NO_SOURCE
        del self.model[key]

    @rule(gone=st.integers(0, 2))
    def start_again_without_a_source(self, gone):
        """As a snapshot is taken over when the configuration no longer has one."""
        groups = {
            group: {name: array.copy() for name, array in columns.arrays(len(self.slots.devices)).items()}
            for group, columns in self.slots.groups.items()
        }
        source = groups[OWNER]["source"]
        source[source == gone] = GONE
        devices = list(self.slots.devices)
        self.new_table()
        self.slots.refill(devices, groups)
        kept = {device: mark for (source, device), mark in self.model.items() if source == gone}
        self.model = {key: mark for key, mark in self.model.items() if key[0] != gone}
        either = {**kept, **self.ownerless}
        self.ownerless = {device: self.mark_of(GONE, device) for device in either}
        for device, mark in self.ownerless.items():
            assert mark in (kept.get(device), either[device])

    def mark_of(self, source, device):
        (slot,) = [
            slot for slot, name in enumerate(self.slots.devices) if name == device and self.slots.source[slot] == source
        ]
        return float(self.columns.mark[slot, 0])

    @invariant()
    def every_device_has_its_own(self):
        assert len(self.slots) == len(self.model) + len(self.ownerless)
        assert (self.slots.ownerless() is None) == (not self.ownerless)
        for (source, device), mark in self.model.items():
            slot = self.slots.find(source, device)
            assert self.slots.source[slot] == source
            assert self.columns.mark[slot].tolist() == [mark, mark]
        asked = [*self.model, (1, "unheard of")]
        sources, devices = np.array([source for source, _ in asked]), [device for _, device in asked]
        found = [self.slots.find(source, device) for source, device in self.model]
        assert self.slots.slots(sources, devices).tolist() == [*found, NO_SLOT]


TestSlotsAgainstDict = pytest.mark.slow(SlotsAgainstDict.TestCase)
TestSlotsAgainstDict.settings = settings(max_examples=40, stateful_step_count=100, deadline=None)


def test_a_free_slot_cannot_be_released():
    slots = Slots(4, 1)
    slots.release(slots.claim(0, "p1"))
    with pytest.raises(LookupError, match="free already"):
        slots.release(0)
