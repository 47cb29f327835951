"""The state directory at the level of system calls: names within one folder, and files that are written at their end.

All that is kept beside SQLite goes through `Disk`, so that a test can put a disk of its own below the real code: one
that loses what was not synced, is full, or fails. `StateFolder` is the real one. It follows no symbolic link, since
whoever may write to the folder could else make the agent overwrite another file of its user, and what it makes nobody
else may read.

Content lasts after `File.sync`, a name (made, renamed, removed) after `Disk.sync`. A failed sync is final: the kernel
may have marked the pages as clean, so a second one would say that all is well.
"""

import errno
import os
from pathlib import Path
from typing import Protocol

_APPEND = os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW = _APPEND | os.O_CREAT | os.O_EXCL
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
_MODE = 0o600
FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS})  # a write that failed so may succeed later


class File(Protocol):
    """A file that is open to be written at its end. Every method raises OSError."""

    def write(self, data: bytes | memoryview) -> None:
        """Put all of `data` at the end; when it raises, any part of it may be there."""

    def sync(self) -> None:
        """What was written lasts when this returns; when it raises, the file must not be synced again."""

    def truncate(self, n_bytes: int) -> None:
        """Cut off all but the first `n_bytes`; what is written next follows them."""

    def close(self) -> None:
        """It is written no more."""


class Disk(Protocol):
    """Files in one folder, by name. Every method raises OSError, FileNotFoundError for a name that is not there.

    folder  for messages alone
    """

    @property
    def folder(self) -> Path: ...

    def names(self) -> list[str]:
        """Of all that is in the folder, in any order."""

    def read(self, name: str, start: int = 0, n_bytes: int = -1) -> bytes:
        """The content from `start` on: so many bytes of it, or as many as there are."""

    def size(self, name: str) -> int:
        """Bytes of the content."""

    def create(self, name: str) -> File:
        """An empty file, in the place of one that has the name."""

    def append(self, name: str) -> File:
        """The file of this name, to be written on."""

    def rename(self, old: str, new: str) -> None:
        """The file `old` takes the place of `new`, at once."""

    def remove(self, name: str) -> None:
        """The file is gone."""

    def sync(self) -> None:
        """What was made, renamed and removed in the folder lasts when this returns."""


class StateFolder:
    """A folder of a real disk; see `Disk`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @property
    def folder(self) -> Path:
        return self._folder

    def names(self) -> list[str]:
        return os.listdir(self._folder)

    def read(self, name: str, start: int = 0, n_bytes: int = -1) -> bytes:
        with os.fdopen(os.open(self._folder / name, _READ), "rb") as file:
            file.seek(start)
            return file.read(n_bytes)

    def size(self, name: str) -> int:
        return os.stat(self._folder / name, follow_symlinks=False).st_size

    def create(self, name: str) -> File:
        path = self._folder / name
        try:
            return _StateFile(os.open(path, _NEW, _MODE))
        except FileExistsError:  # what is left of a write that did not end, or a link that somebody put there
            os.unlink(path)
            return _StateFile(os.open(path, _NEW, _MODE))

    def append(self, name: str) -> File:
        return _StateFile(os.open(self._folder / name, _APPEND))

    def rename(self, old: str, new: str) -> None:
        os.replace(self._folder / old, self._folder / new)

    def remove(self, name: str) -> None:
        os.unlink(self._folder / name)

    def sync(self) -> None:
        descriptor = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


class _StateFile:
    """A file of a real disk; see `File`."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def write(self, data: bytes | memoryview) -> None:
        left = memoryview(data)
        while left:
            left = left[os.write(self._descriptor, left) :]

    def sync(self) -> None:
        os.fdatasync(self._descriptor)

    def truncate(self, n_bytes: int) -> None:
        os.ftruncate(self._descriptor, n_bytes)

    def close(self) -> None:
        os.close(self._descriptor)
