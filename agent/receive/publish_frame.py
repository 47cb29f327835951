"""PUBLISH packets in a run of bytes: bytes in, messages out, no socket. MQTT 3.1.1 and 5, QoS 0 and 1.

`take_plain` is the hot loop. It takes what is common and stops before whatever is not: a retained or repeated message,
properties, a topic it does not know, anything cut or wrong. `head`, `envelope` and `read_publish` are the strict way,
one packet at a time, which also says what is wrong.

A protocol error is what a broker alone can do wrong. What a publisher writes and a broker may hand on unread (the text
of a topic or of a property) is none: no device may end the connection for all others.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

PUBLISH = 3  # type of the packet, in the upper half of its first byte
HEAD_BYTES_MAX = 5  # first byte and remaining length
HEAD_KEY = 5  # first byte, remaining length of at most two bytes, length of the topic
HEADS_MAX = 4096
_RETAIN, _DUP = 0x01, 0x08
_PLAIN_QOS_0, _PLAIN_QOS_1 = 0x30, 0x32
_LENGTH_BYTES_MAX = 4  # of a variable byte integer
_FIXED_SIZE = {0x01: 1, 0x02: 4}  # payload format indicator, message expiry interval
_ONE_STRING = (0x03, 0x08, 0x09)  # content type, response topic, correlation data
_SUBSCRIPTION_ID, _TOPIC_ALIAS, _USER_PROPERTY = 0x0B, 0x23, 0x26


class ProtocolError(Exception):
    """The broker says what it may not say: the rest of its bytes means nothing."""


@dataclass(frozen=True, slots=True)
class Message:
    """A PUBLISH. `packet_id` is 0 at QoS 0; subscription identifiers come with MQTT 5 where they were asked for."""

    topic: bytes
    payload: bytes
    qos: int
    packet_id: int
    retain: bool
    dup: bool
    subscription_ids: tuple[int, ...] = ()


class Frame(NamedTuple):
    """Where a packet lies: its first byte, where its body begins, and where it ends, which may still be to come."""

    first: int
    body: int
    end: int


class Envelope(NamedTuple):
    """What stands before the payload of a PUBLISH, and where properties and payload begin."""

    topic: bytes
    packet_id: int
    properties: int
    payload: int


class MessageColumns(NamedTuple):
    """Where plain messages go: an element each, but packet_ids, which has those of QoS 1 alone.

    message_ids  the packet identifier of each, 0 at QoS 0; None where nobody asks for it
    """

    topics: list[str]
    payloads: list[bytes]
    packet_ids: list[int]
    message_ids: list[int] | None = None


class PlainHead(NamedTuple):
    """What the first HEAD_KEY bytes of a plain message say, as places counted from its first byte.

    has_id  a packet identifier stands before the payload, which then begins two bytes later
    """

    topic: int
    payload: int
    end: int
    has_id: bool


def take_plain(
    data: bytes,
    at: int,
    room: int,
    into: MessageColumns,
    *,
    is_v5: bool,
    payload_bytes_max: int,
    topic_of: Callable[[bytes], str | None],
    heads: dict[bytes, PlainHead],
) -> int:
    """Append plain messages from data[at:] on, at most `room`; returns where it stopped. Raises nothing.

    topic_of gives the text of a known topic, None or "" for others; `heads` is kept from call to call. Devices send
    messages of few lengths, and looking one up is cheaper than reckoning it out.
    """
    size = len(data)
    add_topic, add_payload, head_of = into.topics.append, into.payloads.append, heads.get
    add_id = None if into.message_ids is None else into.message_ids.append
    for _ in range(room):
        key = data[at : at + HEAD_KEY]
        plain = head_of(key)
        if plain is None:
            plain = _plain_head(key)
            if plain is None:
                break
            if len(heads) >= HEADS_MAX:
                heads.clear()
            heads[key] = plain
        topic_at, payload, end, has_id = plain
        payload += at
        end += at
        if end > size:
            break
        topic = topic_of(data[at + topic_at : payload])
        if not topic:
            break
        packet_id = 0
        if has_id:
            packet_id = int.from_bytes(data[payload : payload + 2])
            payload += 2
            if not packet_id:
                break
        if is_v5:
            if payload >= end or data[payload]:
                break
            payload += 1
        if payload > end or end - payload > payload_bytes_max:
            break
        if packet_id:
            into.packet_ids.append(packet_id)
        if add_id:
            add_id(packet_id)
        add_topic(topic)
        add_payload(data[payload:end])
        at = end
    return at


def _plain_head(key: bytes) -> PlainHead | None:
    """What the first bytes say, None where they are too few, or those of a message that is not plain."""
    if len(key) < HEAD_KEY or key[0] not in (_PLAIN_QOS_0, _PLAIN_QOS_1):
        return None
    n_bytes, body = key[1], 2
    if n_bytes > 0x7F:
        if key[2] > 0x7F:
            return None
        n_bytes, body = n_bytes + ((key[2] - 1) << 7), 3
    topic = body + 2
    return PlainHead(topic, topic + int.from_bytes(key[body:topic]), body + n_bytes, key[0] == _PLAIN_QOS_1)


def head(data: bytes, at: int) -> Frame | None:
    """The packet that begins at `at`, None while too little of it is there. Raises ProtocolError."""
    length = _variable(data, at + 1, len(data))
    if length is None:
        return None
    n_bytes, body = length
    return Frame(data[at], body, body + n_bytes)


def envelope(data: bytes, frame: Frame, *, is_v5: bool) -> Envelope | None:
    """What stands before the payload, None while too little of it is there. Raises ProtocolError."""
    first, body, end = frame
    qos = first >> 1 & 3
    if qos > 1:
        raise ProtocolError(f"a PUBLISH of QoS {qos}, which was not asked for")
    if not _is_there(body + 2, data, end):
        return None
    topic_end = body + 2 + int.from_bytes(data[body : body + 2])
    payload = topic_end + 2 * qos
    if not _is_there(payload, data, end):
        return None
    if topic_end == body + 2:
        raise ProtocolError("a PUBLISH without a topic")
    packet_id = int.from_bytes(data[topic_end:payload])
    if qos and not packet_id:
        raise ProtocolError("a PUBLISH with packet identifier 0")
    properties = payload
    if is_v5:
        length = _variable(data, payload, min(end, len(data)))
        if length is None:
            _is_there(len(data) + 1, data, end)
            return None
        n_bytes, properties = length
        payload = properties + n_bytes
        if payload > end:
            raise ProtocolError("a PUBLISH that ends inside its properties")
    return Envelope(data[body + 2 : topic_end], packet_id, properties, payload)


def read_publish(data: bytes, frame: Frame, *, is_v5: bool) -> Message:
    """The message of a PUBLISH that is there as a whole. Raises ProtocolError."""
    outer = envelope(data, frame, is_v5=is_v5)
    if outer is None:
        raise ValueError(f"the packet ends at {frame.end}, the bytes at {len(data)}: wait for the whole of it")
    first = frame.first
    return Message(
        topic=outer.topic,
        payload=data[outer.payload : frame.end],
        qos=first >> 1 & 3,
        packet_id=outer.packet_id,
        retain=bool(first & _RETAIN),
        dup=bool(first & _DUP),
        subscription_ids=_subscription_ids(data, outer.properties, outer.payload),
    )


def _is_there(place: int, data: bytes, end: int) -> bool:
    """Whether the bytes up to `place` are there. Raises ProtocolError where the packet ends before it."""
    if place > end:
        raise ProtocolError("a PUBLISH that ends inside its topic, packet identifier or properties")
    return place <= len(data)


def _variable(data: bytes, at: int, end: int) -> tuple[int, int] | None:
    """A variable byte integer and where it ends, None when `end` comes first. Raises ProtocolError."""
    value = 0
    for number in range(_LENGTH_BYTES_MAX):
        if at + number >= end:
            return None
        digit = data[at + number]
        value |= (digit & 0x7F) << 7 * number
        if digit < 0x80:
            return value, at + number + 1
    raise ProtocolError("a length of more than four bytes")


def _subscription_ids(data: bytes, at: int, end: int) -> tuple[int, ...]:
    """Walk the properties data[at:end] strictly; what is wanted of them. Raises ProtocolError."""
    ids: list[int] = []
    seen: set[int] = set()
    while at < end:
        kind = data[at]
        at += 1
        if kind in seen:
            raise ProtocolError(f"property 0x{kind:02x} twice in a PUBLISH")
        if kind == _SUBSCRIPTION_ID:
            number = _variable(data, at, end)
            if number is None or not number[0]:
                raise ProtocolError("a subscription identifier that is 0 or cut")
            ids.append(number[0])
            at = number[1]
            continue
        if kind == _USER_PROPERTY:
            at = _after_string(data, _after_string(data, at))
        elif kind in _FIXED_SIZE or kind in _ONE_STRING:
            seen.add(kind)
            at = at + _FIXED_SIZE[kind] if kind in _FIXED_SIZE else _after_string(data, at)
        elif kind == _TOPIC_ALIAS:
            raise ProtocolError("a topic alias, though none was allowed")
        else:
            raise ProtocolError(f"property 0x{kind:02x} in a PUBLISH")
        if at > end:
            raise ProtocolError(f"property 0x{kind:02x} is cut")
    return tuple(ids)


def _after_string(data: bytes, at: int) -> int:
    """Where a string of two bytes of length ends, beyond the bytes when it is cut."""
    return at + 2 + int.from_bytes(data[at : at + 2])
