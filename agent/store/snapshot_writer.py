"""A snapshot that holds nobody up: copied a part a turn, then hashed, written and synced in a thread of its own.

The thread has what nobody changes any more (`Cut.parts`), and touches files alone; its end is looked for at each turn.
One snapshot is under way at a time.
"""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

from agent.core import Core
from agent.core.snapshot import Cut
from agent.store import snapshot
from agent.store.disk import Disk

PART_BYTES = 2**21  # of the wide columns, a turn: some 2 ms

Submit = Callable[[Callable[[], str]], "Future[str]"]


def at_once(work: Callable[[], str]) -> "Future[str]":
    """Do the work before this returns, in the caller's thread."""
    done: Future[str] = Future()
    try:
        done.set_result(work())
    except OSError as error:
        done.set_exception(error)
    return done


def in_thread() -> Submit:
    """Do one work after the other in a thread, which begins with the first."""
    return ThreadPoolExecutor(1, thread_name_prefix="snapshot").submit


class Written(NamedTuple):
    """A snapshot that lasts: its name, the entries and messages that it holds, and its bytes."""

    name: str
    entry: int
    n_messages: int
    size_bytes: int


class SnapshotWriter:
    """Snapshots of one core, into a state directory."""

    def __init__(self, disk: Disk, core: Core, submit: Submit) -> None:
        self._disk = disk
        self._core = core
        self._submit = submit
        self._cut: Cut | None = None
        self._is_new = False  # it was begun in this turn, which was work enough
        self._n_messages = 0
        self._write: Future[str] | None = None

    @property
    def is_busy(self) -> bool:
        return self._cut is not None

    def begin(self) -> int:
        """Begin a snapshot of the entries so far, and return how many these are. None may be under way."""
        self._cut = self._core.cut()
        self._is_new = self._cut.n_bytes_left > PART_BYTES
        self._n_messages = self._core.n_messages
        return self._cut.entry

    def turn(self) -> Written | None:
        """Do a turn's part of the one that is under way; returns it once it lasts.

        Raises OSError when it could not be written: none is under way then, and the older ones are as they were.
        """
        if self._cut is None:
            return None
        if not self._is_new:
            self._cut.copy_next(PART_BYTES)
        self._is_new = False
        if self._cut.is_whole and self._write is None:
            self._write = self._submit(self._work(self._cut))
        return self._end(self._cut, self._write) if self._write is not None and self._write.done() else None

    def finish(self) -> Written | None:
        """The same, to its end."""
        if self._cut is None:
            return None
        self._cut.copy_all()
        if self._write is None:
            self._write = self._submit(self._work(self._cut))
        return self._end(self._cut, self._write)

    def _work(self, cut: Cut) -> Callable[[], str]:
        return lambda: snapshot.write(self._disk, *cut.parts())

    def _end(self, cut: Cut, write: "Future[str]") -> Written:
        self._cut = self._write = None
        name = write.result()
        return Written(name, cut.entry, self._n_messages, self._disk.size(name))
