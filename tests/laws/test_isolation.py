"""Law 2, isolation: a device's scores depend on that device's stepped rows only: not on its batch-mates, the batch
size, load, or another device's broken or hostile payloads."""

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.core import Bounds
from agent.sources import AlignRule
from agent.step.engine import Engine
from agent.words import Quality
from tests.small_bundle import small_manifest
from tests.streams import MODEL, SOURCE, Message, bytes_of, core, interleaved, life, message, states_of, take

HOSTILE_PAYLOADS = [
    b"", b"{", b"null", b"[1,2]", b"\xff\xfe", b"\0" * 100, b"[" * 5000, b'{"cycle": NaN}', b'{"cycle": 1e400}',
    b'{"cycle": 7, "wear": 1e400}', b'{"cycle": 7, "wear": true}', b'{"cycle": 7, "wear": "21,4"}',
    b'{"cycle": -1, "wear": 1}', b'{"cycle": 1e300, "wear": 1}', b'{"cycle": 7}', b'{"wear": 3}',
    b"{" + b'"a":{' * 5000,
    json.dumps({"cycle": 8, "temp": 1e30, "load": -1e30, "wear": 1e38}).encode(),
    json.dumps({"cycle": 9, "temp": 1e39, "load": -1e300, "wear": 3e38}).encode(),
    json.dumps({"cycle": 10, "temp": None, "load": None, "wear": 5.0}).encode(),
    json.dumps({"cycle": 11, "wear": 1.0, "surprise": "extra"}).encode(),
    json.dumps({"cycle": 12, "wear": 1.0, "pad": "x" * 70_000}).encode(),
]  # fmt: skip


def alone(stream: list[Message], device: str) -> bytes:
    return bytes_of(take(core(), stream), device)


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(["h1", "h2", "h3"]), st.sampled_from(HOSTILE_PAYLOADS)), max_size=60),
    st.integers(1, 300),
    st.randoms(use_true_random=False),
)
def test_a_healthy_device_is_told_the_same_beside_hostile_ones(junk, batch_max, random):
    """Mix a device's life into hostile payloads in random order, with a random batch size; compare bytes."""
    healthy = life("p1", 50)
    noise = [(f"plant/{device}/cycle", payload) for device, payload in junk]
    positions = sorted(random.sample(range(len(healthy) + len(noise)), len(noise)))
    mixed = list(healthy)
    for position, one in zip(positions, noise, strict=True):
        mixed.insert(position, one)
    busy = core(bounds=Bounds(batch_max=batch_max))
    assert bytes_of(take(busy, mixed), "p1") == alone(healthy, "p1")


@pytest.mark.parametrize("payload", HOSTILE_PAYLOADS, ids=lambda p: repr(p[:24]))
def test_each_hostile_payload_is_counted_or_scored_as_not_ok(payload):
    """No hostile payload becomes an `ok` score; each that gives no score at all is counted by a reason."""
    into = core()
    taken = take(into, [*life("p1", 12), ("plant/h1/cycle", payload)])
    told = taken.scores[0].quality[taken.scores[0].device == "h1"]
    assert (told != Quality.OK).all()
    assert told.size or any(count for (source, _), count in into.counts.items() if source == "press")


@pytest.mark.slow
def test_a_whole_life_with_alerts_is_told_the_same_among_300_devices():
    """One life that raises and clears, alone and among 299 others; compare bytes."""
    mine = [*life("p0", 60), *life("p0", 30, start=61, wear_from=1000)]
    others = [life(f"p{index}", 60, seed=index, wear_from=20 + index % 30) for index in range(1, 300)]
    taken = take(core(), interleaved(mine, *others))
    kinds = [event.kind for event in taken.alerts if event.device == "p0"]
    assert kinds[0] == "raised"
    assert kinds[-1] == "cleared"
    assert bytes_of(taken, "p0") == alone(mine, "p0")


def arrays_of(stepped):
    state, outputs = stepped
    assert [*outputs] == ["risk", "rul"]
    return state, *outputs.values()


