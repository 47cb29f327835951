"""What only the fast path promises: bounded memory, many acknowledgements at once, no large packet of another kind."""

import socket
import threading
import tracemalloc

import pytest

from agent.receive import client, inbox
from bench.mqtt_packets import PUBACK, packet
from tests.unit.receive.cases import VERSIONS, errors, publish
from tests.unit.receive.talk import TOPIC, connected, pump, taken

BUFFERS_BYTES = 2**20  # what the socket's buffer and one read take, with room


@pytest.fixture
def path() -> str:
    return "fast"


@pytest.mark.parametrize("n_bytes", [10_000_000, 200_000_000])
@pytest.mark.parametrize("version", VERSIONS)
def test_memory_does_not_grow_with_a_message_that_goes_by(broker, receiver, version, n_bytes):
    """The peak of what Python holds while it streams; a piece of a large packet is kept nowhere."""
    one = receiver(protocol=version)
    session = connected(broker, one)
    size = bytes([n_bytes >> shift & 0x7F | 0x80 for shift in (0, 7, 14)]) + bytes([n_bytes >> 21])
    start = publish(version, b"", mid=7)[2:]
    chunk = b"x" * 65_536

    def stream() -> None:
        session.send(b"\x32" + size + start)
        left = n_bytes - len(start)
        while left:
            session.send(chunk[:left])
            left -= min(left, len(chunk))
        session.send(publish(version, b"after"))

    sender = threading.Thread(target=stream)
    tracemalloc.start()
    try:
        sender.start()
        found = pump(one, taken(1), timeout_s=60)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
        sender.join()
    assert found.payloads == [b"after"]
    assert found.packet_ids == [7]
    assert peak < BUFFERS_BYTES


@pytest.mark.slow
def test_a_read_ends_while_a_message_is_still_going_by(broker, receiver, monkeypatch):
    """However fast the broker sends: the rest of a turn waits for it."""
    monkeypatch.setattr(client, "READ_S_MAX", 0.001)
    one = receiver()
    session = connected(broker, one)
    data = packet(0x30, publish("5", b"x" * 100_000_000)[5:]) + publish("5", b"after")
    sender = threading.Thread(target=session.send, args=(data,))
    sender.start()
    assert one.read(0.0).drops == []
    assert [drop.reason for drop in pump(one, taken(1)).drops] == ["too_large"]
    sender.join()


@pytest.mark.slow
@pytest.mark.parametrize("version", VERSIONS)
def test_many_acknowledgements_are_one_packet_for_paho_however_slowly_they_leave(broker, receiver, version):
    """More than the socket takes at once: the rest follows with later reads, and what else is said comes behind it."""
    one = receiver(protocol=version)
    session = connected(broker, one)
    sock = one._client.socket()
    socket.socket(fileno=socket.dup(sock.fileno())).setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    packet_ids = list(range(1, 65_536)) * 8
    one.acknowledge(packet_ids)
    assert len(one._client._out_packet) == 1, "the socket has taken all: send more"
    one.acknowledge([5])
    heard = bytearray()
    reader = threading.Thread(target=lambda: heard.extend(session.exactly(4 * (len(packet_ids) + 1))))
    reader.start()
    pump(one, lambda _: not reader.is_alive(), timeout_s=60)
    assert heard == b"".join(bytes([PUBACK, 2]) + mid.to_bytes(2) for mid in [*packet_ids, 5])
    one.acknowledge([])
    assert not one._client.want_write()


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("first", [0x90, 0xE0, 0x40])
def test_a_large_packet_that_is_no_publish_ends_the_connection_before_it_has_come(broker, receiver, version, first):
    one = receiver(protocol=version)
    session = connected(broker, one)
    session.send(packet(first, b"x" * 100_000)[:50])
    pump(one, lambda _: not one.link.is_connected)
    assert one.link.why == f"protocol error: a packet of type {first >> 4} and 100004 bytes"
    assert one.inbox.counts == {("", "protocol_error"): 1}


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", ["QoS 3", "packet identifier 0", "no topic"])
def test_a_large_message_that_is_wrong_is_not_skipped(broker, receiver, version, name):
    """Its head is looked at as that of any other."""
    one = receiver(protocol=version)
    session = connected(broker, one)
    wrong = errors(version)[name]
    session.send(packet(wrong[0], wrong[2:] + b"x" * 200_000))
    pump(one, lambda _: not one.link.is_connected)
    assert one.inbox.counts == {("", "protocol_error"): 1}


def test_the_memory_of_topics_is_bounded(broker, receiver, monkeypatch):
    """In number and in size; what is not remembered is taken all the same."""
    monkeypatch.setattr(inbox, "TOPIC_TEXTS_MAX", 10)
    one = receiver()
    session = connected(broker, one)
    topics = [f"plant/p{number}/cycle".encode() for number in range(35)] + [b"plant/" + b"p" * 300 + b"/cycle"]
    session.send(b"".join(publish("5", topic=topic) for topic in topics * 2))
    found = pump(one, taken(72))
    assert found.topics == [topic.decode() for topic in topics * 2]
    assert 0 < len(one.inbox.topic_texts) <= 10
    assert max(map(len, one.inbox.topic_texts)) < 300
    assert TOPIC not in one.inbox.topic_texts
