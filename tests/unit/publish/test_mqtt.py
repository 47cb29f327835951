"""The output against a broker that says byte for byte what the test wants."""

import threading
import time

import paho.mqtt.client as paho
import pytest

from agent.errors import ConfigurationRefused
from agent.mqtt import frame_deadline, retry
from agent.publish import mqtt, others, sender
from agent.publish.copies import Copy
from agent.replay.broker.own_broker import free_port
from bench.fake_broker import REFUSED_VERSION, FakeBroker, Session
from bench.mqtt_packets import DISCONNECT, PINGREQ, PUBACK, PUBLISH, SUBSCRIBE, packet
from tests.unit.publish.parts import Parts, event, name_of

pytestmark = pytest.mark.slow


@pytest.fixture
def broker(monkeypatch):
    monkeypatch.setattr(mqtt, "RETRY_MIN_S", 0.01)
    with FakeBroker() as one:
        yield one


@pytest.fixture
def parts(broker, tmp_path):
    one = Parts(tmp_path, broker.port)
    yield one
    one.end()


def knocking(broker, parts) -> Session:
    """A session whose CONNECT is still to be read."""
    parts.turn_until(broker.is_asked)
    return broker.session()


def connected(broker, parts) -> Session:
    """A session after CONNECT, `online`, the instance and the subscription; what else came is still to be read."""
    session = knocking(broker, parts)
    session.read_connect()
    session.accept()
    parts.turn_until(lambda: parts.output.link.is_connected)
    parts.turn()
    said, session.early = [], []
    while len(said) < 3:
        first, body = session.read()
        topic = body[2 : 2 + int.from_bytes(body[:2])]
        if first == SUBSCRIBE:
            said.append(b"")
            session.grant(body, 1, 1)
        elif topic in (b"f/n/available", b"f/n/instance"):
            said.append(topic)
            session.acknowledge(body)
            parts.turn_until(lambda topic=topic: not parts.output._sender.is_pending(topic.decode()))
        else:
            session.early.append((first, body))
    assert sorted(said) == [b"", b"f/n/available", b"f/n/instance"]
    parts.turn_until(lambda: parts.n_under_way(besides=Copy) == len(parts.cursor) and not parts.output._sender.copies)
    return session


def published(session: Session) -> tuple[str, bytes, bytes]:
    """Topic, payload, or the alert that it names, and the whole body of the next PUBLISH at QoS 1."""
    while (read := session.early.pop(0) if session.early else session.read())[
        0
    ] == PUBACK:  # of what the session has published itself
        pass
    first, body = read
    assert first & 0xF6 == PUBLISH | 2
    size = int.from_bytes(body[:2])
    payload = body[2 + size + 2 + (1 if session.is_v5 else 0) :]
    return body[2 : 2 + size].decode(), name_of(payload), body


def test_the_last_will_is_offline_retained_at_qos_1(broker, parts):
    body = broker.session().read_connect()
    assert body[7] & 0b0011_1100 == 0b0010_1100  # will retained, QoS 1, will
    assert b"\x00\x0df/n/available\x00\x07offline" in body


def test_standing_alerts_are_published_again_with_each_connection(broker, parts):
    parts.stand()
    for _ in range(2):
        session = connected(broker, parts)
        topic, payload, body = published(session)
        assert (topic, payload) == ("f/n/alert/press/p1/risk", b"stands")
        session.acknowledge(body)
        parts.turn_until(lambda: parts.has_told_all)
        session.close()
        parts.turn_until(lambda: not parts.output.link.is_connected)


def test_a_message_leaves_the_outbox_on_success_and_not_before(broker, parts):
    """0x10, nobody subscribes, is a success too."""
    session = connected(broker, parts)
    parts.outbox.commit([event("a"), event("b")])
    parts.turn()
    bodies = [published(session)[2] for _ in range(2)]
    parts.turn()
    assert len(parts.cursor) == 2
    for body, reason in zip(bodies, (0, 0x10), strict=True):
        session.acknowledge(body, reason)
    parts.turn_until(lambda: len(parts.cursor) == 0)


