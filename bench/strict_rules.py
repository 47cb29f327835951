"""What a broker announces and enforces, and what it keeps of a client: no socket, no thread, no clock.

A broker of any kind, also a simulated one, can be built around these and mqtt_packets.py: strict_broker.py is one.
"""

import struct
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from bench.mqtt_packets import (
    CONNACK,
    NO_IDENTIFIERS,
    NO_QOS,
    NO_RETAIN,
    PROTOCOL_ERROR,
    TOO_LARGE,
    Connect,
    Ended,
    Filter,
    Published,
    packet,
    text,
)


def granted(_: Published) -> int:
    """Everything is taken."""
    return 0


def readable(_: str, __: str) -> bool:
    """Everybody may read everything."""
    return True


@dataclass(frozen=True, slots=True)
class Rules:
    """What the broker announces (MQTT 5) and does; None is not announced.

    hangs_up_on    versions that it closes the connection for, without an answer
    answer         the reason of the PUBACK to a publish; one that fails is not passed on, which 3.1.1 does not say
    may_read       whether a client (id, topic) is passed a message of that topic; who is not is not told so
    says_takeover  whether the connection that another client of the same id takes over is told so
    window         messages at QoS 1 that a client has under way to it at most, as mosquitto; it may ask for less
    """

    versions: tuple[int, ...] = (5, 4)
    hangs_up_on: tuple[int, ...] = ()
    receive_maximum: int | None = None
    qos_max: int | None = None
    retain: bool = True
    packet_bytes_max: int | None = None
    keepalive_s: int | None = None
    wildcards: bool = True
    identifiers: bool = True
    answer: Callable[[Published], int] = granted
    may_read: Callable[[str, str], bool] = readable
    says_takeover: bool = True
    window: int = 20

    def connack(self, asked: Connect, *, has_session: bool, assigned: str = "") -> bytes:
        if not asked.is_5:
            return packet(CONNACK, bytes([has_session, 0]))
        properties = b"\x12" + text(assigned.encode()) if assigned else b""
        if self.keepalive_s is not None:
            properties += b"\x13" + struct.pack("!H", self.keepalive_s)
        if self.receive_maximum is not None:
            properties += b"\x21" + struct.pack("!H", self.receive_maximum)
        if self.qos_max is not None:
            properties += bytes([0x24, self.qos_max])
        if not self.retain:
            properties += b"\x25\0"
        if self.packet_bytes_max is not None:
            properties += b"\x27" + struct.pack("!I", self.packet_bytes_max)
        if not self.wildcards:
            properties += b"\x28\0"
        if not self.identifiers:
            properties += b"\x29\0"
        return packet(CONNACK, bytes([has_session, 0, len(properties)]) + properties)

    def subscribe(self, filters: dict[str, Filter], *, has_identifier: bool) -> dict[str, Filter]:
        """Those that are granted. Raises Ended for an identifier where there are none."""
        if has_identifier and not self.identifiers:
            raise Ended(NO_IDENTIFIERS)
        return {topic: one for topic, one in filters.items() if self.wildcards or not ("+" in topic or "#" in topic)}

    def check(self, message: Published, size: int) -> None:
        """Raise Ended for a PUBLISH, or a will in a CONNECT, of `size` bytes that goes beyond what was announced."""
        if self.packet_bytes_max is not None and size > self.packet_bytes_max:
            raise Ended(TOO_LARGE)
        if message.retain and not self.retain:
            raise Ended(NO_RETAIN)
        if self.qos_max is not None and message.qos > self.qos_max:
            raise Ended(NO_QOS)


def in_turn(session: "Session") -> int:
    """The next packet id that is not under way, as mosquitto chooses it."""
    session.last_id = session.last_id % 0xFFFF + 1
    while session.last_id in session.under_way:
        session.last_id = session.last_id % 0xFFFF + 1
    return session.last_id


@dataclass
class Session:
    """What the broker knows of a client id, over its connections.

    under_way  packet id -> what was sent at QoS 1 and not acknowledged, in the order in which it was sent
    queue      what waits for room; `retain` is that of the packet: it was retained before the client asked
    """

    filters: dict[str, Filter] = field(default_factory=dict)
    under_way: dict[int, Published] = field(default_factory=dict)
    queue: deque[Published] = field(default_factory=deque)
    expires_s: float = 0.0  # while nobody is connected: when it ends
    last_id: int = 0

    def deliver(self, window: int, next_id: Callable[["Session"], int] = in_turn) -> list[tuple[int, Published]]:
        """What may be sent now, with the packet ids, each of which `next_id` chooses."""
        sent = []
        while self.queue and len(self.under_way) < window:
            packet_id = next_id(self)
            self.under_way[packet_id] = self.queue.popleft()
            sent.append((packet_id, self.under_way[packet_id]))
        return sent

    def acknowledge(self, packet_id: int) -> Published:
        """The message. Raises Ended unless it is the oldest one: a client acknowledges in order (section 4.6)."""
        if next(iter(self.under_way), None) != packet_id:
            raise Ended(PROTOCOL_ERROR)
        return self.under_way.pop(packet_id)
