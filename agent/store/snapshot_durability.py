"""What outlives the process in `snapshot` mode: the core's state by snapshots, life cycles by the alert table.

Alerts are committed before their messages are acknowledged; states are written now and then, and at a stop. At a start
alerts come from the table, states from the newest good snapshot, and every device's next row says `gap`. Unless the
agent was stopped in order, rows may have been stepped after that snapshot, so the state may be behind.
"""

from collections.abc import Callable, Mapping, Sequence

from agent.core.core import NO_SUCH_MODEL
from agent.core.entries import AlertsKept, Entry, HistoryLost, InterventionsKept, StateBehind
from agent.core.input_log import NOWHERE, Origin, Recovered, Waiting
from agent.errors import StateRefused
from agent.store import snapshot
from agent.store.outbox import ALERT_TABLE
from agent.store.snapshot_writer import SnapshotWriter, Written
from agent.store.state_directory import StateDirectory
from agent.words import Taken


class SnapshotDurability:
    """The state directory of a core; see `Durability` for what each method owes."""

    def __init__(self, directory: StateDirectory) -> None:
        self._disk = directory.disk
        self._core = directory.core
        self._outbox = directory.outbox
        self._log = directory.log
        self._writer = SnapshotWriter(directory.disk, directory.core, directory.submit)
        self._newest: str | None = None  # the snapshot that holds all there is, as of so many messages:
        self._n_messages = 0
        self._begun_s = 0.0  # when one was last tried

    def start(self, now_s: float) -> Mapping[str, Recovered]:
        """Restore the core. Raises StateRefused when the disk fails, or core and table disagree about what stands."""
        restored, refused = snapshot.restore(self._disk, self._restore)
        for one in refused:
            next_step = "The next older one is taken; without one devices warm up again, and say so."
            self._log.error("snapshot_set_aside", kept=str(one.aside), why=one.why, next_step=next_step)
        last = snapshot.take_last(self._disk)
        is_clean = restored is not None and not refused and restored == last
        self._repeat_interventions()
        if not is_clean:
            self._core.apply(StateBehind())
        ended = self._adopt()
        if restored is not None or refused or not self._outbox.is_first:  # else no agent has heard anything here
            self._core.apply(HistoryLost())
        if restored is not None:
            self._log.info("state_restored", snapshot=restored, taken=self._core.n_messages, stopped_in_order=is_clean)
        self._newest, self._n_messages, self._begun_s = restored if is_clean else None, self._core.n_messages, now_s
        if ended:
            self._newest = None
            self._begin()
            self._go_on(
                self._writer.finish
            )  # else the next start finds alerts in the old one that the table knows no more
        return {}

    def apply(self, entry: Entry, origin: Origin = NOWHERE) -> Taken:
        """Nothing is kept of an entry."""
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
        if taken.alerts or taken.labels or taken.alert_labels:
            self._outbox.commit(taken.alerts, taken.labels, taken.alert_labels)
        if taken.forgotten:
            self._outbox.forget(taken.forgotten)

    def after_turn(self, now_s: float, snapshot_every_s: float) -> None:
        """A snapshot, when the last one is `snapshot_every_s` old; it is written over some turns."""
        if not self._writer.is_busy and now_s - self._begun_s >= snapshot_every_s:
            self._begun_s = now_s
            self._begin()
        self._go_on(self._writer.turn)

    def stop(self) -> None:
        """The last snapshot, and a word that nothing was done after it."""
        self._go_on(self._writer.finish)
        self._begin()
        self._go_on(self._writer.finish)
        if self._newest is None:
            return
        try:
            snapshot.mark_last(self._disk, self._newest)
        except OSError as error:
            next_step = "Devices that missed rows warm up again after the next start."
            self._log.error("snapshot_failed", why=str(error), next_step=next_step)

    def _restore(self, data: bytes) -> None:
        for model, why in self._core.restore(data).items():
            if why == NO_SUCH_MODEL:  # it has none to lose
                next_step = "Its devices warm up."
                self._log.info("model_added", model=model, why=why, next_step=next_step)
            else:
                self._log.warning("model_state_lost", model=model, why=why, next_step="Its devices warm up again.")

    def _begin(self) -> None:
        """A snapshot, where something has changed since the last one."""
        if self._newest is None or self._core.n_messages != self._n_messages:
            self._newest = None
            self._writer.begin()

    def _go_on(self, write: Callable[[], Written | None]) -> None:
        """With the snapshot that is under way."""
        try:
            written = write()
        except OSError as error:
            self._log.error("snapshot_failed", why=str(error), next_step="The older one is kept; tried again later.")
            return
        if written is not None:
            self._newest, self._n_messages = written.name, written.n_messages

    def _repeat_interventions(self) -> None:
        """What was done to machines after the snapshot is in the table with the ends of their alerts: do it again."""
        entry = self._core.entry
        labels = self._outbox.interventions_from(entry)
        if labels:
            self._core.apply(InterventionsKept(labels))
            self._outbox.renumber_interventions(entry)

    def _adopt(self) -> bool:
        """Take life cycles from the table; True when alerts were ended by that."""
        newest = self._outbox.newest()
        if self._core.view().n_standing() and not newest:  # an ended alert would still have its row
            what = f"the snapshot knows {self._core.view().n_standing()} standing alerts, the table none at all"
            self._log.error("alert_table_lost", why=what, next_step="A fault that still shows is raised anew.")
        adopted = self._core.apply(AlertsKept(self._outbox.standing(), newest))
        self._outbox.commit(adopted.alerts)
        self._outbox.forget(adopted.forgotten)
        for event in adopted.alerts:
            is_of_model = event.cause == "model_removed"
            why = "its model was removed" if is_of_model else "its source was removed, or no model reads it any more"
            self._log.warning("alert_cleared", device=event.device, source=event.source, model=event.model, why=why)
        n_core, n_table = self._core.view().n_standing(), len(self._outbox.standing())
        if n_core != n_table:
            what = f"{n_table} alerts stand in it, {n_core} in the restored state"
            next_step = "This is a fault of forewarn: please report it with a copy of the folder."
            raise StateRefused(self._disk.folder / ALERT_TABLE, what, next_step=next_step)
        return bool(adopted.alerts)
