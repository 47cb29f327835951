"""A broker that enforces what it announces: a client that goes beyond it loses its connection, for the reason that the
standard names.

MQTT 5 and 3.1.1, QoS 0 and 1, retained messages, subscriptions with wildcards, wills, one client an id. Each connection
has a thread. PUBLISH is acknowledged only when nothing more comes, so that a window is seen at its fullest.
"""

import select
import socket
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Self

from paho.mqtt.client import topic_matches_sub

from bench.fake_broker import CONNACK, CONNECT, DISCONNECT, PUBACK, PUBLISH, SUBACK, SUBSCRIBE, packet, text

PINGREQ, PINGRESP, UNSUBSCRIBE = 0xC0, b"\xd0\0", 0xA2
TOO_MANY, TOO_LARGE, NO_RETAIN, NO_QOS, TAKEN_OVER, NO_VERSION = 0x93, 0x95, 0x9A, 0x9B, 0x8E, 0x84
QUIET_S = 0.03  # so long nothing comes before what came is acknowledged
TIMEOUT_S = 8.0


@dataclass(frozen=True, slots=True)
class Published:
    """A PUBLISH of a client."""

    topic: str
    payload: bytes
    qos: int
    retain: bool


def granted(_: Published) -> int:
    """Everything is taken."""
    return 0


@dataclass(frozen=True, slots=True)
class Rules:
    """What the broker announces (MQTT 5) and does; None is not announced.

    hangs_up_on    versions that it closes the connection for, without an answer
    answer         the reason of the PUBACK to a publish; one that fails is not passed on
    says_takeover  whether the connection that another client of the same id takes over is told so
    """

    versions: tuple[int, ...] = (5, 4)
    hangs_up_on: tuple[int, ...] = ()
    receive_maximum: int | None = None
    qos_max: int | None = None
    retain: bool = True
    packet_bytes_max: int | None = None
    keepalive_s: int | None = None
    wildcards: bool = True
    answer: Callable[[Published], int] = granted
    says_takeover: bool = True

    def properties(self) -> bytes:
        """Those of CONNACK."""
        properties = b""
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
        return bytes([len(properties)]) + properties


class Ended(Exception):
    """The connection ends, told with a reason where there is one."""

    def __init__(self, reason: int | None) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass
class Client:
    """One connection."""

    socket: socket.socket
    rules: Rules  # those that were announced to it
    is_5: bool = False
    client_id: str = ""
    will: Published | None = None
    filters: dict[str, bool] = field(default_factory=dict)  # filter -> no local
    unacknowledged: list[tuple[bytes, Published]] = field(default_factory=list)
    fullest: int = 0  # most that were under way at a time
    writes: threading.Lock = field(default_factory=threading.Lock)

    def send(self, data: bytes) -> None:
        with self.writes, suppress(OSError):
            self.socket.sendall(data)

    def none(self) -> bytes:
        return b"\0" if self.is_5 else b""


