"""Whether the installed paho does what the fast path expects of its private members: tried, not looked up.

A canned exchange over a pair of sockets, for both versions of MQTT, before the fast path is used: packets cut at
awkward places, packets of paho's own between, acknowledgements, the keepalive and the end. It waits for nothing.
"""

import socket
import time
from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from typing import Any

from agent.config.broker_settings import Broker
from agent.mqtt.client import make_client
from agent.receive.fast_client import FastClient, packet_bytes_max
from agent.receive.inbox import Inbox, ReadBounds
from agent.sources import Source, plain_channels

_SOURCE = Source(name="check", topics=("a/{device}",), time_field="t", time_unit="s", channels=plain_channels("x"))
_PAYLOAD_BYTES_MAX = 8
_KEEPALIVE_S = 60
_PINGREQ, _PINGRESP = b"\xc0\0", b"\xd0\0"


def difference() -> str:
    """What differs from what the fast path needs, "" when nothing does."""
    for version in ("5", "3.1.1"):
        try:
            near, far = socket.socketpair()
            with near, far:
                far.setblocking(False)
                _Exchange(version, near, far).run()
        except Exception as error:  # noqa: BLE001 - whatever it meets, plain paho runs
            return f"MQTT {version}: {error if isinstance(error, _Differs) else repr(error)}"
    return ""


class _Differs(Exception):
    pass


class _Canned(FastClient):
    """Finds a socket already connected."""

    near: socket.socket

    def _create_socket_connection(self) -> Any:
        return self.near


class _Exchange:
    def __init__(self, version: str, near: socket.socket, far: socket.socket) -> None:
        self._far = far
        self._none = b"\0" if version == "5" else b""  # no properties
        self._inbox = Inbox([_SOURCE], ReadBounds(_PAYLOAD_BYTES_MAX), time.time_ns)
        self._events: list[str] = []
        client = make_client(Broker(), "check", version, kind="input", build=partial(_Canned, self._inbox))
        client.near = near
        client.on_connect = lambda *_: self._events.append("connected")
        client.on_subscribe = lambda *_: self._events.append("subscribed")
        client.on_disconnect = lambda *_: self._events.append("disconnected")
        client.on_message = lambda *_: self._events.append("a message past the fast path")
        self._client = client

    def run(self) -> None:
        """Raises whatever differs."""
        self._connect()
        self._take()
        self._acknowledge()
        self._keep_alive()
        self._far.shutdown(socket.SHUT_WR)
        self._client.loop_read()
        self._expect("the end", (self._events[-1], self._client.socket()), ("disconnected", None))

    def _connect(self) -> None:
        self._client.connect("check.invalid", keepalive=_KEEPALIVE_S)
        self._expect("CONNECT", self._sent()[:1], b"\x10")
        self._say(_packet(0x20, b"\0\0" + self._none))
        self._client.subscribe("a/+", 1)
        self._expect("SUBSCRIBE", self._sent()[:1], b"\x82")

    def _take(self) -> None:
        size = packet_bytes_max(_PAYLOAD_BYTES_MAX)
        data = (
            self._publish(b"one")
            + _packet(0x90, b"\0\1" + self._none + b"\1")
            + self._publish(b"two", packet_id=2)
            + _PINGRESP
            + self._publish(b"x" * size, packet_id=3)
            + self._publish(b"old", retain=True)
            + self._publish(b"four", packet_id=4)
        )
        places = [0, 1, 3, 14, 16, 17, 18, 30, 40, 50, size // 2, size + 40, len(data) - 3, len(data)]
        for begin, end in pairwise(places):
            self._say(data[begin:end])
        received = self._inbox.received
        self._expect("events", self._events, ["connected", "subscribed"])
        self._expect("topics", received.topics, ["a/b"] * 3)
        self._expect("payloads", received.payloads, [b"one", b"two", b"four"])
        self._expect("packet ids", received.packet_ids, [2, 3, 4])
        self._expect("drops", [drop.reason for drop in received.drops], ["too_large", "retained"])

    def _acknowledge(self) -> None:
        self._client.acknowledge(self._inbox.received.packet_ids)
        self._expect("PUBACK", self._sent(), b"\x40\2\0\2\x40\2\0\3\x40\2\0\4")

    def _keep_alive(self) -> None:
        """A ping is sent when nothing comes, its late answer harms nothing while data comes, and is heard."""
        client = self._client
        self._age()
        client.loop_misc()
        self._expect("a ping", self._sent(), _PINGREQ)
        self._age(ping=True)
        self._say(self._publish(b"more"))
        client.loop_misc()
        self._expect("another ping", self._sent(), _PINGREQ)
        self._say(_PINGRESP)
        self._age()
        client.loop_misc()
        self._expect("a ping after an answer", self._sent(), _PINGREQ)
        self._expect("the connection", self._events[-1], "subscribed")

    def _age(self, *, ping: bool = False) -> None:
        """As if two keepalives had gone by, since the unanswered ping too."""
        self._client._last_bytes_received -= 2 * _KEEPALIVE_S
        self._client._last_msg_out -= 2 * _KEEPALIVE_S
        self._client._ping_t -= 2 * _KEEPALIVE_S * ping

    def _say(self, data: bytes) -> None:
        """Let the client read, as long as it has something to read."""
        for begin in range(0, len(data), 2**14):  # less than the pair of sockets holds
            self._far.sendall(data[begin : begin + 2**14])
            self._client.loop_read()
        sock: Any = self._client.socket()
        self._expect("bytes that wait", sock.pending(), 0)

    def _sent(self) -> bytes:
        try:
            return self._far.recv(2**12)
        except BlockingIOError:
            return b""

    def _publish(self, payload: bytes, *, packet_id: int = 0, retain: bool = False) -> bytes:
        ids = packet_id.to_bytes(2) if packet_id else b""
        first = 0x30 | (0x02 if packet_id else 0) | retain
        return _packet(first, b"\0\3a/b" + ids + self._none + payload)

    def _expect(self, what: str, got: Sequence[object] | object, expected: object) -> None:
        if got != expected:
            raise _Differs(f"{what}: {got!r}, not {expected!r}")


def _packet(first: int, body: bytes) -> bytes:
    n_bytes, length = len(body), bytearray()
    while n_bytes > 0x7F:
        length.append(n_bytes & 0x7F | 0x80)
        n_bytes >>= 7
    return bytes([first, *length, n_bytes]) + body
