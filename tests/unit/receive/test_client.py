"""The receiver against a broker that says byte for byte what the test wants, over both paths alike."""

import threading
import time
from dataclasses import replace

import paho.mqtt.client as paho
import pytest
import structlog
from structlog.testing import LogCapture

from agent.config.broker_settings import Broker
from agent.mqtt import protocol as link_protocol
from agent.mqtt import retry
from agent.mqtt.link_state import Phase
from agent.receive import client as receive
from agent.receive import overload, silence
from agent.receive.client import Receiver
from agent.receive.connect import RECEIVE_MAXIMUM
from agent.receive.inbox import ReadBounds
from agent.receive.input_options import InputOptions
from agent.receive.received import Received
from bench.fake_broker import REFUSED_VERSION
from bench.mqtt_packets import DISCONNECT, PUBACK, packet
from tests.unit.receive.talk import PRESS, PUMP, TOPIC, connected, knocking, pump, taken

pytestmark = pytest.mark.slow


def test_mqtt_5_is_asked_for_first_with_a_receive_maximum_and_a_clean_start(broker, receiver):
    one = receiver()
    one.read(0.1)
    connect = broker.session().read_connect()
    assert connect[6] == 5
    assert connect[7] & 0x02, "clean start"
    assert b"\x21" + RECEIVE_MAXIMUM.to_bytes(2) in connect
    assert connect.endswith(b"fw-in")


def test_messages_come_as_columns_and_are_acknowledged_in_order_after_the_step(broker, receiver):
    one = receiver()
    session = connected(broker, one)
    before_ns = time.time_ns()
    for mid, payload in ((7, b"a"), (0, b"b"), (3, b"c")):
        session.publish(TOPIC, payload, mid=mid)
    found = pump(one, taken(3))
    assert found.topics == [TOPIC.decode()] * 3
    assert found.payloads == [b"a", b"b", b"c"]
    assert found.packet_ids == [7, 3]
    assert before_ns <= min(found.arrived_ns) <= max(found.arrived_ns) <= time.time_ns()
    one.acknowledge(found.packet_ids)
    one.close()
    assert [session.read(), session.read()] == [(PUBACK, b"\0\x07"), (PUBACK, b"\0\x03")]
    assert session.read()[0] == DISCONNECT, "nothing was acknowledged before"


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_any_split_of_the_bytes_gives_the_same_messages(broker, receiver, protocol):
    """Byte by byte, and all in one piece."""
    one = receiver(protocol=protocol)
    session = connected(broker, one)
    data = b"".join(session.publish_bytes(TOPIC, b"x" * size, mid=size) for size in range(1, 200, 61))
    apart = Received()
    for place in range(len(data)):
        session.send(data[place : place + 1])
        got = one.read(0.001)
        apart.packet_ids += got.packet_ids
        apart.payloads += got.payloads
    session.send(data)
    whole = pump(one, taken(4))
    for found in (apart, whole):
        assert found.packet_ids == [1, 62, 123, 184]
        assert [len(payload) for payload in found.payloads] == [1, 62, 123, 184]


def test_a_retained_message_is_dropped_counted_and_acknowledged_in_its_place(broker, receiver):
    one = receiver()
    session = connected(broker, one)
    session.publish(TOPIC, b"a", mid=1)
    session.publish(TOPIC, b"old", mid=2, retain=True)
    session.publish(TOPIC, b"b", mid=3)
    found = pump(one, taken(2))
    assert found.payloads == [b"a", b"b"]
    assert found.packet_ids == [1, 2, 3]
    assert one.inbox.counts == {("press", "retained"): 1}
    (drop,) = found.drops
    assert (drop.source, drop.device, drop.topic, drop.reason) == ("press", "p1", TOPIC.decode(), "retained")


def test_a_repeated_delivery_is_dropped_where_its_time_is_that_of_arrival(broker, receiver):
    """Elsewhere the core knows it by its event time."""
    one = receiver(PRESS, PUMP)
    session = connected(broker, one)
    for topic in (TOPIC, b"pumps/p1"):
        session.publish(topic, b"again", mid=1, dup=True)
        session.publish(topic, b"again", mid=2)
    found = pump(one, taken(3))
    assert found.topics == ["plant/p1/cycle", "plant/p1/cycle", "pumps/p1"]
    assert found.packet_ids == [1, 2, 1, 2]
    assert one.inbox.counts == {("pump", "redelivered"): 1}


