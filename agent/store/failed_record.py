"""A record that the core fails at, again and again: after two restarts it is set aside, and the stream goes on.

What is counted are errors that Python raises. Of a process that ends without one only the replay is counted in which
it did: by that nobody knows the record (see rehearsal.py), and most often it was killed.
"""

from collections.abc import Collection
from contextlib import suppress
from hashlib import sha256

import msgspec

from agent.errors import Unreadable
from agent.store import file
from agent.store.disk import Disk

FAILURES_MAX = 3  # when it came, and at two restarts
_NAME = "failed-records"


class _Failure(msgspec.Struct, frozen=True):
    """How often the core has failed at the record with this digest, which begins at `entry`.

    With the digest "" it is of starts: how many have begun a replay at this entry, and not ended it.
    """

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
        return any(digest for _, digest in self._failures)

    def is_aside(self, entry: int, body: bytes | memoryview) -> bool:
        """Whether the core is not to be given this record any more."""
        return bool(self) and self._failures.get((entry, digest_of(body)), 0) >= FAILURES_MAX

    def fail(self, entry: int, body: bytes | memoryview) -> None:
        """The core has failed at it, b"" for one of several. A disk that fails too only costs the count."""
        self._count(entry, digest_of(body))

    def condemn(self, entry: int, digest: str) -> bool:
        """The record ends the process: it is to be set aside. Whether that is news."""
        is_news = self._failures.get((entry, digest), 0) < FAILURES_MAX
        self._failures[entry, digest] = FAILURES_MAX
        self._write()
        return is_news

    def acquit(self, records: Collection[tuple[int, str]]) -> None:
        """It was not for them that the process ended."""
        self._failures = {one: n for one, n in self._failures.items() if one not in records}
        self._write()

    def begin_replay(self, entry: int) -> int:
        """A start begins a replay there. Returns how many have before, and have not ended it."""
        self._failures = {one: n for one, n in self._failures.items() if one[1] or one[0] == entry}
        return self._count(entry, "") - 1

    def end_replay(self) -> None:
        """It has come to the end."""
        self._failures = {one: n for one, n in self._failures.items() if one[1]}
        with suppress(OSError):
            if self._failures:
                self._write()
            else:
                self._disk.remove(_NAME)

    def keep(self, body: bytes | memoryview) -> str:
        """Keep the record for a person to look at; returns the name of the file. Raises OSError."""
        name = f"record.corrupt-{digest_of(body)}"
        if name not in self._disk.names():
            file.write(self._disk, name, bytes(body))
        return name

    def clear(self) -> None:
        """A snapshot is newer than all of them. Raises OSError."""
        if self._failures:
            self._failures.clear()
            self._disk.remove(_NAME)

    def _count(self, entry: int, digest: str) -> int:
        count = self._failures[entry, digest] = self._failures.get((entry, digest), 0) + 1
        self._write()
        return count

    def _write(self) -> None:
        failures = [_Failure(*one, count) for one, count in self._failures.items()]
        with suppress(OSError):
            file.write(self._disk, _NAME, msgspec.json.encode(failures))


def digest_of(body: bytes | memoryview) -> str:
    """A record as it is called here."""
    return sha256(body).hexdigest()[:16]
