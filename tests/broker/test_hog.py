"""One device that sends far too much starves no other (law 5), with a broker at its own defaults.

In 30 beats the hog sends 300 rows each and 20 devices one each: 3,000 rows a second beside 10 a device. The beats come
a tenth of a second apart, so that this is a rate and not a heap; what is checked are counts. A backlog that a device
sends in one go is no hog's: all of it is scored.
"""

import time

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from tests.broker.listener import Listener
from tests.broker.running_agent import ROOT, configuration, wait_until
from tests.streams import message

BEATS, BEAT_S = 30, 0.1
HOG_ROWS = 300  # a beat
FLEET = [f"p{number}" for number in range(20)]
pytestmark = [pytest.mark.default_limits, pytest.mark.alone]


@pytest.fixture
def quiet_listener(broker):
    """Hears no score, so that the broker's own drops are not the listener's."""
    with Listener(broker.port, f"{ROOT}/status", f"{ROOT}/available") as one:
        yield one


def beat(client: paho.Client, number: int, qos: int) -> None:
    for row in range(HOG_ROWS):
        client.publish(*message("hog", number * HOG_ROWS + row), qos=qos)
    for device in FLEET:
        client.publish(*message(device, number), qos=qos)


def at_default_load(port: int, **options: object) -> str:
    """A configuration with the share and the delay of the defaults."""
    text = configuration(port, **options)
    return text.replace("rows_per_device_max = 4096\n", "").replace('delay_max = "2ms"\n', "")


@pytest.mark.parametrize(("protocol", "qos"), [("5", 0), ("3.1.1", 0), ("5", 1), ("3.1.1", 1)])
def test_a_hog_is_named_and_the_fleet_keeps_its_rows(broker, quiet_listener, make_agent, protocol, qos):
    """What is beyond the hog's share waits, what is beyond what may wait is shed and said, nobody else loses a row."""
    text = at_default_load(broker.port, protocol=protocol, qos=qos)
    agent = make_agent(text.replace('scores = "all"', 'scores = "none"'), hears=quiet_listener)
    agent.go()
    client = paho.Client(CallbackAPIVersion.VERSION2)
    client.max_queued_messages_set(0)
    client.connect("127.0.0.1", broker.port)
    client.loop_start()
    begun_s = time.monotonic()
    for number in range(1, BEATS + 1):
        while time.monotonic() < begun_s + number * BEAT_S:
            time.sleep(0.001)
        beat(client, number, qos)
    sent = client.publish("plant/end/cycle", b"", qos=1)
    sent.wait_for_publish(20)
    client.disconnect()
    client.loop_stop()
    wait_until(lambda: "empty" in agent.status()["drops"].get("press", {}), "the end marker is taken")
    assert agent.status()["queues"]["waiting_rows"] > 0
    wait_until(lambda: agent.status()["queues"]["waiting_rows"] == 0, "what waits is taken")
    status = agent.status()
    n_shed = status["drops"]["press"]["shed"]
    assert status["shed"] == {"press": {"hog": n_shed}}
    n_lost = BEATS * (HOG_ROWS + len(FLEET)) + 1 - status["taken"] - n_shed
    assert n_lost <= 0.01 * BEATS * len(FLEET), "the broker dropped so many, and perhaps all of them were the fleet's"
    named = agent.wait_for_log("device_shed")
    assert (named["device"], named["topic"]) == ("hog", "plant/hog/cycle")
    assert named["rows_per_s"] > 640


@pytest.mark.parametrize("qos", [0, 1])
def test_a_backlog_that_a_device_sends_in_one_go_is_scored_whole(broker, make_agent, qos):
    """506 rows, as many as the guide plays, at the default share; and a stop takes what still waits of 900 more."""
    agent = make_agent(at_default_load(broker.port, qos=qos))
    agent.go()
    broker.publish_all([message("p1", cycle) for cycle in range(1, 507)])
    wait_until(lambda: len(agent.scores("p1")) == 506, "all rows are scored")
    wait_until(lambda: agent.status()["taken"] == 506, "the status is of that")
    assert agent.status()["drops"] == {}
    broker.publish_all([message("p1", cycle) for cycle in range(507, 1407)])  # fewer than the broker queues
    wait_until(lambda: read_so_far(agent.status()) == 1406, "all are read, and most of them wait")
    assert agent.stop() == 0
    (stopped,) = agent.log("agent_stopped")
    assert stopped["taken"] == 1406


def read_so_far(status: dict) -> int:
    """Messages that the core has taken, or that wait for it."""
    return status["taken"] + status["queues"]["waiting_rows"]
