"""Against a real mosquitto: what was sent is what both receivers take, in both versions and at QoS 0 and 1."""

import time

import paho.mqtt.client as paho
import pytest
import structlog
from paho.mqtt.enums import CallbackAPIVersion
from structlog.testing import LogCapture

from agent.config.broker_settings import Broker
from agent.receive.client import Receiver
from agent.receive.inbox import ReadBounds
from agent.receive.input_options import InputOptions
from agent.receive.received import Received
from tests.broker.listener import TIMEOUT_S
from tests.streams import SOURCE

N = 3000
MESSAGES = [(f"plant/p{number % 70}/cycle", b"%d" % number * (1 + number % 300)) for number in range(N)]


def connected(port: int, version: str, qos: int, wanted: str) -> Receiver:
    log = structlog.wrap_logger(None, processors=[LogCapture()])
    settings = Broker(host="127.0.0.1", port=port, protocol=version)
    one = Receiver(settings, InputOptions("fw-in", [SOURCE], [qos], ReadBounds(10_000), path=wanted), log)
    deadline = time.monotonic() + TIMEOUT_S
    while set(one.subscriptions.of_source.values()) != {"granted"}:
        assert time.monotonic() < deadline, one.link.why
        one.read(0.05)
    return one


def received(one: Receiver, n: int) -> Received:
    """`n` messages and drops, acknowledged as they come."""
    found = Received()
    deadline = time.monotonic() + TIMEOUT_S
    while len(found.topics) + len(found.drops) < n:
        assert time.monotonic() < deadline, len(found.topics)
        got = one.read(0.05)
        one.acknowledge(got.packet_ids)
        found.topics += got.topics
        found.payloads += got.payloads
        found.packet_ids += got.packet_ids
        found.drops += got.drops
    return found


@pytest.mark.parametrize("wanted", ["auto", "paho"])
@pytest.mark.parametrize("qos", [0, 1])
@pytest.mark.parametrize("version", ["3.1.1", "5"])
def test_what_was_sent_is_what_is_taken(broker, version, qos, wanted):
    """More than the broker lets be under way at once, so that at QoS 1 acknowledgements are heard."""
    one = connected(broker.port, version, qos, wanted)
    broker.publish_all(MESSAGES)
    found = received(one, N)
    assert list(zip(found.topics, found.payloads, strict=True)) == MESSAGES
    assert len(found.packet_ids) == N * qos
    assert not one.inbox.counts
    one.close()


@pytest.mark.parametrize("wanted", ["auto", "paho"])
def test_properties_of_a_publisher_harm_nothing(broker, wanted):
    """As MQTT 5 lets everybody add."""
    properties = paho.Properties(paho.PacketTypes.PUBLISH)
    properties.UserProperty = [("unit", "\u00b0C"), ("unit", "K")]
    properties.ContentType, properties.MessageExpiryInterval = "application/json", 60
    properties.ResponseTopic, properties.CorrelationData, properties.PayloadFormatIndicator = "a/b", b"\0\xff", 1
    one = connected(broker.port, "5", 1, wanted)
    client = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
    client.connect("127.0.0.1", broker.port)
    client.loop_start()
    for number in range(50):
        sent = client.publish("plant/p1/cycle", b"%d" % number, qos=1, properties=properties if number % 2 else None)
    sent.wait_for_publish(TIMEOUT_S)
    assert received(one, 50).payloads == [b"%d" % number for number in range(50)]
    client.disconnect()
    client.loop_stop()
    assert one.link.is_connected


@pytest.mark.parametrize("wanted", ["auto", "paho"])
@pytest.mark.parametrize("qos", [0, 1])
def test_messages_of_ten_megabytes_between_others_end_no_connection(broker, qos, wanted):
    """3.1.1, where the broker cannot be told the bound."""
    one = connected(broker.port, "3.1.1", qos, wanted)
    large = ("plant/big/cycle", b"x" * 10_000_000)
    broker.publish_all([*MESSAGES[:100], large, *MESSAGES[100:200], large, *MESSAGES[200:300]])
    found = received(one, 302)
    assert list(zip(found.topics, found.payloads, strict=True)) == MESSAGES[:300]
    assert [(drop.device, drop.reason, drop.detail) for drop in found.drops] == [
        ("big", "too_large", "10000000 bytes")
    ] * 2
    assert not found.history_lost
    assert one.link.is_connected
