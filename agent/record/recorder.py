"""Rows of the core -> files: what waits for the next flush, how much of it may, and what goes when the folder is full.

Rows wait in memory for at most `flush_every`; then each source's rows of each UTC day become a file. A file that
cannot be written, to a full disk, waits too and is tried again at the next flush, until more than WAITING_BYTES_MAX
wait: then the oldest rows are given up and counted. Cycles have no day, so there it is that of arrival.
"""

import time
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from structlog.typing import FilteringBoundLogger

from agent.devices.rows import Rows
from agent.record.columns import DEVICE, TIME
from agent.record.labels import Labels
from agent.record.lives import Lives, unreadable
from agent.record.source_folder import SourceFolder
from agent.table.cells import cell_texts, cell_times
from agent.table.parquet_file import ParquetFile, packed
from agent.words import Bool, Devices, Float32, Int64, Taken

WAITING_BYTES_MAX = 2**26
ROW_BYTES = 100  # of a row beside its values
DAY_NS = 86_400 * 10**9
DAY_ENDS_AFTER_S = 600.0  # without a row of a day that is over, its files are joined


@dataclass(frozen=True, slots=True)
class Recorded:
    """A source, one that owns its devices: its index in the plan, the columns of its rows, and what its time is.

    counted  those of the columns that count events
    """

    index: int
    name: str
    columns: tuple[str, ...]
    counts_cycles: bool
    counted: frozenset[str] = frozenset()


class _Rows(NamedTuple):
    """device [n]; heard_ns, t_ns int64 [n]; x float32 [n, F]."""

    device: Devices
    heard_ns: Int64
    t_ns: Int64
    x: Float32

    @property
    def size_bytes(self) -> int:
        return len(self.t_ns) * ROW_BYTES + int(self.x.nbytes)

    def only(self, which: Bool) -> "_Rows":
        return _Rows(self.device[which], self.heard_ns[which], self.t_ns[which], self.x[which])


class _Table(NamedTuple):
    """What is to be a file: rows of one day."""

    day: str
    data: bytes
    n_rows: int


class _SourceWriter:
    """What of one source waits, and its files."""

    def __init__(self, of: Recorded, folder: Path, log: FilteringBoundLogger) -> None:
        self.of = of
        self.files = SourceFolder(folder / of.name, 2 + len(of.columns), log)
        self.lives = Lives(_newest_ns(self.files.paths, of), counts_cycles=of.counts_cycles)
        self._rows: list[_Rows] = []
        self._rows_bytes = 0
        self._tables: deque[_Table] = deque()
        self._written_s = dict.fromkeys(self.files.days, time.monotonic())  # of a day whose files are to be joined
        self.n_rows = 0  # in files, since the start
        self.left_out: Counter[str] = Counter()

    @property
    def waiting_bytes(self) -> int:
        return self._rows_bytes + sum(len(one.data) for one in self._tables)

    def hear(self, rows: Rows) -> None:
        n_columns = len(self.of.columns)
        self._rows.append(_Rows(rows.device, rows.heard_ns, rows.t_ns, rows.x[:, :n_columns]))
        self._rows_bytes += self._rows[-1].size_bytes

    def flush(self, now_s: float) -> None:
        """Raises OSError; what was not written waits then."""
        self._tables += self._new_tables()
        while self._tables:
            day, data, n_rows = self._tables[0]
            self.files.write(day, data, n_rows)
            self._tables.popleft()
            self.n_rows += n_rows
            self._written_s[day] = now_s
            self.files.join_some(day)
        self.join(now_s)

    def join(self, now_s: float, *, all_days: bool = False) -> None:
        """Join the files of one day that is over, or of all. Raises OSError; the files stay as they are then."""
        today = datetime.now(UTC).date().isoformat()
        for day in sorted(self._written_s):
            if all_days or (day < today and now_s - self._written_s[day] >= DAY_ENDS_AFTER_S):
                self.files.join_all(day)
                del self._written_s[day]
                if not all_days:
                    return

    def give_up_oldest(self) -> None:
        """Of what waits."""
        if self._tables:
            self.left_out["disk_full"] += self._tables.popleft().n_rows
        elif self._rows:
            oldest = self._rows.pop(0)
            self._rows_bytes -= oldest.size_bytes
            self.left_out["disk_full"] += len(oldest.t_ns)

    def _new_tables(self) -> list[_Table]:
        """The rows that wait, by day, under the names that they are recorded by."""
        if not self._rows:
            return []
        rows = _Rows(*(np.concatenate(column) for column in zip(*self._rows, strict=True)))
        self._rows, self._rows_bytes = [], 0
        if refused := set(unreadable(rows.device.tolist())):
            is_readable = np.array([device not in refused for device in rows.device.tolist()])
            self.left_out["device_name"] += int(np.count_nonzero(~is_readable))
            rows = rows.only(is_readable)
        names, is_kept = self.lives.names(rows.device.tolist(), rows.t_ns)
        self.left_out["recorded_before"] += int(np.count_nonzero(~is_kept))
        rows = rows.only(is_kept)
        days = (rows.heard_ns if self.of.counts_cycles else rows.t_ns) // DAY_NS
        return [self._table(int(day), np.flatnonzero(days == day), names, rows) for day in np.unique(days)]

    def _table(self, day: int, at: Int64, names: Sequence[str], rows: _Rows) -> _Table:
        t_ns, x = rows.t_ns[at], np.ascontiguousarray(rows.x[at].T)
        data = packed(
            [names[row] for row in at.tolist()],
            t_ns / 1e9 if self.of.counts_cycles else t_ns,
            dict(zip(self.of.columns, x, strict=True)),
            self.of.counted,
        )
        return _Table(str(np.datetime64(day, "D")), data, len(at))


