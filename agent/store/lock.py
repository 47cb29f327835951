"""One agent a state directory. The lock is the kernel's, so it ends with the process however that ends."""

import fcntl
import os
from pathlib import Path
from typing import IO

from agent.errors import StateRefused

STOP_OR_PART = "Stop that one, or give this one its own agent.state_dir and agent.node."
_FLAGS = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC


def lock(folder: Path, *, next_step: str = STOP_OR_PART) -> IO[str]:
    """Hold the state directory until the returned file is closed. Raises StateRefused that names who holds it, and
    says `next_step`.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o750)
        file = os.fdopen(os.open(folder / "lock", _FLAGS, 0o600), "a+")
        try:
            return _held(folder, file, next_step)
        except BaseException:
            file.close()
            raise
    except OSError as error:
        make = "Make it, or name another: agent.state_dir."
        raise StateRefused(folder, f"cannot be used ({error.strerror})", next_step=make) from None


def is_held(folder: Path) -> bool:
    """Whether a process that is there has locked the state directory last; the lock itself is not touched."""
    try:
        return Path("/proc", (folder / "lock").read_text().strip() or "none").exists()
    except (OSError, UnicodeDecodeError):  # not there, or not ours to read
        return False


def _held(folder: Path, file: IO[str], next_step: str) -> IO[str]:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.seek(0)
        holder = file.read().strip() or "unknown"
        raise StateRefused(folder, f"another agent uses it (pid {holder})", next_step=next_step) from None
    file.truncate(0)
    file.write(f"{os.getpid()}\n")
    file.flush()
    return file
