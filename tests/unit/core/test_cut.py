"""A snapshot that is copied while the stream goes on is, byte for byte, the one of the entry at which it began."""

import json
from dataclasses import replace

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.core import Bounds, Core
from agent.core.entries import Heartbeat, HistoryLost, Messages, StateBehind
from agent.sources import AlignRule, InterventionRule, SourceChannel
from tests.small_bundle import CHANNELS, small_manifest
from tests.streams import SOURCE, life, message, model, take

S = 10**9
NOW_S = 1_800_000_000
MEASURED = msgspec.structs.replace(
    small_manifest(),
    channels=tuple(msgspec.structs.replace(one, steady_max_s=5.0) for one in small_manifest().channels),
)
HOLDS = replace(
    SOURCE,
    topics=("holds/{device}",),
    channels=tuple(SourceChannel(name, event="" if name == "load" else None) for name in CHANNELS),
    time_field="ts",
    time_unit="s",
    future_max_s=300.0,
    past_max_s=3600.0,
    align=AlignRule(max_age_s=60.0, lateness_s=2.0),
    interventions=InterventionRule("event", (("new", "replaced"), ("fixed", "repaired"))),
)
PLAIN = replace(HOLDS, name="plain", topics=("plain/{device}",), align=AlignRule(max_age_s=60.0))
COUNTER = replace(SOURCE, name="counter")


class Plant:
    """A core and the clock of its entries; each method is one entry or some."""

    def __init__(self) -> None:
        sources = (HOLDS, PLAIN, COUNTER)
        bounds = Bounds(devices_max=150, forget_after_s=500.0)
        self.core = Core(sources, (model(*sources, manifest=MEASURED),), bounds)
        self.now_s = NOW_S
        for device in range(30):
            self.counter(device)
            self.rows(device)
        self.send(29, temp=0.5)

    def send(self, device: int, ahead_s: float = 0, **fields: object) -> None:
        self.now_s += 1
        payload = json.dumps({"ts": self.now_s + ahead_s, **fields}).encode()
        topics = [f"holds/{device}", f"plain/{device}"]
        self.core.apply(Messages(topics, [payload] * 2, [self.now_s * S] * 2))

    def rows(self, device: int) -> None:
        self.send(device, temp=device / 100, load=1, wear=self.now_s % 7)

    def rest_of_the_newest_row(self, device: int) -> None:
        self.send(device, ahead_s=-1, wear=1.0, load=2)

    def wrong_clock(self, device: int) -> None:
        """Those that were left out meanwhile were so many, that what is kept of the device is moved."""
        self.now_s += 50
        for _ in range(25):
            self.send(device, ahead_s=28_800, temp=0.5, load=1, wear=0.5)

    def repaired(self, device: int) -> None:
        self.send(device, event="fixed")

    def replaced(self, device: int) -> None:
        self.send(device, event="new")

    def counter(self, device: int) -> None:
        take(self.core, [message(f"c{device}", 1 + self.now_s - NOW_S, wear=0.5)], arrived_ns=self.now_s * S)

    def new_life(self, device: int) -> None:
        take(self.core, life(f"c{device}", 30), arrived_ns=self.now_s * S)

    def silence(self, device: int) -> None:
        """Long enough for the devices that are not heard in it to be forgotten."""
        for _ in range(6):
            self.now_s += 100
            self.core.apply(Heartbeat(self.now_s * S))
            self.rows(device)

    def lose_history(self, device: int) -> None:
        self.core.apply(HistoryLost())

    def fall_behind(self, device: int) -> None:
        self.core.apply(StateBehind())

    def forget_states(self, device: int) -> None:
        self.core._stepper.predictors[0].forget()


KINDS = [name for name, value in vars(Plant).items() if callable(value) and name not in ("__init__", "send")]
STEPS = st.lists(st.tuples(st.sampled_from(KINDS), st.integers(0, 80), st.integers(0, 4000)), min_size=1, max_size=25)


@pytest.mark.slow
@settings(max_examples=15, deadline=None)
@given(before=STEPS, during=STEPS)
def test_whatever_happens_while_it_is_copied_it_is_the_snapshot_of_its_beginning(before, during):
    plant = Plant()
    for kind, device, _ in before:
        getattr(plant, kind)(device)
    at_once, cut = plant.core.snapshot(), plant.core.cut()
    for kind, device, n_bytes in during:
        getattr(plant, kind)(device)
        cut.copy_next(n_bytes)
    cut.copy_all()
    assert b"".join(cut.parts()) == at_once
    assert cut.entry == json.loads(at_once[16 : 16 + int.from_bytes(at_once[8:16], "little")])["entry"]
    assert plant.core.cut().entry == plant.core.entry, "the next one may begin"


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_each_thing_that_writes_wide_columns_leaves_the_copy_as_it_was(kind):
    """As above, one kind of entry at a time, on devices that are copied neither before nor meanwhile."""
    plant = Plant()
    at_once, cut = plant.core.snapshot(), plant.core.cut()
    for device in (29, 70):
        getattr(plant, kind)(device)
    assert not cut.is_whole
    cut.copy_all()
    assert b"".join(cut.parts()) == at_once
    assert plant.core.snapshot() != at_once


def test_one_copy_at_a_time():
    plant = Plant()
    cut = plant.core.cut()
    with pytest.raises(RuntimeError, match="has not ended"):
        plant.core.cut()
    cut.copy_all()
    plant.core.cut()


def test_a_part_is_about_as_long_as_it_was_asked_to_be():
    """The stream goes on between parts, so none may be all of it."""
    plant = Plant()
    cut = plant.core.cut()
    n_parts = 0
    while not cut.is_whole:
        cut.copy_next(1000)
        n_parts += 1
    wide = [array for group in plant.core._stepper.slots.groups.values() for array in group.arrays(60).values()]
    n_bytes = sum(array.nbytes for array in wide if array.ndim > 1)
    assert n_bytes / 2000 < n_parts < n_bytes / 500


def test_nothing_of_no_device_is_whole_at_once():
    core = Core((SOURCE,), (model(SOURCE),), Bounds())
    at_once, cut = core.snapshot(), core.cut()
    assert cut.is_whole
    assert b"".join(cut.parts()) == at_once


def test_columns_of_each_stage_are_wide_in_the_test():
    """Else the test above would prove nothing of that stage."""
    groups = Plant().core._stepper.slots.groups
    wide = {name for name, group in groups.items() if any(array.ndim > 1 for array in group.arrays(1).values())}
    assert wide == {"align/held", "align/counted", "model/main/state", "model/main/steady"}
    assert np.any(groups["model/main/steady"].arrays(30)["valued_ns"] > 0)
