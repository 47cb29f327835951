"""Alerts of silence at a real broker: raised, retained, cleared; and none of an outage, or of a sleep."""

import signal
import time

import pytest

from tests.broker.running_agent import configuration
from tests.streams import life

AFTER_S = 2.0


def watchful(port: int, after_s: float = AFTER_S) -> str:
    text = configuration(port).replace("[broker]\n", '[broker]\nkeepalive = "5s"\n')
    return text.replace("[broker]\n", 'tick_every = "100ms"\n[broker]\n') + f'silent_after = "{after_s:g}s"\n'


def silences(agent) -> list[tuple[str, str]]:
    """What was said, without what came twice."""
    events = {(one["alert"], one["sequence"]): one for one in agent.events(all_lives=True) if one["head"] == "silence"}
    return [(event["event"], event["cause"]) for event in events.values()]


def test_a_source_that_falls_silent_is_told_of_over_a_kill_and_until_it_is_heard(broker, make_agent):
    agent = make_agent(watchful(broker.port))
    agent.go()
    agent.feed(life("p1", 5))
    agent.listener.wait_for(lambda one: one.topic.endswith("/alert/press/silence"), "silence", since=agent.since)
    (alert,) = {event["alert"] for event in agent.events()}
    agent.kill()
    agent.go()
    time.sleep(AFTER_S)  # nothing may come of the time in which it did not listen
    assert {topic: one["alert"] for topic, one in agent.standing().items()} == {"press/silence": alert}
    assert agent.status()["silent"] == ["press"]
    assert agent.status()["alerts"]["standing"] == 1
    agent.feed(life("p1", 2, start=6))
    agent.listener.wait_for(lambda one: b"heard_again" in one.payload, "heard again", since=agent.since)
    assert agent.stop() == 0
    assert silences(agent)[:2] == [("raised", "silence"), ("cleared", "heard_again")]


@pytest.mark.long
def test_an_outage_and_a_sleep_are_no_silence(broker, make_agent):
    """SIGSTOP until the broker has dropped it, then the broker is away: each for longer than silence may last.

    It may last long enough for a busy machine to publish in it, and less than 1.5 keepalives.
    """
    agent = make_agent(watchful(broker.port, 7.0))
    agent.go()
    agent.feed(life("p1", 60))
    before = agent.events()
    agent.process.send_signal(signal.SIGSTOP)
    agent.listener.wait_for(lambda one: one.topic.endswith("/available") and one.payload == b"offline", "the last will")
    agent._begin()
    agent.process.send_signal(signal.SIGCONT)
    agent.wait_until_it_listens()
    agent.feed(life("p1", 1, start=61))
    agent.broker.kill()
    time.sleep(8)
    agent._begin()
    agent.broker.start()
    agent.wait_until_it_listens()
    agent.feed(life("p1", 1, start=62))
    assert agent.qualities("p1") == ["gap"]
    assert agent.events(all_lives=True) == before
    assert {event["head"] for event in before} == {"risk"}