class Recorder:
    """All sources, and the interventions of all. Nothing is lost while the disk takes what is written.

    what_failed  of the last flush, "" when all is well
    """

    def __init__(
        self,
        sources: Sequence[Recorded],
        folder: Path,
        log: FilteringBoundLogger,
        *,
        flush_every_s: float,
        size_max: int,
    ) -> None:
        self._writers = {one.index: _SourceWriter(one, folder, log) for one in sources}
        self._by_name = {one.of.name: one for one in self._writers.values()}
        self.labels = Labels(folder, frozenset(one.name for one in sources if one.counts_cycles))
        self._log = log
        self._flush_every_s = flush_every_s
        self._size_max = size_max
        self._due_s = time.monotonic() + flush_every_s
        self._said: Counter[tuple[str, str]] = Counter()
        self.what_failed = ""

    def hear(self, taken: Taken, owner_of: Mapping[str, str]) -> None:
        """What an entry gave; owner_of: name of the source that each source's devices belong to."""
        for rows in taken.rows:
            for source in np.unique(rows.source).tolist():
                self._writers[source].hear(rows if len(self._writers) == 1 else rows.only(rows.source == source))
        if taken.labels:
            self.labels.hear(taken.labels, lambda source, device: self._by_name[owner_of[source]].lives.name(device))

    def turn(self, now_s: float) -> None:
        """Flush when it is due, or when much waits; now_s is monotonic."""
        too_much = self._waiting_bytes > WAITING_BYTES_MAX
        if now_s >= self._due_s or (too_much and not self.what_failed):
            self.flush(now_s)
        while self._waiting_bytes > WAITING_BYTES_MAX:
            max(self._writers.values(), key=lambda one: one.waiting_bytes).give_up_oldest()

    def flush(self, now_s: float) -> None:
        """Write what waits; what cannot be written is said once, and tried again."""
        self._due_s = now_s + self._flush_every_s
        self._attempt([self._make_room, *(partial(one.flush, now_s) for one in self._writers.values())])
        for name, writer in self._by_name.items():
            for why, count in writer.left_out.items():
                if more := count - self._said[name, why]:
                    self._log.warning("rows_left_out", source=name, why=why, count=more)
                    self._said[name, why] = count

    def close(self) -> None:
        """Write what waits, and join the files of each day."""
        now_s = time.monotonic()
        self.flush(now_s)
        self._attempt([partial(one.join, now_s, all_days=True) for one in self._writers.values()])

    @property
    def n_rows(self) -> dict[str, int]:
        """Of each source, in files since the start."""
        return {name: one.n_rows for name, one in self._by_name.items()}

    @property
    def n_devices(self) -> dict[str, int]:
        """Of each source, in this folder."""
        return {name: len(one.lives) for name, one in self._by_name.items()}

    @property
    def left_out(self) -> dict[str, dict[str, int]]:
        """Rows of each source that are in no file, by the reason."""
        return {name: dict(+one.left_out) for name, one in self._by_name.items() if +one.left_out}

    @property
    def n_files(self) -> int:
        return sum(len(one.files) for one in self._writers.values())

    @property
    def size_bytes(self) -> int:
        return sum(one.files.size_bytes for one in self._writers.values())

    @property
    def _waiting_bytes(self) -> int:
        return sum(one.waiting_bytes for one in self._writers.values())

    def _attempt(self, steps: Sequence[Callable[[], None]]) -> None:
        """Take each step, whatever became of the one before."""
        failed = ""
        for step in [*steps, self.labels.flush]:
            try:
                step()
            except OSError as error:
                failed = f"{error.filename or ''}: {error.strerror or error}".removeprefix(": ")
        if failed and failed != self.what_failed:
            next_step = "Rows wait in memory and are tried again at each flush; the oldest are given up at 64 MiB."
            self._log.error("recording_not_written", why=failed, next_step=next_step)
        elif self.what_failed and not failed:
            self._log.info("recording_written_again")
        self.what_failed = failed

    def _make_room(self) -> None:
        """Remove the oldest files until what is there fits."""
        while self.size_bytes > self._size_max:
            candidates = [(oldest, one) for one in self._writers.values() if (oldest := one.files.oldest())]
            if not candidates:
                return
            oldest, writer = min(candidates, key=lambda one: one[0])
            writer.files.remove(oldest)
            self._log.warning(
                "recording_removed",
                file=f"{writer.of.name}/{oldest.name}",
                next_step="It was the oldest of more than --size-max.",
            )


def _newest_ns(paths: Sequence[Path], of: Recorded) -> dict[str, int]:
    """Time of the newest row of each device in a recording; file by file, since one of them is not large."""
    newest: dict[str, int] = {}
    for path in paths:
        for devices, times in ParquetFile(path).chunks((DEVICE, TIME)):
            t_ns = cell_times(times, "cycle" if of.counts_cycles else "ns", "", are_texts=False)
            newest |= zip(cell_texts(devices), t_ns.tolist(), strict=True)  # the last row is the newest
    return newest
