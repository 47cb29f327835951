"""What mosquitto dropped for the agent is a gap, with large payloads and a small queue, too."""

import os
import signal

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