@pytest.mark.parametrize("batch_size", [1, 2, 3, 17, 256, 1024])
def test_the_engine_gives_a_row_the_same_bits_in_every_batch(batch_size):
    """The same row alone and at every place of a batch of hostile rows and states; compare bytes."""
    engine = Engine(MODEL, small_manifest())
    rng = np.random.default_rng(batch_size)
    x = rng.choice(np.float32([np.nan, np.inf, -np.inf, 1e30, -1e30, 0.3]), (batch_size, 3))
    state = rng.choice(np.float32([1e30, -1e30, 0.1]), (batch_size, small_manifest().state_size))
    dt = np.ones(batch_size, np.float32)
    row, own_state = np.float32([[0.1, -0.2, 0.7]]), np.float32([[0.2, 0.1, 0.5, 9.0, 1.0]])
    want = [output.tobytes() for output in arrays_of(engine.run(row, dt[:1], own_state))]
    for place in {0, batch_size // 2, batch_size - 1}:
        x_mixed, state_mixed = x.copy(), state.copy()
        x_mixed[place], state_mixed[place] = row[0], own_state[0]
        arrays = arrays_of(engine.run(x_mixed, dt, state_mixed))
        got = [array[place : place + 1].tobytes() for array in arrays]
        assert got == want


def test_a_device_whose_state_cannot_be_followed_starts_again_and_its_neighbour_does_not():
    """Poison one slot's state with NaN: that device is reset and counted, the other is told what it is told alone."""
    into = core()
    lives = life("p1", 30), life("p2", 30)
    first = take(into, interleaved(lives[0][:20], lives[1][:20]))
    states_of(into).state[1] = np.nan
    second = take(into, interleaved(lives[0][20:], lives[1][20:]), arrived_ns=2 * 10**9)
    assert into.counts["press", "not_finite"] == 1
    quiet = core()
    want = [bytes_of(take(quiet, lives[0][:20]), "p1")]
    want.append(bytes_of(take(quiet, lives[0][20:], arrived_ns=2 * 10**9), "p1"))
    assert [bytes_of(first, "p1"), bytes_of(second, "p1")] == want
    p2 = second.scores[0].quality[second.scores[0].device == "p2"]
    assert p2.tolist()[:3] == [Quality.GAP, Quality.WARMING_UP, Quality.OK]


def test_two_sources_that_use_one_id_are_two_machines():
    """One id under two sources, one machine sound and one worn: neither moves the other's bytes or alerts."""
    other = replace(SOURCE, name="oven", topics=("oven/{device}",))
    into = core(SOURCE, other)
    sound, worn = life("p1", 60, wear_from=1000), life("p1", 60, seed=1)
    both = interleaved(sound, [("oven/p1", payload) for _, payload in worn])
    taken = take(into, both)
    for index, lives in enumerate((sound, worn)):
        mine = taken.scores[0].source == index
        alone_scores = take(core(), lives).scores[0]
        assert taken.scores[0].outputs["risk"][mine].tobytes() == alone_scores.outputs["risk"].tobytes()
        assert taken.scores[0].quality[mine].tobytes() == alone_scores.quality.tobytes()
    assert {event.source for event in taken.alerts} == {"oven"}
    (wanted, *_) = take(core(), worn).alerts
    assert (taken.alerts[0].t_ns, taken.alerts[0].outputs) == (wanted.t_ns, wanted.outputs)
    assert taken.alerts[0].alert != wanted.alert, "the id names the source"
    assert into.counts == {}


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@given(
    st.sampled_from([AlignRule(max_age_s=3.0), AlignRule(every_s=2.0, max_age_s=5.0, lateness_s=4.0)]),
    st.lists(st.tuples(st.sampled_from(["h1", "h2"]), st.sampled_from(HOSTILE_PAYLOADS)), max_size=40),
    st.lists(st.tuples(st.sampled_from(["h1", "h2", "h3"]), st.integers(0, 2**40), st.integers(1, 4)), max_size=40),
    st.randoms(use_true_random=False),
)
def test_a_device_whose_rows_are_aligned_is_told_the_same_beside_hostile_ones(rule, junk, jumps, random):
    """Neighbours jump about in time, which makes rows of the grid and fills the room for what waits; compare bytes."""
    own = replace(SOURCE, align=rule)
    healthy = [
        (topic, json.dumps({"cycle": values["cycle"] + index / 4, name: values[name]}).encode())
        for topic, payload in life("p1", 40, wear_from=10)
        for values in [json.loads(payload)]
        for index, name in enumerate(("temp", "load", "wear"))
    ]
    noise = [(f"plant/{device}/cycle", payload) for device, payload in junk]
    noise += [message(device, cycle, wear=9.0) for device, cycle, times in jumps for _ in range(times)]
    positions = sorted(random.sample(range(len(healthy) + len(noise)), len(noise)))
    mixed = list(healthy)
    for position, one in zip(positions, noise, strict=True):
        mixed.insert(position, one)
    assert bytes_of(take(core(own), mixed), "p1") == bytes_of(take(core(own), healthy), "p1")
