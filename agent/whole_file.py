"""A file is replaced whole or not at all, whatever ends the process or cuts the power meanwhile.

The content is written beside its place, synced, and renamed over it; then the folder is synced, since the rename is a
change of the folder. A failed fsync is final: the kernel may have marked the pages as clean, so a second fsync of the
same file would say that all is well. So it is never tried again, and the new content is thrown away.

This is the one module of the ground layer that touches files. What a file holds, and how one that was damaged is found,
is for whoever writes it.
"""

import os
from pathlib import Path


def write(path: Path, *parts: bytes | memoryview) -> None:
    """Put the parts, one after the other, in the place of `path`, or leave `path` as it was.

    It lasts when this returns. Raises OSError.
    """
    beside = path.with_name(f"{path.name}.new")
    try:
        with beside.open("wb") as file:
            for part in parts:
                file.write(part)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except OSError:
        beside.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make renames and removals in `folder` last. Raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
