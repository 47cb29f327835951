"""One file of the state directory: written whole or not at all, and known to be whole when it is read again.

A file is a magic word, the SHA-256 of what follows, and the content. It is written under another name, synced, and
renamed; then the folder is synced, since the rename is a change of the folder.
"""

import time
from contextlib import suppress
from hashlib import sha256
from typing import Literal

from agent.store.disk import Disk

MAGIC = b"FOREWARN 1\n"
NEW = ".new"  # ends the name of what is not whole yet
_DIGEST_BYTES = sha256().digest_size


class Corrupt(Exception):
    """A file that is not what was written: torn, flipped, or foreign."""


def write(disk: Disk, name: str, *content: bytes | memoryview) -> None:
    """Put the parts of `content` in the place of the file `name`, or leave that as it was.

    It lasts when this returns. Raises OSError.
    """
    beside = f"{name}{NEW}"
    digest = sha256()
    for part in content:
        digest.update(part)
    try:
        file = disk.create(beside)
        try:
            for part in (MAGIC, digest.digest(), *content):
                file.write(part)
            file.sync()
        finally:
            file.close()
        disk.rename(beside, name)
    except OSError:
        with suppress(OSError):  # what is left is removed by the next write; why it failed is what is said
            disk.remove(beside)
        raise
    disk.sync()


def read(disk: Disk, name: str) -> bytes:
    """The content of a whole file. Raises Corrupt that says what is wrong, or OSError."""
    start = len(MAGIC) + _DIGEST_BYTES
    head = disk.read(name, 0, start)
    if not head.startswith(MAGIC):
        raise Corrupt("it does not begin as a forewarn file does")
    content = disk.read(name, start)  # by itself: a snapshot is large, and is held once
    if len(head) < start or sha256(content).digest() != head[len(MAGIC) :]:
        raise Corrupt("its content does not match its checksum: it is torn or a bit has flipped")
    return content


def set_aside(
    disk: Disk, name: str, along: tuple[str, ...] = (), what: Literal["corrupt", "foreign"] = "corrupt"
) -> str:
    """Rename a file so that nobody reads it again and a person can; returns its name now. Raises OSError.

    along  endings of files that belong to it, such as a database's `-wal`, and keep belonging to it
    """
    aside = f"{name}.{what}-{time.time_ns()}"
    for ending in (*along, ""):  # the file itself last: a new one must never meet an old `-wal`
        with suppress(FileNotFoundError):
            disk.rename(name + ending, aside + ending)
    disk.sync()
    return aside
