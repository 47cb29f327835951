"""PUBLISH packets byte by byte, and what a receiver makes of each: one table for the parser and for both receivers."""

from dataclasses import dataclass, field

from agent.words import Drop
from bench.mqtt_packets import packet, text
from tests.unit.receive.talk import PUMP, TOPIC

PAYLOAD_BYTES_MAX = 20_000  # of the receivers that the table is for
VERSIONS = ("3.1.1", "5")


def publish(
    version: str,
    payload: bytes = b"x",
    *,
    topic: bytes = TOPIC,
    mid: int = 0,
    flags: int = 0,
    properties: bytes = b"",
) -> bytes:
    """At QoS 1 where it has a packet identifier; `flags` are more bits of the first byte."""
    ids = mid.to_bytes(2) if mid else b""
    own = packet(0, properties)[1:] if version == "5" else b""  # length and properties
    return packet(0x30 | (2 if mid else 0) | flags, text(topic) + ids + own + payload)


@dataclass(frozen=True)
class Case:
    """A packet and what comes of it: a message or a drop, and what is to be acknowledged."""

    data: bytes
    topics: list[str] = field(default_factory=list)
    payloads: list[bytes] = field(default_factory=list)
    packet_ids: list[int] = field(default_factory=list)
    drops: list[Drop] = field(default_factory=list)


def taken(version: str, payload: bytes = b"x", *, topic: bytes = TOPIC, mid: int = 0, **more) -> Case:
    data = publish(version, payload, topic=topic, mid=mid, **more)
    return Case(data, [topic.decode()], [payload], [mid] if mid else [])


def dropped(
    version: str, reason: str, detail: str, *, topic: bytes = TOPIC, said: str = "", mid: int = 0, **more
) -> Case:
    """`said` is the topic as the drop names it; the device is its second level."""
    said = said or topic.decode()
    levels = said.split("/")
    whose = {"plant": "press", "pumps": "pump"}.get(levels[0], "")
    drop = Drop(whose, levels[1] if whose else "", said, reason, detail)
    return Case(publish(version, topic=topic, mid=mid, **more), packet_ids=[mid] if mid else [], drops=[drop])


RETAIN, DUP = 0x01, 0x08
OLD = "nobody knows how old it is"
PROPERTIES = {
    "payload format": b"\x01\x01",
    "expiry": b"\x02\0\0\x0e\x10",
    "content type": b"\x03" + text(b"application/json"),
    "response topic": b"\x08" + text(b"a/b"),
    "correlation data": b"\x09" + text(b"\0\xff"),
    "subscription identifier": b"\x0b\x80\x80\x80\x01",
    "user property": b"\x26" + text(b"key") + text(b"value"),
    "user property twice": (b"\x26" + text(b"key") + text(b"")) * 2,
    "two subscription identifiers": b"\x0b\x01\x0b\x7f",
}
PROPERTIES["all of them"] = b"".join(PROPERTIES[name] for name in list(PROPERTIES)[:7])


