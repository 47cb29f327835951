"""A broker that is killed and comes back: nothing that stands is lost, and what was missed is marked."""

import json
import signal

from tests.broker.listener import Listener
from tests.broker.running_agent import ROOT, wait_until, with_output
from tests.streams import interleaved, life


def test_a_broker_that_comes_back_finds_gaps_marked_and_alerts_again(agent):
    """Laws 3 and 4. Kill -9 of the broker mid-stream: the next row of every device says `gap`, and only that one; the
    alert that stands is retained again, under its id, on a broker that has forgotten it."""
    whole = [life("p1", 60), life("p2", 60, wear_from=1000, seed=1)]
    agent.feed(interleaved(*(one[:45] for one in whole)))
    before = agent.standing()
    assert list(before) == ["press/p1/risk"]
    agent.restart_broker()
    agent.listener.wait_for(
        lambda one: one.topic == f"{ROOT}/alert/press/p1/risk", "the alert again", since=agent.since
    )
    assert agent.standing() == before
    assert agent.broker.retained(f"{ROOT}/available") == {f"{ROOT}/available": b"online"}
    agent.feed(interleaved(*(one[45:] for one in whole)))
    for device in ("p1", "p2"):
        assert agent.qualities(device) == ["gap"] + ["ok"] * 14
    assert {event["alert"] for event in agent.events(all_lives=True)} == {before["press/p1/risk"]["alert"]}
    assert len(agent.log("broker_connected")) == 2


def test_what_is_raised_while_the_output_is_away_is_said_when_it_is_back(broker, output_broker, make_agent):
    """Law 3. Input and output are two brokers: the input goes on, and the outbox keeps the events, in their order."""
    devices = [f"p{number}" for number in range(12)]
    whole = interleaved(*(life(device, 60, seed=number) for number, device in enumerate(devices)))
    with Listener(output_broker.port, "forewarn/#") as listener:
        agent = make_agent(with_output(broker.port, output_broker.port), hears=listener)
        agent.go()
        agent.feed(whole[:240])
        output_broker.kill()
        broker.publish_all(whole[240:])
        agent.wait_for_log("alert_raised")
        agent.process.send_signal(signal.SIGSTOP)  # nobody keeps an event for a listener that is not back yet
        output_broker.start()
        listener.wait_until_subscribed(2)
        agent.process.send_signal(signal.SIGCONT)
        listener.wait_for(
            lambda one: one.topic == f"{ROOT}/status" and json.loads(one.payload)["taken"] == len(whole)
            and json.loads(one.payload)["queues"]["outbox"] == 0, "an empty outbox", since=len(listener.heard)
        )  # fmt: skip
        agent.stop()
        logged = [(line["id"], line["event"]) for line in agent.log_lines() if line["event"].startswith("alert_")]
        said = [(event["alert"], f"alert_{event['event']}") for event in agent.events()]
        assert said == logged
        assert {event["device"] for event in agent.events()} == set(devices)
        assert agent.qualities("p1")[:20] == ["warming_up"] * 2 + ["ok"] * 18


def test_what_the_broker_refuses_is_kept_until_it_is_allowed(broker, make_agent):
    """MQTT 5 says why a PUBLISH is refused: the events stay in the outbox, parked and said; the rest goes out. Once the
    ACL is mended they leave on the connection that stands, `raised` before `cleared`."""
    broker.close()
    acl = broker.folder / "acl"
    acl.write_text(f"topic readwrite #\ntopic deny {ROOT}/event\n")
    broker.settings = (*broker.settings, f"acl_file {acl}")
    broker.start()
    agent = make_agent()
    agent.go()
    broker.publish_all(life("p1", 45))
    parked(agent, 1)
    assert list(agent.standing()) == ["press/p1/risk"]
    broker.publish_all(life("p1", 40, start=46, wear_from=1000))
    parked(agent, 2)
    assert agent.standing() == {}
    assert agent.events() == []
    (line,) = agent.log("publish_refused")
    assert "Not authorized" in line["why"]
    acl.write_text("topic readwrite #\n")
    broker.reload()
    wait_until(lambda: len(agent.events()) == 2, "both events")
    assert [(event["event"], event["sequence"]) for event in agent.events()] == [("raised", 1), ("cleared", 2)]
    assert len(agent.log("output_connected")) == 1


def parked(agent, n: int) -> None:
    """Until the status says that so many events are parked, and nothing else waits."""
    agent.listener.wait_for(
        lambda one: (
            one.topic == f"{ROOT}/status"
            and json.loads(one.payload)["queues"] == {"outbox": n, "parked": n, "waiting_rows": 0}
        ),
        f"{n} parked",
    )


def test_sigterm_while_the_broker_is_away_keeps_the_state(agent):
    """It ends at once with exit code 0; the next start goes on from there."""
    agent.feed(life("p1", 45))
    (raised, *_) = agent.events()
    agent.broker.kill()
    agent.wait_for_log("broker_lost")
    assert agent.stop() == 0
    agent.broker.start()
    agent.listener.wait_until_subscribed(2)
    agent.go()
    agent.feed(life("p1", 3, start=46))
    assert agent.qualities("p1") == ["gap", "ok", "ok"]
    assert agent.standing()["press/p1/risk"]["alert"] == raised["alert"]
