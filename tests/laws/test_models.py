"""Several models in one agent know nothing of each other: each gives what it gives alone, to the bit (laws 1 and 2)."""

import json
from dataclasses import replace

import numpy as np
import pytest
from msgspec.structs import replace as replace_struct

from agent.bundle.manifest import Cadence
from agent.core import Bounds, Core
from agent.core.entries import AlertsKept, HistoryLost, Messages, StateBehind
from agent.sources import plain_channels
from agent.words import Quality
from tests.small_bundle import CHANNELS, small_manifest
from tests.streams import SOURCE, core, interleaved, life, model, states_of, take

BENCH = replace(SOURCE, name="bench", topics=("bench/{device}",))
SLOW = Cadence(every_s=5.0, dt_max_s=100.0)


def of_model(taken, index, device="p1"):
    """What one model said of a device, as bytes."""
    scores = taken.scores[index]
    events = [event for event in taken.alerts if event.model == scores.model and event.device == device]
    said = [(one.kind, one.sequence, one.severity, one.t_ns, one.outputs) for one in events]
    mine = scores.device == device
    columns = (scores.t_ns, scores.quality, *scores.outputs.values())
    return b"".join(column[mine].tobytes() for column in columns) + repr(said).encode()


def alone(messages, **of):
    return of_model(take(Core((SOURCE,), (model(SOURCE, **of),), Bounds()), messages), 0)


def test_two_models_on_one_source_give_what_each_gives_alone():
    messages = [*life("p1", 60), *life("p1", 60, start=61, wear_from=1000)]
    two = Core((SOURCE,), (model(SOURCE), model(SOURCE, name="shadow", threshold=0.2)), Bounds())
    taken = take(two, messages)
    assert [one.model for one in taken.scores] == ["main", "shadow"]
    assert of_model(taken, 0) == alone(messages)
    assert of_model(taken, 1) == alone(messages, name="shadow", threshold=0.2)
    assert {event.model for event in taken.alerts} == {"main", "shadow"}
    ids = {(event.model, event.alert) for event in taken.alerts}
    assert len({alert for _, alert in ids}) == len(ids) >= 2, "an id is one alert's"


def test_two_models_that_raise_at_one_row_have_an_alert_each():
    two = Core((SOURCE,), (model(SOURCE), model(SOURCE, name="shadow")), Bounds())
    first, second = (event for event in take(two, life("p1", 60)).alerts if event.kind == "raised")
    assert (first.entry, first.t_ns, first.source, first.device) == (second.entry, second.t_ns, "press", "p1")
    assert first.alert != second.alert
    assert first.key != second.key
    assert two.view().n_standing() == 2


def test_models_on_different_sources_step_their_own_alone():
    one, other = model(SOURCE, BENCH, reads=[0]), model(SOURCE, BENCH, name="bench", reads=[1])
    two = Core((SOURCE, BENCH), (one, other), Bounds())
    on_bench = [("bench/p1", payload) for _, payload in life("p1", 50, seed=3)]
    taken = take(two, interleaved(life("p1", 60), on_bench))
    assert [set(part.source.tolist()) for part in taken.scores] == [{0}, {1}]
    assert of_model(taken, 0) == alone(life("p1", 60))
    apart = Core((BENCH,), (model(BENCH, name="bench"),), Bounds())
    assert of_model(taken, 1) == of_model(take(apart, on_bench), 0)


def test_each_model_takes_its_channels_from_the_sources():
    """A source whose payload has more, in another order, than either model reads."""
    wide = replace(SOURCE, channels=plain_channels("x", *CHANNELS[::-1]))
    two = Core((wide,), (model(wide), model(wide, name="shadow")), Bounds())
    messages = [(topic, json.dumps({**json.loads(payload), "x": 7.0}).encode()) for topic, payload in life("p1", 60)]
    taken = take(two, messages)
    assert of_model(taken, 0) == of_model(taken, 1).replace(b"shadow", b"main") == alone(life("p1", 60))


def test_a_slow_model_beside_a_fast_one_steps_at_its_own_pace():
    """A row that one model leaves out for its haste is no drop as long as another takes it."""
    slow = replace_struct(small_manifest(), cadence=SLOW)
    two = Core((SOURCE,), (model(SOURCE), model(SOURCE, name="slow", manifest=slow)), Bounds())
    messages = life("p1", 60)
    taken = take(two, messages)
    assert two.counts == {}
    assert of_model(taken, 0) == alone(messages)
    assert of_model(taken, 1) == alone(messages, name="slow", manifest=slow)
    assert len(taken.scores[1].entry) < len(taken.scores[0].entry) == 60


