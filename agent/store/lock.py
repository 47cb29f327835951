"""One agent a state directory. The lock is the kernel's, so it ends with the process however that ends."""

import fcntl
import os
from pathlib import Path
from typing import IO

from agent.errors import StateRefused


def lock(folder: Path) -> IO[str]:
    """Hold the state directory until the returned file is closed. Raises StateRefused that names who holds it."""
    path = folder / "lock"
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o750)
        file = path.open("a+")
    except OSError as error:
        raise StateRefused(
            folder, f"cannot be used ({error.strerror})", next_step="Make it, or name another: agent.state_dir."
        ) from None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.seek(0)
        holder = file.read().strip() or "unknown"
        file.close()
        raise StateRefused(
            folder,
            f"another agent uses it (pid {holder})",
            next_step="Stop that one, or give this one its own agent.state_dir and agent.node.",
        ) from None
    file.truncate(0)
    file.write(f"{os.getpid()}\n")
    file.flush()
    return file