def test_what_the_broker_refuses_is_parked_said_and_tried_with_the_next_connection(broker, parts):
    """Not hot, not deleted, and it does not hold up what comes after it."""
    session = connected(broker, parts)
    parts.outbox.commit([event("refused"), event("fine")])
    parts.turn()
    session.acknowledge(published(session)[2], 0x87)
    session.acknowledge(published(session)[2])
    parts.turn_until(lambda: len(parts.cursor) == 1)
    assert (parts.output.parked, parts.output.waiting) == (1, 0)
    (line,) = [line for line in parts.log.entries if line["event"] == "publish_refused"]
    assert line["why"] == "Not authorized"
    for _ in range(5):
        parts.turn()
    session.close()
    parts.turn_until(lambda: not parts.output.link.is_connected)
    session = connected(broker, parts)
    assert published(session)[1] == b"refused"
    assert (parts.output.parked, parts.output.waiting) == (0, 1)


def test_at_most_a_window_is_under_way_and_the_order_is_kept(broker, parts):
    session = connected(broker, parts)
    names = [f"{number}".encode() for number in range(50)]
    parts.outbox.commit([event(name.decode()) for name in names])
    heard = []
    for window in range(0, 50, sender.IN_FLIGHT_MAX):
        size = min(sender.IN_FLIGHT_MAX, 50 - window)
        parts.turn()
        parts.turn()
        assert len(parts.output._sender._in_flight) == size
        bodies = []
        for _ in range(size):
            _, payload, body = published(session)
            heard.append(payload)
            bodies.append(body)
        for body in bodies:
            session.acknowledge(body)
        parts.turn_until(lambda left=50 - window - size: len(parts.cursor) == left)
    assert heard == names


def test_what_was_acknowledged_just_before_the_end_is_not_sent_again(broker, parts):
    """Acknowledgement and end come to light in one turn."""
    session = connected(broker, parts)
    parts.outbox.commit([event("a")])
    parts.turn()
    session.acknowledge(published(session)[2])
    session.close()
    deadline_s = time.monotonic() + 8
    while parts.output._connection._client.is_connected():
        assert time.monotonic() < deadline_s
        time.sleep(0.002)
    parts.turn()
    assert not parts.output.link.is_connected
    assert len(parts.cursor) == 0


def test_what_was_under_way_when_the_connection_broke_is_sent_again(broker, parts):
    session = connected(broker, parts)
    parts.outbox.commit([event("a")])
    parts.turn()
    published(session)
    session.close()
    parts.turn_until(lambda: not parts.output.link.is_connected)
    session = connected(broker, parts)
    parts.outbox.commit([event("b")])
    parts.turn()
    heard = []
    for _ in range(2):
        _, payload, body = published(session)
        heard.append(payload)
        session.acknowledge(body)
    assert heard == [b"a", b"b"]
    parts.turn_until(lambda: len(parts.cursor) == 0)


def test_retained_alerts_that_the_table_does_not_hold_are_removed_and_logged(broker, parts, monkeypatch):
    monkeypatch.setattr(others, "ANSWER_WITHIN_S", 0.05)
    parts.stand()
    session = connected(broker, parts)
    session.acknowledge(published(session)[2])
    for topic in (b"f/n/alert/press/p1/risk", b"f/n/alert/press/gone/risk", b"f/n/alert/older/risk"):
        session.publish(topic, b"{}", mid=9, retain=True)
    session.publish(b"f/n/alert/press/live/risk", b"{}", mid=9)  # what somebody says now is not ours to judge
    removed = {"f/n/alert/older/risk", "f/n/alert/press/gone/risk"}
    parts.turn_until(lambda: parts.n_under_way() == 2)
    assert parts.lines("retained_alert_removed") == [], "the broker may refuse it"
    said = [published(session) for _ in removed]
    assert {one[:2] for one in said} == {(topic, b"") for topic in removed}
    for _, _, body in said:
        session.acknowledge(body)
    parts.turn_until(lambda: parts.has_told_all)
    assert {line["topic"] for line in parts.lines("retained_alert_removed")} == removed


def test_a_stop_right_after_a_connection_removes_no_standing_alert(broker, parts, monkeypatch):
    monkeypatch.setattr(mqtt, "STOP_TIMEOUT_S", 0.3)
    monkeypatch.setattr(others, "ANSWER_WITHIN_S", 0.0)
    parts.stand()
    session = connected(broker, parts)
    session.publish(b"f/n/alert/press/p1/risk", b"{}", retain=True)
    parts.output.close()
    assert all(one.event is not None for one in parts.cursor.sendable(9))
    assert published(session)[1] == b"stands"


