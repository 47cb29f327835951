"""Waiting on the input's socket: until anything can be done, or until so much has come that it is worth a turn."""

import select
import socket
import time
from typing import Any

import paho.mqtt.client as paho

from agent.receive.inbox import Received
from agent.receive.nap import QUEUE, UNTOLD_NAP_S, bytes_that_wake, smallest_frame

FRAME_BYTES_MIN = 4  # of a message beside its topic and payload
_ANY = 1  # byte: what SO_RCVLOWAT is on a new socket


def until_ready(client: paho.Client, longest_s: float) -> tuple[bool, bool]:
    """Whether its socket can be read and be written, waiting at most `longest_s` for either."""
    sock = client.socket()
    if sock is None:
        return False, False
    if _holds_some(sock):
        return True, client.want_write()
    writers = [sock] if client.want_write() else []
    readable, writable, _ = select.select([sock], writers, [], longest_s)
    return bool(readable), bool(writable)


class Nap:
    """Waiting that ends when what can wait is half full; `has_window`: a source is subscribed to at QoS 1."""

    def __init__(self, *, has_window: bool) -> None:
        self._has_window = has_window
        self._frame_bytes = 0  # of the smallest message that came lately

    def take(self, client: paho.Client, received: Received, longest_s: float) -> None:
        """After a read that brought messages, wait at most `longest_s`; not while there is more to read or to write."""
        if len(received.topics) >= QUEUE:  # it is behind
            return
        of_read = FRAME_BYTES_MIN + min(map(len, received.topics)) + min(map(len, received.payloads))
        self._frame_bytes = smallest_frame(self._frame_bytes, of_read)
        sock: Any = client.socket()  # paho's protocol of a socket is narrower than any that it makes
        if sock is None or _holds_some(sock) or client.want_write():
            return
        buffer_bytes = sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
        n_bytes = bytes_that_wake(self._frame_bytes, buffer_bytes, has_window=self._has_window)
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, n_bytes)
        except OSError:  # the kernel knows no such thing
            time.sleep(min(longest_s, UNTOLD_NAP_S))
            return
        try:
            poll = select.poll()
            poll.register(sock, select.POLLIN)
            poll.poll(longest_s * 1000)
        finally:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, _ANY)


def _holds_some(sock: object) -> bool:
    """TLS, or a buffer of ours, has read more than it has given."""
    return bool(getattr(sock, "pending", lambda: 0)())
