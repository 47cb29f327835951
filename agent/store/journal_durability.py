"""What outlives the process in `journal` mode: every entry is recorded before the core takes it.

A message is acknowledged after its record is on the disk, and an alert is committed after that of the entry which
raised it, so the table is never ahead of the journal. At a start the newest good snapshot and the entries behind it
give the state back as it was, life cycles too: no device says `gap` for the restart itself. Whether messages have
passed meanwhile the broker knows, by whether it kept the session.

Where the journal does not lead from the snapshot to the table, the start is one of `snapshot` mode, and said: life
cycles come from the table, devices say `gap`, and a snapshot is written at once. While that is under way the file
`reconcile` is there, so that a start which is cut short is not taken for one of the other kind.
"""

import platform
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from hashlib import sha256
from importlib.metadata import version

from agent.core.entries import Entry, Heartbeat, HistoryLost
from agent.core.input_log import NOWHERE, NotRecorded, Origin, Recovered, Waiting
from agent.errors import StateRefused
from agent.store import file, journal, snapshot
from agent.store.commits import Commits, has_changes
from agent.store.database import NotNow
from agent.store.disk import Disk
from agent.store.failed_record import FailedRecords
from agent.store.forget import forget
from agent.store.kept_inputs import KeptInputs
from agent.store.reconcile import RECONCILE, disagreement, reconcile, restore
from agent.store.records import VERSION, Begun, Kept, Noted, Record, SessionBegun, encode, record_of
from agent.store.rehearsal import rehearse
from agent.store.replay import Replay, Replayed
from agent.store.snapshot_writer import SnapshotWriter, Written
from agent.store.state_directory import StateDirectory
from agent.words import Taken

RETRY_S = 1.0  # how soon what failed for want of room is tried again
UNFINISHED_MAX = 2  # replays that starts did not end, after which a child goes first
FATAL_MAX = 3  # that a tail may have: an agent has ended at each, and the next one writes a snapshot behind it
SHARE_OF_SNAPSHOT = 3  # a snapshot is due when the newest file has this part of the journal's bound


