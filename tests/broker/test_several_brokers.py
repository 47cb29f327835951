"""One agent reads from two brokers, whose topics are the same: as two plants of one make have them."""

import json

import pytest

from tests.broker.running_agent import ROOT, configuration, wait_until
from tests.broker.told import scores_inline
from tests.streams import life

YARD = """
[brokers.yard]
host = "127.0.0.1"
port = {port}
[[source]]
name = "yard"
topic = "plant/{{device}}/cycle"
broker = "yard"
qos = 1
time = {{ field = "cycle", unit = "cycle" }}
"""


@pytest.fixture
def yard(output_broker):
    return output_broker


@pytest.fixture
def agent(broker, yard, make_agent):
    """Its devices are at both brokers."""
    one = make_agent(configuration(broker.port) + YARD.format(port=yard.port))
    one.start()
    one.wait_until_it_listens()
    wait_until(lambda: link(one)["subscriptions"] == {"yard": "granted"}, "the yard is subscribed to")
    return one


def link(agent) -> dict:
    return agent.status()["broker"]["inputs"]["yard"]


def of_yard(agent) -> list[dict]:
    heard = agent.listener.heard[agent.since :]
    return [json.loads(one.payload) for one in heard if one.topic == f"{ROOT}/score/yard/p1"]


def test_a_device_of_one_name_at_two_brokers_is_two_devices(agent, broker, yard):
    """Each is scored as if it were alone, and what the agent says goes to [broker]."""
    here, there = life("p1", 30, seed=1), life("p1", 40, seed=2)
    for number in range(40):
        yard.publish_all(there[number : number + 1])
        if number < 30:
            broker.publish_all(here[number : number + 1])
    wait_until(lambda: len(agent.scores("p1")) == 30 and len(of_yard(agent)) == 40, "all rows are scored")
    assert agent.scores("p1") == scores_inline(here, "p1")
    expected = [json.loads(payload) for payload in scores_inline(there, "p1")]
    assert [one["risk"] for one in of_yard(agent)] == [one["risk"] for one in expected]
    assert agent.status()["broker"]["input"]["subscriptions"] == {"press": "granted"}
    assert agent.stop() == 0


def test_a_broker_that_is_away_holds_up_no_other_and_only_its_devices_say_gap(agent, broker, yard):
    rows, others = life("p1", 20), life("p1", 20, seed=2)
    broker.publish_all(rows[:10])
    yard.publish_all(others[:10])
    wait_until(lambda: len(agent.scores("p1")) == 10 and len(of_yard(agent)) == 10, "both are read")
    yard.kill()
    wait_until(lambda: not link(agent)["connected"], "the loss is noticed")
    broker.publish_all(rows[10:15])
    wait_until(lambda: len(agent.scores("p1")) == 15, "the other broker goes on")
    yard.start()
    wait_until(lambda: link(agent)["subscriptions"] == {"yard": "granted"}, "it is back")
    broker.publish_all(rows[15:])
    yard.publish_all(others[10:12])
    wait_until(lambda: len(agent.scores("p1")) == 20 and len(of_yard(agent)) == 12, "both are read again")
    assert agent.qualities("p1")[-10:] == ["ok"] * 10
    assert [one["quality"] for one in of_yard(agent)][-3:] == ["ok", "gap", "ok"]
    assert agent.stop() == 0
