"""A publisher that outlives its broker: what was not acknowledged is sent again over the next connection, as it should.

MQTT 3.1.1 at QoS 1 over a plain socket, in threads, so that it costs little beside the agent that is measured.
"""

import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self

from bench.mqtt_packets import connect_packet, publish_packet
from tests.streams import Message

CONNACK_BYTES = 4
WINDOW = 4000  # messages that may wait for their acknowledgement
DUP = 0x08
TICK_S = 0.02


class SteadyPublisher:
    """Publishes at `rate_per_s` what `make(n)` gives: some n messages, or none when it is to wait for now. math.inf is
    as fast as they are taken.

    n_acknowledged  that the broker said it has
    n_again         that were sent a second time, since the broker had not said so: it may have them twice
    """

    def __init__(self, port: int, rate_per_s: float, make: Callable[[int], Sequence[Message]]) -> None:
        self.n_acknowledged = self.n_again = 0
        self._port, self._rate_per_s, self._make = port, rate_per_s, make
        self._unacknowledged: deque[bytes] = deque()
        self._packet_id = 0
        self._is_running = True
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        """No more is made; returns once the broker has all."""
        self._is_running = False
        self._thread.join()

    def _run(self) -> None:
        while self._is_running or self._unacknowledged:
            try:
                with socket.create_connection(("127.0.0.1", self._port), timeout=30.0) as sock:
                    self._publish(sock)
            except OSError:  # the broker is away
                time.sleep(0.1)

    def _publish(self, sock: socket.socket) -> None:
        """Over one connection, until it ends or there is nothing more to do. Raises OSError."""
        sock.sendall(connect_packet(b"steady"))
        if not sock.recv(CONNACK_BYTES):
            raise ConnectionError
        with self._changed:
            again = [bytes([packet[0] | DUP]) + packet[1:] for packet in self._unacknowledged]
        self.n_again += len(again)
        sock.sendall(b"".join(again))
        reader = threading.Thread(target=self._read, args=(sock,))
        reader.start()
        begun_s, n_sent = time.monotonic(), 0
        try:
            while self._is_running and reader.is_alive():
                n_due = int(min((time.monotonic() - begun_s) * self._rate_per_s - n_sent, WINDOW))
                n = min(n_due, WINDOW - len(self._unacknowledged))
                packets = [self._packet(*message) for message in self._make(n)] if n > 0 else []
                if packets:
                    with self._changed:
                        self._unacknowledged.extend(packets)
                    sock.sendall(b"".join(packets))
                    n_sent += n
                else:
                    with self._changed:
                        self._changed.wait(TICK_S)
            with self._changed:
                self._changed.wait_for(lambda: not self._unacknowledged or not reader.is_alive(), 60.0)
        finally:
            sock.shutdown(socket.SHUT_RDWR)
            reader.join()

    def _packet(self, topic: str, payload: bytes) -> bytes:
        self._packet_id = self._packet_id % 65_535 + 1
        return publish_packet(topic.encode(), payload, packet_id=self._packet_id)

    def _read(self, sock: socket.socket) -> None:
        """PUBACKs, four bytes each: they come in the order of the messages."""
        rest = b""
        while True:
            try:
                data = sock.recv(65_536)
            except OSError:
                data = b""
            with self._changed:
                whole = rest + data
                n = len(whole) // 4
                rest = whole[4 * n :]
                for _ in range(n):
                    self._unacknowledged.popleft()
                self.n_acknowledged += n
                self._changed.notify_all()
            if not data:
                return
