"""MQTT 5 and 3.1.1 byte by byte, as brokers and publishers of tests and benchmarks need it: plain functions of bytes.

What a client says is read strictly. A breach is `Ended` with the reason that the standard names (MQTT 5, section 2.4);
3.1.1 has no words for it, and just ends the connection.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from io import BytesIO

# First bytes; those of PUBLISH have flags beside it
CONNECT, CONNACK, PUBLISH, PUBACK, SUBSCRIBE, SUBACK = 0x10, 0x20, 0x30, 0x40, 0x82, 0x90
UNSUBSCRIBE, UNSUBACK, PINGREQ, PINGRESP, DISCONNECT = 0xA2, 0xB0, 0xC0, 0xD0, 0xE0
MALFORMED, PROTOCOL_ERROR, NO_VERSION, BAD_TOPIC = 0x81, 0x82, 0x84, 0x90
TOO_MANY, BAD_ALIAS, TOO_LARGE, NO_RETAIN, NO_QOS = 0x93, 0x94, 0x95, 0x9A, 0x9B
NO_IDENTIFIERS, NO_WILDCARDS = 0xA1, 0xA2
SESSION_EXPIRY, ALIAS, RECEIVE_MAXIMUM, PACKET_BYTES_MAX, IDENTIFIER = 0x11, 0x23, 0x21, 0x27, 0x0B
NEVER_S = 0xFFFFFFFF  # a session expiry
WINDOW_MAX = 65_535  # of who does not say
LENGTH_DIGITS_MAX = 4
_SIZES = dict.fromkeys((0x01, 0x17, 0x19, 0x24, 0x25, 0x28, 0x29, 0x2A), 1)
_SIZES |= dict.fromkeys((0x13, 0x21, 0x22, 0x23), 2) | dict.fromkeys((0x02, 0x11, 0x18, 0x27), 4)
_FIELDS = {0x03, 0x08, 0x09, 0x12, 0x15, 0x16, 0x1A, 0x1C, 0x1F}
_PAIR, _REPEATABLE = 0x26, (0x26, IDENTIFIER)


class Ended(Exception):
    """The connection ends, told with a reason where there is one."""

    def __init__(self, reason: int | None) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Published:
    """A PUBLISH of a client."""

    topic: str
    payload: bytes
    qos: int
    retain: bool

    def packet(self, *, is_5: bool, packet_id: int = 0, is_dup: bool = False) -> bytes:
        """A PUBLISH of it; at QoS 1 where it has a packet id."""
        topic = self.topic.encode()
        return publish_packet(topic, self.payload, is_5=is_5, packet_id=packet_id, retain=self.retain, is_dup=is_dup)


@dataclass(frozen=True, slots=True)
class Connect:
    """A CONNECT. `session_expiry_s` is NEVER_S for a session of 3.1.1 that is not clean."""

    version: int
    client_id: str
    is_clean: bool
    keepalive_s: int
    session_expiry_s: int
    receive_maximum: int
    packet_bytes_max: int | None
    will: Published | None

    @property
    def is_5(self) -> bool:
        return self.version == 5


@dataclass(frozen=True, slots=True)
class Filter:
    """One subscription."""

    qos: int
    no_local: bool


# What a client says ---------------------------------------------------------------------------------------------------


def read_packet(exactly: Callable[[int], bytes]) -> tuple[int, bytes, int]:
    """The next packet of a connection of which `exactly` reads so many bytes: first byte, body, and size in bytes.

    Raises Ended for a length that there is not, and what `exactly` raises.
    """
    first = exactly(1)[0]
    digits = b""
    while not digits or digits[-1] & 0x80:
        if len(digits) == LENGTH_DIGITS_MAX:
            raise Ended(MALFORMED)
        digits += exactly(1)
    size, _ = _read_length(digits)
    return first, exactly(size), 1 + len(digits) + size


def split(data: bytearray) -> list[tuple[int, bytes]]:
    """Take the whole packets out of `data`: first byte and body of each. Raises Ended."""
    packets, reader = [], BytesIO(data)

    def exactly(n: int) -> bytes:
        part = reader.read(n)
        if len(part) < n:
            raise EOFError
        return part

    with suppress(EOFError):
        while True:
            first, body, size = read_packet(exactly)
            packets.append((first, body))
            del data[:size]
    return packets


def read_connect(body: bytes) -> Connect:
    """Raises Ended."""
    name, rest = read_field(body)
    version, flags = rest[0], rest[1]
    if name != b"MQTT" or flags & 1:
        raise Ended(MALFORMED)
    keepalive_s, rest = int.from_bytes(rest[2:4]), rest[4:]
    properties, rest = read_properties(rest) if version == 5 else ({}, rest)
    client_id, rest = read_text(rest)
    will = None
    if flags & 4:
        if version == 5:
            _, rest = read_properties(rest)
        topic, rest = read_text(rest)
        payload, rest = read_field(rest)
        will = Published(topic, payload, flags >> 3 & 3, bool(flags & 0x20))
    is_clean = bool(flags & 2)
    kept_s = 0 if is_clean else NEVER_S
    return Connect(
        version=version,
        client_id=client_id,
        is_clean=is_clean,
        keepalive_s=keepalive_s,
        session_expiry_s=properties.get(SESSION_EXPIRY, 0) if version == 5 else kept_s,
        receive_maximum=properties.get(RECEIVE_MAXIMUM, WINDOW_MAX),
        packet_bytes_max=properties.get(PACKET_BYTES_MAX),
        will=will,
    )


def read_publish(first: int, body: bytes, *, is_5: bool) -> tuple[int, Published, bool]:
    """Packet id, 0 at QoS 0, message, and whether it is said again. Raises Ended for what no client may say."""
    qos, is_dup = first >> 1 & 3, bool(first & 8)
    if qos == 3:
        raise Ended(MALFORMED)
    topic, rest = read_text(body)
    packet_id, rest = (int.from_bytes(rest[:2]), rest[2:]) if qos else (0, rest)
    properties, payload = read_properties(rest) if is_5 else ({}, rest)
    if ALIAS in properties:  # no alias was announced
        raise Ended(BAD_ALIAS)
    if qos == 2:  # this broker has none
        raise Ended(NO_QOS)
    if not topic or (is_dup and not qos) or (qos and not packet_id):
        raise Ended(PROTOCOL_ERROR)
    if any(sign in topic for sign in "+#\0"):
        raise Ended(BAD_TOPIC)
    return packet_id, Published(topic, payload, qos, bool(first & 1)), is_dup


def read_subscribe(body: bytes, *, is_5: bool) -> tuple[int, dict[str, Filter], bool]:
    """Packet id, the filters, and whether they have an identifier. Raises Ended."""
    packet_id, rest = int.from_bytes(body[:2]), body[2:]
    properties, rest = read_properties(rest) if is_5 else ({}, rest)
    if not packet_id or not rest:
        raise Ended(PROTOCOL_ERROR)
    filters: dict[str, Filter] = {}
    while rest:
        topic, rest = read_text(rest)
        filters[topic] = Filter(min(rest[0] & 3, 1), is_5 and bool(rest[0] & 4))
        rest = rest[1:]
    return packet_id, filters, IDENTIFIER in properties


def read_unsubscribe(body: bytes, *, is_5: bool) -> tuple[int, list[str]]:
    """Packet id and the filters. Raises Ended."""
    packet_id, rest = int.from_bytes(body[:2]), body[2:]
    _, rest = read_properties(rest) if is_5 else ({}, rest)
    topics = []
    while rest:
        topic, rest = read_text(rest)
        topics.append(topic)
    return packet_id, topics


def read_properties(data: bytes) -> tuple[dict[int, int], bytes]:
    """Properties that are numbers, by their identifier, and what follows all of them. Raises Ended."""
    size, rest = _read_length(data)
    data, rest = rest[:size], rest[size:]
    numbers: dict[int, int] = {}
    seen: set[int] = set()
    while data:
        name, data = data[0], data[1:]
        if name in seen and name not in _REPEATABLE:
            raise Ended(PROTOCOL_ERROR)
        seen.add(name)
        if name in _SIZES:
            numbers[name], data = int.from_bytes(data[: _SIZES[name]]), data[_SIZES[name] :]
        elif name == IDENTIFIER:
            numbers[name], data = _read_length(data)
        elif name in _FIELDS or name == _PAIR:
            for _ in range(1 + (name == _PAIR)):
                _, data = read_field(data)
        else:
            raise Ended(MALFORMED)
    return numbers, rest


def read_field(data: bytes) -> tuple[bytes, bytes]:
    """A field with its length before it, and what follows. Raises Ended."""
    end = 2 + int.from_bytes(data[:2])
    if len(data) < end:
        raise Ended(MALFORMED)
    return data[2:end], data[end:]


def read_text(data: bytes) -> tuple[str, bytes]:
    """Raises Ended for what is no UTF-8."""
    value, rest = read_field(data)
    try:
        return value.decode(), rest
    except UnicodeDecodeError:
        raise Ended(MALFORMED) from None


def _read_length(data: bytes) -> tuple[int, bytes]:
    value = 0
    for place, digit in enumerate(data[:LENGTH_DIGITS_MAX]):
        value |= (digit & 0x7F) << 7 * place
        if not digit & 0x80:
            return value, data[place + 1 :]
    raise Ended(MALFORMED)


# What is said ---------------------------------------------------------------------------------------------------------


def text(value: bytes) -> bytes:
    """With its length before it."""
    return len(value).to_bytes(2) + value


def packet(first: int, body: bytes) -> bytes:
    size, left = bytearray(), len(body)
    while True:
        left, digit = divmod(left, 128)
        size.append(digit | (0x80 if left else 0))
        if not left:
            return bytes([first]) + bytes(size) + body


def connect_packet(client_id: bytes) -> bytes:
    """A CONNECT of MQTT 3.1.1 with a clean session and no keepalive."""
    return packet(CONNECT, text(b"MQTT") + b"\x04\x02\0\0" + text(client_id))


def publish_packet(
    topic: bytes, payload: bytes, *, is_5: bool = False, packet_id: int = 0, retain: bool = False, is_dup: bool = False
) -> bytes:
    """A PUBLISH; at QoS 1 where it has a packet id."""
    first = PUBLISH | is_dup << 3 | (2 if packet_id else 0) | retain
    ids = packet_id.to_bytes(2) if packet_id else b""
    return packet(first, text(topic) + ids + (b"\0" if is_5 else b"") + payload)


def puback(packet_id: int, reason: int, *, is_5: bool) -> bytes:
    """3.1.1 has no word for the reason."""
    return packet(PUBACK, packet_id.to_bytes(2) + (bytes([reason, 0]) if is_5 else b""))


def suback(packet_id: int, reasons: Sequence[int], *, is_5: bool) -> bytes:
    return packet(SUBACK, packet_id.to_bytes(2) + (b"\0" if is_5 else b"") + bytes(reasons))


def unsuback(packet_id: int, n_filters: int, *, is_5: bool) -> bytes:
    return packet(UNSUBACK, packet_id.to_bytes(2) + (bytes(1 + n_filters) if is_5 else b""))
