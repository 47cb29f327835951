"""One file of the state directory: written whole or not at all, and known to be whole when it is read again.

A file is a magic word, the SHA-256 of what follows, and the content.
"""

import time
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

from agent import whole_file

MAGIC = b"FOREWARN 1\n"
_DIGEST_BYTES = sha256().digest_size


class Corrupt(Exception):
    """A file that is not what was written: torn, flipped, or foreign."""


def write(path: Path, content: bytes) -> None:
    """Put `content` in the place of `path`, or leave `path` as it was. Raises OSError."""
    whole_file.write(path, MAGIC, sha256(content).digest(), content)


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
    whole_file.sync_folder(path.parent)
    return aside