def test_a_topic_that_is_not_utf_8_is_counted_and_the_next_message_taken(broker, receiver):
    one = receiver()
    session = connected(broker, one)
    session.publish(b"plant/\xff\xfe/cycle", b"a", mid=1)
    session.publish(TOPIC, b"b", mid=2)
    found = pump(one, taken(1))
    assert found.payloads == [b"b"]
    assert one.inbox.counts == {("press", "topic"): 1}
    assert found.drops[0].topic == r"plant/\xff\xfe/cycle"


def test_one_read_is_bounded(broker, receiver, monkeypatch):
    """Law 5: what a flood leaves waits in the socket, dropped messages count too."""
    monkeypatch.setattr(overload, "MESSAGES_MAX", 50)
    one = receiver()
    session = connected(broker, one)
    session.send(session.publish_bytes(TOPIC, b"x") * 100 + session.publish_bytes(TOPIC, b"x", retain=True) * 60)
    sizes = [(len(found.topics), len(found.drops)) for found in (one.read(0.5) for _ in range(4))]
    assert sizes == [(50, 0), (50, 0), (0, 50), (0, 10)]


def test_a_refused_subscription_names_its_source_and_the_others_run(broker, receiver):
    log = LogCapture()
    one = receiver(PRESS, PUMP, log=log)
    session = connected(broker, one, 0x87, 1)
    assert one.subscriptions.of_source == {"press": "refused: Not authorized", "pump": "granted"}
    (line,) = [line for line in log.entries if line["event"] == "source_refused"]
    assert (line["source"], line["why"]) == ("press", "Not authorized")
    session.publish(b"pumps/p1", b"a")
    assert pump(one, taken(1)).payloads == [b"a"]


@pytest.mark.parametrize(
    ("reasons", "comes"),
    [((1, 1), "granted"), ((0x87, 1), "refused: Not authorized"), ((1, 0x87), "refused: Not authorized")],
)
def test_a_source_of_several_topics_is_granted_when_all_of_them_are(broker, receiver, reasons, comes):
    one = receiver(replace(PRESS, topics=("plant/{device}/cycle", "yard/{device}/cycle")))
    session = knocking(broker, one)
    session.accept()
    pump(one, lambda _: one.link.is_connected)
    one.read(0.01)
    asks = [session.read()[1] for _ in reasons]
    assert [name in body for name, body in zip((b"plant/+/cycle", b"yard/+/cycle"), asks, strict=True)] == [True] * 2
    session.grant(asks[0], reasons[0])
    one.read(0.1)
    assert one.subscriptions.of_source["press"] == ("pending" if reasons[0] == 1 else comes)
    assert one.subscriptions.unanswered == ["press"]
    session.grant(asks[1], reasons[1])
    pump(one, lambda _: one.subscriptions.unanswered == [])
    assert one.subscriptions.of_source == {"press": comes}
    session.publish(b"yard/p1/cycle", b"a")
    assert pump(one, taken(1)).topics == ["yard/p1/cycle"]


def test_a_start_that_brings_nothing_is_told_of_once(broker, receiver, monkeypatch):
    """A broker may grant a subscription that its ACL never serves, and a topic may be misspelt."""
    monkeypatch.setattr(silence, "QUIET_S", 0.05)
    log = LogCapture()
    one = receiver(log=log)
    connected(broker, one)
    found = pump(one, lambda _: any(line["event"] == "nothing_received" for line in log.entries))
    for _ in range(10):
        one.read(0.01)
    (line,) = [line for line in log.entries if line["event"] == "nothing_received"]
    assert (line["topics"], found.topics) == (["plant/+/cycle"], [])


def test_the_time_without_a_connection_is_no_silence(broker, receiver, monkeypatch):
    """What a broker did not bring while it was away says nothing of topics and ACL."""
    monkeypatch.setattr(silence, "QUIET_S", 1.0)
    log = LogCapture()
    one = receiver(log=log)
    connected(broker, one).close()
    pump(one, lambda _: not one.link.is_connected)
    monkeypatch.setattr(silence, "QUIET_S", 60.0)
    session = connected(broker, one)
    begin_s = time.monotonic()
    pump(one, lambda _: time.monotonic() > begin_s + 1.1)
    assert "nothing_received" not in [line["event"] for line in log.entries]
    session.close()


def test_a_start_that_brings_a_message_is_not_told_of_later(broker, receiver, monkeypatch):
    """Neither after a dropped message: then the drop says what is wrong."""
    monkeypatch.setattr(silence, "QUIET_S", 0.1)
    log = LogCapture()
    one = receiver(log=log)
    session = connected(broker, one)
    session.publish(TOPIC, b"1", retain=True)
    pump(one, lambda found: found.drops != [])
    for _ in range(20):
        one.read(0.01)
    assert "nothing_received" not in [line["event"] for line in log.entries]