def cases(version: str) -> dict[str, Case]:
    """By name; none of them ends the connection."""
    table = {
        "QoS 0": taken(version),
        "QoS 1": taken(version, mid=7),
        "largest packet identifier": taken(version, mid=0xFFFF),
        "empty payload": taken(version, b""),
        "empty payload at QoS 1": taken(version, b"", mid=8),
        "payload like a packet": taken(version, publish(version, b"inner", mid=3)),
        "length of one byte": taken(version, b"x" * (127 - 17), mid=9),
        "length of two bytes": taken(version, b"x" * (128 - 16), mid=10),
        "length of three bytes": taken(version, b"x" * 2**14, mid=11),
        "at the bound": taken(version, b"x" * PAYLOAD_BYTES_MAX),
        "above the bound": dropped(version, "too_large", "20001 bytes", payload=b"x" * (PAYLOAD_BYTES_MAX + 1), mid=12),
        "far above it": dropped(version, "too_large", "300000 bytes", payload=b"x" * 300_000, mid=13),
        "retained": dropped(version, "retained", OLD, flags=RETAIN),
        "retained at QoS 1": dropped(version, "retained", OLD, flags=RETAIN, mid=14),
        "repeated": taken(version, mid=15, flags=DUP),
        "repeated without a time": dropped(
            version,
            "redelivered",
            "it may have been taken before, and says no time of its own",
            topic=b"pumps/p1",
            mid=16,
            flags=DUP,
        ),
        "topic not UTF-8": dropped(
            version, "topic", "is not UTF-8", topic=b"plant/\xff/cycle", said="plant/\\xff/cycle"
        ),
        "topic of a surrogate": dropped(
            version,
            "topic",
            "is not UTF-8",
            topic=b"plant/\xed\xa0\x80/cycle",
            said="plant/\\xed\\xa0\\x80/cycle",
            mid=17,
        ),
        "topic with +": dropped(version, "topic", "holds a wildcard or NUL", topic=b"plant/+/cycle", mid=18),
        "topic with #": dropped(version, "topic", "holds a wildcard or NUL", topic=b"plant/#/cycle"),
        "topic with NUL": dropped(version, "topic", "holds a wildcard or NUL", topic=b"plant/p\0/cycle"),
        "topic of no source": taken(version, topic=b"else/where"),
        "topic beyond ASCII": taken(version, topic="plant/p\u00fc\U0001f600/cycle".encode()),
        "longest topic": taken(version, topic=b"plant/" + b"p" * 65_523 + b"/cycle", mid=19),
    }
    if version == "5":
        table |= {name: taken(version, mid=20, properties=data) for name, data in PROPERTIES.items()}
        table["retained with properties"] = dropped(version, "retained", OLD, flags=RETAIN, properties=b"\x01\x00")
    table["another source"] = taken(version, topic=PUMP.topics[0].replace("{device}", "p9").encode())
    return table


def errors(version: str) -> dict[str, bytes]:
    """What only a broker can do wrong, by name; each ends the connection."""
    table = {
        "QoS 3": publish(version, mid=1, flags=6),
        "no topic": publish(version, topic=b""),
        "no body": b"\x30\x00",
        "half a topic length": b"\x30\x01\x00",
        "topic beyond the end": b"\x30\x05\x00\x0eplant",
        "no packet identifier": packet(0x32, text(TOPIC) + b"\x01"),
        "packet identifier 0": packet(0x32, text(TOPIC) + b"\0\0" + (b"\0" if version == "5" else b"") + b"x"),
        "length of five bytes": b"\x30\xff\xff\xff\xff\x01",
        "length of five bytes, not a PUBLISH": b"\xd0\x80\x80\x80\x80\x00",
    }
    if version == "5":
        table |= {
            "no property length": packet(0x30, text(TOPIC)),
            "property length of five bytes": packet(0x30, text(TOPIC) + b"\x80\x80\x80\x80\x00"),
            "cut property length": packet(0x30, text(TOPIC) + b"\x80"),
            "properties beyond the end": packet(0x30, text(TOPIC) + b"\x05\x01\x00"),
            "unknown property": publish(version, properties=b"\x7f\x00"),
            "property of another packet": publish(version, properties=b"\x11\0\0\0\x01"),
            "property twice": publish(version, properties=b"\x01\x00\x01\x00"),
            "cut property": publish(version, properties=b"\x02\0\0\0", payload=b""),
            "cut text": publish(version, properties=b"\x03\x00\x05abc", payload=b""),
            "cut user property": publish(version, properties=b"\x26" + text(b"key") + b"\x00", payload=b""),
            "cut subscription identifier": publish(version, properties=b"\x0b\xff", payload=b""),
            "subscription identifier 0": publish(version, properties=b"\x0b\x00"),
            "topic alias": publish(version, properties=b"\x23\x00\x01"),
            "topic alias alone": publish(version, topic=b"", properties=b"\x23\x00\x01"),
        }
    return table
