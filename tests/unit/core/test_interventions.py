"""What was done to machines: alerts end with the cause, lives begin, and the fact is kept as a label."""

from dataclasses import replace

import numpy as np
import pytest

from agent.core import Bounds, Core
from agent.core.entries import Messages
from agent.decode.codec import CODECS
from agent.decode.json import JsonCodec
from agent.decode.readings import Decoded, Intervened
from agent.sources import SourceChannel
from agent.words import InterventionLabel, Quality
from tests.small_bundle import CHANNELS
from tests.streams import SOURCE, bytes_of, core, life, message, model, states_of, take

JSON = replace(SOURCE, codec="told")


class Told(JsonCodec):
    """A JSON object a reading, or the word for what was done."""

    def decode(self, batch):
        words = {b"repaired": "repaired", b"replaced": "replaced", b"inspected": "inspected"}
        told = [row for row, payload in enumerate(batch.payloads) if payload in words]
        decoded = super().decode(batch)
        done = [Intervened(row, None, 5 * 10**9, words[batch.payloads[row]]) for row in told]
        faults = [fault for fault in decoded.faults if fault.row not in told]
        return Decoded(decoded.row, decoded.t_ns, decoded.x, faults, interventions=done)


@pytest.fixture(autouse=True)
def _told(monkeypatch):
    monkeypatch.setitem(CODECS, "told", Told)


def test_a_repair_ends_the_alert_with_its_cause_and_the_machine_begins_a_life():
    into = core(JSON)
    assert take(into, life("p1", 60)).alerts[0].kind == "raised"
    taken = take(into, [("plant/p1/cycle", b"repaired")])
    assert [(event.kind, event.cause, event.device) for event in taken.alerts] == [("cleared", "repaired", "p1")]
    assert taken.labels == [InterventionLabel("press", "p1", 5 * 10**9, "repaired", 60, "cycle")]
    begun = take(core(replace(JSON, first_seen="new")), life("p1", 15))
    assert bytes_of(take(into, life("p1", 15)), "p1") == bytes_of(begun, "p1")


def test_the_counter_of_a_repaired_machine_may_go_on():
    into = core(JSON)
    take(into, life("p1", 60))
    taken = take(into, [("plant/p1/cycle", b"repaired"), message("p1", 61)])
    assert taken.scores[0].t_ns.tolist() == [61 * 10**9]
    assert (taken.scores[0].quality.tolist(), dict(into.counts)) == ([Quality.OK], {})


def test_an_inspection_ends_the_alert_and_leaves_the_state_as_it_is():
    into, twin = core(JSON), core(JSON)
    for one in (into, twin):
        take(one, life("p1", 60))
    before = states_of(twin).state[0].copy()
    taken = take(into, [("plant/p1/cycle", b"inspected")])
    assert [(event.kind, event.cause) for event in taken.alerts] == [("cleared", "inspected")]
    np.testing.assert_array_equal(states_of(into).state[0], before)


def test_what_was_done_takes_its_place_among_the_readings_however_they_are_split():
    stream = life("p1", 60)
    stream[30:30] = [("plant/p1/cycle", b"replaced"), ("plant/p2/cycle", b"replaced")]
    whole, cut = core(JSON), core(JSON)
    taken = take(whole, stream)
    parts = [take(cut, [one], arrived_ns=10**9 + 10**7 * index) for index, one in enumerate(stream)]
    assert [event for part in parts for event in part.alerts] == list(taken.alerts)
    assert [label for part in parts for label in part.labels] == list(taken.labels)
    assert [label.device for label in taken.labels] == ["p1", "p2"]
    assert cut.snapshot() == whole.snapshot()
    assert len(cut.view().device) == 1, "a machine that was never heard gets no place by a repair"


def test_another_device_is_not_touched():
    into, twin = core(JSON), core(JSON)
    take(into, [*life("p2", 20), ("plant/p1/cycle", b"repaired"), *life("p1", 20)])
    take(twin, life("p2", 20))
    assert bytes_of(take(into, life("p2", 60)[20:]), "p2") == bytes_of(take(twin, life("p2", 60)[20:]), "p2")


def test_a_core_without_models_gives_the_rows_that_models_would_be_given():
    source = replace(SOURCE, channels=tuple(map(SourceChannel, CHANNELS)))
    into = Core((source,), (), Bounds(), keeps_rows=True)
    stream = life("p1", 5)
    taken = take(into, [*stream, stream[2], ("plant/p1/cycle", b"{")])
    (rows, *more) = taken.rows
    t_ns = np.concatenate([one.t_ns for one in (rows, *more)])
    assert t_ns.tolist() == [cycle * 10**9 for cycle in range(1, 6)]
    assert taken.scores == []
    assert dict(into.counts) == {("press", "late"): 1, ("press", "malformed"): 1}
    again = Core((source,), (), Bounds(), keeps_rows=True)
    assert again.restore(into.snapshot()) == {}
    assert take(again, [stream[2]]).rows == []


class Counting(JsonCodec):
    """A codec that remembers how many payloads it had."""

    def __init__(self, source):
        super().__init__(source)
        self.n = 0

    def decode(self, batch):
        self.n += len(batch.payloads)
        return super().decode(batch)

    def keep(self):
        return str(self.n).encode()

    def restore(self, kept):
        self.n = int(kept)


def test_what_a_codec_remembers_is_in_the_snapshot(monkeypatch):
    monkeypatch.setitem(CODECS, "told", Counting)
    into = core(JSON)
    take(into, life("p1", 7))
    again = Core((JSON,), (model(JSON),), Bounds())
    again.restore(into.snapshot())
    take(again, life("p1", 10)[7:])
    assert again._intake.keep() == {"press": b"10"}
    fresh = core(SOURCE)
    take(fresh, life("p1", 7))
    again.restore(fresh.snapshot())
    assert again._intake.keep() == {"press": b"0"}, "one that the snapshot does not know begins anew"


def test_a_memory_that_a_codec_refuses_refuses_the_snapshot(monkeypatch):
    monkeypatch.setitem(CODECS, "told", Counting)
    into = core(JSON)
    data = into.snapshot()
    with pytest.raises(Exception, match="what it remembers beside devices cannot be read"):
        core(JSON).restore(data[:-1] + b"x")


def test_a_request_of_a_codec_names_its_source(monkeypatch):
    class Asking(JsonCodec):
        def decode(self, batch):
            decoded = super().decode(batch)
            return Decoded(decoded.row, decoded.t_ns, decoded.x, decoded.faults, requests=[("ask/p1", b"again")])

    monkeypatch.setitem(CODECS, "told", Asking)
    other = replace(SOURCE, name="other", topics=("other/{device}",))
    into = core(other, JSON)
    taken = into.apply(Messages(["plant/p1/cycle"], [b"{"], [1]))
    assert taken.requests == [("press", "ask/p1", b"again")]
