"""The journal: what is recorded of the input, in files that are written at their end.

A file, `journal-ENTRY`, begins at that entry of the log; the next one goes on where it ends, and begins with what the
earlier ones have made of the inputs. A snapshot of entry n needs the newest file that begins at n or before, and those
after it. Files that no kept snapshot needs are removed, and nothing else is: at the bound of all files nothing more is
recorded, until a snapshot makes room.

A record that the disk has no room for is cut off again, so that every file ends with a whole one. What cannot be synced
ends the agent: nobody knows then what of it lasts.
"""

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from agent.core.input_log import NotRecorded
from agent.errors import ForewarnError, StateRefused
from agent.store.disk import FULL, Disk, File
from agent.store.segment import Segment, framed

_NAME = "journal-"
_LAST_STEP = "Is the disk failing? What was not acknowledged comes again after a restart."


def name_of(entry: int) -> str:
    return f"{_NAME}{entry:012d}"


def entries_of(disk: Disk) -> list[int]:
    """At which entries the files of the journal begin, the oldest first."""
    found = [name.removeprefix(_NAME) for name in disk.names() if name.startswith(_NAME)]
    return sorted(int(number) for number in found if number.isdecimal())


def read(disk: Disk, entry: int) -> Segment:
    """The file that begins at `entry`, which raises StateRefused when the disk does not let it be read."""
    name = name_of(entry)

    def read_part(start: int, n_bytes: int) -> bytes:
        try:
            return disk.read(name, start, n_bytes)
        except OSError as error:
            what = f"cannot be read ({error.strerror})"
            raise StateRefused(disk.folder / name, what, next_step="Is the disk failing?") from None

    return Segment(read_part, disk.size(name))


@dataclass(slots=True)
class _Open:
    """The file that is written.

    entry         where it begins
    synced_bytes  of its `n_bytes` are known to be on the disk
    is_synced     all records that say something are
    """

    entry: int
    file: File
    n_bytes: int
    synced_bytes: int
    is_synced: bool = True


