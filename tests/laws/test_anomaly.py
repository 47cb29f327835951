"""The laws for a model with the head `anomaly`, alone or beside `risk`: what it learns of a device is that device's
own, lasts as long as the machine's life, and nothing is said of it before."""

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from msgspec.structs import replace as replace_struct

from agent.bundle.golden import Golden
from agent.bundle.verify import verify
from agent.core import Bounds, Core
from agent.core.entries import AlertsKept, HistoryLost, StateBehind
from agent.sources import InterventionRule
from agent.step.engine import Engine
from agent.words import Quality
from tests.laws.test_isolation import HOSTILE_PAYLOADS
from tests.small_anomaly import LEARNING, REFILL, anomaly_manifest, graph_of
from tests.streams import (
    SOURCE,
    Message,
    bytes_of,
    core,
    interleaved,
    life,
    message,
    model,
    states_of,
    take,
)

ALONE, BOTH = anomaly_manifest(), anomaly_manifest(with_risk=True)
OWN_MEAN = slice(1, 4)  # columns of the state of ALONE
THRESHOLD = 4.0
MANIFESTS = pytest.mark.parametrize("manifest", [ALONE, BOTH], ids=["alone", "both"])


def with_anomaly(threshold: float = THRESHOLD, **rest: object) -> Core:
    return core(threshold=threshold, manifest=ALONE, **rest)


def steady(device: str, n: int, *, start: int = 1, level: float = 0.0) -> list[Message]:
    """n cycles at one level of `wear`, the other channels at 0."""
    return [message(device, cycle, wear=level) for cycle in range(start, start + n)]


def of_device(taken, device):
    """Quality and anomaly of its rows."""
    (scores,) = taken.scores
    mine = scores.device == device
    return scores.quality[mine].tolist(), scores.outputs["anomaly"][mine, 0].tolist()


@pytest.mark.slow
@MANIFESTS
def test_a_device_is_told_the_same_alone_and_among_hostile_ones(manifest):
    """One life that raises an alert of each head, and 60 others with hostile payloads between; compare bytes."""
    threshold = 0.5
    mine = life("p0", 70)
    others = [life(f"p{index}", 70, seed=index, wear_from=10 + index) for index in range(1, 60)]
    hostile = [(f"plant/h{index % 7}/cycle", payload) for index, payload in enumerate(HOSTILE_PAYLOADS * 10)]
    alone = take(core(threshold=threshold, manifest=manifest), mine)
    busy = core(threshold=threshold, manifest=manifest, bounds=Bounds(batch_max=17))
    mixed = take(busy, interleaved(mine, *others, hostile))
    assert {event.head for event in alone.alerts} == set(manifest.judging)
    assert bytes_of(mixed, "p0") == bytes_of(alone, "p0")


@MANIFESTS
def test_a_row_has_the_same_bits_in_every_batch(manifest, tmp_path):
    """Golden rows of a life, computed again among hostile states and rows in batches of up to 512."""
    engine = Engine(graph_of(manifest), manifest)
    state = np.zeros((1, manifest.state_size), np.float32)
    rows = []
    for index in range(2 * LEARNING):
        x, dt = np.float32([[0.1 * index, 0.0, 0.3]]), np.ones(1, np.float32)
        after, outputs = engine.run(x, dt, state)
        rows.append((x, dt, state, after, outputs))
        state = after
    arrays = [np.concatenate([row[place] for row in rows]) for place in range(4)]
    outputs = {name: np.concatenate([row[4][name] for row in rows]) for name in rows[0][4]}
    verify(Golden(*arrays, outputs), manifest, engine, tmp_path)


