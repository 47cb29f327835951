"""MQTT as a broker reads and writes it: bytes in, packets out. Versions 5 and 3.1.1, QoS 0 and 1."""

import struct
from dataclasses import dataclass, field

CONNECT, CONNACK, PUBLISH, PUBACK, SUBSCRIBE, SUBACK, UNSUBSCRIBE, UNSUBACK = 1, 2, 3, 4, 8, 9, 10, 11
PINGREQ, PINGRESP, DISCONNECT = 12, 13, 14
V5 = 5
_SIZES = {  # of the properties that a client of ours may send; None: two bytes of length, and a string
    0x01: 1, 0x02: 4, 0x03: None, 0x08: None, 0x09: None, 0x11: 4, 0x15: None, 0x16: None, 0x17: 1, 0x18: 4, 0x19: 1,
    0x1F: None, 0x21: 2, 0x22: 2, 0x27: 4,
}  # fmt: skip
SESSION_EXPIRY, RECEIVE_MAXIMUM = 0x11, 0x21


@dataclass(slots=True)
class Connect:
    """The first packet of a client."""

    version: int
    client_id: str
    is_clean: bool
    properties: dict[int, int] = field(default_factory=dict)
    will: "Publish | None" = None


@dataclass(slots=True)
class Publish:
    """A message; `packet_id` is 0 at QoS 0."""

    topic: str
    payload: bytes
    packet_id: int = 0
    retain: bool = False
    dup: bool = False


@dataclass(slots=True)
class Subscribe:
    """Filters with their options, or without any of what is to be given up."""

    packet_id: int
    filters: list[tuple[str, int]]


def packet(first: int, body: bytes) -> bytes:
    size, left = bytearray(), len(body)
    while True:
        left, digit = divmod(left, 128)
        size.append(digit | (0x80 if left else 0))
        if not left:
            return bytes([first]) + bytes(size) + body


def split(data: bytearray) -> list[tuple[int, bytes]]:
    """Take the whole packets out of `data`: first byte and body of each."""
    packets = []
    while len(data) >= 2:
        size, shift, at = 0, 0, 1
        while at < len(data):
            size |= (data[at] & 0x7F) << shift
            shift += 7
            at += 1
            if not data[at - 1] & 0x80:
                break
        else:
            break
        if len(data) < at + size:
            break
        packets.append((data[0], bytes(data[at : at + size])))
        del data[: at + size]
    return packets


class _Body:
    """Reads a packet's body from its beginning."""

    def __init__(self, body: bytes) -> None:
        self._body, self._at = body, 0

    def take(self, n_bytes: int) -> bytes:
        taken = self._body[self._at : self._at + n_bytes]
        self._at += n_bytes
        return taken

    def number(self, n_bytes: int) -> int:
        return int.from_bytes(self.take(n_bytes))

    def text(self) -> bytes:
        return self.take(self.number(2))

    def rest(self) -> bytes:
        return self.take(len(self._body))

    def is_at_end(self) -> bool:
        return self._at >= len(self._body)

    def properties(self) -> dict[int, int]:
        size, shift = 0, 0
        while True:
            digit = self.number(1)
            size |= (digit & 0x7F) << shift
            shift += 7
            if not digit & 0x80:
                break
        end, found = self._at + size, {}
        while self._at < end:
            kind = self.number(1)
            if (width := _SIZES[kind]) is None:
                self.text()
            else:
                found[kind] = self.number(width)
        return found


def read_connect(body: bytes) -> Connect:
    of = _Body(body)
    of.text()
    version, flags, _ = of.number(1), of.number(1), of.number(2)
    properties = of.properties() if version == V5 else {}
    client_id = of.text().decode()
    will = None
    if flags & 0x04:
        if version == V5:
            of.properties()
        topic, payload = of.text().decode(), of.text()
        will = Publish(topic, payload, packet_id=flags >> 3 & 3, retain=bool(flags & 0x20))
    return Connect(version, client_id, bool(flags & 0x02), properties, will)


def read_publish(first: int, body: bytes, version: int) -> Publish:
    of = _Body(body)
    topic = of.text().decode()
    packet_id = of.number(2) if first & 0x06 else 0
    if version == V5:
        of.properties()
    return Publish(topic, of.rest(), packet_id, retain=bool(first & 1), dup=bool(first & 8))


def read_puback(body: bytes) -> int:
    return int.from_bytes(body[:2])


def read_subscribe(body: bytes, version: int, *, has_options: bool) -> Subscribe:
    of = _Body(body)
    packet_id = of.number(2)
    if version == V5:
        of.properties()
    filters = []
    while not of.is_at_end():
        topic = of.text().decode()
        filters.append((topic, of.number(1) if has_options else 0))
    return Subscribe(packet_id, filters)


def connack(version: int, *, has_session: bool, receive_maximum: int) -> bytes:
    properties = b"\x03\x21" + struct.pack("!H", receive_maximum) if version == V5 else b""
    return packet(CONNACK << 4, bytes([has_session, 0]) + properties)


def publish(message: Publish, version: int) -> bytes:
    first = PUBLISH << 4 | (2 if message.packet_id else 0) | message.retain | message.dup << 3
    topic = message.topic.encode()
    ids = struct.pack("!H", message.packet_id) if message.packet_id else b""
    none = b"\0" if version == V5 else b""
    return packet(first, struct.pack("!H", len(topic)) + topic + ids + none + message.payload)


def puback(packet_id: int, reason: int, version: int) -> bytes:
    return packet(PUBACK << 4, struct.pack("!H", packet_id) + (bytes([reason, 0]) if version == V5 else b""))


def suback(asked: Subscribe, version: int, *, kind: int = SUBACK) -> bytes:
    none = b"\0" if version == V5 else b""
    reasons = bytes(options & 1 for _, options in asked.filters) if kind == SUBACK or version == V5 else b""
    return packet(kind << 4, struct.pack("!H", asked.packet_id) + none + reasons)


def disconnect(reason: int, version: int) -> bytes:
    return packet(DISCONNECT << 4, bytes([reason, 0])) if version == V5 else b""


PING_ANSWER = packet(PINGRESP << 4, b"")
