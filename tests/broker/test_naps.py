"""At the default `delay_max`, and with a broker at its own defaults, nothing is dropped because the agent looks away.

mosquitto has 20 messages of QoS 1 under way to a client of MQTT 3.1.1 and queues 1,000; it drops what is beyond that
and acknowledges it to the publisher all the same.
"""

import time

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from tests.broker.running_agent import configuration, wait_until
from tests.streams import message

FLEET = [f"p{number}" for number in range(100)]
pytestmark = pytest.mark.default_limits


@pytest.mark.parametrize(("beats", "beat_s"), [(60, 0.005), (6, 0.4)], ids=["steady", "bursts"])
@pytest.mark.parametrize("qos", [0, 1])
@pytest.mark.parametrize("protocol", ["3.1.1", "5"])
def test_nothing_is_dropped_while_it_naps(broker, make_agent, protocol, qos, beats, beat_s):
    """Sixty times ten devices every 5 ms, or six times four rows of a hundred devices at once."""
    text = configuration(broker.port, protocol=protocol, qos=qos).replace('delay_max = "2ms"\n', "")
    agent = make_agent(text.replace('scores = "all"', 'scores = "none"'))
    agent.go()
    client = paho.Client(CallbackAPIVersion.VERSION2)
    client.connect("127.0.0.1", broker.port)
    client.loop_start()
    devices, rows = (FLEET[:10], 1) if beat_s < 0.1 else (FLEET, 4)
    begun_s = time.monotonic()
    for beat in range(beats):
        while time.monotonic() < begun_s + beat * beat_s:
            time.sleep(0.001)
        for row in range(rows):
            for device in devices:
                client.publish(*message(device, 1 + beat * rows + row), qos=qos)
    client.publish("plant/end/cycle", b"", qos=qos).wait_for_publish(20)
    client.disconnect()
    client.loop_stop()
    wait_until(lambda: "empty" in agent.status()["drops"].get("press", {}), "the end marker is taken")
    status = agent.status()
    assert status["drops"] == {"press": {"empty": 1}}
    assert status["taken"] == beats * rows * len(devices) + 1
