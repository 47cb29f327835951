"""A broker that says byte for byte what a test wants, in the test's own thread."""

import select
import socket
import ssl
import struct
from types import TracebackType
from typing import Self

from bench.mqtt_packets import CONNACK, CONNECT, packet, puback, publish_packet, read_packet, suback, text

TIMEOUT_S = 10.0
REFUSED_VERSION = b"\x20\x02\x00\x01"  # as a broker of MQTT 3.1.1 answers to a CONNECT of MQTT 5


class Session:
    """One accepted connection."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._connection.settimeout(TIMEOUT_S)
        self.is_v5 = False

    def read(self) -> tuple[int, bytes]:
        """The next packet of the client: its first byte and its body."""
        first, body, _ = read_packet(self.exactly)
        return first, body

    def read_connect(self) -> bytes:
        """The body of the CONNECT; what follows is in the version it asks for."""
        first, body = self.read()
        assert first == CONNECT
        assert body[:6] == text(b"MQTT")
        self.is_v5 = body[6] == 5
        return body

    def send(self, data: bytes) -> None:
        self._connection.sendall(data)

    def accept(self, reason: int = 0, *, has_session: bool = False) -> None:
        self.send(packet(CONNACK, bytes([has_session, reason]) + (b"\0" if self.is_v5 else b"")))

    def grant(self, body: bytes, *reasons: int) -> None:
        """Answer a SUBSCRIBE of the given body."""
        self.send(suback(int.from_bytes(body[:2]), reasons, is_5=self.is_v5))

    def acknowledge(self, body: bytes, reason: int = 0) -> None:
        """Answer a PUBLISH of the given body at QoS 1."""
        mid = body[2 + int.from_bytes(body[:2]) :][:2]
        self.send(puback(int.from_bytes(mid), reason, is_5=self.is_v5))

    def publish(self, topic: bytes, payload: bytes, *, mid: int = 0, retain: bool = False, dup: bool = False) -> None:
        self.send(self.publish_bytes(topic, payload, mid=mid, retain=retain, dup=dup))

    def publish_bytes(
        self, topic: bytes, payload: bytes, *, mid: int = 0, retain: bool = False, dup: bool = False
    ) -> bytes:
        """A PUBLISH; at QoS 1 where it has a message id."""
        return publish_packet(topic, payload, is_5=self.is_v5, packet_id=mid, retain=retain, is_dup=dup)

    def close(self) -> None:
        self._connection.close()

    def is_ended(self) -> bool:
        """Whether the client closes the connection; what it says before that is passed over."""
        try:
            while self._connection.recv(4096):
                pass
        except ConnectionResetError:  # there was more for it to read
            return True
        except TimeoutError:
            return False
        return True

    def reset(self) -> None:
        """As a broker that is killed: RST, so that the client's next send fails."""
        self._connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._connection.close()

    def exactly(self, size: int) -> bytes:
        """That many bytes, whatever they are."""
        data = bytearray()
        while len(data) < size:
            more = self._connection.recv(size - len(data))
            assert more, "the client has closed the connection"
            data += more
        return bytes(data)


class FakeBroker:
    """Listens on a free port of the loopback; over TLS when it has a context."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self._tls = tls
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(TIMEOUT_S)
        self.port: int = self._listener.getsockname()[1]
        self._sessions: list[Session] = []

    def session(self) -> Session:
        """The next connection that a client makes."""
        connection = self._listener.accept()[0]
        if self._tls is not None:
            connection = self._tls.wrap_socket(connection, server_side=True)
        self._sessions.append(Session(connection))
        return self._sessions[-1]

    def is_asked(self) -> bool:
        """Whether somebody waits for `session`."""
        return bool(select.select([self._listener], [], [], 0)[0])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._listener.close()
        for session in self._sessions:
            session.close()