def test_a_stop_that_is_not_acknowledged_leaves_the_last_word_to_the_broker(broker, parts, monkeypatch):
    """`stopped` may not have arrived: without a DISCONNECT the broker says `offline`, which is no lie."""
    monkeypatch.setattr(mqtt, "STOP_TIMEOUT_S", 0.1)
    session = connected(broker, parts)
    parts.output.close()
    assert published(session)[1] == b"stopped"
    with pytest.raises(AssertionError, match="the client has closed"):
        session.read()


def test_stopped_is_the_last_word(broker, parts):
    session = connected(broker, parts)
    parts.outbox.commit([event("a")])
    heard = []

    def answer() -> None:
        for _ in range(2):
            topic, payload, body = published(session)
            heard.append((topic, payload))
            session.acknowledge(body)
        heard.append(session.read()[0])
        session.close()

    answering = threading.Thread(target=answer)
    answering.start()
    parts.output.close()
    answering.join()
    assert heard == [("f/n/event", b"a"), ("f/n/available", b"stopped"), DISCONNECT]
    assert "output_lost" not in parts.events(), "a stop is no loss"


def test_a_broker_that_is_absent_is_said_once_and_does_not_cost_mqtt_5(tmp_path, monkeypatch):
    """On 3.1.1 a PUBACK says nothing about what an ACL threw away: it is for brokers that refuse 5."""
    monkeypatch.setattr(mqtt, "RETRY_MIN_S", 0.01)
    monkeypatch.setattr(retry, "RETRY_MAX_S", 0.01)
    parts = Parts(tmp_path, free_port())
    tries = []
    begin = parts.output._begin
    monkeypatch.setattr(parts.output, "_begin", lambda now_s: (tries.append(now_s), begin(now_s))[1])
    parts.turn_until(lambda: len(tries) == 4)
    assert parts.output.link.protocol.name == "5"
    assert parts.events() == ["output_not_connected"]
    assert "refused" in parts.output.link.why, "why it cannot be reached"
    began = time.monotonic()
    parts.output.close()
    assert time.monotonic() - began < 1, "nothing is to be waited for"
    parts.end()


def test_nothing_waits_for_a_connection_that_hangs(broker, tmp_path, monkeypatch):
    """Names, TCP and TLS may take long; a turn comes back, and a stop too."""
    release = threading.Event()
    monkeypatch.setattr(paho.Client, "connect", lambda *_, **__: release.wait(5))
    began = time.monotonic()
    parts = Parts(tmp_path, broker.port)
    for _ in range(3):
        parts.turn()
    parts.output.close()
    assert time.monotonic() - began < 2
    release.set()
    parts.end()


def test_a_broker_of_3_1_1_is_spoken_to_in_3_1_1(broker, parts):
    session = broker.session()
    assert session.read_connect()[6] == 5
    session.send(REFUSED_VERSION)
    parts.turn_until(lambda: parts.output.link.protocol.name == "3.1.1")
    session = connected(broker, parts)
    assert not session.is_v5
    parts.outbox.commit([event("a")])
    parts.turn()
    topic, _, body = published(session)
    session.acknowledge(body)
    parts.turn_until(lambda: parts.output._sender._unproven)
    assert len(parts.cursor) == 1, "it may have been thrown away"
    session.publish(topic.encode(), body[2 + len(topic) + 2 :])
    parts.turn_until(lambda: len(parts.cursor) == 0)


def test_a_refused_login_is_named_once(broker, parts):
    for _ in range(3):
        session = knocking(broker, parts)
        session.read_connect()
        session.accept(0x87)
        parts.turn_until(lambda: parts.output._connection is None)
    assert [line["why"] for line in parts.log.entries] == ["the broker refuses: Not authorized"]
    assert parts.output.link.protocol.name == "5"


def test_what_is_said_at_qos_0_is_bounded_and_counted(broker, parts, monkeypatch):
    """Nothing is said while there is no connection, and a slow broker costs scores, not memory."""
    parts.output.publish("f/n/status", b"{}", retain=True)  # the next one says more
    assert parts.output.counts.dropped == 0
    parts.output.publish("f/n/score/p1", b"x", retain=False)
    assert parts.output.counts.drops()["", "score_not_sent"] == 1
    connected(broker, parts)
    monkeypatch.setattr(sender, "UNWRITTEN_MAX", 3)
    for _ in range(5):
        parts.output.publish("f/n/score/p1", b"x" * 10, retain=False)
    assert parts.output.counts.dropped == 3
    parts.turn_until(lambda: not parts.output._sender._unwritten)
    parts.output.publish("f/n/score/p1", b"x", retain=False)
    assert parts.output.counts.dropped == 3


