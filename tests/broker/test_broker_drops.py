"""What mosquitto dropped for the agent is a gap, with large payloads and a small queue, too."""

import os
import signal

import pytest

from agent.receive.nap import WINDOW
from tests.broker.running_agent import configuration, wait_until
from tests.streams import message

N_DEVICES = 500
PAYLOAD_BYTES = 40_000  # a read is cut by bytes before it shows how many messages the broker lets wait


def test_large_messages_that_the_broker_dropped_for_us_are_a_gap(broker, make_agent):
    """The agent stands still while 20 MB come, far more than sockets hold and this broker queues."""
    broker.kill()
    broker.settings = ("max_queued_messages 100", "sys_interval 1", *broker.settings[1:])
    broker.start()
    agent = make_agent(configuration(broker.port, qos=0).replace('scores = "all"', 'scores = "none"'))
    agent.go()
    devices = [f"d{number}" for number in range(N_DEVICES)]
    for cycle in range(1, 10):
        n_taken = agent.status()["taken"]
        for first in range(0, N_DEVICES, 50):  # so that nothing is dropped yet
            broker.publish_all([message(device, cycle) for device in devices[first : first + 50]])
        wait_until(lambda: agent.status()["taken"] >= n_taken + N_DEVICES, "all are taken")  # noqa: B023
    assert (agent.status()["devices"]["ok"], agent.status()["drops"]) == (N_DEVICES, {})
    n_taken = agent.status()["taken"]
    os.kill(agent.process.pid, signal.SIGSTOP)
    broker.publish_all([(topic, payload.ljust(PAYLOAD_BYTES)) for topic, payload in (message(d, 10) for d in devices)])
    os.kill(agent.process.pid, signal.SIGCONT)
    wait_until(lambda: "broker_dropped" in agent.status()["drops"].get("", {}), "the drop is said")
    n_lost = N_DEVICES - (agent.status()["taken"] - n_taken)
    assert n_lost > 0
    (said,) = agent.log("reading_dropped")
    assert "may have been ours" in said["detail"]
    for first in range(0, N_DEVICES, 50):
        broker.publish_all([message(device, 11) for device in devices[first : first + 50]])
    wait_until(lambda: agent.status()["devices"]["gap"] >= n_lost, "the next rows say that history is missing")


@pytest.mark.slow
@pytest.mark.default_limits
def test_what_the_queue_of_an_agent_that_is_away_did_not_hold_is_counted_and_every_device_says_gap(broker, make_agent):
    """mosquitto keeps 1,000 messages for a session and drops the rest, the newest, without a word to anybody.

    What the agent had not acknowledged when it died takes room among them, so some more than 4,000 may be dropped.
    """
    broker.kill()
    broker.settings += ("sys_interval 1",)
    broker.start()
    agent = make_agent(configuration(broker.port, durability="journal").replace('scores = "all"', 'scores = "none"'))
    agent.go()
    devices = [f"d{number}" for number in range(10)]
    for cycle in range(1, 16):
        broker.publish_all([message(device, cycle) for device in devices])
    wait_until(lambda: agent.status()["devices"]["ok"] == len(devices), "all are healthy")
    agent.kill()
    broker.publish_all([message(device, cycle) for cycle in range(16, 516) for device in devices])
    agent.go()
    n_said = len(devices) * 515

    def n_dropped() -> int:
        return agent.status()["drops"].get("", {}).get("broker_dropped", 0)

    wait_until(lambda: agent.status()["taken"] + n_dropped() == n_said, "all is taken, or counted as dropped")
    assert 4000 <= n_dropped() <= 4000 + WINDOW
    broker.publish_all([message(device, 516) for device in devices])
    wait_until(lambda: agent.status()["devices"]["gap"] == len(devices), "every device says that history is missing")
