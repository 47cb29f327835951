"""Rows and labels of files to lives: what a training learns from, and what a replay plays as devices.

A failure or a repair of a machine ends a life, and its next row begins another. The lives of `p7` are called `p7`,
`p7~2`, `p7~3`, as `forewarn record` calls them.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from agent.errors import DataRefused
from agent.score.time_unit import seconds
from agent.table.early_times import doubt_of
from agent.table.files import table_files
from agent.table.form import TableForm
from agent.table.lives.align import Part, grid_rows
from agent.table.lives.cut import lives, machine_of, names_of
from agent.table.lives.events import counts, events_of
from agent.table.lives.labels import is_running_in, read_labels
from agent.table.lives.recording import Asked, AskedTable, Recording
from agent.table.log import some
from agent.table.offsets import doubt_of_offsets
from agent.table.rows import Rows, read_rows
from agent.words import Float32, Int64

ROWS_MIN = 8
"""Fewer rows of a life teach and show nothing; a training tries late starts from the 7th on."""


@dataclass(frozen=True, slots=True)
class Life:
    """Rows of a recorded machine from one end to the next, in time order.

    machine  whose life it is, "" where the device has one life
    t_ns     int64 [T] rising; x float32 [T, F] in engineering units, NaN = missing
    t_fail_s when it failed, in seconds or cycles, None where it did not
    faults_s float64 [n, 2]: the labelled faults that it shows, [start, end), rising and apart
    """

    device: str
    machine: str
    t_ns: Int64
    x: Float32
    t_fail_s: float | None
    faults_s: npt.NDArray[np.float64]


Check = Callable[[Rows, Sequence[str]], None]
"""Of the rows of a table and its channels; raises DataRefused."""


def read_lives(asked: Asked, tell: Callable[[str], None], check: Check | None = None) -> list[Life]:
    """Every life of the files, by machine.

    tell   of a doubt
    check  of the rows of each table, before anything else is made of them

    Raises DataRefused with file, line and column.
    """
    recording, label = _recording(asked, tell, check)
    labels = read_labels(recording, label)
    machines: dict[str, list[tuple[int, Life]]] = defaultdict(list)
    n_down = 0
    for name, t_ns, x in values_of(recording):
        machine, number = machine_of(name)
        lives_, n_stopped = lives(t_ns, labels.failures[name], labels.resets[name], labels.downtime_ns)
        n_down += n_stopped
        faults = np.array(labels.faults[name], np.int64).reshape(-1, 2)
        for of_life, t_fail_ns in lives_:
            t_fail_s = None if t_fail_ns is None else t_fail_ns / 1e9
            if t_fail_ns is not None and asked.labels.run_to_failure:
                t_fail_s = float(seconds(t_ns[of_life])[-1])
            life = Life(name, machine, t_ns[of_life], x[of_life], t_fail_s, _shown(faults, t_ns[of_life]))
            machines[machine].append((number, life))
    if n_down:
        rows = "1 row" if n_down == 1 else f"{n_down} rows"
        tell(f"{rows} between a failure and its repair are left out (maintenance.downtime)")
    return [one for machine, found in machines.items() for one in _named(machine, found, tell)]


def recording_of(asked: Asked, tell: Callable[[str], None]) -> Recording:
    """The rows alone. Raises DataRefused."""
    return _recording(asked, tell, None)[0]


def _recording(asked: Asked, tell: Callable[[str], None], check: Check | None) -> tuple[Recording, Float32 | None]:
    """The rows, and the label of those of the first table float32 [n], None where there is none."""
    first, *others = asked.tables
    rows = _rows(asked, first)
    label: Float32 | None = None
    of = asked.labels.label
    if of:
        if not any(of.column in file.names() for file in rows.files):
            what = f"no file has the column {of.column!r}"
            raise DataRefused("data.label", what, next_step=f"{rows.files[0].path.name} has {rows.files[0].names()}.")
        label, rows = rows.x[:, -1], replace(rows, x=rows.x[:, :-1])
    read = [(first, rows), *((table, _rows(asked, table)) for table in others)]
    for table, of_table in read:
        _tell_doubts(of_table, table.form, tell)
        if check:
            check(of_table, table.channels)
    rows_of = rows.by_device(first.form.time)
    if of and label is not None and of.means == "failure":
        rows_of = {name: at[is_running_in(label[at])] for name, at in rows_of.items()}
    joined = tuple((of_table, of_table.by_device(table.form.time)) for table, of_table in read[1:])
    for _, of_joined in joined:
        if alone := sorted(rows_of.keys() ^ of_joined.keys()):
            tell(f"{len(alone):,} device(s) are in one table and not in another that joins it: {some(alone)}")
    return Recording(asked, rows, rows_of, joined, tell), label


def _rows(asked: Asked, table: AskedTable) -> Rows:
    files = table_files(table.places, asked.folder, next_step=asked.next_step, form=table.csv)
    return read_rows(files, table.form)


def _tell_doubts(rows: Rows, form: TableForm, tell: Callable[[str], None]) -> None:
    n_empty = int(np.isnan(rows.x).all(axis=1).sum())
    empty = f"{n_empty:,} rows hold no value of any channel and are left out, as live" if n_empty else ""
    for doubt in filter(None, [doubt_of(rows, form), doubt_of_offsets(rows.files, form), empty]):
        tell(doubt)


def values_of(recording: Recording) -> Iterator[tuple[str, Int64, Float32]]:
    """Of each device its name, the times int64 [T] of its rows in ns, and float32 [T, F]: its channels, in order."""
    asked = recording.asked
    columns = [name for name in asked.channels if name not in asked.labels.counted]
    is_event = np.array([name in asked.events for name in columns], np.bool_)
    events = events_of(recording, asked.labels.events) if asked.labels.events else {}
    for name, at in recording.rows.with_values(recording.rows_of):
        t_ns, values = _on_grid(recording, name, at, columns) if asked.align else _as_read(recording, at, columns)
        values[:, is_event] = np.nan_to_num(values[:, is_event], nan=0.0)
        x = np.zeros((len(t_ns), len(asked.channels)), np.float32)
        x[:, [asked.channels.index(column) for column in columns]] = values
        for channel, times in events.items():
            if channel in asked.channels:
                events_ns = times.get(name, np.empty(0, np.int64))
                x[:, asked.channels.index(channel)] = counts(recording, name, t_ns, events_ns)
        yield name, t_ns, x


def _as_read(recording: Recording, at: Int64, columns: Sequence[str]) -> tuple[Int64, Float32]:
    places = [recording.asked.tables[0].channels.index(column) for column in columns]
    return recording.rows.t_ns[at], recording.rows.x[at][:, places]


def _on_grid(recording: Recording, name: str, at: Int64, columns: Sequence[str]) -> tuple[Int64, Float32]:
    """Raises DataRefused for a device without a row."""
    assert recording.asked.align is not None
    read = [(recording.rows, at), *((rows, of.get(name, at[:0])) for rows, of in recording.joined)]
    parts = []
    for asked, (rows, of_device) in zip(recording.asked.tables, read, strict=True):
        events = frozenset(place for place, name in enumerate(asked.channels) if name in recording.asked.events)
        places = tuple(columns.index(channel) for channel in asked.channels)
        parts.append(Part(places, asked.max_age_s, events, rows.t_ns[of_device], rows.x[of_device]))
    t_ns, x = grid_rows(parts, recording.asked.align)
    if not len(t_ns):
        what = f"device {name!r} has no row on the grid: all its readings are of one step of data.align.every"
        recording.rows.refuse(int(at[0]), what, "Leave the device out.")
    return t_ns, x


def _shown(faults_ns: Int64, t_ns: Int64) -> npt.NDArray[np.float64]:
    shown = faults_ns[(faults_ns[:, 0] <= t_ns[-1]) & (faults_ns[:, 1] > t_ns[0])]
    return seconds(shown.reshape(-1)).reshape(shown.shape)


def _named(machine: str, found: Sequence[tuple[int, Life]], tell: Callable[[str], None]) -> list[Life]:
    """The lives of a machine in their order; of several, those with too few rows are left out."""
    in_order = [life for _, life in sorted(found, key=lambda of: (of[0], of[1].t_ns[0]))]
    kept = [life for life in in_order if len(in_order) == 1 or len(life.t_ns) >= ROWS_MIN] or in_order[:1]
    if n_short := len(in_order) - len(kept):
        short = "1 life" if n_short == 1 else f"{n_short} lives"
        tell(f"device {machine!r}: {short} of fewer than {ROWS_MIN} rows are left out")
    if len(kept) == 1:
        return [replace(kept[0], machine="" if kept[0].device == machine else machine)]
    return [replace(life, device=name) for name, life in zip(names_of(machine, len(kept)), kept, strict=True)]
