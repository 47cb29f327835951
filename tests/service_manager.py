"""The service manager's side of the notify protocol: a datagram socket that keeps what it is told."""

import socket
import time
from pathlib import Path
from types import TracebackType
from typing import Self

TIMEOUT_S = 20.0


class ServiceManager:
    """`address` is what $NOTIFY_SOCKET says: a path, or @name for the abstract namespace."""

    def __init__(self, address: str | Path) -> None:
        self.address = str(address)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(f"\0{self.address[1:]}" if self.address.startswith("@") else self.address)

    def wait_for(self, what: str) -> list[str]:
        """All lines told up to the one that begins with `what`."""
        lines: list[str] = []
        deadline = time.monotonic() + TIMEOUT_S
        while not any(line.startswith(what) for line in lines):
            self._socket.settimeout(max(0.01, deadline - time.monotonic()))
            lines += self._socket.recv(65_536).decode().split("\n")
        return lines

    def told(self, within_s: float = 0.0) -> list[str]:
        """The lines that come in so much time."""
        lines: list[str] = []
        deadline = time.monotonic() + within_s
        while True:
            self._socket.settimeout(max(0.001, deadline - time.monotonic()))
            try:
                lines += self._socket.recv(65_536).decode().split("\n")
            except TimeoutError:
                return lines

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._socket.close()