class JournalDurability:
    """The state directory of a core; see `Durability` for what each method owes."""

    def __init__(self, directory: StateDirectory) -> None:
        self._directory = directory
        self._disk = directory.disk
        self._core = directory.core
        self._log = directory.log
        self._commits = Commits(directory.outbox, directory.log)
        self._journal = journal.Journal(directory.disk, directory.journal_bytes_max)
        self._inputs = KeptInputs()
        self._failed = FailedRecords(directory.disk)
        self._rules = rules_of(directory)
        self._now_s = 0.0
        self._writer = SnapshotWriter(directory.disk, directory.core, directory.submit)
        self._begun_s = 0.0  # when a snapshot was last tried
        self._failed_said_s, self._say_every_s = float("-inf"), 0.0
        self._newest, self._snapshot_entry = "", -1  # the newest one that lasts, and its entry
        self._full_s: float | None = None  # since when there is no room, and when that was last tried
        self._why_full = ""

    def start(self, now_s: float) -> Mapping[str, Recovered]:
        """Restore the core. Raises StateRefused when the disk fails, or core and table disagree about what stands."""
        self._now_s = self._begun_s = now_s
        try:
            with self._directory.outbox.patient():
                recovered = self._start()
                self._directory.outbox.settle()
                forget(self._disk, self._log, self._finish)
                return recovered
        except NotNow:  # which is no fault of the disk: `run` says it
            raise
        except OSError as error:
            what = f"cannot be used ({error.strerror or error})"
            raise StateRefused(self._disk.folder, what, next_step="Is the disk full or failing?") from None

    def apply(self, entry: Entry, origin: Origin = NOWHERE) -> Taken:
        """Record it, and let the core take it. A heartbeat that nobody needs is neither."""
        self._commits.check()
        if isinstance(entry, Heartbeat) and not self._core.is_tick_due(entry.log_time_ns):
            return self._core.nothing()
        record = record_of(entry, origin)
        first_entry, body = self._core.entry, self._record(record)
        try:
            taken = self._core.apply(entry)
        except Exception:
            self._failed.fail(first_entry, body)
            raise
        self._inputs.apply(record)
        return taken

    def keep(self, broker: str, changes: Sequence[Waiting]) -> None:
        """Rows that wait outlive the process."""
        self._tell(Kept(broker, changes))

    def note(self, broker: str, name: str, value: int) -> None:
        """The last value outlives the process."""
        self._tell(Noted(broker, name, value))

    def begin_session(self, broker: str) -> None:
        """Packet ids of the session before mean nothing after a restart either."""
        self._tell(SessionBegun(broker))

    def before_acknowledge(self) -> None:
        """Raises ForewarnError when it cannot be."""
        self._journal.sync()

    def commit(self, taken: Taken) -> None:
        """Alerts, labels, what was done to machines, and up to which entry that is."""
        if has_changes(taken):
            self._journal.sync()
            self._commits.commit(taken, self._core.entry)

    def after_turn(self, now_s: float, snapshot_every_s: float) -> None:
        """A snapshot, when the last one is `snapshot_every_s` old, or the journal has grown much, or is full."""
        self._now_s = now_s
        self._say_every_s = snapshot_every_s
        is_large = self._journal.newest_bytes * SHARE_OF_SNAPSHOT >= self._journal.bytes_max
        due_s = min(RETRY_S, snapshot_every_s) if is_large or self._journal.is_at_bound else snapshot_every_s
        is_free = not (self._writer.is_busy or self._commits.is_behind)
        if now_s - self._begun_s >= due_s and is_free and self._inputs.prepare():
            self._begun_s = now_s
            self._begin()
        self._go_on(self._writer.turn)

    def stop(self) -> None:
        """The last snapshot, so that the next start is soon done; without it the journal has everything."""
        self._go_on(self._writer.finish)
        if not self._commits.is_behind:
            self._begin()
            self._go_on(self._writer.finish)
            if self._newest and self._snapshot_entry == self._core.entry:
                with suppress(OSError):  # of use to a start in snapshot mode alone
                    snapshot.mark_last(self._disk, self._newest)
        self._journal.close()

    # Records ----------------------------------------------------------------------------------------------------

    def _tell(self, record: Kept | Noted | SessionBegun) -> None:
        self._record(record)
        self._inputs.apply(record)

    def _record(self, record: Record) -> bytes:
        """Write a record; returns its body. While there is no room that is tried once in a while."""
        if self._full_s is not None and self._now_s - self._full_s < RETRY_S:
            raise NotRecorded(self._why_full)
        body = encode(record)
        try:
            self._journal.append(body)
        except NotRecorded as error:
            if self._full_s is None:
                next_step = (
                    f"Make room in {self._disk.folder}; where there is some, see why snapshots fail. Until then "
                    "nothing is taken or acknowledged; it is tried again every second."
                )
                self._log.error("journal_full", why=str(error), next_step=next_step)
            self._full_s, self._why_full = self._now_s, str(error)
            raise
        if self._full_s is not None:
            self._full_s, self._why_full = None, ""
            self._log.info("journal_written_again")
        return body

    # Start ------------------------------------------------------------------------------------------------------

    def _start(self) -> Mapping[str, Recovered]:
        self._failed.load()
        restored, was_refused, is_clean = restore(self._directory)
        has_files = bool(journal.entries_of(self._disk))
        outbox = self._directory.outbox
        if restored is None and not (was_refused or has_files) and outbox.is_first:
            self._journal.begin(self._core.entry, self._begun())  # no agent has heard anything here
            return {}
        self._snapshot_entry, self._newest = self._core.entry, restored or ""
        done = self._replay(is_clean=is_clean)
        why = self._why_not(done)
        if why or not done.is_same:
            self._reconcile(done, why, is_clean=is_clean)
        else:
            self._check_table()
            self._journal.go_on(done.newest, done.good_bytes, done.unused)
        if done.n_aside:
            self.apply(HistoryLost())
        if done.n_entries:
            self._begun_s = float("-inf")  # so that the next start has less to do
        self._log.info(
            "state_restored",
            snapshot=restored or "none",
            taken=self._core.n_messages,
            replayed=done.n_entries,
            stopped_in_order=is_clean and not done.n_entries,
        )
        return self._inputs.recovered()

    def _replay(self, *, is_clean: bool) -> Replayed:
        """The tail through the core; by a child first where two starts did not come to its end."""
        if not is_clean and self._failed.begin_replay(self._core.entry) >= UNFINISHED_MAX:
            self._rehearse()
        done = self._tail().run()
        self._failed.end_replay()
        return done

    def _rehearse(self) -> None:
        """Set aside the records that end the process. Raises StateRefused where it is not for them that it ends."""
        fatal: list[tuple[int, str]] = []
        while record := rehearse(self._tail().rehearse, self._directory.starting):
            if not self._failed.condemn(*record):
                return  # it is another record, of which nothing is known
            fatal.append(record)
            if len(fatal) > FATAL_MAX:
                self._failed.acquit(fatal)
                what = f"ends the process at more than {FATAL_MAX} records of the journal, which are all kept"
                next_step = "Can this machine run the installed ONNX Runtime, and is its memory good?"
                raise StateRefused(self._disk.folder, what, next_step=next_step)

    def _tail(self) -> Replay:
        return Replay(self._directory, self._rules, self._inputs, self._failed)

    def _finish(self, entry: Entry) -> Taken:
        taken = self.apply(entry)
        self.commit(taken)
        return taken

    def _why_not(self, done: Replayed) -> str:
        """Why the state may be behind, "" where it is that of the newest entry."""
        outbox = self._directory.outbox
        if done.why:
            return f"the journal does not go on from the snapshot: {done.why}"
        if RECONCILE in self._disk.names():
            return "an earlier start was cut short, an export was imported, or the agent has run without a journal"
        if outbox.applied() > self._core.entry:
            return f"the alert table has entry {outbox.applied()}, the journal ends at {self._core.entry}"
        if outbox.is_new and (self._core.entry or not outbox.is_first):  # else the very first start was cut short
            return "the alert table was lost"
        return ""

    def _check_table(self) -> None:
        """Raises StateRefused, which names the alert, where the core and the table do not agree about what stands."""
        of_core = self._core.view().alerts
        of_table = {event.key: event.alert for event in self._directory.outbox.standing()}
        for key in {*of_core, *of_table}:
            if of_core.get(key) != of_table.get(key):
                source, device, model, head = key
                what = (
                    f"of {device!r} of {source!r} the alert {of_table.get(key, 'none')} stands in it for the head "
                    f"{head!r} of the model {model!r}, and {of_core.get(key, 'none')} in the restored state"
                )
                raise disagreement(self._disk.folder, what)

    def _reconcile(self, done: Replayed, why: str, *, is_clean: bool) -> None:
        """Start as in snapshot mode, and begin the journal anew; the old one goes when a snapshot of it lasts."""
        if why:
            self._log.warning("history_lost", why=why, next_step="Devices say gap; alerts come from the alert table.")
            self._inputs.lose_history()
        elif not done.is_ruled:
            self._log.info("rules_changed", why="forewarn, a source or a model is another one than before")
        file.write(self._disk, RECONCILE, b"")
        is_behind = bool(why) and not is_clean
        reconcile(self._directory, is_behind=is_behind, is_lost=bool(why), has_journal=True)
        self._newest = snapshot.write(self._disk, self._core.snapshot())
        self._snapshot_entry = self._core.entry
        for entry in done.broken:
            file.set_aside(self._disk, journal.name_of(entry))
        self._journal.begin(self._core.entry, self._begun())
        self._journal.let_go_of_others()
        self._disk.remove(RECONCILE)
        self._disk.sync()

    # Snapshots --------------------------------------------------------------------------------------------------

    def _begun(self) -> bytes:
        return encode(Begun(VERSION, self._core.entry, self._rules, self._inputs.keep()))

    def _begin(self) -> None:
        """A snapshot, where something has changed since the last one or room is needed; a file begins with it."""
        entry = self._core.entry
        if entry == self._snapshot_entry and not self._journal.is_at_bound:
            return
        try:
            if entry != self._journal.entry:
                self._journal.begin(entry, self._begun())
        except OSError as error:
            self._say_failed(error)
        else:
            self._writer.begin()

    def _go_on(self, write: Callable[[], Written | None]) -> None:
        """With the snapshot that is under way. What no snapshot needs is removed once it lasts."""
        try:
            written = write()
            if written is not None:
                before, self._snapshot_entry = self._snapshot_entry, written.entry
                self._newest = written.name
                self._journal.let_go(before)
                self._failed.clear()
        except OSError as error:
            self._say_failed(error)

    def _say_failed(self, error: OSError) -> None:
        """As often as snapshots are due, however often they are tried."""
        if self._now_s - self._failed_said_s >= self._say_every_s:
            self._failed_said_s = self._now_s
            self._log.error("snapshot_failed", why=str(error), next_step="The older one is kept; tried again later.")


def rules_of(directory: StateDirectory) -> str:
    """A fingerprint of all that shapes what an entry does to the core: code, libraries, machine, configuration."""
    packages = [f"{name} {version(name)}" for name in ("forewarn", "numpy", "onnxruntime")]
    return sha256("\n".join([*packages, platform.machine(), directory.core.rules()]).encode()).hexdigest()


def leave(disk: Disk) -> None:
    """Leave the journal for good, since another log begins: its files are removed.

    The next start in journal mode knows that by a file. Raises OSError.
    """
    file.write(disk, RECONCILE, b"")
    for entry in journal.entries_of(disk):
        disk.remove(journal.name_of(entry))
    disk.sync()
