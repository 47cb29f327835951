"""The disk protocol for one file: whole or not at all, and known to be whole when it is read again.

A file is a magic word, the SHA-256 of what follows, and the content. It is written beside its place, synced, renamed
over it, and the folder is synced, so that a power cut leaves the old content or the new one. A failed fsync is final:
the pages may be marked clean, so it is never tried again on the same file.
"""

import os
import time
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

MAGIC = b"FOREWARN 1\n"
_DIGEST_BYTES = sha256().digest_size


class Corrupt(Exception):
    """A file that is not what was written: torn, flipped, or foreign."""


def write(path: Path, content: bytes) -> None:
    """Put `content` in the place of `path`, or leave `path` as it was. Raises OSError."""
    beside = path.with_name(f"{path.name}.new")
    try:
        with beside.open("wb") as file:
            file.write(MAGIC + sha256(content).digest() + content)
            file.flush()
            os.fsync(file.fileno())
        beside.rename(path)
    except OSError:
        beside.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def read(path: Path) -> bytes:
    """The content of a whole file. Raises Corrupt that says what is wrong, or OSError."""
    data = path.read_bytes()
    if not data.startswith(MAGIC):
        raise Corrupt("it does not begin as a forewarn file does")
    start = len(MAGIC) + _DIGEST_BYTES
    content = data[start:]
    if len(data) < start or sha256(content).digest() != data[len(MAGIC) : start]:
        raise Corrupt("its content does not match its checksum: it is torn or a bit has flipped")
    return content


def set_aside(path: Path, along: tuple[str, ...] = ()) -> Path:
    """Rename a corrupt file so that nobody reads it again and a person can; returns where it is now.

    along  endings of files that belong to it, such as a database's `-wal`, and keep belonging to it
    """
    aside = path.with_name(f"{path.name}.corrupt-{time.time_ns()}")
    for ending in (*along, ""):  # the file itself last: a new one must never meet an old `-wal`
        with suppress(FileNotFoundError):
            path.with_name(path.name + ending).rename(aside.with_name(aside.name + ending))
    sync_folder(path.parent)
    return aside


def sync_folder(folder: Path) -> None:
    """Make renames and removals in `folder` last."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
