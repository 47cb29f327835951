"""MQTT 3.1.1 and an ACL: mosquitto acknowledges what it throws away, and grants subscriptions that it never serves."""

import pytest

from tests.broker.listener import Listener
from tests.broker.running_agent import ROOT, configuration, wait_until
from tests.streams import life

pytestmark = pytest.mark.slow

ALL = "topic readwrite #"
MESSAGES = life("p1", 60)


def set_acl(broker, *of_the_agent: str) -> None:
    """What the agent's user may do; all others may do all."""
    (broker.folder / "acl").write_text("\n".join([ALL, "", "user agent", *of_the_agent, ""]))


@pytest.fixture
def start(broker, make_agent):
    """An agent of a user of its own, at a broker with that ACL; has taken messages in which an alert is raised."""
    hears = []

    def started(*of_the_agent: str, delivered_by: str = "round_trip"):
        set_acl(broker, *of_the_agent)
        broker.settings = (*broker.settings, f"acl_file {broker.folder / 'acl'}")
        broker.kill()
        broker.start()
        hears.append(Listener(broker.port, "forewarn/#").__enter__())
        text = configuration(broker.port, protocol="3.1.1")
        text = text.replace("[broker]", '[broker]\nusername = "agent"')
        text = text.replace("[publish]", f'[publish]\ndelivered_by = "{delivered_by}"')
        agent = make_agent(text, hears=hears[0])
        agent.go()
        broker.publish_all(MESSAGES)
        agent.wait_for_log("alert_raised")
        return agent

    yield started
    hears[0].__exit__(None, None, None)


def test_what_the_acl_throws_away_is_kept_and_said_and_leaves_in_order_once_it_is_mended(broker, start):
    """A17. The PUBACK says nothing; that the event does not come back does."""
    agent = start(ALL, f"topic deny {ROOT}/event")
    line = agent.wait_for_log("alerts_not_deliverable")
    assert line["why"].endswith(f"under {ROOT}/event")
    assert f"{ROOT}/#" in line["next_step"]
    wait_until(lambda: "alerts not deliverable" in "".join(agent.status()["broker"]["output"]["limits"]), "the status")
    assert agent.status()["queues"]["parked"] >= 1
    assert agent.events() == []
    assert list(agent.standing()) == ["press/p1/risk"], "what is passed on leaves"
    set_acl(broker, ALL)
    broker.reload()
    agent.wait_for_log("alerts_deliverable")
    wait_until(lambda: agent.status()["queues"]["outbox"] == 0, "all has left")
    events = agent.events()
    assert {event["alert"] for event in events} == {line["id"] for line in agent.log("alert_raised")}
    assert [event["sequence"] for event in events] == list(range(1, len(events) + 1))
    assert agent.status()["broker"]["output"]["limits"] == []


def test_an_agent_that_may_not_read_its_own_topics_is_told_of_the_setting_that_trusts_the_broker(start):
    agent = start("topic read plant/#", f"topic write {ROOT}/#")
    assert 'publish.delivered_by = "acknowledgement"' in agent.wait_for_log("alerts_not_deliverable")["next_step"]
    assert agent.status()["queues"]["outbox"] > 0
    assert agent.events(), "it has been said all the same"


def test_an_agent_that_trusts_the_broker_takes_its_acknowledgements(start):
    agent = start("topic read plant/#", f"topic write {ROOT}/#", delivered_by="acknowledgement")
    wait_until(lambda: agent.status()["queues"]["outbox"] == 0 and bool(agent.events()), "all has left")
    assert agent.log("alerts_not_deliverable") == []
