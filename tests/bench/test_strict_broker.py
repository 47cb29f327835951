"""The strict broker by itself: each breach costs the connection, for the reason that the standard names."""

import socket

import pytest

from bench.mqtt_packets import (
    BAD_ALIAS,
    BAD_TOPIC,
    CONNECT,
    DISCONNECT,
    MALFORMED,
    NO_IDENTIFIERS,
    NO_QOS,
    NO_RETAIN,
    PROTOCOL_ERROR,
    PUBACK,
    PUBLISH,
    SUBSCRIBE,
    TOO_LARGE,
    TOO_MANY,
    packet,
    text,
)
from bench.strict_broker import SILENT, StrictBroker

RULES = {"receive_maximum": 2, "retain": False, "packet_bytes_max": 100, "identifiers": False}


class Peer:
    """A client that says what it is told to."""

    def __init__(self, broker: StrictBroker, data: bytes) -> None:
        self.socket = socket.create_connection(("127.0.0.1", broker.port), timeout=5)
        self.socket.sendall(data)

    def read_to_the_end(self) -> bytes:
        data = b""
        while more := self.socket.recv(4096):
            data += more
        return data

    def read_packets(self, n: int) -> list[bytes]:
        found = []
        for _ in range(n):
            start = self.socket.recv(2, socket.MSG_WAITALL)
            found.append(start + self.socket.recv(start[1], socket.MSG_WAITALL))
        return found


def connect(
    version: int = 5, client_id: bytes = b"c", *, flags: int = 2, keepalive_s: int = 0, properties: bytes = b""
) -> bytes:
    own = bytes([len(properties)]) + properties if version == 5 else b""
    return packet(CONNECT, text(b"MQTT") + bytes([version, flags]) + keepalive_s.to_bytes(2) + own + text(client_id))


def publish(message_id: int, *, topic: bytes = b"t", flags: int = 0, properties: bytes = b"", payload: bytes = b"x"):
    ids = message_id.to_bytes(2) if message_id else b""
    own = bytes([len(properties)]) + properties
    return packet(PUBLISH | (2 if message_id else 0) | flags, text(topic) + ids + own + payload)


def subscribe(message_id: int, *, properties: bytes = b"", topic: bytes = b"t") -> bytes:
    return packet(SUBSCRIBE, message_id.to_bytes(2) + bytes([len(properties)]) + properties + text(topic) + b"\x01")


BREACHES = {
    "more than the receive maximum": (publish(1) + publish(2) + publish(3), TOO_MANY),
    "a packet that is too large": (publish(0, payload=b"x" * 100), TOO_LARGE),
    "a retained message": (publish(0, flags=1), NO_RETAIN),
    "QoS 3": (publish(1, flags=4)[:1] + publish(1)[1:], MALFORMED),
    "a topic alias": (publish(0, properties=b"\x23\0\x01"), BAD_ALIAS),
    "a wildcard in a topic": (publish(0, topic=b"a/+"), BAD_TOPIC),
    "no topic": (publish(0, topic=b""), PROTOCOL_ERROR),
    "a topic that is no UTF-8": (publish(0, topic=b"\xff"), MALFORMED),
    "message id 0": (packet(PUBLISH | 2, text(b"t") + b"\0\0\0x"), PROTOCOL_ERROR),
    "a message id in use": (publish(1) + publish(1), PROTOCOL_ERROR),
    "said again at QoS 0": (publish(0, flags=8), PROTOCOL_ERROR),
    "an acknowledgement of nothing": (packet(PUBACK, b"\0\x01"), PROTOCOL_ERROR),
    "a subscription identifier": (subscribe(1, properties=b"\x0b\x01"), NO_IDENTIFIERS),
    "a subscription to nothing": (packet(SUBSCRIBE, b"\0\x01\0"), PROTOCOL_ERROR),
    "a second CONNECT": (connect(), PROTOCOL_ERROR),
    "a property twice": (publish(0, properties=b"\x01\0\x01\0"), PROTOCOL_ERROR),
    "a property that there is not": (publish(0, properties=b"\x7f\0"), MALFORMED),
}


