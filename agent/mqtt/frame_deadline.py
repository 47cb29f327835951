"""A packet that grows by a few bytes a minute, and never ends, leaves a connection deaf and alive.

For paho's keepalive any byte is a sign of life. So a connection ends on which some bytes come, but no packet ends, for
two keepalives. A large payload on a slow line is no such packet: it grows faster than BYTES_PER_S_MIN.
"""

import math

import paho.mqtt.client as paho
from paho.mqtt.enums import MQTTErrorCode

BYTES_PER_S_MIN = 100
KEEPALIVES = 2
WHY = "a packet that does not end"


class CountingClient(paho.Client):
    """Counts what comes: bytes, and whole packets. Both stay 0 with a paho that names its members otherwise."""

    n_bytes = 0
    n_packets = 0

    def _sock_recv(self, bufsize: int) -> bytes:
        data = super()._sock_recv(bufsize)
        self.n_bytes += len(data)
        return data

    def _packet_handle(self) -> MQTTErrorCode:
        self.n_packets += 1
        return super()._packet_handle()


class FrameDeadline:
    """Of one connection after the other. Times are of any clock that only goes forward."""

    def __init__(self, keepalive_s: float) -> None:
        self._window_s = KEEPALIVES * keepalive_s
        self._mark: object = None
        self._since_s = self._asked_s = -math.inf
        self._n_bytes = 0

    def is_over(self, now_s: float, *, mark: object, n_bytes: int) -> bool:
        """Whether the packet that comes now does not end. Whoever has not asked for long has not read: that is no sign.

        mark     is another one when a packet has ended, and on another connection
        n_bytes  that have come on the connection
        """
        has_paused, self._asked_s = now_s - self._asked_s >= self._window_s / 2, now_s
        grown, passed_s = n_bytes - self._n_bytes, now_s - self._since_s
        if mark == self._mark and not has_paused and passed_s < self._window_s:
            return False
        is_over = mark == self._mark and not has_paused and 0 < grown < BYTES_PER_S_MIN * passed_s
        self._mark, self._since_s, self._n_bytes = mark, now_s, n_bytes
        return is_over
