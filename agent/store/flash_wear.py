"""What is written to the state directory, and how far apart snapshots must be so that it is not too much for the disk.

An SD card or an eMMC bears some thousand writes of each cell. 100,000 devices of two layers of 64 make snapshots of
145 MB, and one each 30 s would be 400 GB a day. So they are spaced by what they weigh.

Files are counted as they are written, and so is SQLite's log, by the number of pages that its index file says is in it
(https://www.sqlite.org/walformat.html, section 2.1). A log that begins anew has been copied into the database. What a
file system writes beside it, and what the disk makes of it, nobody here knows.

The index file is opened once and stays open. Its locks are how SQLite knows that a process uses the database, and POSIX
takes all locks of a process from a file when the process closes any descriptor of it. The next process to open the
database, `forewarn state export` for one, would then cut the index off under the running agent
(https://www.sqlite.org/howtocorrupt.html, section 2.2).
"""

import os
import struct
import sys
from collections import Counter, deque
from pathlib import Path
from typing import Literal
from weakref import finalize

from structlog.typing import FilteringBoundLogger

from agent.store.disk import Disk, File
from agent.store.snapshot import is_snapshot, newest_first

DAY_S = 86_400
LOOK_EVERY_S = 0.1
SAY_AGAIN = 1.5  # times as far apart as was said
Kind = Literal["snapshots", "journal", "alert_table", "other"]
_BY_NAME: dict[str, Kind] = {"snapshot": "snapshots", "journal": "journal"}
_INDEX = struct.Struct("<HII" if sys.byteorder == "little" else ">HII")  # bytes of a page, pages in the log, in all
_INDEX_AT = 14
_FRAME_BYTES = 24  # before each page of the log
_SAMPLES = 24  # of the last day


class FlashWear:
    """Counts bytes. `disk` counts what is written through it; SQLite's log is looked at in `turn`.

    written         bytes since the agent started, by what they were for
    snapshot_bytes  of the newest snapshot
    """

    def __init__(self, disk: Disk, database: Path, log: FilteringBoundLogger) -> None:
        self.written: Counter[Kind] = Counter()
        self.disk: Disk = _CountedDisk(disk, self)
        self.snapshot_bytes = disk.size(newest) if (newest := next(iter(newest_first(disk)), None)) else 0
        self._index_path = database.with_name(f"{database.name}-shm")
        self._index: int | None = None  # its descriptor, while this object is there
        self._n_pages = 0  # in the log
        self._looked_s = 0.0
        self._spacing_said_s = 0.0
        self._log = log
        self._hours: deque[tuple[float, int]] = deque(maxlen=_SAMPLES)  # when, and what was written until then

    def turn(self, now_s: float) -> None:
        """Count what SQLite has written; now_s is of any clock that only goes forward."""
        if not self._hours or now_s - self._hours[-1][0] >= DAY_S / _SAMPLES:
            self._hours.append((now_s, self.written.total()))
        if now_s - self._looked_s < LOOK_EVERY_S:
            return
        self._looked_s = now_s
        page_bytes, n_pages, n_pages_in_all = self._read_index()
        if n_pages < self._n_pages:
            self.written["alert_table"] += min(self._n_pages, n_pages_in_all) * page_bytes
            self._n_pages = 0
        self.written["alert_table"] += (n_pages - self._n_pages) * (page_bytes + _FRAME_BYTES)
        self._n_pages = n_pages

    def bytes_per_day(self, now_s: float) -> int | None:
        """The pace of the last day, or since the first turn; None in its first hour, when a start weighs too much."""
        if not self._hours or now_s - self._hours[0][0] < DAY_S / _SAMPLES:
            return None
        since_s, until_then = self._hours[0]
        return round((self.written.total() - until_then) * DAY_S / (now_s - since_s))

    def snapshot_every_s(self, at_least_s: float, bytes_per_day_max: int) -> float:
        """How far apart snapshots are to be that are as large as the newest; says when that is more than was asked."""
        every_s = self.snapshot_bytes * DAY_S / bytes_per_day_max
        if every_s <= at_least_s:
            return at_least_s
        if every_s > SAY_AGAIN * self._spacing_said_s:
            self._spacing_said_s = every_s
            next_step = "Raise agent.snapshot_bytes_per_day_max if the disk bears it; a crash loses less history then."
            self._log.warning(
                "snapshots_spaced", every_s=round(every_s), snapshot_bytes=self.snapshot_bytes, next_step=next_step
            )
        return every_s

    def count(self, name: str, n_bytes: int) -> None:
        """Bytes of the file `name` were written; those of one kind in one thread at a time."""
        self.written[_BY_NAME.get(name.partition("-")[0], "other")] += n_bytes

    def _read_index(self) -> tuple[int, int, int]:
        try:
            if self._index is None:
                self._index = os.open(self._index_path, os.O_RDONLY | os.O_CLOEXEC)
                finalize(self, os.close, self._index)
            head = os.pread(self._index, _INDEX.size, _INDEX_AT)
        except OSError:  # it is there while the database is open
            return 0, 0, 0
        return _INDEX.unpack(head) if len(head) == _INDEX.size else (0, 0, 0)


class _CountedDisk:
    """Another disk, and what is written to it; see `Disk`."""

    def __init__(self, disk: Disk, wear: FlashWear) -> None:
        self._disk = disk
        self._wear = wear

    @property
    def folder(self) -> Path:
        return self._disk.folder

    def names(self) -> list[str]:
        return self._disk.names()

    def read(self, name: str, start: int = 0, n_bytes: int = -1) -> bytes:
        return self._disk.read(name, start, n_bytes)

    def size(self, name: str) -> int:
        return self._disk.size(name)

    def create(self, name: str) -> File:
        return _CountedFile(self._disk.create(name), name, self._wear)

    def append(self, name: str) -> File:
        return _CountedFile(self._disk.append(name), name, self._wear)

    def rename(self, old: str, new: str) -> None:
        self._disk.rename(old, new)
        if is_snapshot(new):
            self._wear.snapshot_bytes = self._disk.size(new)

    def remove(self, name: str) -> None:
        self._disk.remove(name)

    def sync(self) -> None:
        self._disk.sync()


class _CountedFile:
    """A file of another disk; see `File`."""

    def __init__(self, file: File, name: str, wear: FlashWear) -> None:
        self._file = file
        self._name = name
        self._wear = wear

    def write(self, data: bytes | memoryview) -> None:
        self._wear.count(self._name, len(data))
        self._file.write(data)

    def sync(self) -> None:
        self._file.sync()

    def truncate(self, n_bytes: int) -> None:
        self._file.truncate(n_bytes)

    def close(self) -> None:
        self._file.close()