@pytest.mark.parametrize(("said", "reason"), BREACHES.values(), ids=BREACHES)
def test_a_breach_ends_the_connection_with_its_reason(said, reason):
    with StrictBroker(**RULES) as broker:
        answer = Peer(broker, connect() + said).read_to_the_end()
        assert answer.endswith(packet(DISCONNECT, bytes([reason, 0])))
        assert broker.broken == [reason]
        assert broker.accepted == []


def test_qos_1_where_there_is_none(tmp_path):
    with StrictBroker(qos_max=0) as broker:
        Peer(broker, connect() + publish(1)).read_to_the_end()
        assert broker.broken == [NO_QOS]


@pytest.mark.slow
@pytest.mark.parametrize(("own_s", "asked_s"), [(1, 600), (None, 1)])
def test_who_is_silent_for_one_and_a_half_keepalives_is_ended(own_s, asked_s):
    """The broker's own keepalive counts before the client's."""
    with StrictBroker(keepalive_s=own_s) as broker:
        Peer(broker, connect(keepalive_s=asked_s)).read_to_the_end()
        assert broker.broken == [SILENT]


def test_a_client_without_an_id_is_given_one_or_refused():
    with StrictBroker() as broker:
        (connack,) = Peer(broker, connect(client_id=b"")).read_packets(1)
        assert b"\x12" + text(b"client-1") in connack
        assert Peer(broker, connect(4, b"", flags=0)).read_to_the_end() == b"\x20\x02\0\x02"


KEPT = connect(flags=0, properties=b"\x11\0\0\0\x3c\x21\0\x02")  # for a minute, two messages at a time


def test_a_session_is_kept_and_its_messages_come_again_in_order_within_the_window():
    with StrictBroker() as broker:
        peer = Peer(broker, KEPT + subscribe(1))
        peer.read_packets(2)
        for number in range(4):
            broker.publish("t", str(number).encode())
        first = peer.read_packets(2)
        assert [one[-1:] for one in first] == [b"0", b"1"], "two at a time"
        peer.socket.close()
        peer = Peer(broker, KEPT)
        connack, *again = peer.read_packets(3)
        assert connack[2] == 1, "session present"
        assert [(one[0] & 8, one[1:]) for one in again] == [(8, one[1:]) for one in first], "the same ids, said again"
        ids = [one[5:7] for one in again]
        peer.socket.sendall(b"".join(packet(PUBACK, one) for one in ids))
        assert [one[-1:] for one in peer.read_packets(2)] == [b"2", b"3"]
        assert broker.broken == []


def test_who_acknowledges_out_of_order_is_ended():
    with StrictBroker() as broker:
        peer = Peer(broker, KEPT + subscribe(1))
        peer.read_packets(2)
        for number in range(2):
            broker.publish("t", str(number).encode())
        second = peer.read_packets(2)[1]
        peer.socket.sendall(packet(PUBACK, second[5:7]))
        peer.read_to_the_end()
        assert broker.broken == [PROTOCOL_ERROR]


def test_a_clean_start_begins_a_new_session():
    with StrictBroker() as broker:
        for said, has_session in ((KEPT, 0), (KEPT, 1), (connect(), 0), (KEPT, 0)):
            peer = Peer(broker, said)
            assert peer.read_packets(1)[0][2] == has_session
            peer.socket.sendall(b"\xe0\0")
            peer.read_to_the_end()


def test_what_a_client_says_is_too_large_for_it_is_not_sent():
    with StrictBroker() as broker:
        peer = Peer(broker, connect(properties=b"\x27\0\0\0\x20") + subscribe(1))
        peer.read_packets(2)
        for payload in (b"x" * 100, b"y"):
            broker.publish("t", payload)
        assert peer.read_packets(1)[0].endswith(b"y")
        assert broker.clients["c"].n_too_large == 1
