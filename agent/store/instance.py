"""The id of this agent's instance, which stays with its state directory: another one of the same node has another."""

import re
import secrets
from pathlib import Path

from structlog.typing import FilteringBoundLogger

from agent.errors import StateRefused
from agent.store import file

INSTANCE = "instance"  # in the state directory
_BYTES = 8
_ID = re.compile(rb"[0-9a-f]{%d}" % (2 * _BYTES))


def instance_id(folder: Path, log: FilteringBoundLogger) -> str:
    """The id, made at the first start; a file that is torn is set aside and said. Raises StateRefused."""
    path = folder / INSTANCE
    try:
        return _read(path, log) or _make(path)
    except OSError as error:
        next_step = "Is the disk full or failing?"
        raise StateRefused(path, f"cannot be used ({error.strerror})", next_step=next_step) from None


def _read(path: Path, log: FilteringBoundLogger) -> str:
    """The id in the file, "" where there is none."""
    try:
        found = file.read(path)
        if _ID.fullmatch(found):
            return found.decode()
        why = "it holds no id"
    except FileNotFoundError:
        return ""
    except file.Corrupt as error:
        why = str(error)
    log.error("instance_set_aside", kept=str(file.set_aside(path)), why=why)
    return ""


def _make(path: Path) -> str:
    made = secrets.token_hex(_BYTES)
    file.write(path, made.encode())
    return made
