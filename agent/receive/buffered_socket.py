"""A socket whose bytes are looked at before they are taken: large reads for the fast path, exact ones for paho."""

import socket
import ssl

READ_BYTES = 2**18  # at most, of one read
LITTLE_BYTES = 2**14  # a read that brings less has caught up with the sender
_LEAST = 2  # bytes of the smallest packet


class BufferedSocket:
    """Reads much at once. `data[at:]` is what was read and not taken yet.

    `want` is how many bytes from `at` on make the packet there whole, as far as its reader knows. Until they have come
    `data` stays as it is, so that a large packet is not copied with each of its pieces.
    """

    def __init__(self, inner: socket.socket, packet_bytes_max: int) -> None:
        """packet_bytes_max: the largest packet that must fit."""
        self.data = b""
        self.at = 0
        self.want = _LEAST
        self.is_drained = False  # the last read brought little; of TLS, whose reads are records, nobody knows
        self._inner = inner
        self._skip = 0  # bytes to come that nobody wants
        self._buffer = memoryview(bytearray(packet_bytes_max + READ_BYTES))
        self._end = 0  # of what the buffer holds

    def fill(self) -> int:
        """Read what the socket has; 0 at its end. Raises BlockingIOError when that is nothing, else OSError."""
        if self._skip:
            n_bytes = self._receive(self._buffer[: self._skip])
            self._skip -= n_bytes
            return n_bytes
        if self.at:
            rest = self.data[self.at :]
            self._buffer[: len(rest)] = rest
            self.data, self.at, self._end = rest, 0, len(rest)
        n_bytes = self._receive(self._buffer[self._end : self._end + READ_BYTES])
        self.is_drained = n_bytes < LITTLE_BYTES and not isinstance(self._inner, ssl.SSLSocket)
        self._end += n_bytes
        if self._end >= self.want:
            self.data = bytes(self._buffer[: self._end])
        return n_bytes

    @property
    def has_packet(self) -> bool:
        """Whether a whole packet waits, as far as `want` tells."""
        return len(self.data) - self.at >= self.want

    def expect(self, n_bytes: int = _LEAST) -> None:
        """The packet at `at` has `n_bytes`, or more."""
        self.want = n_bytes

    def skip(self, n_bytes: int) -> None:
        """Let bytes go by, those that are still to come without keeping them."""
        here = min(n_bytes, len(self.data) - self.at)
        self.at += here
        self._skip = n_bytes - here

    @property
    def is_skipping(self) -> bool:
        return self._skip > 0

    # What paho and select want of a socket ----------------------------------------------------------------------

    def recv(self, n_bytes: int) -> bytes:
        """Take bytes that were read; the socket itself is not asked. Raises BlockingIOError when there are none."""
        taken = self.data[self.at : self.at + n_bytes]
        if not taken:
            raise BlockingIOError
        self.at += len(taken)
        return taken

    def pending(self) -> int:
        """More than 0 when the next read need not wait: part of a packet alone must not keep a loop awake."""
        return int(self.has_packet) or (self._inner.pending() if isinstance(self._inner, ssl.SSLSocket) else 0)

    def send(self, data: bytes) -> int:
        return self._inner.send(data)

    def fileno(self) -> int:
        return self._inner.fileno()

    def setsockopt(self, level: int, option: int, value: int) -> None:
        self._inner.setsockopt(level, option, value)

    def getsockopt(self, level: int, option: int) -> int:
        return self._inner.getsockopt(level, option)

    def setblocking(self, flag: bool) -> None:
        self._inner.setblocking(flag)

    def close(self) -> None:
        self._inner.close()

    def _receive(self, into: memoryview) -> int:
        try:
            return self._inner.recv_into(into)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError) as error:
            raise BlockingIOError from error
