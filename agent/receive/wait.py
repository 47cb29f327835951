"""Waiting on the inputs' sockets: until anything can be done, or until so much has come that it is worth a turn."""

import math
import select
import socket
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import paho.mqtt.client as paho

from agent.receive.nap import (
    ANSWER_S,
    LOOK_EVERY,
    LOOKS,
    QUEUE,
    TRY_EVERY,
    TRY_S,
    UNTOLD_NAP_S,
    WINDOW,
    bytes_that_wake,
    smallest_frame,
)
from agent.receive.received import Received

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


def until_any_ready(clients: Sequence[paho.Client], longest_s: float) -> None:
    """Wait at most `longest_s` until the socket of one of them can be read, or be written where it must."""
    socks = [sock for client in clients if (sock := client.socket()) is not None]
    if not any(map(_holds_some, socks)):
        writers = [sock for client in clients if client.want_write() and (sock := client.socket()) is not None]
        select.select(socks, writers, [], longest_s)


class Mark(NamedTuple):
    """A socket, and how many bytes in it end a nap.

    learn      None, or: the read before may have been the whole window of a broker, which then sends more at once. To
               be told whether it did
    longest_s  of the nap
    """

    sock: Any  # paho's protocol of a socket is narrower than any that it makes
    n_bytes: int
    learn: Callable[[bool], None] | None
    longest_s: float


class Nap:
    """How much of one connection may wait: half of what the broker lets wait.

    has_window  a source is subscribed to at QoS 1
    """

    def __init__(self, *, has_window: bool) -> None:
        self._has_window = has_window
        self._frame_bytes = 0  # of the smallest message that came lately
        self._n_in_vain = 0  # small reads since the broker was last seen held back
        self._n_held_back = 0  # how often it was
        self._client: paho.Client | None = None
        self._most = 0  # messages of QoS 1 of the largest read of this client: its window is no smaller

    def mark(self, client: paho.Client, received: Received) -> Mark | None:
        """After a read, what ends the nap; None where there is more to read or to write, so that there is none."""
        if len(received.topics) >= QUEUE:  # it is behind
            return None
        if received.topics:
            of_read = FRAME_BYTES_MIN + min(map(len, received.topics)) + min(map(len, received.payloads))
            self._frame_bytes = smallest_frame(self._frame_bytes, of_read)
        sock: Any = client.socket()
        if sock is None or _holds_some(sock) or client.want_write():
            return None
        buffer_bytes = sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
        n_bytes = bytes_that_wake(self._frame_bytes, buffer_bytes, has_window=self._has_window)
        if not self._is_to_look(client, len(received.packet_ids)):
            return Mark(sock, n_bytes, None, math.inf)
        if self._n_held_back == TRY_EVERY:
            self._n_held_back = 0
            return Mark(sock, n_bytes, None, TRY_S)
        return Mark(sock, n_bytes, self._learn, math.inf)

    def _is_to_look(self, client: paho.Client, n_read: int) -> bool:
        if client is not self._client:
            self._client, self._most, self._n_held_back = client, 0, 0
        self._most = max(self._most, n_read)
        if not 0 < n_read < WINDOW // 2 or n_read < self._most:
            return False
        self._n_in_vain += 1
        return self._n_in_vain <= LOOKS or self._n_in_vain % LOOK_EVERY == 0

    def _learn(self, was_held_back: bool) -> None:
        if was_held_back:
            self._n_in_vain = 0
            self._n_held_back += 1


def nap(marks: Sequence[Mark], longest_s: float) -> None:
    """Wait at most `longest_s`, until one of the sockets has as much as its mark says.

    Or until a broker that may have been held back shows that it was: it sends as soon as it has the acknowledgements.
    """
    longest_s = min([longest_s, *(mark.longest_s for mark in marks)])
    may_be_held_back = {mark.sock: mark.learn for mark in marks if mark.learn is not None}
    if may_be_held_back:
        were = select.select([*may_be_held_back], [], [], min(longest_s, ANSWER_S))[0]
        for sock, learn in may_be_held_back.items():
            learn(sock in were)
        if were:
            return
    poll = select.poll()
    marked = []
    try:
        for sock, n_bytes, *_ in marks:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, n_bytes)
            marked.append(sock)
            poll.register(sock, select.POLLIN)
        poll.poll(longest_s * 1000)
    except OSError:  # the kernel knows no such thing
        time.sleep(min(longest_s, UNTOLD_NAP_S))
    finally:
        for sock in marked:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, _ANY)


def _holds_some(sock: object) -> bool:
    """TLS, or a buffer of ours, has read more than it has given."""
    return bool(getattr(sock, "pending", lambda: 0)())