def test_a_broker_of_3_1_1_is_spoken_to_in_3_1_1_from_then_on(broker, receiver):
    one = receiver()
    session = knocking(broker, one, version=5)
    session.send(REFUSED_VERSION)
    pump(one, lambda _: one.link.protocol.name == "3.1.1")
    session = connected(broker, one)
    assert not session.is_v5
    session.close()
    pump(one, lambda _: not one.link.is_connected)
    knocking(broker, one, version=4)


def test_a_broker_that_hangs_up_on_mqtt_5_twice_is_tried_with_3_1_1(broker, receiver):
    one = receiver()
    for version in (5, 5, 4):
        session = knocking(broker, one, version=version)
        session.close()
        pump(one, lambda _: one._client is None)


def test_a_version_that_was_accepted_once_is_kept(broker, receiver):
    """A broker that hangs up while it starts again is still the one that speaks MQTT 5."""
    one = receiver()
    connected(broker, one).close()
    for _ in range(4):
        pump(one, lambda _: one._client is None)
        knocking(broker, one, version=5).close()


def test_a_version_that_is_configured_is_the_only_one(broker, receiver):
    log = LogCapture()
    one = receiver(log=log, protocol="5")
    for _ in range(3):
        session = knocking(broker, one, version=5)
        session.send(REFUSED_VERSION)
        pump(one, lambda _: one._client is None)
    (line,) = log.entries
    assert line["why"] == "the broker refuses: Unsupported protocol version"


def test_a_refused_login_is_named_once_and_tried_again(broker, receiver):
    """It says which, never the secret, and does not fall back to another version."""
    log = LogCapture()
    one = receiver(log=log)
    for _ in range(3):
        session = knocking(broker, one, version=5)
        session.accept(0x86)
        pump(one, lambda _: one._client is None)
    assert [(line["event"], line["why"]) for line in log.entries] == [
        ("broker_not_connected", "the broker refuses: Bad user name or password")
    ]


def test_a_lost_connection_is_made_again_and_says_that_history_is_lost(broker, receiver):
    """Once, with the first read of the new connection; one log line a change of state."""
    log = LogCapture()
    one = receiver(log=log)
    session = connected(broker, one)
    session.publish(TOPIC, b"a", mid=1)
    assert not pump(one, taken(1)).history_lost
    session.send(session.publish_bytes(TOPIC, b"cut", mid=2)[:-1])
    session.close()
    pump(one, lambda _: not one.link.is_connected)
    session = knocking(broker, one)
    session.accept()
    assert pump(one, lambda _: one.link.is_connected).history_lost
    one.read(0.01)
    session.grant(session.read()[1], 1)
    session.publish(TOPIC, b"b", mid=1)
    found = pump(one, taken(1))
    assert (found.payloads, found.history_lost) == ([b"b"], False)
    assert [line["event"] for line in log.entries] == ["broker_connected", "broker_lost", "broker_connected"]


def test_a_broker_that_dies_before_the_acknowledgements_is_a_loss_like_any_other(broker, receiver):
    """The failure of a send shows between two acknowledgements."""
    one = receiver()
    session = connected(broker, one)
    for mid in range(1, 6):
        session.publish(TOPIC, b"a", mid=mid)
    found = pump(one, taken(5))
    session.reset()
    one.acknowledge(found.packet_ids)
    pump(one, lambda _: not one.link.is_connected)
    one.acknowledge(found.packet_ids)
    session = connected(broker, one)
    session.publish(TOPIC, b"b", mid=1)
    assert pump(one, taken(1)).payloads == [b"b"]


@pytest.mark.parametrize(
    "junk", [b"\xf0\x02ab", b"\x00\x00", b"\x32\x02\xff\xff", b"\x30\xff\xff\xff\xff\xff", b"\x90\x01\x00", b"\x20\x00"]
)
def test_garbage_from_the_broker_ends_the_connection_and_not_the_agent(broker, receiver, junk):
    one = receiver()
    session = connected(broker, one)
    session.send(junk)
    pump(one, lambda _: not one.link.is_connected)
    session = connected(broker, one)
    session.publish(TOPIC, b"a")
    assert pump(one, taken(1)).payloads == [b"a"]


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_a_second_answer_to_connect_ends_the_connection_as_a_protocol_error(broker, receiver, protocol):
    """It is no new connection: nothing is subscribed to again on it, and nothing behind it changes that."""
    one = receiver(protocol=protocol)
    session = connected(broker, one)
    connack = packet(0x20, b"\0\0" + (b"\0" if session.is_v5 else b""))
    session.send(connack + connack + packet(0x90, b"\0\1" + b"\0" * session.is_v5 + b"\1") + b"\x36\x02ab")
    pump(one, lambda _: not one.link.is_connected)
    assert one.link.why == "protocol error: a second CONNACK"
    assert one.inbox.counts == {("", "protocol_error"): 1}
    assert session.is_ended()
    session = connected(broker, one)
    session.publish(TOPIC, b"a")
    assert pump(one, taken(1)).payloads == [b"a"]
    assert one.link.n_connections == 2


