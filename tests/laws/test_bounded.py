"""Law 5, bounded: devices, payloads, ids and batches have bounds; what goes over is counted, and a live device is never
evicted for a new one."""

import json
from dataclasses import replace

import pytest

from agent.core import Bounds
from agent.core.core import DROP_SAMPLES_MAX
from agent.core.entries import Heartbeat
from tests.streams import SOURCE, bytes_of, core, engine_of, interleaved, life, message, take


def test_a_new_device_over_the_bound_is_refused_and_counted_and_live_ones_stay():
    stream = life("p1", 30)
    flood = [message(f"new-{index}", 1) for index in range(200)]
    into = core(bounds=Bounds(devices_max=5))
    taken = take(into, interleaved(stream, flood))
    assert into.counts["press", "devices_max"] == 200 - 4
    assert sum(into.view().devices_by_quality().values()) == 5
    assert bytes_of(taken, "p1") == bytes_of(take(core(), stream), "p1")


def test_a_forgotten_device_makes_room_and_starts_as_new():
    into = core(bounds=Bounds(devices_max=1, forget_after_s=10))
    first = take(into, life("p1", 6))
    assert take(into, [message("p2", 1)], arrived_ns=2 * 10**9).scores[0].t_ns.size == 0
    into.apply(Heartbeat(20 * 10**9))
    assert into.counts["press", "forgotten"] == 1
    again = take(into, life("p2", 6), arrived_ns=21 * 10**9)
    assert again.scores[0].outputs["risk"].tobytes() == first.scores[0].outputs["risk"].tobytes()


def test_the_alert_of_a_forgotten_device_ends_with_the_cause():
    into = core(bounds=Bounds(forget_after_s=10))
    raised = take(into, life("p1", 60)).alerts[0]
    (ended,) = into.apply(Heartbeat(20 * 10**9)).alerts
    assert (ended.kind, ended.cause, ended.alert) == ("cleared", "forgotten", raised.alert)
    assert into.view().n_standing() == 0


def test_a_payload_over_the_bound_is_dropped_before_it_is_decoded():
    into = core(bounds=Bounds(payload_bytes_max=200))
    payload = json.dumps({"cycle": 1, "temp": 0, "load": 0, "wear": 0}).encode()
    taken = take(into, [("plant/p1/cycle", payload.ljust(200)), ("plant/p2/cycle", payload.ljust(201))])
    assert taken.scores[0].t_ns.size == 1
    assert into.counts["press", "too_large"] == 1
    (drop,) = taken.drops
    assert (drop.source, drop.device, drop.reason, drop.detail) == ("press", "p2", "too_large", "201 bytes")


def test_device_ids_that_are_empty_long_or_unprintable_are_refused():
    into = core(bounds=Bounds(device_id_bytes_max=10))
    for device in ("", "x" * 11, "a\nb", "\x1b[31m", "p\u202e1"):
        assert take(into, [message(device, 1)]).scores[0].t_ns.size == 0
    assert into.counts["press", "device_id"] == 5
    assert sum(into.view().devices_by_quality().values()) == 0


def test_junk_makes_no_device():
    into = core()
    take(into, [(f"plant/j{index}/cycle", b"{") for index in range(100)])
    assert sum(into.view().devices_by_quality().values()) == 0
    assert into.counts["press", "malformed"] == 100


@pytest.mark.slow
def test_samples_of_drops_are_bounded_and_counts_are_not():
    """One sample a source and reason is enough for the log, which says the last of them."""
    sources = [replace(SOURCE, name=f"s{number}", topics=(f"s{number}/{{device}}",)) for number in range(100)]
    into = core(*sources)
    for _ in range(2):
        taken = take(into, [(f"s{number}/j{index}", b"{") for index in range(10) for number in range(100)])
        assert len(taken.drops) == DROP_SAMPLES_MAX
        assert {drop.device for drop in taken.drops} == {"j9"}
    assert into.counts == {(source.name, "malformed"): 20 for source in sources}


def test_a_batch_never_exceeds_max_batch_and_holds_a_device_once():
    """Watch what reaches the engine: a flooding device gets its share of a batch, not more."""
    into = core(bounds=Bounds(batch_max=16))
    sizes = []
    run = engine_of(into).run

    def watched(x, dt, state):
        sizes.append(len(x))
        return run(x, dt, state)

    engine_of(into).run = watched
    take(into, [*interleaved(*[life(f"p{index}", 2) for index in range(40)]), *life("flood", 50)])
    assert max(sizes) == 16
    assert sum(sizes) == 40 * 2 + 50
    assert len(sizes) == 3 + 3 + 48  # two rounds of 41 devices in batches of 16, then the flood alone
