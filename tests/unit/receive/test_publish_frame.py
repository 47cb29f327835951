"""Bytes to messages without a socket: the hot loop takes what the strict reader takes, and stops before all else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.receive.publish_frame import (
    Frame,
    Message,
    MessageColumns,
    ProtocolError,
    envelope,
    head,
    read_publish,
    take_plain,
)
from bench.mqtt_packets import packet, text
from tests.unit.receive.cases import PAYLOAD_BYTES_MAX, PROPERTIES, VERSIONS, cases, errors, publish
from tests.unit.receive.talk import TOPIC

KNOWN = {topic: topic.decode() for topic in (TOPIC, b"pumps/p1", b"pumps/p9", b"else/where")}


def hot(
    data: bytes, version: str, *, at: int = 0, room: int = 1000, payload_bytes_max: int = PAYLOAD_BYTES_MAX
) -> tuple[int, list[tuple[str, bytes]], list[int]]:
    """Where the hot loop stopped, what it took, and the packet identifiers."""
    into = MessageColumns([], [], [])
    end = take_plain(
        data,
        at,
        room,
        into,
        is_v5=version == "5",
        payload_bytes_max=payload_bytes_max,
        topic_of=KNOWN.get,
        heads={},
    )
    return end, list(zip(into.topics, into.payloads, strict=True)), into.packet_ids


def strict(data: bytes, version: str, at: int = 0) -> tuple[Frame, Message]:
    frame = head(data, at)
    assert frame is not None
    return frame, read_publish(data, frame, is_v5=version == "5")


@pytest.mark.parametrize("version", VERSIONS)
def test_plain_messages_are_taken_in_place_up_to_the_first_that_is_not_plain(version):
    first, second = publish(version, b"a"), publish(version, b"b" * 200, mid=5)
    for odd in (
        publish(version, b"c", flags=0x01),
        publish(version, b"c", mid=6, flags=0x08),
        publish(version, b"c", topic=b"plant/new/cycle"),
        publish(version, b"c" * (PAYLOAD_BYTES_MAX + 1)),
        b"\xd0\x00",
    ):
        end, messages, packet_ids = hot(first + second + odd + first, version)
        assert messages == [(TOPIC.decode(), b"a"), (TOPIC.decode(), b"b" * 200)]
        assert packet_ids == [5]
        assert end == len(first + second)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_payload_above_the_bound_is_not_plain(version):
    data = publish(version, b"x" * 100) + publish(version, b"x" * 101)
    assert hot(data, version, payload_bytes_max=100)[0] == len(publish(version, b"x" * 100))


def test_properties_do_not_reach_into_the_next_packet():
    """Even where its bytes would go on as properties."""
    with pytest.raises(ProtocolError, match="ends inside its properties"):
        strict(packet(0x30, text(TOPIC) + b"\x04\x01\x00") + b"\x0b\x01", "5")


def test_a_length_of_three_bytes_is_left_to_the_strict_reader():
    """Here it says 0, although two bytes of it alone would make a message of a known topic."""
    data = b"\x30\x80\x80\x00\x0e" + TOPIC + b"x" * 20_000
    assert hot(data, "3.1.1") == (0, [], [])
    with pytest.raises(ProtocolError):
        strict(data, "3.1.1")


@pytest.mark.parametrize("version", VERSIONS)
def test_no_more_is_taken_than_there_is_room(version):
    data = publish(version) * 5
    end, messages, _ = hot(data, version, room=3)
    assert (end, len(messages)) == (3 * len(publish(version)), 3)
    assert hot(data, version, at=end)[0] == len(data)


@pytest.mark.parametrize(("version", "name"), [(version, name) for version in VERSIONS for name in cases(version)])
def test_every_cut_packet_is_waited_for(version, name):
    """Each prefix: nothing is taken, nothing is wrong yet; then the whole packet is as it was sent."""
    case = cases(version)[name]
    for size in [*range(min(len(case.data), 150)), *range(150, len(case.data), 997)]:
        cut = case.data[:size]
        assert hot(cut, version) == (0, [], [])
        frame = head(cut, 0)
        assert frame is None or frame.end == len(case.data)
        if frame is not None:
            found = envelope(cut, frame, is_v5=version == "5")
            assert found is None or size >= found.properties
    frame, message = strict(case.data + b"more", version)
    assert frame.end == len(case.data)
    assert ([message.packet_id] if message.qos else []) == case.packet_ids
    if case.topics:
        assert (message.topic.decode(), message.payload) == (case.topics[0], case.payloads[0])


@pytest.mark.parametrize(("version", "name"), [(version, name) for version in VERSIONS for name in errors(version)])
def test_every_error_is_found_and_never_taken(version, name):
    data = errors(version)[name]
    assert hot(data + publish(version) * 3, version) == (0, [], [])
    with pytest.raises(ProtocolError):
        strict(data + publish(version) * 3, version)


def test_flags_and_subscription_identifiers_come_with_a_message():
    properties = PROPERTIES["all of them"] + PROPERTIES["two subscription identifiers"]
    _, message = strict(publish("5", b"p", mid=9, flags=0x09, properties=properties), "5")
    assert message == Message(TOPIC, b"p", 1, 9, True, True, (2**21, 1, 127))
    assert strict(publish("3.1.1", b"p"), "3.1.1")[1] == Message(TOPIC, b"p", 0, 0, False, False)


@pytest.mark.parametrize("qos", [2, 3])
def test_a_qos_that_was_not_asked_for_is_named(qos):
    with pytest.raises(ProtocolError, match=f"QoS {qos}"):
        strict(publish("5", flags=2 * qos), "5")


PIECES = {
    version: [case.data for case in cases(version).values() if len(case.data) < 400] + list(errors(version).values())
    for version in VERSIONS
}


@pytest.mark.slow
@given(st.data(), st.sampled_from(VERSIONS))
def test_the_hot_loop_agrees_with_the_strict_reader_on_any_bytes(data, version):
    """Packets of the table joined, some bytes changed: what the hot loop takes, the strict reader reads the same."""
    joined = bytearray(b"".join(data.draw(st.lists(st.sampled_from(PIECES[version]), min_size=1, max_size=6))))
    for place in data.draw(st.lists(st.integers(0, len(joined) - 1), max_size=3)):
        joined[place] = data.draw(st.integers(0, 255))
    end, messages, packet_ids = hot(bytes(joined), version)
    at, ids = 0, []
    for topic, payload in messages:
        frame, message = strict(bytes(joined), version, at)
        assert (message.topic.decode(), message.payload) == (topic, payload)
        assert not message.retain
        assert not message.dup
        assert not message.subscription_ids
        ids += [message.packet_id] if message.qos else []
        at = frame.end
    assert (at, ids) == (end, packet_ids)