def test_refusals_are_said_in_one_line_with_their_count(broker, parts, monkeypatch):
    """A flood of them is not a flood of lines; those after the first line are said when ten seconds are over."""
    session = connected(broker, parts)
    for round_ in range(2):
        parts.outbox.commit([event(f"a{round_}"), event(f"b{round_}")])
        parts.turn()
        for _ in range(2):
            session.acknowledge(published(session)[2], 0x87)
        parts.turn_until(lambda parked=2 * round_ + 2: parts.output.parked == parked)
    monkeypatch.setattr(parts.output._refusals, "_due_s", time.monotonic())
    parts.turn()
    lines = [line for line in parts.log.entries if line["event"] == "publish_refused"]
    assert len(lines) == 2
    assert sum(line["count"] for line in lines) == 4


def test_a_name_that_another_client_took_is_said_and_not_fought_for(broker, parts):
    """Two agents of one name would else take the connection from each other for ever."""
    session = connected(broker, parts)
    assert parts.output.link.why == ""
    session.send(packet(DISCONNECT, b"\x8e\0"))
    parts.turn_until(lambda: not parts.output.link.is_connected)
    assert parts.events() == ["output_connected", "output_lost", "client_id_taken"]
    assert parts.log.entries[-1]["client_id"] == "fw-out"
    assert parts.output.link.why == "the connection ended: Session taken over"
    assert 59 < parts.output.link.due_s - time.monotonic() <= 120
    assert parts.output.other_agent == "another client connected with the same client id"


def test_a_secret_is_read_anew_for_each_connection_and_waited_for(tmp_path, broker):
    """One that is away just when it is wanted, as when it is rotated, is named until it is there."""
    secret = tmp_path / "secret"
    secret.write_text("old")
    secret.chmod(0o600)
    parts = Parts(tmp_path, broker.port, username="u", password_file=secret)
    session = connected(broker, parts)
    secret.unlink()
    session.close()
    parts.turn_until(lambda: parts.output.link.why == f"{secret}: no such file or directory")
    secret.write_text("new")
    secret.chmod(0o600)
    assert knocking(broker, parts).read_connect().endswith(b"\0\x03new")
    parts.end()


def test_a_secret_that_is_not_there_at_the_start_is_refused(tmp_path, broker):
    with pytest.raises(ConfigurationRefused, match="no such file"):
        Parts(tmp_path, broker.port, username="u", password_file=tmp_path / "none")


def test_what_is_delivered_and_each_connection_are_counted(broker, parts):
    """For the watchdog, which asks whether anything leaves."""
    session = connected(broker, parts)
    assert (parts.output.link.n_connections, parts.output.counts.delivered) == (1, 0)
    parts.outbox.commit([event("a"), event("b")])
    parts.turn()
    for _ in range(2):
        session.acknowledge(published(session)[2])
    parts.turn_until(lambda: len(parts.cursor) == 0)
    assert (parts.output.link.n_connections, parts.output.counts.delivered) == (1, 2)
    session.close()
    parts.turn_until(lambda: not parts.output.link.is_connected)
    connected(broker, parts)
    assert (parts.output.link.n_connections, parts.output.counts.delivered) == (2, 2)


def test_a_connection_that_ends_just_before_the_stop_is_no_failure(broker, parts):
    """paho knows already that it has gone, the core's thread does not yet: there is nobody to say `stopped` to."""
    session = connected(broker, parts)
    session.close()
    deadline = time.monotonic() + 8
    while parts.output._connection._client.is_connected():
        assert time.monotonic() < deadline
        time.sleep(0.002)
    assert parts.output.link.is_connected
    parts.output.close()
    assert time.monotonic() < deadline


