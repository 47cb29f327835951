"""Devices that a person wants to be forgotten: kept in a file while no agent runs, and an entry at the next start.

An entry comes after all that the state and the table have of them, and a journal records it before it is applied. The
file is removed when what came of it lasts; a start that is cut short before leaves it to the next one.
"""

from collections.abc import Callable

import msgspec
from structlog.typing import FilteringBoundLogger

from agent.core.entries import Entry, Forget
from agent.core.input_log import NotRecorded
from agent.core.marks import Key
from agent.errors import StateRefused, Unreadable
from agent.store import file
from agent.store.disk import Disk
from agent.words import Taken

TO_FORGET = "to-forget"


def ask(disk: Disk, key: Key) -> None:
    """Have the next start forget a device, (source, device). Raises StateRefused."""
    try:
        file.write(disk, TO_FORGET, msgspec.json.encode([*dict.fromkeys([*asked(disk), key])]))
    except OSError as error:
        what = f"cannot be written ({error.strerror})"
        raise StateRefused(disk.folder / TO_FORGET, what, next_step="Is there room, and may you write there?") from None


def asked(disk: Disk) -> list[Key]:
    """Whom the next start is to forget. Raises OSError, and StateRefused where the file is not whole."""
    if TO_FORGET not in disk.names():
        return []
    try:
        return msgspec.json.decode(file.read(disk, TO_FORGET), type=list[Key])
    except (file.Corrupt, *Unreadable) as error:
        next_step = "Remove the file, and say again which devices are to be forgotten."
        raise StateRefused(disk.folder / TO_FORGET, str(error), next_step=next_step) from None


def forget(disk: Disk, log: FilteringBoundLogger, finish: Callable[[Entry], Taken]) -> None:
    """At a start: let `finish` take the entry, and what comes of it last; then the file goes. Raises OSError."""
    devices = asked(disk)
    if not devices:
        return
    try:
        taken = finish(Forget(devices))
    except NotRecorded as error:
        raise OSError(str(error)) from error
    disk.remove(TO_FORGET)
    disk.sync()
    for source, device in devices:
        ended = [event.alert for event in taken.alerts if (event.source, event.device) == (source, device)]
        n_hides = sum(pattern[:2] == (source, device) for pattern, *_ in taken.hides)
        log.warning("device_forgotten", source=source, device=device, alerts_ended=ended, hides_ended=n_hides)
