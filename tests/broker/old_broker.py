"""A broker that speaks MQTT 3.1.1 alone: mosquitto behind a door that turns MQTT 5 away as the standard has it."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

REFUSED_V4 = bytes([0x20, 2, 0, 1])  # CONNACK of 3.1.1: unacceptable protocol version
V5 = 5


@contextmanager
def old_broker(port: int) -> Iterator[int]:
    """Listen on a free port and pass 3.1.1 connections on to the broker on `port`; yields the free port."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=_accept, args=(server, port), daemon=True).start()
        yield server.getsockname()[1]
        with suppress(OSError):
            server.shutdown(socket.SHUT_RDWR)


def _accept(server: socket.socket, port: int) -> None:
    with suppress(OSError):
        while True:
            client, _ = server.accept()
            threading.Thread(target=_serve, args=(client, port), daemon=True).start()


def _serve(client: socket.socket, port: int) -> None:
    """The protocol level follows the name MQTT in the CONNECT; its first bytes come in one piece on the loopback."""
    with client, suppress(OSError):
        first = client.recv(4096)
        if first[first.index(b"MQTT") + 4] == V5:
            client.sendall(REFUSED_V4)
            return
        with socket.create_connection(("127.0.0.1", port)) as broker:
            broker.sendall(first)
            back = threading.Thread(target=_pass_on, args=(broker, client), daemon=True)
            back.start()
            _pass_on(client, broker)
            back.join()


def _pass_on(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65_536):
            sink.sendall(data)
    with suppress(OSError):
        sink.shutdown(socket.SHUT_WR)