class StrictBroker:
    """Listens on a free port of the loopback. `rules` may change at any time; what was announced stays announced."""

    def __init__(self, **rules: object) -> None:
        self.rules = Rules(**rules)  # type: ignore[arg-type]
        self.accepted: list[Published] = []
        self.refused: list[Published] = []
        self.broken: list[int] = []  # reasons for which a connection was ended or refused
        self.connects: list[tuple[str, int]] = []  # client id and version of each CONNECT
        self.clients: dict[str, Client] = {}
        self.retained: dict[str, Published] = {}
        self._lock = threading.RLock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._all: list[Client] = []
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def change(self, **rules: object) -> None:
        """Other rules from now on."""
        self.rules = replace(self.rules, **rules)  # type: ignore[arg-type]

    def payloads(self, topic: str) -> list[bytes]:
        """What was taken under a topic."""
        return [message.payload for message in list(self.accepted) if message.topic == topic]

    def fullest(self) -> int:
        """Most publishes at QoS 1 that one client had under way."""
        return max(client.fullest for client in self._all)

    def cut(self, client_id: str) -> None:
        """End the connection of a client, if there is one, without a word."""
        with suppress(OSError, KeyError):
            self.clients[client_id].socket.shutdown(socket.SHUT_RDWR)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        for sock in (self._listener, *(client.socket for client in self._all)):
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()
        for thread in self._threads:
            thread.join(TIMEOUT_S)

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client = Client(self._listener.accept()[0], self.rules)
                self._all.append(client)
                thread = threading.Thread(target=self._serve, args=(client,), daemon=True)
                self._threads.append(thread)
                thread.start()

    def _serve(self, client: Client) -> None:
        is_left = False
        try:
            self._connect(client)
            while True:
                if not select.select([client.socket], [], [], QUIET_S)[0]:
                    self._acknowledge(client)
                    select.select([client.socket], [], [])
                first, body, size = self._read(client)
                is_left = first == DISCONNECT
                if is_left:
                    return
                self._take(client, first, body, size)
        except Ended as end:
            if end.reason is not None:
                self.broken.append(end.reason)
                if client.is_5:
                    client.send(packet(DISCONNECT, bytes([end.reason, 0])))
        except (OSError, ValueError):
            return  # it has gone, or the test is over
        finally:
            self._close(client, is_left=is_left)

    def _close(self, client: Client, *, is_left: bool) -> None:
        with suppress(OSError):
            client.socket.shutdown(socket.SHUT_RDWR)
        with self._lock:
            if self.clients.get(client.client_id) is client:
                del self.clients[client.client_id]
                if client.will is not None and not is_left:
                    self._pass_on(client, client.will)

    def _connect(self, client: Client) -> None:
        first, body, size = self._read(client)
        assert first == CONNECT
        version, flags = body[6], body[7]
        client.is_5 = version == 5
        rest = body[10:]
        if client.is_5:
            rest = rest[1 + rest[0] :]
        name, rest = _field(rest)
        client.client_id = name.decode()
        self.connects.append((client.client_id, version))
        if version in self.rules.hangs_up_on:
            raise Ended(None)
        if version not in self.rules.versions:
            client.send(packet(CONNACK, b"\0\x01" if 5 not in self.rules.versions else bytes([0, NO_VERSION, 0])))
            raise Ended(None)
        if flags & 4:
            if client.is_5:
                rest = rest[1 + rest[0] :]
            topic, rest = _field(rest)
            payload, rest = _field(rest)
            client.will = Published(topic.decode(), payload, flags >> 3 & 3, bool(flags & 0x20))
            reason = _breach(client.rules, client.will, size) if client.is_5 else 0
            if reason:
                client.will = None
                client.send(packet(CONNACK, bytes([0, reason, 0])))
                self.broken.append(reason)
                raise Ended(None)
        with self._lock:
            before = self.clients.pop(client.client_id, None)
            self.clients[client.client_id] = client
        if before is not None:
            if before.is_5 and self.rules.says_takeover:
                before.send(packet(DISCONNECT, bytes([TAKEN_OVER, 0])))
            with suppress(OSError):
                before.socket.shutdown(socket.SHUT_RDWR)
        client.send(packet(CONNACK, b"\0\0" + (client.rules.properties() if client.is_5 else b"")))

    def _take(self, client: Client, first: int, body: bytes, size: int) -> None:
        if first & 0xF0 == PUBLISH:
            self._publish(client, first, body, size)
        elif first == SUBSCRIBE:
            self._subscribe(client, body)
        elif first == PINGREQ:
            client.send(PINGRESP)
        elif first not in (PUBACK, UNSUBSCRIBE):
            raise Ended(0x82)

    def _publish(self, client: Client, first: int, body: bytes, size: int) -> None:
        topic, rest = _field(body)
        qos = first >> 1 & 3
        message_id, rest = (rest[:2], rest[2:]) if qos else (b"", rest)
        message = Published(topic.decode(), rest[1 + rest[0] :] if client.is_5 else rest, qos, bool(first & 1))
        reason = _breach(client.rules, message, size) if client.is_5 else 0
        if reason:
            raise Ended(reason)
        if not qos:
            self._decide(client, message)
            return
        client.unacknowledged.append((message_id, message))
        client.fullest = max(client.fullest, len(client.unacknowledged))
        if client.is_5 and len(client.unacknowledged) > (client.rules.receive_maximum or 65_535):
            raise Ended(TOO_MANY)

    def _acknowledge(self, client: Client) -> None:
        for message_id, message in client.unacknowledged:
            reason = self._decide(client, message)
            client.send(packet(PUBACK, message_id + (bytes([reason, 0]) if client.is_5 else b"")))
        client.unacknowledged.clear()

    def _decide(self, client: Client, message: Published) -> int:
        with self._lock:
            reason = self.rules.answer(message)
            if reason >= 0x80:
                self.refused.append(message)
            else:
                self.accepted.append(message)
                self._pass_on(client, message)
        return reason

    def _pass_on(self, client: Client, message: Published) -> None:
        if message.retain and message.payload:
            self.retained[message.topic] = message
        elif message.retain:
            self.retained.pop(message.topic, None)
        for other in list(self.clients.values()):
            for pattern, no_local in other.filters.items():
                if topic_matches_sub(pattern, message.topic) and not (no_local and other is client):
                    self._deliver(other, message, is_retained=False)

    def _deliver(self, client: Client, message: Published, *, is_retained: bool) -> None:
        client.send(packet(PUBLISH | is_retained, text(message.topic.encode()) + client.none() + message.payload))

    def _subscribe(self, client: Client, body: bytes) -> None:
        message_id, rest = body[:2], body[2:]
        if client.is_5:
            rest = rest[1 + rest[0] :]
        reasons = []
        with self._lock:
            topics = []
            while rest:
                name, rest = _field(rest)
                options, rest = rest[0], rest[1:]
                topic = name.decode()
                is_refused = not client.rules.wildcards and ("+" in topic or "#" in topic)
                reasons.append(0xA2 if is_refused else options & 1)
                if not is_refused:
                    client.filters[topic] = bool(options & 4)
                    topics.append(topic)
            client.send(packet(SUBACK, message_id + client.none() + bytes(reasons)))
            for message in list(self.retained.values()):
                if any(topic_matches_sub(topic, message.topic) for topic in topics):
                    self._deliver(client, message, is_retained=True)

    def _read(self, client: Client) -> tuple[int, bytes, int]:
        """The next packet: its first byte, its body, and its size."""
        client.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)  # or Nagle holds the next packet back
        first = _exactly(client.socket, 1)[0]
        size = shift = 0
        for n_digits in range(1, 5):
            digit = _exactly(client.socket, 1)[0]
            size |= (digit & 0x7F) << shift
            shift += 7
            if not digit & 0x80:
                return first, _exactly(client.socket, size), 1 + n_digits + size
        raise Ended(0x81)


def _breach(rules: Rules, message: Published, size: int) -> int:
    """The reason for which a connection ends, 0 for none."""
    if rules.packet_bytes_max is not None and size > rules.packet_bytes_max:
        return TOO_LARGE
    if message.retain and not rules.retain:
        return NO_RETAIN
    return NO_QOS if rules.qos_max is not None and message.qos > rules.qos_max else 0


def _field(data: bytes) -> tuple[bytes, bytes]:
    """A field with its length before it, and what follows."""
    end = 2 + int.from_bytes(data[:2])
    return data[2:end], data[end:]


def _exactly(sock: socket.socket, size: int) -> bytes:
    data = bytearray()
    while len(data) < size:
        more = sock.recv(size - len(data))
        if not more:
            raise Ended(None)
        data += more
    return bytes(data)
