"""A relay between a client and a broker that treats their bytes as bad networks do.

It listens on a free port of the loopback and opens a connection to the broker for each that it accepts. `up` is the way
from the client to the broker, `down` the way back; each has its own treatment, which may change at any time and holds
for all connections. Bytes keep their order.
"""

import select
import socket
import struct
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Self

RESET = struct.pack("ii", 1, 0)  # SO_LINGER of 0 s: close() sends RST
READ_BYTES = 65_536
LOOK_S = 0.05


@dataclass(frozen=True, slots=True)
class Way:
    """What is done to the bytes of one direction.

    is_stalled    nothing is read: the sender's buffers fill, and the connection stands
    is_lost       everything is read, and nothing passed on: a black hole
    delay_s       each read is passed on so much later
    chunk_bytes   passed on in pieces of so many bytes, each in a packet of its own; 0 = as they came
    gather_s      what comes within so many seconds is passed on at once
    ends_after    the connection is reset once so many bytes were passed on
    flips         offsets of bytes, counted from the start of the connection, of which one bit is turned
    """

    is_stalled: bool = False
    is_lost: bool = False
    delay_s: float = 0.0
    chunk_bytes: int = 0
    gather_s: float = 0.0
    ends_after: int | None = None
    flips: frozenset[int] = frozenset()


GOOD, LOST, STALLED = Way(), Way(is_lost=True), Way(is_stalled=True)


class Connection:
    """One client and its socket at the broker; `passed` are the bytes that were passed on, up and down."""

    def __init__(self, client: socket.socket, broker: socket.socket) -> None:
        self.client, self.broker = client, broker
        self.passed = {"up": 0, "down": 0}
        for one in (client, broker):
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def cut(self) -> None:
        """RST to both."""
        for one in (self.client, self.broker):
            with suppress(OSError):
                one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                one.shutdown(socket.SHUT_RD)  # wakes the thread that waits for it; on Linux nothing is sent
            with suppress(OSError):
                one.close()

    def end_down(self) -> None:
        """FIN to the client, whose own way stays open: a half-closed connection."""
        with suppress(OSError):
            self.client.shutdown(socket.SHUT_WR)


class Proxy:
    """Relays from a free port to `port`; as a context manager, ended with it."""

    def __init__(self, port: int) -> None:
        self.up = self.down = GOOD
        self.connections: list[Connection] = []
        self._target = port
        self._is_open = True
        self._server: socket.socket | None = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._server.getsockname()[1]
        self._door = threading.Lock()  # who holds it may change `_server`
        self._threads = [threading.Thread(target=self._accept)]

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._is_open = False
        self._threads[0].join()
        self.refuse()
        self.cut()
        for thread in self._threads[1:]:
            thread.join()

    @property
    def n_connections(self) -> int:
        """All that were ever accepted."""
        return len(self.connections)

    def cut(self) -> None:
        """RST on every connection."""
        for connection in self.connections:
            connection.cut()

    def cut_inside(self, n_bytes: int) -> None:
        """Reset the newest connection once it has passed on so many more bytes to the client."""
        self.down = Way(ends_after=self.connections[-1].passed["down"] + n_bytes)

    def refuse(self) -> None:
        """Whoever connects is refused at once, as where nobody listens."""
        with self._door:
            if self._server is not None:
                self._server.close()
            self._server = None

    def accept(self) -> None:
        """Connections are accepted again."""
        with self._door:
            self._server = socket.create_server(("127.0.0.1", self.port))

    def treat(self, up: Way | None = None, down: Way | None = None) -> None:
        """From now on."""
        self.up, self.down = up or self.up, down or self.down

    def _accept(self) -> None:
        while self._is_open:
            with self._door:
                client = self._accepted()
            if client is None:
                time.sleep(LOOK_S / 10)
                continue
            try:
                broker = socket.create_connection(("127.0.0.1", self._target))
            except OSError:  # the broker is away, and so is the way to it
                client.close()
                continue
            connection = Connection(client, broker)
            self.connections.append(connection)
            for pump in (
                threading.Thread(target=self._relay, args=(connection, "up", client, broker, lambda: self.up)),
                threading.Thread(target=self._relay, args=(connection, "down", broker, client, lambda: self.down)),
            ):
                self._threads.append(pump)
                pump.start()

    def _accepted(self) -> socket.socket | None:
        if self._server is None or not select.select([self._server], [], [], 0)[0]:
            return None
        return self._server.accept()[0]

    def _relay(
        self, connection: Connection, name: str, source: socket.socket, target: socket.socket, way: Callable[[], Way]
    ) -> None:
        """One direction of one connection, to its end."""
        with suppress(OSError, ValueError):  # the other direction, or `cut`, has closed them; ValueError from select
            while self._is_open:
                if way().is_stalled:
                    time.sleep(LOOK_S)
                    continue
                if not select.select([source], [], [], LOOK_S)[0] or way().is_stalled:
                    continue
                data = self._read(source, way())
                if not data:
                    target.shutdown(socket.SHUT_WR)
                    return
                self._pass_on(connection, name, target, data, way())
            return
        connection.cut()

    def _read(self, source: socket.socket, way: Way) -> bytes:
        data = source.recv(READ_BYTES)
        if way.gather_s and data:
            time.sleep(way.gather_s)
            while select.select([source], [], [], 0)[0] and (more := source.recv(READ_BYTES)):
                data += more
        return data

    def _pass_on(self, connection: Connection, name: str, target: socket.socket, data: bytes, way: Way) -> None:
        if way.is_lost:
            return
        if way.delay_s:
            time.sleep(way.delay_s)
        first = connection.passed[name]
        turned = {offset - first for offset in way.flips if first <= offset < first + len(data)}
        data = bytes(byte ^ 0x10 if index in turned else byte for index, byte in enumerate(data)) if turned else data
        if way.ends_after is not None:
            data = data[: max(0, way.ends_after - first)]
        size = way.chunk_bytes or max(1, len(data))
        for begin in range(0, len(data), size):
            target.sendall(data[begin : begin + size])
        connection.passed[name] = first + len(data)
        if way.ends_after is not None and connection.passed[name] >= way.ends_after:
            connection.cut()
