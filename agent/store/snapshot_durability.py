"""What outlives the process in `snapshot` mode: the core's state by snapshots, life cycles by the alert table.

Alerts are committed before their messages are acknowledged; states are written now and then, and at a stop. At a start
alerts come from the table, states from the newest good snapshot, and every device's next row says `gap`. Unless the
agent was stopped in order, rows may have been stepped after that snapshot, so the state may be behind.
"""

from collections.abc import Callable, Mapping, Sequence

from agent.core.entries import Entry
from agent.core.input_log import NOWHERE, Origin, Recovered, Waiting
from agent.errors import StateRefused
from agent.store import snapshot
from agent.store.commits import Commits, has_changes
from agent.store.forget import forget
from agent.store.journal import entries_of
from agent.store.journal_durability import leave
from agent.store.reconcile import reconcile, restore
from agent.store.snapshot_writer import SnapshotWriter, Written
from agent.store.state_directory import StateDirectory
from agent.words import Taken

_IS_FULL = "Is the disk full or failing?"


class SnapshotDurability:
    """The state directory of a core; see `Durability` for what each method owes."""

    def __init__(self, directory: StateDirectory) -> None:
        self._directory = directory
        self._disk = directory.disk
        self._core = directory.core
        self._log = directory.log
        self._commits = Commits(directory.outbox, directory.log)
        self._writer = SnapshotWriter(directory.disk, directory.core, directory.submit)
        self._newest: str | None = None  # the snapshot that holds all there is, as of so many messages:
        self._n_messages = 0
        self._begun_s = 0.0  # when one was last tried

    def start(self, now_s: float) -> Mapping[str, Recovered]:
        """Restore the core. Raises StateRefused when the disk fails, or core and table disagree about what stands."""
        self._leave_journal()
        restored, was_refused, is_clean = restore(self._directory)
        is_lost = restored is not None or was_refused or not self._directory.outbox.is_first  # else nobody was heard
        with self._directory.outbox.patient():
            ended = reconcile(self._directory, is_behind=not is_clean, is_lost=is_lost)
            self._directory.outbox.settle()
        if restored is not None:
            self._log.info("state_restored", snapshot=restored, taken=self._core.n_messages, stopped_in_order=is_clean)
        self._newest, self._n_messages, self._begun_s = restored if is_clean else None, self._core.n_messages, now_s
        if ended:  # else the next start finds alerts in the old one that the table knows no more
            self._write()
        try:
            forget(self._disk, self._log, self._finish)
        except OSError as error:
            raise StateRefused(self._disk.folder, f"cannot be used ({error})", next_step=_IS_FULL) from None
        return {}

    def apply(self, entry: Entry, origin: Origin = NOWHERE) -> Taken:
        """Nothing is kept of an entry."""
        self._commits.check()
        return self._core.apply(entry)

    def keep(self, broker: str, changes: Sequence[Waiting]) -> None:
        """Rows that wait are lost with the process; the session is too, so that devices say `gap`."""

    def note(self, broker: str, name: str, value: int) -> None:
        """Sessions end with the process, and so does what is counted in them."""

    def begin_session(self, broker: str) -> None:
        """No packet id is kept."""

    def before_acknowledge(self) -> None:
        """What may be lost is not written, what may not was committed."""

    def commit(self, taken: Taken) -> None:
        """Alerts, labels, what was done to machines: states may be lost up to the last snapshot, and then say `gap`."""
        if has_changes(taken):
            self._commits.commit(taken)

    def after_turn(self, now_s: float, snapshot_every_s: float) -> None:
        """A snapshot, when the last one is `snapshot_every_s` old; it is written over some turns."""
        is_due = now_s - self._begun_s >= snapshot_every_s
        if is_due and not (self._writer.is_busy or self._commits.is_behind):
            self._begun_s = now_s
            self._begin()
        self._go_on(self._writer.turn)

    def stop(self) -> None:
        """The last snapshot, and a word that nothing was done after it."""
        self._go_on(self._writer.finish)
        if self._commits.is_behind:  # the table has not what a snapshot would say
            return
        self._begin()
        self._go_on(self._writer.finish)
        if self._newest is None:
            return
        try:
            snapshot.mark_last(self._disk, self._newest)
        except OSError as error:
            next_step = "Devices that missed rows warm up again after the next start."
            self._log.error("snapshot_failed", why=str(error), next_step=next_step)

    def _leave_journal(self) -> None:
        """What an agent in journal mode has left goes on from its last snapshot; no entry of this run does."""
        try:
            if entries_of(self._disk):
                leave(self._disk)
                why = 'agent.durability is "snapshot" now'
                self._log.warning("journal_left", why=why, next_step="Devices say gap; alerts come from the table.")
        except OSError as error:
            what = f"holds a journal that cannot be removed ({error.strerror})"
            raise StateRefused(self._disk.folder, what, next_step=_IS_FULL) from None

    def _begin(self) -> None:
        """A snapshot, where something has changed since the last one."""
        if self._newest is None or self._core.n_messages != self._n_messages:
            self._newest = None
            self._writer.begin()

    def _finish(self, entry: Entry) -> Taken:
        """What comes of an entry lasts with the next snapshot alone."""
        taken = self.apply(entry)
        with self._directory.outbox.patient():
            self.commit(taken)
        self._write()
        if self._newest is None:
            raise OSError("no snapshot can be written")
        return taken

    def _write(self) -> None:
        """A snapshot at once, whatever was taken since the last one."""
        self._newest = None
        self._begin()
        self._go_on(self._writer.finish)

    def _go_on(self, write: Callable[[], Written | None]) -> None:
        """With the snapshot that is under way."""
        try:
            written = write()
        except OSError as error:
            self._log.error("snapshot_failed", why=str(error), next_step="The older one is kept; tried again later.")
            return
        if written is not None:
            self._newest, self._n_messages = written.name, written.n_messages
