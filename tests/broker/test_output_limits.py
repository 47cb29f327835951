"""A whole agent whose output broker enforces what it announces, and two agents of one node."""

import json

import pytest

from bench.strict_broker import StrictBroker
from tests.broker import schemas
from tests.broker.listener import Heard, Listener
from tests.broker.running_agent import ROOT, RunningAgent, configuration, wait_until, with_output
from tests.streams import interleaved, life

DEVICES = [f"p{number}" for number in range(12)]
LIMITS = {
    "five at a time": ({"receive_maximum": 5}, ""),
    "no retained messages": ({"retain": False}, "no retained messages"),
    "no QoS 1": ({"qos_max": 0}, "no QoS 1"),
    "small packets": ({"packet_bytes_max": 1200}, "no packet above 1200 bytes"),
}


@pytest.mark.parametrize(("rules", "limit"), LIMITS.values(), ids=LIMITS)
def test_events_leave_within_the_limits_of_the_output_broker_which_are_said(broker, make_agent, rules, limit):
    """Twelve machines fail at once. No connection is ended for a breach but those that teach what a will may be."""
    with StrictBroker(**rules) as output:
        agent = make_agent(with_output(broker.port, output.port))
        agent.start()
        wait_until(lambda: output.payloads(f"{ROOT}/available") == [b"online"], "the agent at its output")
        agent.wait_for_log("broker_connected")
        broker.publish_all(interleaved(*(life(device, 60, seed=number) for number, device in enumerate(DEVICES))))
        wait_until(
            lambda: len({event["device"] for event in events(output, "raised")}) == len(DEVICES), "all are raised"
        )
        assert agent.stop() == 0
        assert len(output.broken) <= 1
        assert len(agent.log("output_connected")) == 1
        assert limit in agent.log("output_connected")[0]["why"]
        assert output.payloads(f"{ROOT}/available") == [b"online", b"stopped"]
        raised = {line["id"] for line in agent.log("alert_raised")}
        assert {event["alert"] for event in events(output, "raised")} == raised
        schemas.check(Heard(one.topic, one.payload, one.retain) for one in output.accepted)
        statuses = [json.loads(payload) for payload in output.payloads(f"{ROOT}/status")]
        assert all(limit in status["broker"]["output"]["limits"][0] for status in statuses if limit)


def events(output: StrictBroker, kind: str) -> list[dict[str, object]]:
    found = [json.loads(payload) for payload in output.payloads(f"{ROOT}/event")]
    return [event for event in found if event["event"] == kind]


def test_an_agent_that_may_not_write_its_instance_stops_as_stopped(broker, make_agent):
    """The ACL of another version. Mosquitto says so in its PUBACK."""
    acl = broker.folder / "acl"
    acl.write_text(f"topic readwrite #\ntopic deny {ROOT}/instance\n")
    broker.settings = (*broker.settings, f"acl_file {acl}")
    broker.kill()
    broker.start()
    with Listener(broker.port, "forewarn/#") as hears:
        agent = make_agent(hears=hears)
        agent.go()
        assert f"{ROOT}/instance: Not authorized" in agent.wait_for_log("publish_refused")["why"]
        assert agent.stop() == 0
        wait_until(lambda: broker.retained(f"{ROOT}/available") == {f"{ROOT}/available": b"stopped"}, "stopped")


def test_two_agents_of_one_node_keep_each_others_alerts_and_say_so(broker, listener, make_agent, tmp_path):
    """Two gateways from one image with client ids of their own. The second starts from nothing."""
    first = make_agent()
    first.go()
    first.feed(life("p1", 60))
    assert list(first.standing()) == ["press/p1/risk"]
    (tmp_path / "other").mkdir()
    text = configuration(broker.port).replace("[broker]", '[broker]\nclient_id = "other"')
    second = RunningAgent(tmp_path / "other", broker, listener, text)
    second.start()
    try:
        second.wait_for_log("retained_alerts_left")
        (line,) = second.log("other_agent_connected")
        assert "forewarn-gateway-1-out" in line["why"]
        assert "other-out" in first.wait_for_log("other_agent_connected")["why"]
        assert list(first.standing()) == ["press/p1/risk"]
        assert second.log("retained_alert_removed") == first.log("retained_alert_removed") == []
        assert second.stop() == 0
    finally:
        second.end()