def test_rows_that_no_model_takes_are_dropped_and_counted():
    only_slow = Core((SOURCE,), (model(SOURCE, manifest=replace_struct(small_manifest(), cadence=SLOW)),), Bounds())
    n_taken = len(take(only_slow, life("p1", 60)).scores[0].entry)
    assert only_slow.counts == {("press", "too_fast"): 60 - n_taken}


def test_a_model_that_cannot_follow_a_device_leaves_the_other_model_alone():
    two = Core((SOURCE,), (model(SOURCE), model(SOURCE, name="shadow")), Bounds())
    first = take(two, life("p1", 30))
    states_of(two).state[0] = np.nan
    second = take(two, life("p1", 60)[30:], arrived_ns=10**11)
    assert two.counts == {("press", "not_finite"): 1}
    straight = Core((SOURCE,), (model(SOURCE, name="shadow"),), Bounds())
    want = [take(straight, life("p1", 30)), take(straight, life("p1", 60)[30:], arrived_ns=10**11)]
    assert [of_model(first, 1), of_model(second, 1)] == [of_model(one, 0) for one in want]


def test_a_source_that_no_model_reads_is_decoded_and_scores_nothing():
    idle = Core((SOURCE, BENCH), (model(SOURCE, BENCH, reads=[0]),), Bounds())
    taken = take(idle, [*life("p1", 5), *[(f"bench/{n}", life("x", 1)[0][1]) for n in range(3)]])
    assert len(taken.scores[0].entry) == 5
    assert idle.counts == {}
    assert idle.view().devices_by_quality()["warming_up"] >= 3


def test_a_new_model_beside_an_old_one_starts_empty_and_says_gap():
    one = core()
    take(one, life("p1", 30))
    two = Core((SOURCE,), (model(SOURCE), model(SOURCE, name="shadow")), Bounds())
    assert two.restore(one.snapshot()) == {"shadow": "the snapshot has no model of this name"}
    rest = life("p1", 60)[30:]
    taken = take(two, rest)
    assert of_model(taken, 0) == of_model(take(one, rest), 0)
    assert taken.scores[1].quality.tolist()[:2] == [Quality.GAP, Quality.WARMING_UP]


def test_a_standing_alert_of_a_model_that_is_gone_ends_with_the_cause():
    two = Core((SOURCE,), (model(SOURCE), model(SOURCE, name="shadow")), Bounds())
    raised = [event for event in take(two, life("p1", 60)).alerts if event.kind == "raised"]
    after = core()
    after.restore(two.snapshot())
    ended = after.apply(AlertsKept(raised, {("press", "p1"): (0, raised[0].t_ns)})).alerts
    assert [(event.model, event.cause, event.kind, event.sequence) for event in ended] == [
        ("shadow", "model_removed", "cleared", 2)
    ]
    assert ended[0].alert == raised[1].alert
    assert after.view().n_standing() == 1


@pytest.mark.slow
@pytest.mark.parametrize("cut", [0, 17, 44])
def test_a_restart_of_two_models_gives_the_alerts_of_an_undisturbed_run(cut):
    """Alerts from the table, states from a snapshot, as at a start in snapshot mode; no row is missing."""
    messages = [*life("p1", 60), *life("p1", 60, start=61, wear_from=1000)]
    models = (model(SOURCE), model(SOURCE, name="shadow", threshold=0.2))
    first, second, straight = (Core((SOURCE,), models, Bounds()) for _ in range(3))
    before = take(first, messages[:cut]).alerts
    second.restore(first.snapshot())
    last = {event.key: event for event in before}
    standing = [event for event in last.values() if event.state != "normal"]
    newest = {("press", "p1"): (0, max(event.t_ns for event in before))} if before else {}
    second.apply(StateBehind())
    second.apply(AlertsKept(standing, newest))
    second.apply(HistoryLost())
    after = take(second, messages[cut:], arrived_ns=10**12).alerts
    want = {(event.model, event.alert) for event in take(straight, messages).alerts}
    assert {(event.model, event.alert) for event in (*before, *after)} == want


def test_messages_may_be_split_anywhere():
    models = (model(SOURCE), model(SOURCE, name="shadow", threshold=0.2))
    whole, cut = Core((SOURCE,), models, Bounds()), Core((SOURCE,), models, Bounds())
    messages = interleaved(life("p1", 40), life("p2", 50, seed=4))
    straight = take(whole, messages)
    parts = [
        cut.apply(Messages([topic], [payload], [10**9 + 10**7 * index]))
        for index, (topic, payload) in enumerate(messages)
    ]
    for index in range(2):
        risks = np.concatenate([part.scores[index].outputs["risk"] for part in parts])
        assert risks.tobytes() == straight.scores[index].outputs["risk"].tobytes()
    assert [event for part in parts for event in part.alerts] == list(straight.alerts)
