"""Rows become the messages that devices publish, and come back as scores and alerts."""

import json

import msgspec
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from agent.bundle import file
from agent.decode.intake import Intake
from agent.errors import DataRefused
from agent.replay.inline import Observer, play_inline
from agent.replay.messages import source_for, stream
from agent.replay.recorded import Recorded
from agent.score.time_unit import nanoseconds
from tests.bundles import write_small_bundle
from tests.recorded import worn
from tests.small_bundle import small_manifest

SOURCE = source_for(small_manifest(), "rig/{device}/cycle")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return file.read(write_small_bundle(tmp_path_factory.mktemp("bundle") / "small.fwb"))


def test_messages_come_in_the_order_of_time_then_of_names():
    played = stream([worn("a", 3), worn("b", 2, start=2), worn("c", 1)], SOURCE)
    topics, payloads = played.messages(0, len(played))
    told = [
        (topic.split("/")[1], json.loads(payload)["cycle"]) for topic, payload in zip(topics, payloads, strict=True)
    ]
    assert told == [("a", 1), ("c", 1), ("a", 2), ("b", 2), ("a", 3), ("b", 3)]
    assert played.messages(2, 4) == (topics[2:4], payloads[2:4])


def test_a_missing_value_is_left_out_and_whole_times_are_whole():
    x = np.float32([[1.5, np.nan, 642.1]])
    one = stream([Recorded("a", nanoseconds(np.array([57.0])), x)], SOURCE)
    assert one.messages(0, 1) == (["rig/a/cycle"], [b'{"cycle":57,"temp":1.5,"wear":642.1}'])
    assert (
        stream([Recorded("a", nanoseconds(np.array([0.25])), x)], SOURCE)
        .messages(0, 1)[1][0]
        .startswith(b'{"cycle":0.25,')
    )


FLOAT32 = st.floats(width=32, allow_nan=False, allow_infinity=False)


@pytest.mark.slow
@settings(deadline=None)
@given(arrays(np.float32, (4, 3), elements=FLOAT32), st.integers(0, 10**6))
@example(np.float32([[1.17549435e-38, 1e-45, 3.4028235e38]] * 4), 0)
@example(np.float32([[8388609.5, 16777217, 0.1]] * 4), 3)
def test_float32_comes_back_from_its_message_to_the_bit(x, start):
    """Through the agent's own decoder, which reads float64 and rounds."""
    t_s = start + np.arange(4.0)
    intake = Intake([SOURCE], payload_bytes_max=1000, device_id_bytes_max=10)
    readings = intake.read(*stream([Recorded("a", nanoseconds(t_s), x)], SOURCE).messages(0, 4), np.zeros(4, np.int64))
    assert readings.x.tobytes() == x.tobytes()
    assert readings.t_ns.tolist() == (t_s * 1e9).tolist()


def test_every_row_is_scored_and_a_worn_device_warns(bundle):
    recorded = [worn("healthy", 50, wear_from=1000), worn("worn", 90, wear_from=20, missing=[5])]
    warned, counts = [], []
    observer = Observer(warned.append, counts.append)
    healthy, ill = play_inline(bundle, bundle.model, stream(recorded, SOURCE), 0.5, observer)
    assert healthy.events == ()
    assert [event.kind for event in ill.events][:1] == ["raised"]
    assert warned == list(ill.events)
    assert sum(counts) == 140
    assert (ill.t_ns == recorded[1].t_s * 1e9).all()
    assert (len(ill.quality), ill.risk.shape, ill.rul.shape) == (90, (90, 3), (90, 3))
    topics, payloads = stream(recorded, SOURCE).messages(0, 140)
    entry = ill.events[0].entry
    assert topics[entry] == "rig/worn/cycle"
    assert json.loads(payloads[entry])["cycle"] * 10**9 == ill.events[0].t_ns


def test_a_device_is_told_the_same_alone_and_among_others(bundle):
    """Law 2 through the replay: compare bytes."""
    alone = play_inline(bundle, bundle.model, stream([worn("p", 90)], SOURCE), 0.5)[0]
    recorded = [worn("a", 70, seed=3), worn("p", 90), worn("q", 40, seed=4, start=7)]
    among = play_inline(bundle, bundle.model, stream(recorded, SOURCE), 0.5)[1]
    assert (alone.risk.tobytes(), alone.rul.tobytes()) == (among.risk.tobytes(), among.rul.tobytes())
    assert [event.alert for event in alone.events] == [event.alert for event in among.events]


def test_times_of_years_ago_and_years_ahead_are_played_alike(tmp_path):
    manifest = msgspec.structs.replace(small_manifest(), time_unit="s")
    bundle = file.read(write_small_bundle(tmp_path / "s.fwb", manifest))
    source = source_for(manifest, "rig/{device}/row")
    for start in (1_000_000_000, 4_000_000_000):
        found = play_inline(bundle, bundle.model, stream([worn("p", 30, start=start)], source), 0.5)
        assert found[0].t_ns[0] == start * 10**9


def test_a_row_that_is_not_scored_is_no_result(bundle):
    twice = Recorded("a", nanoseconds(np.array([1.0, 1.0])), np.zeros((2, 3), np.float32))
    with pytest.raises(DataRefused, match=r"2 messages were played, 1 were scored.*repeated 1"):
        play_inline(bundle, bundle.model, stream([twice], SOURCE), 0.5)
