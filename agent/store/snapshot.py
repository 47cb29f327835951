"""The two newest snapshots of the core. The newest good one is restored; a bad one is set aside and named.

An agent that is stopped names its last one in the file `stopped`, and the next start takes that file away. So a
snapshot that is not named there may be older than what was done after it.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from agent.errors import SnapshotRefused, StateRefused
from agent.store import file
from agent.store.disk import Disk

KEPT = 2
_NAME = "snapshot-"
STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class Refused:
    """A snapshot that was not restored, where it is kept now, and why."""

    aside: Path
    why: str


def write(disk: Disk, *content: bytes | memoryview) -> str:
    """Add a snapshot, remove all but the newest two, return its name. Raises OSError; older ones are as they were."""
    kept = newest_first(disk)
    number = int(kept[0].removeprefix(_NAME)) + 1 if kept else 1
    name = f"{_NAME}{number:012d}"
    file.write(disk, name, *content)
    for old in kept[KEPT - 1 :]:
        disk.remove(old)
    return name


def restore(disk: Disk, into: Callable[[bytes], None]) -> tuple[str | None, list[Refused]]:
    """Give the newest good snapshot to `into`, which raises SnapshotRefused for one it cannot take.

    Returns which one it was, None when there was none, and those set aside on the way. Raises StateRefused when the
    disk does not let them be read, which says nothing about what is in them, or does not let a bad one be set aside.
    """
    refused = []
    for name in newest_first(disk):
        try:
            into(file.read(disk, name))
        except file.Corrupt as error:
            refused.append(Refused(_set_aside(disk, name, "corrupt"), str(error)))
        except SnapshotRefused as error:
            refused.append(Refused(_set_aside(disk, name, "foreign"), error.what))
        except OSError as error:
            what = f"cannot be read ({error.strerror})"
            raise StateRefused(disk.folder / name, what, next_step="Who owns it? Is the disk failing?") from None
        else:
            return name, refused
    return None, refused


def _set_aside(disk: Disk, name: str, what: Literal["corrupt", "foreign"]) -> Path:
    try:
        return disk.folder / file.set_aside(disk, name, what=what)
    except OSError as error:
        why = f"is {what} and cannot be set aside ({error.strerror})"
        raise StateRefused(disk.folder / name, why, next_step="Is the disk full, failing or read-only?") from None


def newest_first(disk: Disk) -> list[str]:
    """Names of the snapshots, good or bad."""
    found = [name for name in disk.names() if is_snapshot(name)]
    return sorted(found, key=lambda name: int(name.removeprefix(_NAME)), reverse=True)


def is_snapshot(name: str) -> bool:
    """Whether a file of this name is one, good or bad."""
    return name.startswith(_NAME) and name.removeprefix(_NAME).isdecimal()


def mark_last(disk: Disk, snapshot: str) -> None:
    """Nothing was done after this snapshot. Raises OSError."""
    file.write(disk, STOPPED, snapshot.encode())


def take_last(disk: Disk) -> str:
    """Name of the snapshot after which nothing was done, "" for none; not named again. Raises StateRefused."""
    path = disk.folder / STOPPED
    try:
        name = file.read(disk, STOPPED).decode(errors="replace")
    except (FileNotFoundError, file.Corrupt):
        name = ""
    except OSError as error:
        what = f"cannot be read ({error.strerror})"
        raise StateRefused(path, what, next_step="Who owns it? Is the disk failing?") from None
    try:
        with suppress(FileNotFoundError):
            disk.remove(STOPPED)
        disk.sync()
    except OSError as error:
        what = f"cannot be removed ({error.strerror})"
        raise StateRefused(path, what, next_step="Who owns the folder? Is the disk failing?") from None
    return name