@MANIFESTS
def test_any_split_gives_the_same_and_a_snapshot_at_any_point_is_the_same_core(manifest):
    stream = interleaved(life("p1", 40), life("p2", 40, seed=1, wear_from=1000))
    whole = take(core(threshold=0.5, manifest=manifest), stream)
    places = [0, 1, 5, 13, 14, 40, 77, len(stream)]
    into, parts = core(threshold=0.5, manifest=manifest), []
    for start, end in pairwise(places):
        parts.append(take(into, stream[start:end], arrived_ns=10**9 + 10**7 * start))
        again = core(threshold=0.5, manifest=manifest)
        assert again.restore(into.snapshot()) == {}
        into = again
    assert [event for part in parts for event in part.alerts] == list(whole.alerts)
    for name, output in whole.scores[0].outputs.items():
        joined = np.concatenate([part.scores[0].outputs[name] for part in parts])
        assert joined.tobytes() == output.tobytes()
    assert np.concatenate([part.scores[0].quality for part in parts]).tolist() == whole.scores[0].quality.tolist()


def test_a_device_that_is_learnt_warms_up_and_neither_raises_nor_clears():
    """A fault from the first row on is learnt as normal; nothing is said meanwhile, whatever the row's quality."""
    into = with_anomaly()
    taken = take(into, [message("p1", cycle, wear=float(cycle % 2 * 9)) for cycle in range(1, LEARNING + 1)])
    quality, anomaly = of_device(taken, "p1")
    assert anomaly == [-float(rows) for rows in range(LEARNING, 0, -1)]
    assert quality == [Quality.WARMING_UP] * LEARNING, "although 9 is beyond the range of training"
    assert not taken.alerts
    assert into.view().models[0].learns.tolist() == [True]
    quality, anomaly = of_device(take(into, [message("p1", LEARNING + 1, wear=0.5)], arrived_ns=2 * 10**9), "p1")
    assert quality == [Quality.OK]
    assert anomaly[0] >= 0
    assert into.view().models[0].learns.tolist() == [False]


def test_an_alert_names_the_head_and_the_channel_that_leads():
    taken = take(with_anomaly(), [*steady("p1", LEARNING + 2), *steady("p1", 6, start=LEARNING + 3, level=2.0)])
    raised = taken.alerts[0]
    assert (raised.kind, raised.head, raised.cause, raised.severity) == ("raised", "anomaly", "anomaly", "minor")
    assert raised.outputs["contribution"] == (0.0, 0.0, 1.0)
    assert raised.bundle.channels == ("temp", "load", "wear")


def test_what_was_learnt_outlasts_lost_history_and_the_rest_does_not():
    """A silence beyond dt_max: the own mean stays, and the rest of the state begins again."""
    into = with_anomaly()
    take(into, steady("p1", LEARNING + 3, level=0.8))
    mean = states_of(into).state[0, OWN_MEAN].copy()
    assert mean[2] == np.float32(0.8)
    quality, anomaly = of_device(take(into, steady("p1", 5, start=500, level=0.8), arrived_ns=2 * 10**9), "p1")
    assert states_of(into).state[0, OWN_MEAN].tobytes() == mean.tobytes()
    assert anomaly[:REFILL] == [-2.0, -1.0]
    assert quality == [Quality.WARMING_UP] * REFILL + [Quality.OK] * 3


@pytest.mark.parametrize("kind", ["repaired", "replaced"])
def test_an_intervention_ends_what_was_learnt_and_the_alert(kind):
    into, taken = intervened(kind)
    ended = taken.alerts[-1]
    assert (ended.kind, ended.head, ended.cause) == ("cleared", "anomaly", kind)
    _, anomaly = of_device(take(into, steady("p1", 2, start=1, level=1.0), arrived_ns=3 * 10**9), "p1")
    assert anomaly == [-6.0, -5.0], "it learns anew"


def test_an_inspection_ends_the_alert_and_leaves_what_was_learnt():
    into, taken = intervened("inspected")
    assert (taken.alerts[-1].kind, taken.alerts[-1].cause) == ("cleared", "inspected")
    assert states_of(into).state[0, 0] == LEARNING
    _, anomaly = of_device(take(into, steady("p1", 1, start=LEARNING + 9), arrived_ns=3 * 10**9), "p1")
    assert anomaly[0] >= 0