class Journal:
    """The files, of which the newest is written.

    n_bytes      of all files
    bytes_max    their bound
    is_at_bound  a record had no room below it, and no file was let go of since
    """

    def __init__(self, disk: Disk, bytes_max: int) -> None:
        self.n_bytes = 0
        self.bytes_max = bytes_max
        self.is_at_bound = False
        self._disk = disk
        self._open: _Open | None = None

    @property
    def entry(self) -> int:
        """Where the newest file begins, -1 where there is none."""
        return -1 if self._open is None else self._open.entry

    @property
    def newest_bytes(self) -> int:
        """Of the newest file."""
        return 0 if self._open is None else self._open.n_bytes

    def go_on(self, entry: int, good_bytes: int, unused: int = -1) -> None:
        """Write on the newest file that came into use, behind its good bytes. Raises StateRefused.

        unused  where the file behind it begins, -1 for none: it is removed first, since it would stand in the middle
                after the next begin, as one that lacks its entries
        """
        name = name_of(entry)
        try:
            if unused >= 0:
                self._disk.remove(name_of(unused))
                self._disk.sync()
            file = self._disk.append(name)
            if good_bytes < self._disk.size(name):
                file.truncate(good_bytes)
            file.sync()  # what the process before this one has written, and may not have synced
            self._disk.sync()
            self._count()
        except OSError as error:
            raise self._refused(name, error) from None
        self._open = _Open(entry, file, good_bytes, good_bytes)

    def begin(self, entry: int, body: bytes) -> None:
        """Begin the next file, at `entry`, with a record that lasts when this returns.

        Raises OSError when it cannot be; nothing is left of it, and the older file is written on. Raises ForewarnError
        when something may be left: it would lack what is written on. And when it takes so much of the bound, which
        was larger when all of that was let wait, that nothing would get in behind it.
        """
        self.sync()
        name, record = name_of(entry), framed(body, 0)
        if 2 * len(record) > self.bytes_max:
            what = f"its rows that wait take {len(record)} of the {self.bytes_max} bytes of the journal"
            raise ForewarnError(self._disk.folder / name, what, next_step="Raise agent.journal_max to what it was.")
        file = self._disk.create(name)
        try:
            file.write(record)
            file.sync()
            self._disk.sync()
        except OSError:
            file.close()
            self._take_back(name)
            raise
        if self._open is not None:
            self._open.file.close()
        self._open = _Open(entry, file, len(record), len(record))
        self._count()

    def append(self, body: bytes) -> None:
        """Add a record. Raises NotRecorded when there is no room: there is nothing of it then."""
        now = self._now()
        record = framed(body, now.synced_bytes)
        if self.n_bytes + len(record) > self.bytes_max:
            self.is_at_bound = True
            raise NotRecorded(f"the journal has its {self.bytes_max} bytes, and no snapshot lets go of any")
        try:
            now.file.write(record)
        except OSError as error:
            self._cut_off(now, error)
            path = self._disk.folder / name_of(now.entry)
            raise NotRecorded(f"{path}: {error.strerror}") from None
        now.n_bytes += len(record)
        now.is_synced = False
        self.n_bytes += len(record)

    def sync(self) -> None:
        """All records last when this returns."""
        now = self._open
        if now is None or now.is_synced:
            return
        try:
            now.file.sync()
        except OSError as error:
            with suppress(OSError):  # the next process would read what the kernel calls written, and the disk has not
                now.file.truncate(now.synced_bytes)
            raise self._fails(name_of(now.entry), error) from None
        now.synced_bytes, now.is_synced = now.n_bytes, True
        marker = framed(b"", now.synced_bytes)
        try:
            now.file.write(marker)
        except OSError as error:  # it is of use, and not needed
            self._cut_off(now, error)
            marker = b""
        now.n_bytes += len(marker)
        self.n_bytes += len(marker)

    def let_go(self, entry: int) -> None:
        """Remove the files that a snapshot of `entry`, the oldest that is kept, does not need. Raises OSError."""
        entries = entries_of(self._disk)
        needed = max((one for one in entries if one <= entry), default=0)
        for one in entries:
            if one < needed and one != self.entry:
                self._disk.remove(name_of(one))
                self.is_at_bound = False
        self._count()

    def let_go_of_others(self) -> None:
        """Remove all files but the newest that was begun, whatever they are. Raises OSError."""
        for one in entries_of(self._disk):
            if one != self.entry:
                self._disk.remove(name_of(one))
        self._count()

    def close(self) -> None:
        """Nothing more is recorded; what was is synced."""
        self.sync()
        if self._open is not None:
            self._open.file.close()
            self._open = None

    def _take_back(self, name: str) -> None:
        """Remove a file that did not come into use."""
        try:
            self._disk.remove(name)
            self._disk.sync()
        except OSError as error:
            raise self._fails(name, error) from None

    def _now(self) -> _Open:
        if self._open is None:
            raise RuntimeError("no file of the journal was begun")
        return self._open

    def _cut_off(self, now: _Open, error: OSError) -> None:
        """Cut off what is behind the last whole record, after a write that failed for want of room."""
        if error.errno not in FULL:
            raise self._fails(name_of(now.entry), error) from None
        try:
            now.file.truncate(now.n_bytes)
        except OSError as worse:
            raise self._fails(name_of(now.entry), worse) from None

    def _count(self) -> None:
        self.n_bytes = sum(self._disk.size(name_of(entry)) for entry in entries_of(self._disk))

    def _refused(self, name: str, error: OSError) -> StateRefused:
        return StateRefused(
            self._disk.folder / name, f"cannot be written ({error.strerror})", next_step="Is the disk full or failing?"
        )

    def _fails(self, name: str, error: OSError) -> ForewarnError:
        path: Path = self._disk.folder / name
        return ForewarnError(path, f"cannot be written for good ({error.strerror})", next_step=_LAST_STEP)
