"""One bundle with the heads `risk` and `anomaly` in a whole agent: each has its budget, its evidence and its alerts.

All of it outlasts kill -9.
"""

import json
from itertools import pairwise

import pytest

from agent.bundle import file
from agent.core import Bounds, Core
from agent.publish.message import event_message
from tests.broker.running_agent import configuration
from tests.bundles import write_small_bundle
from tests.small_anomaly import anomaly_manifest
from tests.streams import SOURCE, Message, life, model, take

BUDGETS = """
budget = "1 per 1000 cycles"
anomaly_budget = "5 per 1000 cycles"
"""
THRESHOLDS = {"risk": 0.5, "anomaly": 1.0}
WORN, WELL = life("p1", 60), life("p1", 60, start=61, wear_from=1000)
HEADS = ("risk", "anomaly")


@pytest.fixture
def agent(broker, make_agent):
    """Around a bundle with both heads."""
    one = make_agent(configuration(broker.port).replace('bundle = "small.fwb"', f'bundle = "both.fwb"{BUDGETS}'))
    write_small_bundle(one.folder / "both.fwb", anomaly_manifest(with_risk=True))
    one.go()
    return one


def inline(agent, messages: list[Message]) -> list[dict[str, object]]:
    """The events of a core that reads the same."""
    bundle = file.read(agent.folder / "both.fwb")
    both = model(SOURCE, manifest=bundle.manifest, digest=bundle.digest)
    both.thresholds.update(THRESHOLDS)
    taken = take(Core((SOURCE,), (both,), Bounds()), messages)
    return [json.loads(event_message(event)) for event in taken.alerts]


def by_head(events) -> dict[str, list[dict[str, object]]]:
    return {head: [event for event in events if event["head"] == head] for head in HEADS}


def test_each_head_has_its_threshold_and_its_alerts(agent):
    """What is said is what a core says that reads the same messages; an alert of one head says nothing of the other."""
    status = agent.feed([*WORN, *WELL])
    heads = status["models"]["main"]["heads"]
    assert {head: (of["budget"], of["threshold"]) for head, of in heads.items()} == {
        "risk": ("1 per 1000 cycles", 0.5),
        "anomaly": ("5 per 1000 cycles", 1.0),
    }
    events = agent.events()
    assert events == inline(agent, [*WORN, *WELL])
    for of in by_head(events).values():
        assert [of[0]["event"], of[-1]["event"]] == ["raised", "cleared"]
        assert len({event["alert"] for event in of}) == 1
    risk, anomaly = (of[0] for of in by_head(events).values())
    assert risk["alert"] != anomaly["alert"]
    assert anomaly["contribution"][0]["channel"] == "wear"
    assert ("risk" in risk, "risk" in anomaly, "contribution" in risk) == (True, True, True)
    assert agent.standing() == {}


def test_evidence_of_each_head_is_collected_anew_after_a_kill(agent):
    """Killed at the row before the alert of `anomaly`: two rows that say ok are needed again, and risk is as it was."""
    due = by_head(inline(agent, WORN))
    raised = {head: of[0]["t_ns"] // 10**9 for head, of in due.items()}
    assert raised["anomaly"] < raised["risk"] - 3
    place = raised["anomaly"] - 1  # one row is over the threshold
    agent.feed(WORN[:place])
    agent.wait_for_snapshots(1)
    agent.kill()
    assert agent.events(all_lives=True) == []
    agent.go()
    agent.feed(WORN[place:])
    assert agent.qualities("p1")[0] == "gap"
    events = by_head(agent.events())
    assert events["anomaly"][0]["t_ns"] // 10**9 >= raised["anomaly"] + 2
    assert events["risk"][0]["t_ns"] // 10**9 == raised["risk"]


def test_alerts_of_both_heads_outlast_kill_9_and_clear_under_their_ids(agent):
    agent.feed(WORN)
    before = {topic: alert["alert"] for topic, alert in agent.standing().items()}
    assert [*before] == ["press/p1/anomaly", "press/p1/risk"]
    agent.wait_for_snapshots(1)
    agent.kill()
    agent.go()
    agent.feed(WELL[:2])
    assert {topic: alert["alert"] for topic, alert in agent.standing().items()} == before
    agent.feed(WELL[2:])
    assert agent.standing() == {}
    for of in by_head(agent.events(all_lives=True)).values():
        said = {(event["alert"], event["sequence"]): event["event"] for event in of}
        assert len({alert for alert, _ in said}) == 1
        assert all(later == sooner + 1 for (_, sooner), (_, later) in pairwise(said))
        assert [*said.values()][0 :: len(said) - 1] == ["raised", "cleared"]


def test_a_repair_ends_the_alerts_of_both_heads(broker, make_agent):
    text = configuration(broker.port).replace('bundle = "small.fwb"', f'bundle = "both.fwb"{BUDGETS}')
    agent = make_agent(text + '[source.interventions]\nfield = "done"\nwords = { repaired = "repaired" }\n')
    write_small_bundle(agent.folder / "both.fwb", anomaly_manifest(with_risk=True))
    agent.go()
    agent.feed(WORN)
    assert len(agent.standing()) == 2
    agent.feed([("plant/p1/cycle", b'{"cycle": 61, "done": "repaired"}'), *WELL[1:3]])
    ended = [(event["head"], event["event"], event["cause"]) for event in agent.events()[-2:]]
    assert sorted(ended) == [("anomaly", "cleared", "repaired"), ("risk", "cleared", "repaired")]
    assert agent.standing() == {}
    assert json.loads(agent.scores("p1")[-1])["anomaly"][0] < 0, "it learns anew"
