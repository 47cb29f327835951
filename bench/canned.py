"""Pre-encoded telemetry, and a sender that answers CONNECT and SUBSCRIBE and then gives it away as fast as it is taken.

It measures the receiver alone: no broker has to be fast. MQTT 3.1.1; what the receiver publishes is acknowledged and
handed to `on_publish`. Nothing is sent to the receiver while messages go out, PINGRESP included: a round is shorter
than a keepalive.
"""

import json
import socket
from collections.abc import Callable
from pathlib import Path
from threading import Event, Thread
from typing import BinaryIO

import numpy as np

from bench.mqtt_packets import publish_packet

CONNECT, PUBLISH, SUBSCRIBE, PINGREQ = 1, 3, 8, 12
START_TIMEOUT_S = 60.0
READINGS = (b"plant/+", b"spBv1.0/")  # topics of what is given away
AGE_S = 3000.0  # event times begin so long ago: none is in the future, and no clock is wrong by `past_max`


def write_messages(path: Path, *, n_devices: int, n_rows: int, channels: tuple[str, ...], now_s: float) -> int:
    """Write n_rows readings of each of n_devices as QoS 0 PUBLISH packets of MQTT 3.1.1; returns bytes a packet, mean.

    Devices take turns, one reading a second each; channels are standard normal, as JSON with four decimals.
    """
    rng = np.random.default_rng(0)
    topics = [topic_of(device).encode() for device in range(n_devices)]
    first_s = int(now_s - AGE_S)
    with path.open("wb") as out:
        for row in range(n_rows):
            values = rng.normal(0, 1, (n_devices, len(channels))).round(4).tolist()
            for device, topic in enumerate(topics):
                reading = {"ts": first_s + row, **dict(zip(channels, values[device], strict=True))}
                out.write(publish_packet(topic, json.dumps(reading, separators=(",", ":")).encode()))
        return out.tell() // (n_devices * n_rows)


def topic_of(device: int | str) -> str:
    """The topic of a device's readings; with "{device}" the pattern of a source."""
    return f"plant/{device if isinstance(device, str) else f'pump-{device:06d}'}/telemetry"


class CannedSender:
    """Listens on a free port of the loopback for one receiver, which may come by two connections."""

    def __init__(self) -> None:
        self.on_publish: Callable[[str, bytes], None] = lambda topic, payload: None
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._subscribed = Event()
        self._connections: list[socket.socket] = []
        self._to: socket.socket | None = None
        self.port: int = self._listener.getsockname()[1]
        Thread(target=self._accept, daemon=True).start()

    def send(self, messages: Path) -> None:
        """Give all away; returns when the last byte is in the socket. Raises TimeoutError when nobody subscribes."""
        if not self._subscribed.wait(START_TIMEOUT_S) or self._to is None:
            raise TimeoutError(f"nobody subscribed within {START_TIMEOUT_S:g} s")
        with messages.open("rb") as content:
            self._to.sendfile(content)

    def wait_until_subscribed(self) -> None:
        """Raises TimeoutError when nobody subscribes."""
        if not self._subscribed.wait(START_TIMEOUT_S):
            raise TimeoutError(f"nobody subscribed within {START_TIMEOUT_S:g} s")

    def close(self) -> None:
        """End every connection; a receiver reads what is under way, then the end."""
        self._listener.close()
        for connection in self._connections:
            connection.shutdown(socket.SHUT_WR)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:  # closed
                return
            self._connections.append(connection)
            Thread(target=self._converse, args=[connection], daemon=True).start()

    def _converse(self, connection: socket.socket) -> None:
        with connection.makefile("rb") as reader:
            while packet := _packet(reader):
                first, body = packet
                kind = first >> 4
                if kind == CONNECT:
                    connection.sendall(b"\x20\x02\x00\x00")
                elif (
                    kind == SUBSCRIBE and connection is not self._to
                ):  # what else the receiver asks for stays unanswered
                    connection.sendall(b"\x90\x03" + body[:2] + b"\x00")
                    if any(topics in body for topics in READINGS):  # the agent's output subscribes to its own alerts
                        self._to = connection
                        self._subscribed.set()
                elif kind == PINGREQ and connection is not self._to:
                    connection.sendall(b"\xd0\x00")
                elif kind == PUBLISH:
                    self._hear(connection, first, body)

    def _hear(self, connection: socket.socket, first: int, body: bytes) -> None:
        topic_end = 2 + int.from_bytes(body[:2])
        payload_start = topic_end
        if first & 0b0110:  # QoS 1
            payload_start += 2
            connection.sendall(b"\x40\x02" + body[topic_end:payload_start])
        self.on_publish(body[2:topic_end].decode(), body[payload_start:])


def _packet(reader: BinaryIO) -> tuple[int, bytes] | None:
    """First byte and body of the next packet; None at the end."""
    first = reader.read(1)
    size = shift = 0
    while digit := reader.read(1):
        size |= (digit[0] & 0x7F) << shift
        shift += 7
        if not digit[0] & 0x80:
            body = reader.read(size)
            return (first[0], body) if len(body) == size else None
    return None
