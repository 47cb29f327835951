"""A broker that is stopped in order (SIGTERM) and keeps what it had: nothing is lost, nothing comes twice (A3)."""

import signal

import pytest

from tests.broker.listener import Listener
from tests.broker.running_agent import wait_until, with_output
from tests.faults.twin import Twin, without_repeats
from tests.streams import interleaved, life


@pytest.mark.long
def test_a_broker_that_is_stopped_in_order_costs_nothing(broker, output_broker, make_agent):
    """While it has messages under way that an agent which stands still has not acknowledged, and others that wait."""
    broker.close()
    broker.settings += ("persistence true", f"persistence_location {broker.folder}/")
    broker.start()
    messages = interleaved(life("p1", 60), life("p2", 60, wear_from=1000, seed=1))
    with Listener(output_broker.port, "forewarn/#") as listener:
        agent = make_agent(with_output(broker.port, output_broker.port, durability="journal"), listener)
        agent.go()
        agent.feed(messages[:40])
        agent.process.send_signal(signal.SIGSTOP)
        broker.publish_all(messages[40:100])
        broker.close()
        broker.start()
        agent.process.send_signal(signal.SIGCONT)
        broker.publish_all(messages[100:])
        wait_until(lambda: agent.status()["taken"] == len(messages), "each message, once")
        wait_until(lambda: agent.status()["queues"]["outbox"] == 0, "all is said")
        twin = Twin(agent.folder / "small.fwb")
        twin.take(messages)
        for device in ("p1", "p2"):
            assert agent.scores(device) == twin.scores[device]
            events = [event for event in agent.events() if event["device"] == device]
            assert without_repeats(events) == twin.events[device]
        assert len(agent.log("broker_connected")) == 2
        assert len(agent.log("agent_started")) == 1
