"""A record that the core fails at, again and again: after two restarts it is set aside, and the stream goes on.

What is counted are errors that Python raises; a process that is killed meanwhile says nothing about the record.
"""

from contextlib import suppress
from hashlib import sha256

import msgspec

from agent.errors import Unreadable
from agent.store import file
from agent.store.disk import Disk

FAILURES_MAX = 3  # when it came, and at two restarts
_NAME = "failed-records"


class _Failure(msgspec.Struct, frozen=True):
    """How often the core has failed at the record with this digest, which begins at `entry`."""

    entry: int
    digest: str
    count: int


class FailedRecords:
    """Those since the last snapshot, kept in a file."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        self._failures: dict[tuple[int, str], int] = {}

    def load(self) -> None:
        """Know those of earlier processes. Raises OSError."""
        with suppress(FileNotFoundError, file.Corrupt, *Unreadable):
            failures = msgspec.json.decode(file.read(self._disk, _NAME), type=list[_Failure])
            self._failures = {(one.entry, one.digest): one.count for one in failures}

    def __bool__(self) -> bool:
        """Whether any has failed, so that each is to be given to the core by itself."""
        return bool(self._failures)

    def is_aside(self, entry: int, body: bytes | memoryview) -> bool:
        """Whether the core is not to be given this record any more."""
        return bool(self._failures) and self._failures.get((entry, _digest(body)), 0) >= FAILURES_MAX

    def fail(self, entry: int, body: bytes | memoryview) -> None:
        """The core has failed at it, b"" for one of several. A disk that fails too only costs the count."""
        key = entry, _digest(body)
        self._failures[key] = self._failures.get(key, 0) + 1
        failures = [_Failure(*one, count) for one, count in self._failures.items()]
        with suppress(OSError):
            file.write(self._disk, _NAME, msgspec.json.encode(failures))

    def keep(self, body: bytes | memoryview) -> str:
        """Keep the record for a person to look at; returns the name of the file. Raises OSError."""
        name = f"record.corrupt-{_digest(body)}"
        if name not in self._disk.names():
            file.write(self._disk, name, bytes(body))
        return name

    def clear(self) -> None:
        """A snapshot is newer than all of them. Raises OSError."""
        if self._failures:
            self._failures.clear()
            self._disk.remove(_NAME)


def _digest(body: bytes | memoryview) -> str:
    return sha256(body).hexdigest()[:16]