def test_a_suback_without_reasons_is_survived(broker, receiver):
    one = receiver()
    session = knocking(broker, one)
    session.accept()
    pump(one, lambda _: one.link.is_connected)
    one.read(0.01)
    session.grant(session.read()[1], 1, 1, 0x87)
    pump(one, lambda _: one.subscriptions.of_source["press"] != "pending")
    assert one.subscriptions.of_source == {"press": "refused: Not authorized"}


def test_an_answer_to_no_subscription_makes_no_source(broker, receiver):
    one = receiver()
    session = connected(broker, one)
    session.grant(b"\x01\x00", 1)
    session.publish(TOPIC, b"a")
    pump(one, taken(1))
    assert one.subscriptions.of_source == {"press": "granted"}


def test_a_broker_that_accepts_and_stays_silent_is_given_up(broker, receiver):
    log = LogCapture()
    one = receiver(log=log)
    knocking(broker, one)
    pump(one, lambda _: bool(log.entries))
    assert log.entries[0]["why"] == "the broker does not answer"
    knocking(broker, one, version=5)


def test_a_subscription_without_an_answer_is_named_and_the_connection_given_up(broker, receiver):
    """One of two: what was granted before does not hold, and an answer to all of them holds for good."""
    log = LogCapture()
    one = receiver(PRESS, PUMP, log=log)
    session = knocking(broker, one)
    session.accept()
    pump(one, lambda _: one.link.is_connected)
    one.read(0.01)
    session.grant(session.read()[1], 1)
    pump(one, lambda _: not one.link.is_connected)
    assert log.entries[-1]["why"] == "the broker does not answer the subscription of pump"
    assert one.subscriptions.of_source == {"press": "pending", "pump": "pending"}
    connected(broker, one)
    for _ in range(12):
        one.read(0.1)
    assert one.link.is_connected


def test_each_answer_of_a_slow_broker_has_its_own_time(broker, receiver):
    """CONNACK and SUBACK together take longer than one of them may."""
    one = receiver()
    session = knocking(broker, one)
    for _ in range(6):
        one.read(0.1)
    session.accept()
    pump(one, lambda _: one.link.is_connected)
    for _ in range(6):
        one.read(0.1)
    session.grant(session.read()[1], 1)
    pump(one, lambda _: one.subscriptions.of_source == {"press": "granted"})
    assert one.link.is_connected


def test_a_broker_that_falls_silent_is_given_up_once_and_for_the_reason_that_is_said(broker, receiver, monkeypatch):
    """It answers all but a ping: noticed within two keepalives, after which one wait follows and not two."""
    ahead_s = [0.0]
    monkeypatch.setattr(paho, "time_func", lambda now=paho.time_func: now() + ahead_s[0])
    log = LogCapture()
    one = receiver(log=log)
    session = connected(broker, one)
    time.sleep(1.1)  # connect_timeout
    ahead_s[0] += 61
    one.read(0.01)
    assert session.read()[0] == 0xC0
    ahead_s[0] += 61
    pump(one, lambda _: not one.link.is_connected)
    assert [line["why"] for line in log.entries] == ["MQTT 5", "the connection ended: Keep alive timeout"]
    assert one.link._retry._wait_s == 2 * receive.RETRY_MIN_S
    connected(broker, one)


def test_nothing_waits_for_a_connection_that_hangs(broker, receiver, monkeypatch):
    """Names, TCP and TLS may take long; `read` comes back in its time, and `close` too."""
    release = threading.Event()
    one = receiver()
    monkeypatch.setattr(paho.Client, "connect", lambda *_, **__: release.wait(5))
    began = time.monotonic()
    for _ in range(3):
        assert one.read(0.02).topics == []
    one.close()
    assert time.monotonic() - began < 2
    release.set()


def test_a_connection_that_ends_before_connect_is_sent_is_tried_again(broker, receiver, monkeypatch):
    """There is no socket to wait for then: `read` came back at once, again and again, until CONNACK was overdue."""
    one = receiver()
    monkeypatch.setattr(paho.Client, "connect", lambda *_, **__: None)
    pump(one, lambda _: one.link.phase is Phase.WAITING and one.link.due_s > time.monotonic())
    assert one.link.why == "the connection ended before CONNECT was sent"
    monkeypatch.undo()
    connected(broker, one)


