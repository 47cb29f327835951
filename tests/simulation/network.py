"""Sockets of a simulated network: what is sent comes a moment later, whole or in pieces, in order, or not at all."""

import select
import socket
from collections.abc import Callable
from typing import Any, Protocol

from tests.simulation.clock import Clock

BUFFER_BYTES = 2**16
Step = Callable[[str], None]  # named before each step at which a process may die


class Peer(Protocol):
    """The broker's side of a connection."""

    def receive(self, data: bytes) -> None:
        """Bytes of the client."""

    def lose(self) -> None:
        """The connection has ended."""


class SimulatedSocket(socket.socket):
    """The client's end. paho and `select` find in it what they use of a socket; no descriptor is behind it."""

    def __init__(self, link: "Link") -> None:
        # no super().__init__(): it would ask the machine for a socket
        self.link = link

    def __del__(self) -> None:
        """Nothing is to be given back."""

    def send(self, data: Any, flags: int = 0) -> int:
        return self.link.send(bytes(data))

    def recv_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> int:
        data = self.link.take(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def recv(self, bufsize: int, flags: int = 0) -> bytes:
        return self.link.take(bufsize)

    def close(self) -> None:
        self.link.close()

    def shutdown(self, how: int) -> None:
        self.link.close()

    def fileno(self) -> int:
        return 3

    def setblocking(self, flag: bool) -> None:
        """It never blocks."""

    def setsockopt(self, *option: Any) -> None:
        if option[1] == socket.SO_RCVLOWAT:
            self.link.wakes_at = option[2]

    def getsockopt(self, level: int, optname: int, buflen: int = 0) -> Any:
        return BUFFER_BYTES


class Link:
    """One connection, from its beginning to its end."""

    def __init__(self, network: "Network", make_peer: Callable[["Link"], Peer]) -> None:
        self.wakes_at = 1
        self.on_data: Callable[[], None] = lambda: None  # of a client that reads in a thread of its own
        self._network = network
        self._here = bytearray()  # what the client may read
        self.is_open = True  # as the client knows
        self._is_cut = False  # nothing comes through any more
        self._is_reset = False
        self._has_ended = False  # the client reads the end behind what it may read
        self._peer = make_peer(self)

    # The client's side ------------------------------------------------------------------------------------------

    @property
    def is_readable(self) -> bool:
        return self._has_ended or len(self._here) >= self.wakes_at

    def send(self, data: bytes) -> int:
        self._network.step("send")
        if self._is_reset or not self.is_open:
            raise ConnectionResetError("connection reset")
        self._later(lambda: self._peer.receive(data))
        return len(data)

    def take(self, n_bytes: int) -> bytes:
        self._network.step("receive")
        if self._is_reset:
            raise ConnectionResetError("connection reset")
        if not self._here and not self._has_ended:
            raise BlockingIOError
        n_bytes = min(n_bytes, self._network.read_bytes_max)
        data = bytes(self._here[:n_bytes])
        del self._here[:n_bytes]
        return data

    def close(self) -> None:
        """The client's process gives the connection up; what it has sent still arrives."""
        if self.is_open:
            self.is_open = False
            self._later(self._end_at_peer)
            self._network.forget(self)

    # The broker's side ------------------------------------------------------------------------------------------

    def write(self, data: bytes) -> None:
        """Bytes for the client."""
        self._later(lambda: self._arrive(data))

    def end(self) -> None:
        """The broker closes the connection behind what it has written."""
        self._later(lambda: self._finish(is_reset=False))

    # The network's side -----------------------------------------------------------------------------------------

    def cut(self) -> None:
        """Both ends find the connection reset; what is under way is lost."""
        self._is_cut = True
        self._finish(is_reset=True)
        self._peer.lose()

    def _later(self, action: Callable[[], None]) -> None:
        def arrive() -> None:
            if not self._is_cut:
                action()

        self._network.clock.after(self._network.latency_s, arrive)

    def _arrive(self, data: bytes) -> None:
        if self.is_open and not self._has_ended:
            self._here += data
            self.on_data()

    def _finish(self, *, is_reset: bool) -> None:
        if self.is_open and not self._has_ended:
            self._has_ended, self._is_reset = True, is_reset
            self.on_data()

    def _end_at_peer(self) -> None:
        self._is_cut = True
        self._peer.lose()


class Network:
    """All connections of one process to the broker.

    read_bytes_max  that one read of a socket brings
    is_up           whether a connection can be made
    """

    def __init__(self, clock: Clock, step: Step, latency_s: float, read_bytes_max: int) -> None:
        self.clock, self.step = clock, step
        self.latency_s, self.read_bytes_max = latency_s, read_bytes_max
        self.is_up = True
        self.accept: Callable[[Link], Peer]
        self._links: list[Link] = []

    def connect(self) -> SimulatedSocket:
        self.step("connect")
        if not self.is_up:
            raise ConnectionRefusedError("connection refused")
        link = Link(self, self.accept)
        self._links.append(link)
        return SimulatedSocket(link)

    def forget(self, link: Link) -> None:
        if link in self._links:
            self._links.remove(link)

    def cut(self, *, which: int | None = None) -> None:
        """Cut all connections, or the one at the place `which` among them."""
        links = [*self._links]
        for link in links if which is None else links[which % len(links) :][:1] if links else []:
            link.cut()

    def die(self, *, is_power_cut: bool) -> None:
        """The process has ended: its machine closes what it had open, or is gone with it."""
        for link in [*self._links]:
            link.on_data = lambda: None
            if is_power_cut:
                link.cut()
            link.close()
        self._links.clear()


class SimulatedSelect:
    """What agent/receive/wait.py uses of the module `select`."""

    POLLIN = select.POLLIN

    def __init__(self, network: Network) -> None:
        self._network = network

    def select(self, readers: Any, writers: Any, _: Any, longest_s: float) -> tuple[list[Any], list[Any], list[Any]]:
        """Writers are always ready."""
        self._network.step("wait")
        links = [(sock, _link_of(sock)) for sock in readers]
        if not writers:
            self._network.clock.wait(lambda: any(link.is_readable for _, link in links), longest_s)
        return [sock for sock, link in links if link.is_readable], [*writers], []

    def poll(self) -> "_Poll":
        return _Poll(self._network)


class _Poll:
    def __init__(self, network: Network) -> None:
        self._network = network
        self._links: list[Link] = []

    def register(self, sock: Any, _: int) -> None:
        self._links.append(_link_of(sock))

    def poll(self, longest_ms: float) -> None:
        self._network.step("wait")
        self._network.clock.wait(lambda: any(link.is_readable for link in self._links), longest_ms / 1000)


def _link_of(sock: Any) -> Link:
    """Of a simulated socket, or of the agent's buffer around one."""
    inner = getattr(sock, "_inner", sock)
    assert isinstance(inner, SimulatedSocket)
    return inner.link