def intervened(kind):
    """A device whose alert of `anomaly` stood when somebody worked on it."""
    source = replace(SOURCE, interventions=InterventionRule("done", ((kind, kind),)))
    into = core(source, threshold=THRESHOLD, manifest=ALONE)
    raised = take(into, [*steady("p1", LEARNING), *steady("p1", 6, start=LEARNING + 1, level=1.0)])
    assert raised.alerts[-1].state == "unacknowledged"
    done = ("plant/p1/cycle", f'{{"cycle": {LEARNING + 7}, "done": "{kind}"}}'.encode())
    return into, take(into, [done], arrived_ns=2 * 10**9)


def test_a_counter_that_starts_again_is_another_machine_and_is_learnt_anew():
    into = with_anomaly()
    take(into, steady("p1", 80, level=0.5))
    _, anomaly = of_device(take(into, steady("p1", 30, level=0.9), arrived_ns=3 * 10**9), "p1")
    assert [value for value in anomaly if value < 0][:3] == [-6.0, -5.0, -4.0]


def test_unusual_rows_that_were_learnt_are_said_once():
    """A device that learns far from the others' normal: one doubt, with how far; and again after it learns again."""
    into = with_anomaly()
    taken = take(into, [*steady("p1", LEARNING + 9, level=2.9), *steady("p2", LEARNING + 9, level=0.1)])
    assert into.counts["press", "unusual_normal"] == 1
    (said,) = [drop for drop in taken.drops if drop.reason == "unusual_normal"]
    assert (said.device, said.detail.split()[3]) == ("p1", "1.45")
    assert into.view().models[0].is_unusual.tolist() == [True, False]


def test_two_heads_of_one_model_raise_alerts_of_their_own_and_do_not_move_each_other():
    """Risk beside anomaly says what it says without it, to the bit; the alerts have ids and evidence of their own."""
    stream = life("p1", 80)
    both = take(core(threshold=0.5, manifest=BOTH), stream)
    risk = take(core(threshold=0.5), stream)
    for name in ("risk", "rul"):
        assert both.scores[0].outputs[name].tobytes() == risk.scores[0].outputs[name].tobytes()
    of_risk = [event for event in both.alerts if event.head == "risk"]
    assert [(event.alert, event.sequence, event.t_ns) for event in of_risk] == [
        (event.alert, event.sequence, event.t_ns) for event in risk.alerts
    ]
    alone = take(core(threshold=0.5, manifest=ALONE), stream)
    assert [event.alert for event in both.alerts if event.head == "anomaly"] == [event.alert for event in alone.alerts]
    assert len({event.alert for event in both.alerts if event.kind == "raised"}) == 2
    assert both.scores[0].quality.tolist() == risk.scores[0].quality.tolist(), "of rows: risk is not learnt"


def test_an_alert_of_a_head_that_the_bundle_has_no_more_ends():
    """The table keeps alerts of both heads, and the bundle that runs now has risk alone."""
    raised = take(core(threshold=0.5, manifest=BOTH), life("p1", 80)).alerts
    standing = list({event.key: event for event in raised}.values())
    assert {event.head for event in standing} == {"risk", "anomaly"}
    into = core(threshold=0.5, digest="e" * 64)
    ends = into.apply(AlertsKept(standing, {})).alerts
    assert [(event.head, event.kind, event.cause) for event in ends] == [("anomaly", "cleared", "model_removed")]
    assert into.view().n_standing() == 1


