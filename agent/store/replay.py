"""The tail of the journal, from the snapshot that was restored on, through the core once more.

What the entries up to `applied` change is in the alert table already: it is computed again and dropped. What later ones
change is committed as if they came now. Nothing is sent for them: no request, no score.

By other rules than those of the first time, or without a record that is set aside, the same entries need not raise the
same alerts. Then the core takes what stands from the table when it has come to `applied`, as if it had been stopped
there and started with the new rules.
"""

from dataclasses import dataclass, field
from itertools import chain

from agent.core.entries import Entry, HistoryLost, Messages
from agent.store import journal
from agent.store.commits import has_changes
from agent.store.failed_record import FailedRecords, digest_of
from agent.store.kept_inputs import KeptInputs
from agent.store.reconcile import take_alerts
from agent.store.records import Arrived, Begun, Record, Unknown, decode, entry_of, n_entries
from agent.store.rehearsal import Mark
from agent.store.segment import Segment
from agent.store.state_directory import StateDirectory
from agent.words import Taken

TOGETHER_MESSAGES = 256  # a payload may ask for many numbers, all of which are held at once
TOGETHER_BYTES = 2**20  # of payloads


@dataclass(slots=True)
class Replayed:
    """What came of it.

    why         the journal does not lead from the snapshot on to its end, and in which way; "" where it does
    is_ruled    the rules are those by which it was written
    is_whole    no record was set aside that the alert table knows of
    newest      where the newest file that was read begins, -1 for none; its good bytes
    unused      where a file begins that never came into use, -1 for none
    broken      where files begin that are broken
    n_entries   that the core has taken
    n_aside     records that were set aside
    """

    why: str = ""
    is_ruled: bool = True
    is_whole: bool = True
    newest: int = -1
    good_bytes: int = 0
    unused: int = -1
    broken: list[int] = field(default_factory=list)
    n_entries: int = 0
    n_aside: int = 0

    @property
    def is_same(self) -> bool:
        """Whether what the table has must come of it once more."""
        return self.is_ruled and self.is_whole


