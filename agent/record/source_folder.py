"""The files of one source: small ones that a flush writes, joined step by step into one a day.

Eight small files become a larger one, eight of those a larger one again, so that a day of flushes is some tens of files
and each row is written a handful of times. When a day is over, or the recording ends, all of its files become one, as
far as a file of CELLS_MAX can hold them. A file never changes: it is replaced by one whose name contains it
(`agent.table.recording`), and what that name contains is removed after it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from structlog.typing import FilteringBoundLogger

from agent import whole_file
from agent.errors import DataRefused
from agent.table.parquet_file import ParquetFile, whole
from agent.table.recording import Part, contained

JOINED_N = 8
LEVELS = 6  # 8 to the power of 6 flushes are 72 hours of one a second
CELLS_MAX = 2**24
"""Of a file that others are joined into, so that joining takes seconds and some 200 MB."""


@dataclass(slots=True)
class _File:
    size_bytes: int
    n_rows: int


class SourceFolder:
    """Files of a folder, which is made. What writes may raise OSError, and may then be called again."""

    def __init__(self, path: Path, n_columns: int, log: FilteringBoundLogger) -> None:
        """Removes what is left of a write that was cut off, and files that others contain."""
        path.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._rows_max = max(1, CELLS_MAX // n_columns)
        self._log = log
        self._files: dict[Part, _File] = {}
        paths = sorted(path.glob("*.parquet"))
        for old in (*path.glob("*.parquet.new"), *contained(paths)):
            old.unlink()
        for one in sorted(path.glob("*.parquet")):
            if part := Part.of(one.name):
                self._load(part)

    def __len__(self) -> int:
        return len(self._files)

    @property
    def size_bytes(self) -> int:
        return sum(one.size_bytes for one in self._files.values())

    @property
    def paths(self) -> list[Path]:
        """In the order of days."""
        return [self.path / part.name for part in sorted(self._files)]

    @property
    def days(self) -> list[str]:
        """With several files."""
        days = [part.day for part in self._files]
        return sorted({day for day in days if days.count(day) > 1})

    def oldest(self) -> Part | None:
        """None unless there are several: the newest stays."""
        return min(self._files) if len(self._files) > 1 else None

    def remove(self, part: Part) -> None:
        (self.path / part.name).unlink(missing_ok=True)
        del self._files[part]

    def write(self, day: str, data: bytes, n_rows: int) -> None:
        """A new file behind those of the day."""
        number = max((part.last for part in self._files if part.day == day), default=0) + 1
        part = Part(day, number, number)
        whole_file.write(self.path / part.name, data)
        self._files[part] = _File(len(data), n_rows)

    def join_some(self, day: str) -> None:
        """Join the newest files of a day, where enough of one size are there."""
        for level in range(LEVELS):
            parts = self._of(day)
            start = len(parts)
            while start and _level(parts[start - 1]) <= level:
                start -= 1
            if sum(_level(part) == level for part in parts[start:]) >= JOINED_N:
                self._join(parts[start:])

    def join_all(self, day: str) -> None:
        """Join all files of a day, as far as they fit into one."""
        self._join(self._of(day))

    def _of(self, day: str) -> list[Part]:
        return sorted(part for part in self._files if part.day == day)

    def _join(self, parts: Sequence[Part]) -> None:
        """Join those that fit into one file, from the oldest on."""
        group: list[Part] = []
        for part in parts:
            if sum(self._files[one].n_rows for one in (*group, part)) > self._rows_max:
                self._join_group(group)
                group = []
            group.append(part)
        self._join_group(group)

    def _join_group(self, group: Sequence[Part]) -> None:
        if len(group) < 2:
            return
        into = Part(group[0].day, group[0].first, group[-1].last)
        try:
            data = whole([self.path / part.name for part in group])
        except DataRefused as error:
            next_step = (
                "The files stay as they are. Were channels or the unit of time changed? Record into another folder."
            )
            self._log.error("files_not_joined", file=str(error.where), why=error.what, next_step=next_step)
            return
        n_rows = sum(self._files[part].n_rows for part in group)
        whole_file.write(self.path / into.name, data)
        for part in group:
            del self._files[part]  # whatever becomes of their files, which nobody reads any more
        self._files[into] = _File(len(data), n_rows)
        for part in group:
            (self.path / part.name).unlink()
        whole_file.sync_folder(self.path)

    def _load(self, part: Part) -> None:
        """A file that cannot be read is set aside, so that the others can be."""
        path = self.path / part.name
        try:
            self._files[part] = _File(path.stat().st_size, ParquetFile(path).n_rows())
        except DataRefused as error:
            path.rename(path.with_name(f"{path.name}.unreadable"))
            next_step = "It is kept aside, named .unreadable."
            self._log.error("file_unreadable", file=str(path), why=error.what, next_step=next_step)


def _level(part: Part) -> int:
    """0 for a file of one flush, 1 from 8 flushes on, 2 from 64 on."""
    return ((part.last - part.first + 1).bit_length() - 1) // 3
