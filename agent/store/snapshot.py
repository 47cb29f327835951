"""The two newest snapshots of the core. The newest good one is restored; a bad one is set aside and named.

An agent that is stopped names its last one in the file `stopped`, and the next start takes that file away. So a
snapshot that is not named there may be older than what was done after it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from agent import whole_file
from agent.errors import SnapshotRefused, StateRefused
from agent.store import file

KEPT = 2
_NAME = "snapshot-"
_STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class Refused:
    """A snapshot that was not restored, where it is kept now, and why."""

    aside: Path
    why: str


def write(folder: Path, content: bytes) -> Path:
    """Add a snapshot and remove all but the newest two. Raises OSError; the older ones are then as they were."""
    kept = _newest_first(folder)
    number = int(kept[0].name.removeprefix(_NAME)) + 1 if kept else 1
    path = folder / f"{_NAME}{number:012d}"
    file.write(path, content)
    for old in kept[KEPT - 1 :]:
        old.unlink(missing_ok=True)
    return path


def restore(folder: Path, into: Callable[[bytes], None]) -> tuple[Path | None, list[Refused]]:
    """Give the newest good snapshot to `into`, which raises SnapshotRefused for one it cannot take.

    Returns which one it was, None when there was none, and those set aside on the way. Raises StateRefused when the
    disk does not let them be read: that says nothing about what is in them.
    """
    refused = []
    for path in _newest_first(folder):
        try:
            into(file.read(path))
        except file.Corrupt as error:
            refused.append(Refused(file.set_aside(path), str(error)))
        except SnapshotRefused as error:
            refused.append(Refused(file.set_aside(path), error.what))
        except OSError as error:
            what = f"cannot be read ({error.strerror})"
            raise StateRefused(path, what, next_step="Who owns it? Is the disk failing?") from None
        else:
            return path, refused
    return None, refused


def newest(folder: Path) -> Path | None:
    """The newest snapshot, good or bad."""
    return next(iter(_newest_first(folder)), None)


def mark_last(folder: Path, snapshot: Path) -> None:
    """Nothing was done after this snapshot. Raises OSError."""
    file.write(folder / _STOPPED, snapshot.name.encode())


def take_last(folder: Path) -> str:
    """Name of the snapshot after which nothing was done, "" for none; not named again. Raises StateRefused."""
    path = folder / _STOPPED
    try:
        name = file.read(path).decode(errors="replace")
    except (FileNotFoundError, file.Corrupt):
        name = ""
    except OSError as error:
        what = f"cannot be read ({error.strerror})"
        raise StateRefused(path, what, next_step="Who owns it? Is the disk failing?") from None
    try:
        path.unlink(missing_ok=True)
        whole_file.sync_folder(folder)
    except OSError as error:
        what = f"cannot be removed ({error.strerror})"
        raise StateRefused(path, what, next_step="Who owns the folder? Is the disk failing?") from None
    return name


def _newest_first(folder: Path) -> list[Path]:
    found = [path for path in folder.glob(f"{_NAME}*") if path.name.removeprefix(_NAME).isdecimal()]
    return sorted(found, key=lambda path: int(path.name.removeprefix(_NAME)), reverse=True)
