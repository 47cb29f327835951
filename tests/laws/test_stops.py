"""The laws for a bundle that says when a machine runs: rows of a stop are left out of everything, and that is said."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import msgspec
import numpy as np
import pytest

from agent.bundle.manifest import RunsWhile
from agent.core import Bounds, Core
from agent.core.entries import AlertsKept, Heartbeat, HistoryLost, StateBehind
from agent.sources import InterventionRule, plain_channels
from agent.words import Quality, Taken
from tests.laws.test_anomaly import raised_by_killed_agents
from tests.laws.test_isolation import HOSTILE_PAYLOADS
from tests.small_anomaly import LEARNING, anomaly_manifest
from tests.small_bundle import CHANNELS, small_manifest
from tests.streams import SOURCE, Message, bytes_of, core, interleaved, life, message, take

RUNNING = msgspec.structs.replace(small_manifest().channels[0], name="running", low=0.0, high=1.0)
STARTS_FOR = 2
READS = replace(SOURCE, channels=plain_channels(*CHANNELS, "running"))
BOTH = msgspec.structs.replace(anomaly_manifest(with_risk=True), runs=RunsWhile(RUNNING, 0.5, float(STARTS_FOR)))
THRESHOLD = 0.5


def agent(**rest: object) -> Core:
    return core(READS, threshold=THRESHOLD, manifest=BOTH, **rest)


def with_running(rows: Sequence[Message], running: float | None) -> list[Message]:
    value = b"null" if running is None else b"%g" % running
    return [(topic, payload[:-1] + b', "running": ' + value + b"}") for topic, payload in rows]


def with_stops(rows: Sequence[Message], *stops: tuple[int, int]) -> list[Message]:
    """Rows of a machine that runs, but for those from the first to before the second of each stop: wild ones."""
    found = with_running(rows, 1)
    for start, end in stops:
        wild = [message(topic.split("/")[1], 1 + row, wear=9.0, temp=-9.0) for row, (topic, _) in enumerate(rows)]
        found[start:end] = with_running(wild[start:end], 0)
    return found


def without(rows: Sequence[Message], *stops: tuple[int, int]) -> list[Message]:
    """The rows that are left: neither of a stop nor of the start after it."""
    gone = {row for start, end in stops for row in range(start, end + STARTS_FOR)}
    return [one for row, one in enumerate(rows) if row not in gone]


def stepped(taken: Taken, device: str) -> bytes:
    """What a device was told, as bytes, without the rows that were left out."""
    scores = taken.scores[0]
    rows = scores.quality != Quality.STOPPED
    outputs = {name: output[rows] for name, output in scores.outputs.items()}
    columns = {name: getattr(scores, name)[rows] for name in ("entry", "source", "device", "t_ns", "quality")}
    return bytes_of(replace(taken, scores=[replace(scores, outputs=outputs, **columns)]), device)


LIFE, STOPS = life("p0", 90), ((9, 14), (40, 75))


def test_rows_of_a_stop_leave_no_trace():
    """Law 1. A life with a short stop and one beyond dt_max, and the same life recorded without these rows."""
    whole = take(agent(), with_stops(LIFE, *STOPS))
    rest = take(agent(), with_running(without(LIFE, *STOPS), 1))
    assert {event.head for event in whole.alerts} == {"risk", "anomaly"}
    assert stepped(whole, "p0") == stepped(rest, "p0")
    assert stepped(rest, "p0") == bytes_of(rest, "p0")
    never_said = take(agent(), without(LIFE, *STOPS))
    assert bytes_of(never_said, "p0") == bytes_of(rest, "p0")


def test_every_row_that_is_left_out_is_said_and_counted():
    into = agent()
    taken = take(into, with_stops(LIFE, *STOPS))
    n_stopped = 5 + 35 + 2 * STARTS_FOR
    (scores,) = taken.scores
    is_stopped = scores.quality == Quality.STOPPED
    assert np.count_nonzero(is_stopped) == n_stopped == into.counts["press", "stopped"]
    assert all(np.isnan(output[is_stopped]).all() for output in scores.outputs.values())
    (said,) = [drop for drop in taken.drops if drop.reason == "stopped"]
    assert said.detail == "running is 1; it is above 0.5 for 2 cycles"


@pytest.mark.parametrize("kind", ["risk", "anomaly"])
def test_a_standing_alert_stands_through_a_stop_and_none_is_raised_in_it(kind):
    into = agent()
    before = take(into, with_running(LIFE[:60], 1))
    assert next(event.kind for event in before.alerts if event.head == kind) == "raised"
    in_stop = take(into, with_stops(LIFE, (60, 80))[60:82], arrived_ns=2 * 10**9)
    assert not in_stop.alerts
    assert into.view().n_standing() == 2
    quiet = agent()
    assert not take(quiet, with_stops(life("p0", 60, wear_from=1000), (20, 50))).alerts


@pytest.mark.slow
def test_a_device_is_told_the_same_alone_and_among_hostile_ones():
    """Law 2. Others whose channel says anything at all."""
    mine, values = with_stops(LIFE, *STOPS), [0, 1, None, 1e38, -1e38, 0.5]
    others = [
        [one for row in life(f"p{index}", 90, seed=index) for one in with_running([row], values[(index * 7) % 6])]
        for index in range(1, 40)
    ]
    hostile = [(f"plant/h{index % 7}/cycle", payload) for index, payload in enumerate(HOSTILE_PAYLOADS * 10)]
    mixed = take(agent(bounds=Bounds(batch_max=17)), interleaved(mine, *others, hostile))
    assert bytes_of(mixed, "p0") == bytes_of(take(agent(), mine), "p0")


@pytest.mark.slow
def test_any_split_gives_the_same_and_a_snapshot_in_a_stop_is_the_same_core():
    """Law 3. Cut before, in and after a stop, and within the start."""
    stream = interleaved(with_stops(LIFE, *STOPS), with_stops(life("p2", 90, seed=1), (30, 50)))
    whole = take(agent(), stream)
    places = [0, 1, 19, 24, 28, 30, 81, 120, 151, 153, len(stream)]
    into, parts = agent(), []
    for start, end in pairwise(places):
        parts.append(take(into, stream[start:end], arrived_ns=10**9 + 10**7 * start))
        again = agent()
        assert again.restore(into.snapshot()) == {}
        into = again
    assert [event for part in parts for event in part.alerts] == list(whole.alerts)
    for name, output in whole.scores[0].outputs.items():
        assert np.concatenate([part.scores[0].outputs[name] for part in parts]).tobytes() == output.tobytes()
    assert np.concatenate([part.scores[0].quality for part in parts]).tolist() == whole.scores[0].quality.tolist()


@pytest.mark.parametrize("killed_at", [50, 74, 75, 76])
def test_an_agent_that_was_killed_in_a_stop_raises_nothing_in_it(killed_at):
    """Snapshot mode: the snapshot is of before the stop, and rows of the stop were lost with the kill."""
    healthy = with_stops(life("p0", 120, wear_from=1000), (40, 75))
    into = agent()
    take(into, healthy[:35])
    kept = into.snapshot()
    into = agent()
    into.restore(kept)
    into.apply(StateBehind())
    into.apply(AlertsKept([], {}))
    into.apply(HistoryLost())
    after = take(into, healthy[killed_at:], arrived_ns=10**10)
    assert not after.alerts
    assert after.scores[0].quality[-1] == Quality.OK


@pytest.mark.slow
def test_agents_that_are_killed_at_any_time_raise_nothing_in_a_stop():
    """60 kills; rows of stops are as wild as any, come in every message, and some stops are longer than dt_max."""
    rng = np.random.default_rng(3)
    stops = [
        (start, start + int(length)) for start, length in zip(range(40, 2000, 60), rng.integers(5, 30, 33), strict=True)
    ]
    streams = [with_stops(life(f"p{one}", 2000, wear_from=1900, seed=one), *stops) for one in range(3)]
    messages = interleaved(*streams)
    in_stop = {row for start, end in stops for row in range(start, end + STARTS_FOR)}
    raised = raised_by_killed_agents(agent, messages, rng, 60)
    assert not [place for _, place in raised if place // 3 in in_stop]
    never_told = interleaved(*(life(f"p{one}", 2000, wear_from=1900, seed=one) for one in range(3)))
    wild = [
        message(f"p{one % 3}", 1 + one // 3, wear=9.0, temp=-9.0) if one // 3 in in_stop else row
        for one, row in enumerate(never_told)
    ]
    assert len(raised_by_killed_agents(agent, wild, np.random.default_rng(3), 60)) > 20, "else such rows raise"


def test_a_machine_that_is_said_to_stand_is_not_believed_once_messages_may_be_missing():
    """It said so once, and says no more; then the session was lost. Silence must not look like a stop."""
    into = agent()
    take(into, with_running(LIFE[:20], 1))
    take(into, with_running(LIFE[20:21], 0), arrived_ns=2 * 10**9)
    rows = with_running(LIFE[21:60], None)
    assert set(take(into, rows[:5], arrived_ns=3 * 10**9).scores[0].quality.tolist()) == {Quality.STOPPED}
    into.apply(HistoryLost())
    assert Quality.STOPPED not in take(into, rows[5:], arrived_ns=4 * 10**9).scores[0].quality


def test_the_channel_may_come_by_messages_of_its_own():
    """One that says no more than whether the machine runs is no row of the model, nor a reason to drop the next."""
    into, rows = agent(), LIFE[:30]
    on_change = [*rows[:10], running_alone(10.4, 0), *rows[10:20], running_alone(20.4, 1), *rows[20:]]
    taken = take(into, on_change)
    quality = taken.scores[0].quality.tolist()
    assert quality[10:21] == [Quality.STOPPED] * 11
    assert quality[21:24] == [Quality.STOPPED] * 3, "it starts for 2 cycles: at 20.4, 21 and 22"
    assert Quality.STOPPED not in quality[24:] + quality[:10]
    into = agent()
    taken = take(into, [*rows[:10], running_alone(10.4, 1), *rows[10:20]])
    rest = take(agent(), rows[:20])
    assert taken.scores[0].quality[10] == Quality.OUT_OF_DOMAIN
    assert np.delete(taken.scores[0].outputs["anomaly"], 10, 0).tobytes() == rest.scores[0].outputs["anomaly"].tobytes()


def running_alone(cycle: float, value: float) -> Message:
    return "plant/p0/cycle", f'{{"cycle": {cycle}, "running": {value}}}'.encode()


def test_a_stopped_device_is_neither_silent_nor_ok_until_nothing_is_heard_of_it():
    """Law 4."""
    into = agent(bounds=Bounds(stale_after_s=60.0))
    take(into, with_stops(LIFE[:30], (25, 30)))
    assert into.view().devices_by_quality()["stopped"] == 1
    into.apply(Heartbeat(50 * 10**9))
    assert into.view().devices_by_quality()["stopped"] == 1
    into.apply(Heartbeat(100 * 10**9))
    assert into.view().devices_by_quality() == dict.fromkeys(into.view().devices_by_quality(), 0) | {"stale": 1}


def test_a_repaired_machine_is_not_known_to_stand():
    """Its life begins anew, as the trainer's lives do."""
    source = replace(READS, interventions=InterventionRule("done", (("repaired", "repaired"),)))
    into = core(source, threshold=THRESHOLD, manifest=BOTH)
    take(into, with_stops(LIFE[: LEARNING + 20], (20, LEARNING + 20)))
    take(into, [("plant/p0/cycle", b'{"cycle": 27, "done": "repaired"}')], arrived_ns=2 * 10**9)
    assert Quality.STOPPED not in take(into, life("p0", 5), arrived_ns=3 * 10**9).scores[0].quality


def test_the_channel_may_be_one_of_the_model():
    """`load` is read by the model and says, too, whether the machine runs."""
    load = small_manifest().channels[1]
    manifest = msgspec.structs.replace(BOTH, runs=RunsWhile(load, -50.0, 0.0))
    assert manifest.inputs == manifest.channels
    stops = [message("p0", 21 + row, load=-60.0, wear=9.0) for row in range(10)]
    whole = take(core(threshold=THRESHOLD, manifest=manifest), [*LIFE[:20], *stops, *LIFE[30:]])
    rest = take(core(threshold=THRESHOLD, manifest=manifest), [*LIFE[:20], *LIFE[30:]])
    assert stepped(whole, "p0") == bytes_of(rest, "p0")
