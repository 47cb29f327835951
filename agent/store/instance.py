"""The id of this agent's instance, which stays with its state directory: another one of the same node has another."""

import re
import secrets

from structlog.typing import FilteringBoundLogger

from agent.errors import StateRefused
from agent.store import file
from agent.store.disk import Disk

INSTANCE = "instance"  # in the state directory
_BYTES = 8
_ID = re.compile(rb"[0-9a-f]{%d}" % (2 * _BYTES))


def instance_id(disk: Disk, log: FilteringBoundLogger) -> str:
    """The id, made at the first start; a file that is torn is set aside and said. Raises StateRefused."""
    try:
        return _read(disk, log) or _make(disk)
    except OSError as error:
        next_step = "Is the disk full or failing?"
        raise StateRefused(disk.folder / INSTANCE, f"cannot be used ({error.strerror})", next_step=next_step) from None


def _read(disk: Disk, log: FilteringBoundLogger) -> str:
    """The id in the file, "" where there is none."""
    try:
        found = file.read(disk, INSTANCE)
        if _ID.fullmatch(found):
            return found.decode()
        why = "it holds no id"
    except FileNotFoundError:
        return ""
    except file.Corrupt as error:
        why = str(error)
    log.error("instance_set_aside", kept=str(disk.folder / file.set_aside(disk, INSTANCE)), why=why)
    return ""


def _make(disk: Disk) -> str:
    made = secrets.token_hex(_BYTES)
    file.write(disk, INSTANCE, made.encode())
    return made
