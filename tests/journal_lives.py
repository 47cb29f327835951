"""Lives of an agent over one state directory, without receiver and sinks, and a disk that fails when it is told to.

A test begins one life after the other over the same folder. What is not stopped was killed.
"""

from collections.abc import Callable
from pathlib import Path

import structlog
from structlog.testing import LogCapture

from agent.core import Core
from agent.core.entries import Entry, Messages
from agent.core.input_log import NOWHERE, Origin
from agent.store.disk import Disk, File, StateFolder
from agent.store.durability import DURABILITIES
from agent.store.outbox import ALERT_TABLE, Outbox
from agent.store.state_directory import StateDirectory
from agent.words import AlertEvent, Quality, Taken
from tests.streams import Message, core, message

BOUND = 2**20


class FailingDisk(StateFolder):
    """A real folder whose calls fail when told to.

    room    bytes that may still be written, None for any number
    errors  by call (write, sync, create, rename, remove): raised at each one
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.room: int | None = None
        self.errors: dict[str, OSError] = {}
        self.synced: list[str] = []

    def create(self, name: str) -> File:
        self.check("create")
        return _FailingFile(self, name, super().create(name))

    def append(self, name: str) -> File:
        return _FailingFile(self, name, super().append(name))

    def rename(self, old: str, new: str) -> None:
        self.check("rename")
        super().rename(old, new)

    def remove(self, name: str) -> None:
        self.check("remove")
        super().remove(name)

    def check(self, call: str) -> None:
        if call in self.errors:
            raise self.errors[call]


class _FailingFile:
    def __init__(self, disk: FailingDisk, name: str, file: File) -> None:
        self._disk, self._name, self._file = disk, name, file

    def write(self, data: bytes | memoryview) -> None:
        self._disk.check("write")
        room = self._disk.room
        if room is None:
            self._file.write(data)
            return
        self._file.write(data[:room])
        self._disk.room = max(0, room - len(data))
        if room < len(data):
            raise OSError(28, "No space left on device")

    def sync(self) -> None:
        self._disk.check("sync")
        self._disk.synced.append(self._name)
        self._file.sync()

    def truncate(self, n_bytes: int) -> None:
        self._file.truncate(n_bytes)

    def close(self) -> None:
        self._file.close()


class Life:
    """From a start to a death or a stop; `taken` is what the core gave back for the last entry."""

    def __init__(
        self,
        folder: Path,
        *,
        mode: str = "journal",
        bytes_max: int = BOUND,
        disk: Disk | None = None,
        make: Callable[[], Core] = core,
        starting: Callable[[], None] = lambda: None,
    ) -> None:
        self.mode = mode
        self.log = LogCapture()
        self.core = make()
        self.outbox = Outbox(folder / ALERT_TABLE, 100_000)
        self.cursor = self.outbox.cursor("mqtt", mirrors=True)
        log = structlog.wrap_logger(None, processors=[self.log])
        self.disk = disk or StateFolder(folder)
        directory = StateDirectory(self.disk, self.core, self.outbox, log, bytes_max, starting=starting)
        self.durability = DURABILITIES[mode](directory)
        self.recovered = self.durability.start(0.0)

    def apply(self, entry: Entry, origin: Origin = NOWHERE) -> Taken:
        """As the feed does: the entry, then its alerts, which are tried again until they are kept."""
        taken = self.durability.apply(entry, origin)
        self.durability.commit(taken)
        return taken

    def take(self, messages: list[Message], *, at: int = 0, origin: Origin = NOWHERE) -> Taken:
        """One read, which is acknowledged when this returns; the i-th message comes at second `at` + i."""
        taken = self.apply(read(messages, at=at), origin)
        self.durability.before_acknowledge()
        return taken

    def qualities(self, messages: list[Message]) -> list[str]:
        """The same, and the quality of each row."""
        scores = self.take(messages).scores
        return [Quality(value).name for one in scores for value in one.quality.tolist()]

    def die(self) -> None:
        self.outbox.close()

    def stop(self) -> None:
        self.durability.stop()
        self.outbox.close()

    def events(self) -> list[AlertEvent]:
        """All that was ever due, in its order."""
        return [one.event for one in self.cursor.sendable(100_000) if not one.is_alert and one.event is not None]

    def said(self) -> list[str]:
        return [line["event"] for line in self.log.entries if line["event"] != "state_restored"]


def read(messages: list[Message], *, at: int = 0) -> Messages:
    arrived = [10**9 * (at + index + 1) for index in range(len(messages))]
    return Messages([topic for topic, _ in messages], [payload for _, payload in messages], arrived)


def flapping(n: int, devices: int = 2) -> list[Message]:
    """Devices that fall ill and recover every some rows, so that alerts are raised and cleared all the time."""
    return [
        message(f"p{index % devices}", 1 + index // devices, wear=2.0 if (index // devices) % 16 > 7 else 0.0)
        for index in range(n)
    ]