class Replay:
    """Of one start."""

    def __init__(self, directory: StateDirectory, rules: str, inputs: KeptInputs, failed: FailedRecords) -> None:
        self._directory = directory
        self._core = directory.core
        self._rules = rules
        self._inputs = inputs
        self._failed = failed
        self._applied = directory.outbox.applied()
        self._done = Replayed()
        self._n_own = 0  # entries that the core was given and the journal does not have
        self._place = 0  # entry of the log at which the next record begins
        self._together: list[Messages] = []  # that the core is given at once
        self._n_together = self._bytes_together = 0
        self._mark: Mark | None = None  # of a rehearsal, which leaves nothing behind but what the core has taken

    def run(self) -> Replayed:
        """Let the core take all that is good. Raises StateRefused when the disk fails, and what the core raises."""
        disk, done, first_entry = self._directory.disk, self._done, self._core.entry
        entries = journal.entries_of(disk)
        first = max((one for one in entries if one <= first_entry), default=-1)
        if first < 0:
            done.why = "no file of it begins at the snapshot or before"
            return done
        for entry in (one for one in entries if one >= first):
            self._take(entry, journal.read(disk, entry), is_last=entry == entries[-1])
            if done.why:
                return done
        done.n_entries = self._at - first_entry
        if self._place < first_entry:
            done.why = f"it ends at entry {self._place}, before the snapshot"
        return done

    def rehearse(self, mark: Mark) -> None:
        """The same in a child, record by record; `mark` is called with the place and the digest of each."""
        self._mark = mark
        self.run()

    def _take(self, entry: int, segment: Segment, *, is_last: bool) -> None:
        name, place, done = journal.name_of(entry), 0, self._done
        try:
            for at, body in segment.records():
                place, record = at, decode(body)
                if place == 0:
                    self._begin(entry, record)
                    if done.why:
                        return
                else:
                    self._take_record(record, body)
            self._apply_together()
        except Unknown as error:
            self._apply_together()
            done.broken.append(entry)
            done.why = f"{name} has a record at byte {place} that cannot be read ({error})"
            return
        if segment.good_bytes and segment.state != "broken":
            done.newest, done.good_bytes = entry, segment.good_bytes
        elif is_last and segment.state != "broken" and done.newest >= 0:
            done.unused = entry  # its begin was not written, or not synced: the file before it is written on
        else:
            if segment.size_bytes:  # else it was begun, and the process ended before the first write
                done.broken.append(entry)
            done.why = f"{name} is broken at byte {segment.good_bytes}"

    def _begin(self, entry: int, record: Record) -> None:
        if not isinstance(record, Begun) or record.entry != entry:
            self._done.broken.append(entry)
            self._done.why = f"{journal.name_of(entry)} does not begin as a file of it does"
        elif self._done.newest < 0:
            self._place = entry
            self._inputs.begin(record.inputs)
        elif entry != self._place:  # a torn end of the file before it had nothing else than the mark of a sync
            self._done.broken.append(self._done.newest)
            self._done.why = f"it lacks the entries from {self._place} to {entry}"
        if isinstance(record, Begun) and record.rules != self._rules:
            self._done.is_ruled = False

    def _take_record(self, record: Record, body: memoryview) -> None:
        self._inputs.apply(record)
        entry = entry_of(record)
        if entry is None:
            return
        n_known = self._at + self._n_together - self._place  # so many of its entries the snapshot has
        self._place += n_entries(record)
        if n_known >= n_entries(record):
            return
        if isinstance(record, Arrived) and not (self._failed or self._mark):
            if n_known > 0:
                _, entry = _split(entry, n_known)
            self._put(entry)
        else:
            self._apply_together()
            self._apply(entry if n_known <= 0 else _split(entry, n_known)[1], body)

    def _put(self, messages: Entry) -> None:
        """Let messages wait for the next ones: any split of them gives the same, and many at once take less time."""
        assert isinstance(messages, Messages)
        n, n_bytes = len(messages.topics), sum(map(len, messages.payloads))
        is_much = self._n_together + n > TOGETHER_MESSAGES or self._bytes_together + n_bytes > TOGETHER_BYTES
        if is_much or (self._together and self._together[0].among != messages.among):
            self._apply_together()
        self._together.append(messages)
        self._n_together += n
        self._bytes_together += n_bytes

    def _apply_together(self) -> None:
        together, self._together, self._n_together, self._bytes_together = self._together, [], 0, 0
        if together:
            columns = zip(*((one.topics, one.payloads, one.arrived_ns) for one in together), strict=True)
            topics, payloads, arrived_ns = ([*chain.from_iterable(column)] for column in columns)
            self._apply(Messages(topics, payloads, arrived_ns, together[0].among), None)

    def _apply(self, entry: Entry, body: memoryview | None) -> None:
        """Let the core take it. body: of its record, None where it is made of several."""
        first_entry = self._at
        if body is not None and self._failed.is_aside(first_entry, body):
            entry = self._set_aside(entry, body)
            self._done.is_whole &= first_entry >= self._applied
        left = self._applied - first_entry
        if isinstance(entry, Messages) and 0 < left < len(entry.topics):
            head, entry = _split(entry, left)
            self._step(head, first_entry, body)
            left = 0
        if left <= 0 and not (self._done.is_same or self._n_own or self._mark):
            take_alerts(self._directory, self._at)
            self._n_own = 1
        taken = self._step(entry, first_entry, body)
        if self._at > self._applied and has_changes(taken) and not self._mark:
            self._directory.outbox.commit(
                taken.alerts, taken.labels, taken.alert_labels, taken.forgotten, self._at, taken.hides
            )

    @property
    def _at(self) -> int:
        """Up to which entry of the journal the core is."""
        return self._core.entry - self._n_own

    def _step(self, entry: Entry, first_entry: int, body: memoryview | None) -> Taken:
        """Let the core take it, which is part of a record that begins at `first_entry`."""
        if self._mark is not None:
            self._mark(first_entry, digest_of(body or b""))
            return self._core.apply(entry)
        self._directory.starting()
        try:
            return self._core.apply(entry)
        except Exception:
            self._failed.fail(first_entry, body or b"")
            raise

    def _set_aside(self, entry: Entry, body: memoryview) -> Entry:
        """As many entries that say nothing, in the place of a record at which the core has failed."""
        if self._mark is None:
            kept = self._directory.disk.folder / self._failed.keep(body)
            self._done.n_aside += 1
            self._directory.log.error(
                "record_set_aside",
                kept=str(kept),
                entry=self._at,
                why="the agent has ended three times when it took this record",
                next_step="This is a fault of forewarn: please report it with the file. Devices say gap.",
            )
        if isinstance(entry, Messages):
            n = len(entry.topics)
            return Messages([""] * n, [b""] * n, entry.arrived_ns, entry.among)
        return HistoryLost()


def _split(messages: Entry, n: int) -> tuple[Messages, Messages]:
    """The first n messages, and the others."""
    assert isinstance(messages, Messages), "all others are one entry"
    first, others = (
        Messages(messages.topics[part], messages.payloads[part], messages.arrived_ns[part], messages.among)
        for part in (slice(n), slice(n, None))
    )
    return first, others
