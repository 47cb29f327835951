"""MQTT 5 and 3.1.1, QoS 0 and 1: the same scores, events and retained alerts."""

import pytest

from tests.broker.listener import Heard
from tests.broker.old_broker import old_broker
from tests.broker.running_agent import ROOT, configuration
from tests.broker.told import events_inline, scores_inline
from tests.streams import life

MESSAGES = life("p1", 60)


def check_the_way(agent, protocol: str) -> None:
    """Scores, events, and what stands."""
    status = agent.feed(MESSAGES)
    assert {status["broker"][name]["protocol"] for name in ("input", "output")} == {protocol}
    assert agent.scores("p1") == scores_inline(MESSAGES, "p1")
    said = [one.payload for one in agent.listener.heard if one.topic == f"{ROOT}/event"]
    assert said == events_inline(MESSAGES, agent.folder / "small.fwb")
    assert list(agent.standing()) == ["press/p1/risk"]


def check_the_way_back(agent) -> None:
    """A restart of the broker, and a clean stop."""
    before = agent.standing()
    agent.restart_broker()
    agent.feed(life("p1", 2, start=61))
    assert agent.qualities("p1") == ["gap", "ok"]
    assert agent.standing() == before
    assert agent.stop() == 0
    agent.listener.wait_for(lambda one: one == Heard(f"{ROOT}/available", b"stopped", False), "stopped")


@pytest.mark.parametrize(("protocol", "qos"), [("3.1.1", 1), ("3.1.1", 0), ("5", 0)])
def test_a_fixed_protocol_works_the_same(broker, make_agent, protocol, qos):
    """`broker.protocol` names one; nothing of what is said differs."""
    agent = make_agent(configuration(broker.port, protocol=protocol, qos=qos))
    agent.go()
    check_the_way(agent, protocol)


@pytest.mark.slow
def test_auto_falls_back_to_what_an_old_broker_speaks(broker, make_agent):
    """The broker refuses MQTT 5; the status says 3.1.1 of both connections, and nobody had to configure it."""
    with old_broker(broker.port) as port:
        agent = make_agent(configuration(port))
        agent.go()
        check_the_way(agent, "3.1.1")
        check_the_way_back(agent)


def test_a_foreign_retained_alert_is_removed_without_no_local(broker, make_agent):
    """3.1.1 sends a client what it published itself: the agent's own alerts are not taken for foreign ones."""
    agent = make_agent(configuration(broker.port, protocol="3.1.1"))
    foreign = events_inline(life("x", 60), agent.folder / "small.fwb")[0]
    broker.publish(f"{ROOT}/alert/x/risk", foreign, retain=True)
    agent.go()
    agent.listener.wait_for(lambda one: one == Heard(f"{ROOT}/alert/x/risk", b"", False), "its removal")
    agent.feed(MESSAGES)
    assert list(agent.standing()) == ["press/p1/risk"]