def test_a_secret_that_is_being_replaced_is_waited_for(broker, receiver, tmp_path):
    """The file is away for a moment, as when it is rotated."""
    log = LogCapture()
    secret = tmp_path / "password"
    settings = Broker(host="127.0.0.1", port=broker.port, username="fw", password_file=secret)
    options = InputOptions("fw", [PRESS], [0], ReadBounds(1024))
    one = Receiver(settings, options, structlog.wrap_logger(None, processors=[log]))
    one.read(0.01)
    assert str(secret) in log.entries[0]["why"]
    secret.write_text("s3cret\n")
    secret.chmod(0o600)
    pump(one, lambda _: one._client is not None)
    assert broker.session().read_connect().endswith(b"\0\x02fw\0\x06s3cret")
    assert "s3cret" not in repr(log.entries)


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_connections_that_are_cut_short_again_and_again_speak_for_another_client(
    broker, receiver, monkeypatch, protocol
):
    """As when two agents steal each other's client id, and the broker does not say so: said, and not fought for."""
    monkeypatch.setattr(retry, "CUT_SHORT_MAX", 5)
    log = LogCapture()
    one = receiver(log=log, protocol=protocol)
    for _ in range(5):
        assert one.link.other_client == ""
        connected(broker, one).close()
        pump(one, lambda _: not one.link.is_connected)
    (line,) = [line for line in log.entries if line["event"] == "client_id_taken"]
    assert line["next_step"].startswith("Is another agent called fw-in?")
    assert line["why"] == one.link.other_client == "5 connections in a row ended within 20 s, and nobody said why"
    assert 59 < one.link.due_s - time.monotonic() <= 120


def test_a_server_that_names_another_one_is_quoted(broker, receiver):
    one = receiver()
    session = connected(broker, one)
    named = b"\x1c\x00\x08b.plant:" + b"\x1f\x00\x04move"
    session.send(packet(DISCONNECT, bytes([0x9D, len(named)]) + named))
    pump(one, lambda _: not one.link.is_connected)
    assert one.link.why == "the connection ended: Server moved (move); it names another server: b.plant:"


def test_an_end_without_a_word_is_said_in_words(broker, receiver):
    one = receiver()
    connected(broker, one).close()
    pump(one, lambda _: not one.link.is_connected)
    assert one.link.why == "the broker or the network closed the connection"
    knocking(broker, one).reset()
    pump(one, lambda _: one._client is None)
    assert one.link.why == "the broker or the network closed the connection before it answered"


def test_limits_of_the_broker_are_said(broker, receiver):
    log = LogCapture()
    one = receiver(log=log)
    session = knocking(broker, one)
    session.send(packet(0x20, b"\0\0\x05\x28\0\x13\x02\x58"))
    pump(one, lambda _: one.link.is_connected)
    limits = ["no wildcards in subscriptions", "a keepalive of 600 s: a dead connection is noticed within twice that"]
    assert list(one.link.limits) == limits
    assert log.entries[0]["why"] == "; ".join(["MQTT 5", *limits])


def test_a_fall_back_by_chance_ends_with_the_connection(broker, receiver, monkeypatch):
    """A broker that was just starting; MQTT 5 is tried again with a later connection, and kept."""
    monkeypatch.setattr(link_protocol, "TRY_5_MIN_S", 1.0)
    one = receiver()
    for version in (5, 5):
        knocking(broker, one, version=version).close()
        pump(one, lambda _: one._client is None)
    session = connected(broker, one)
    assert not session.is_v5
    due_s = one.link.protocol._try_5_at_s
    pump(one, lambda _: time.monotonic() > due_s)
    assert one.link.is_connected, "what stands is left alone: its end would lose messages"
    session.close()
    pump(one, lambda _: not one.link.is_connected)
    knocking(broker, one, version=5)


def test_a_name_that_another_client_took_is_said_and_not_fought_for(broker, receiver):
    """Two agents of one name would else take the connection from each other for ever."""
    log = LogCapture()
    one = receiver(log=log)
    session = connected(broker, one)
    assert one.link.why == ""
    session.send(packet(DISCONNECT, b"\x8e\0"))
    pump(one, lambda _: not one.link.is_connected)
    (line,) = [line for line in log.entries if line["event"] == "client_id_taken"]
    assert line["client_id"] == "fw-in"
    assert one.link.why == "the connection ended: Session taken over"
    assert 59 < one.link.due_s - time.monotonic() <= 120
