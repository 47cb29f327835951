"""One connection of a strict broker: its socket, and what has been sent over it and is not acknowledged."""

import math
import socket
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial

from bench.mqtt_packets import WINDOW_MAX, Connect, Ended, Published, read_packet
from bench.strict_rules import Rules, Session


@dataclass
class Client:
    """One connection."""

    socket: socket.socket
    rules: Rules  # those that were announced to it
    connect: Connect = field(default_factory=lambda: Connect(5, "", True, 0, 0, WINDOW_MAX, None, None))
    session: Session = field(default_factory=Session)
    unacknowledged: dict[int, Published] = field(default_factory=dict)
    fullest: int = 0  # most that it had under way at a time
    fullest_to_it: int = 0
    is_dismissed: bool = False  # the broker has said DISCONNECT: what still comes is not taken
    n_too_large: int = 0  # messages that it said are too large for it
    writes: threading.Lock = field(default_factory=threading.Lock)

    @property
    def is_5(self) -> bool:
        return self.connect.is_5

    @property
    def will(self) -> Published | None:
        return self.connect.will

    @property
    def silence_max_s(self) -> float:
        """Longest time without a packet, math.inf for any."""
        own_s = self.rules.keepalive_s if self.is_5 else None
        keepalive_s = self.connect.keepalive_s if own_s is None else own_s
        return 1.5 * keepalive_s or math.inf

    def send(self, data: bytes) -> None:
        with self.writes, suppress(OSError):
            self.socket.sendall(data)

    def deliver(self, *, again: bool = False) -> None:
        """Send what there is room for; `again` what a connection before has not acknowledged, first."""
        sent = [(number, message, True) for number, message in self.session.under_way.items()] if again else []
        window = min(self.connect.receive_maximum, self.rules.window)
        sent += [(number, message, False) for number, message in self.session.deliver(window)]
        self.fullest_to_it = max(self.fullest_to_it, len(self.session.under_way))
        for number, message, is_dup in sent:
            self.send(message.packet(is_5=self.is_5, packet_id=number, is_dup=is_dup))

    def read(self) -> tuple[int, bytes, int]:
        """The next packet: its first byte, its body, and its size. Raises Ended, OSError."""
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)  # or Nagle holds the next packet back
        return read_packet(partial(_exactly, self.socket))


def _exactly(sock: socket.socket, size: int) -> bytes:
    data = bytearray()
    while len(data) < size:
        more = sock.recv(size - len(data))
        if not more:
            raise Ended(None)
        data += more
    return bytes(data)