GARBAGE = {
    "an unknown reason in CONNACK": packet(0x20, b"\0\x03\0"),
    "properties of CONNACK beyond its end": packet(0x20, b"\0\0\x7f\x21"),
    "an unknown property in CONNACK": packet(0x20, b"\0\0\x02\x7f\x01"),
    "a short CONNACK": packet(0x20, b"\0"),
    "an empty CONNACK": packet(0x20, b""),
    "an unknown type": b"\x00\x00",
    "an unknown type of server": b"\xf0\x03abc",
    "an HTTP server": b"HTTP/1.1 400 Bad Request\r\n\r\n",
    "a length of five bytes": b"\x30\xff\xff\xff\xff\x01",
    "random bytes": bytes(range(255, 0, -7)),
}
LATER = {
    "a PUBLISH without a topic's end": packet(0x30, b"\x00\x0eplant"),
    "a PUBLISH of QoS 3": packet(0x36, b"\0\1t\0\1\0x"),
    "a PUBLISH with an unknown property": packet(0x30, b"\0\1t\x02\x7f\0x"),
    "a PUBLISH that ends early": packet(0x32, b"\0\1t\0"),
    "a SUBACK with an unknown reason": packet(0x90, b"\0\1\0\x05"),
    "a short SUBACK": packet(0x90, b"\0"),
    "a PUBACK with an unknown reason": packet(0x40, b"\0\1\x05\0"),
    "a short PUBACK": packet(0x40, b"\0"),
    "a DISCONNECT with an unknown reason": packet(0xE0, b"\x05\0"),
    "a PINGRESP with a body": packet(0xD0, b"x"),
    "a second CONNACK that is cut": packet(0x20, b"\0"),
}


@pytest.mark.parametrize("data", GARBAGE.values(), ids=GARBAGE)
def test_garbage_instead_of_an_answer_is_said_and_tried_again(broker, parts, data):
    """paho's thread goes on: whatever the first connection brought, the second one works."""
    session = knocking(broker, parts)
    session.read_connect()
    session.send(data)
    session.close()
    parts.turn_until(lambda: "output_not_connected" in parts.events())
    connected(broker, parts)


@pytest.mark.parametrize("data", LATER.values(), ids=LATER)
def test_garbage_on_a_standing_connection_ends_that_and_not_the_output(broker, parts, data):
    session = connected(broker, parts)
    session.send(data)
    session.close()
    parts.turn_until(lambda: "output_lost" in parts.events())
    connected(broker, parts)


def test_a_second_answer_to_connect_ends_the_connection_as_a_protocol_error(broker, parts):
    session = connected(broker, parts)
    session.accept()
    parts.turn_until(lambda: not parts.output.link.is_connected)
    assert parts.output.link.why == "protocol error: a second CONNACK"
    assert parts.output.link.n_connections == 1
    connected(broker, parts)


@pytest.fixture
def ahead_s(monkeypatch):
    """By how much the clock of paho's keepalive is ahead: a minute is its keepalive."""
    ahead_s = [0.0]
    monkeypatch.setattr(paho, "time_func", lambda now=paho.time_func: now() + ahead_s[0])
    return ahead_s


def test_a_broker_that_accepts_tcp_and_says_nothing_is_given_up(broker, parts):
    knocking(broker, parts).read_connect()
    parts.turn_until(lambda: "output_not_connected" in parts.events())
    assert parts.output.link.why == "the broker does not answer"
    connected(broker, parts)


def test_a_packet_that_grows_for_ever_ends_the_connection(broker, tmp_path, monkeypatch):
    """O7. Any byte is a sign of life to the keepalive; two keepalives are 0.12 s here."""
    monkeypatch.setattr(frame_deadline, "KEEPALIVES", 0.002)
    monkeypatch.setattr(frame_deadline, "BYTES_PER_S_MIN", 10**7)
    parts = Parts(tmp_path, broker.port)
    session = connected(broker, parts)
    session.send(packet(PUBLISH, b"x" * 100_000)[:100])
    parts.turn_until(lambda: "output_lost" in parts.events() or session.send(b"x"))
    assert parts.output.link.why == "protocol error: a packet that does not end"
    parts.end()


def test_a_broker_that_does_not_answer_a_ping_is_given_up(broker, parts, ahead_s):
    session = connected(broker, parts)
    ahead_s[0] += 61
    while session.read()[0] != PINGREQ:
        pass
    ahead_s[0] += 61
    parts.turn_until(lambda: "output_lost" in parts.events())
    assert parts.output.link.why == "the connection ended: Keep alive timeout"
    connected(broker, parts)