def test_a_channel_that_counts_events_is_0_without_one_and_may_stand_still_or_be_of_any_size():
    """The same channel as a measurement is missing, stands still, or lies outside; as a count it is none of these."""
    channels = [replace_struct(one, steady_max_s=1.0, absent_max_s=1.0) for one in ALONE.channels]
    counted = replace_struct(ALONE, channels=(*channels[:2], replace_struct(channels[2], event=True)))
    rng = np.random.default_rng(0)
    rows = [message("p1", 1 + row, temp=temp, load=temp) for row, temp in enumerate(rng.normal(0, 0.1, 40).tolist())]
    bare = [(topic, payload.replace(b', "wear": 0.0', b"")) for topic, payload in rows]
    without, zero = take(core(manifest=counted), bare), take(core(manifest=counted), rows)
    assert bytes_of(without, "p1") == bytes_of(zero, "p1")
    assert zero.scores[0].quality[LEARNING:].tolist() == [Quality.OK] * 34
    many = take(core(manifest=counted), [*rows, message("p1", 41, temp=0.0, load=0.1, wear=500.0)])
    assert many.scores[0].quality[-1] == Quality.OK
    measured = take(core(manifest=replace_struct(ALONE, channels=tuple(channels))), rows)
    assert Quality.STUCK in measured.scores[0].quality


def raised_by_killed_agents(
    fresh: Callable[[], Core], messages: list[Message], rng: np.random.Generator, kills: int
) -> list[tuple[str, int]]:
    """Device and message of each alert that is raised by agents of which each is killed, with a snapshot that may be
    old; the alert table loses nothing."""
    into, table, place, raised, snapshot = fresh(), {}, 0, [], b""
    while kills:
        n, first = int(rng.integers(1, 120)), into.entry
        taken = take(into, messages[place : place + n])
        for event in taken.alerts:
            if event.kind == "raised":
                raised.append((event.device, place + event.entry - first))
            table[event.key] = event
        place += n
        assert place < len(messages)
        if rng.random() < 0.4 or not snapshot:
            snapshot = into.snapshot()
        if rng.random() < 0.3:
            continue
        kills -= 1
        into = fresh()
        into.restore(snapshot)
        into.apply(StateBehind())
        standing = [event for event in table.values() if event.state != "normal"]
        newest = {(event.source, event.device): (event.t_epoch, event.t_ns) for event in table.values()}
        into.apply(AlertsKept(standing, newest))
        into.apply(HistoryLost())
    return raised


@pytest.mark.slow
def test_a_killed_agent_raises_nothing_that_an_undisturbed_twin_has_not():
    """60 kills of an agent whose devices' faults come and go."""
    rng = np.random.default_rng(3)
    streams = [
        [message(f"p{one}", 1 + row, wear=float(noise) + 2.0 * (row // 30 % 2)) for row, noise in enumerate(rows)]
        for one, rows in enumerate(rng.normal(0, 0.02, (3, 2000)))
    ]
    messages = interleaved(*streams)
    twin = list(take(with_anomaly(), messages).alerts)
    assert sum(event.kind == "raised" for event in twin) > 60
    stands = {f"p{one}": np.zeros(len(messages), np.bool_) for one in range(3)}
    for event in twin:
        stands[event.device][event.entry :] = event.kind != "cleared"
    raised = raised_by_killed_agents(with_anomaly, messages, rng, 60)
    assert len(raised) > 20
    assert all(stands[device][place] for device, place in raised)


def test_a_model_may_be_swapped_for_one_with_another_head_and_its_groups_start_empty():
    before = core(manifest=BOTH)
    take(before, life("p1", 30))
    after = core(manifest=ALONE, digest="e" * 64)
    assert list(after.restore(before.snapshot()).values()) == ["the states in the snapshot are of another bundle"]
    quality, anomaly = of_device(take(after, steady("p1", 1, start=31), arrived_ns=2 * 10**9), "p1")
    assert (quality, anomaly) == ([Quality.WARMING_UP], [-6.0])


def test_the_thresholds_of_two_heads_are_their_own():
    both = replace(model(SOURCE, manifest=BOTH), thresholds={"risk": 0.5, "anomaly": 1e9})
    taken = take(Core((SOURCE,), (both,), Bounds()), life("p1", 80))
    assert {event.head for event in taken.alerts} == {"risk"}
