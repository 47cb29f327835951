"""All rows of some files, as columns: what `forewarn-train fit` learns from and `forewarn replay` plays.

Whatever cannot be read is refused with file, line and column; a figure over half-read data would be worse than none.
Rows in which none of the named columns holds anything are left out. A device may come in any number of stretches and
files; its own times must rise in the order in which they are read.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import NamedTuple, NoReturn

import numpy as np

from agent.core import Bounds
from agent.decode.topic import device_id_problem
from agent.errors import DataRefused
from agent.table.cells import BadCell, cell_numbers, cell_texts, cell_times
from agent.table.csv_file import LINES_MAX
from agent.table.form import Cells, FileName, Float64, Moments, TableFile, TableForm
from agent.table.times_meant import meant
from agent.values.numbers import engineering_units, number_of
from agent.values.times import IMPOSSIBLE_NS
from agent.words import Float32, Int64

SHOWN_MAX = 40
"""Characters of a cell, and columns of a file, that a message repeats."""
UNIT_WORDS = {
    "s": "a number of seconds or an ISO 8601 text",
    "ms": "a number of milliseconds or an ISO 8601 text",
    "us": "a number of microseconds or an ISO 8601 text",
    "ns": "a number of nanoseconds or an ISO 8601 text",
    "iso8601": "an ISO 8601 text such as 2024-05-31T23:59:00Z",
    "cycle": "a number of cycles",
}


@dataclass(frozen=True, slots=True)
class Rows:
    """Every row of every file, in the order read.

    starts  index of the first row of each of `files`
    row     int64 [n]       number of the row in its file
    names   of the devices, as they came
    device  int64 [n]       index into `names`
    t_ns    int64 [n]       ns since 1970, or cycles times 1e9
    x       float32 [n, F]  engineering units, NaN = missing
    """

    files: tuple[TableFile, ...]
    starts: tuple[int, ...]
    row: Int64
    names: tuple[str, ...]
    device: Int64
    t_ns: Int64
    x: Float32

    def place(self, index: int) -> str:
        file = self._file_of(index)
        return f"{file.path.name} {file.place(int(self.row[index]))}"

    def cell(self, index: int, column: str) -> str:
        """As a message repeats it."""
        return shown(self._file_of(index).cell(int(self.row[index]), column))

    def refuse(self, index: int, what: str, next_step: str) -> NoReturn:
        refuse_row(self._file_of(index), int(self.row[index]), what, next_step)

    def by_device(self, time: str) -> dict[str, Int64]:
        """Indexes of the rows of each device. Raises DataRefused unless its times, in the column `time`, rise."""
        order = np.argsort(self.device, kind="stable")
        ends = np.cumsum(np.bincount(self.device, minlength=len(self.names)))
        rows_of = dict(zip(self.names, np.split(order, ends[:-1]), strict=True))
        for name, at in rows_of.items():
            for later in np.flatnonzero(np.diff(self.t_ns[at]) <= 0) + 1:
                before, after = int(at[later - 1]), int(at[later])
                follows = f"{self.cell(after, time)} follows {self.cell(before, time)} in {self.place(before)}"
                next_step = (
                    "Sort each device's rows by time, one row a time. Two machines need two names, local times UTC."
                )
                self.refuse(after, f"device {name!r} at {follows}", next_step)
        return rows_of

    def with_values(self, rows_of: Mapping[str, Int64]) -> Iterator[tuple[str, Int64]]:
        """Devices by name, and their rows with a value: an agent drops others. Raises DataRefused for one without."""
        has_value = np.logical_or.reduce(~np.isnan(self.x), axis=1)
        for name in sorted(rows_of):
            at = rows_of[name][has_value[rows_of[name]]]
            if not len(at):
                what = f"device {name!r} has no value of any channel from here on"
                self.refuse(int(rows_of[name][0]), what, "Leave the device out.")
            yield name, at

    def _file_of(self, index: int) -> TableFile:
        return self.files[int(np.searchsorted(self.starts, index, side="right")) - 1]


def read_rows(files: Sequence[TableFile], form: TableForm) -> Rows:
    """Raises DataRefused: a file that cannot be read, a column missing or twice, a cell that is not what its column
    holds, no rows, more than LINES_MAX of them, or more devices than an agent takes.
    """
    number: dict[str, int] = {}
    parts: list[Part] = []
    starts = [0]
    for file in files:
        of_file = list(read_parts(file, form, number))
        parts += of_file
        starts.append(starts[-1] + sum(len(part.row) for part in of_file))
        if starts[-1] > LINES_MAX:
            what = f"brings the rows to {starts[-1]:,}, at most {LINES_MAX:,} are read"
            raise DataRefused(file.path, what, next_step="Average to fewer rows, or leave devices out.")
    if not starts.pop():
        raise DataRefused(files[0].path, "holds no rows", next_step="A row is a device, a time and its channels.")
    row, device, t_ns, x = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    if not form.time:
        t_ns = form.every_ns * rank_in_group(device)
    rows = Rows(tuple(files), tuple(starts), row, tuple(number), device, t_ns, x)
    for name, index in number.items():
        if problem := device_problem(name):
            rows.refuse(int(np.argmax(device == index)), f"device {name[:40]!r} {problem}", "Name it otherwise.")
    return rows


def device_problem(device: str) -> str:
    """Why a recorded device cannot be played under its name, "" when it can."""
    problem = device_id_problem(device, Bounds().device_id_bytes_max)
    if not problem and any(character in device for character in "/+#"):
        return "holds one of / + #, so it cannot be a topic level"
    return problem


def rank_in_group(group: Int64) -> Int64:
    """int64 [n]: how many earlier elements have the same value."""
    order = np.argsort(group, kind="stable")
    starts = np.searchsorted(group[order], group[order])
    rank = np.empty(len(group), np.int64)
    rank[order] = np.arange(len(group)) - starts
    return rank


class Part(NamedTuple):
    """Rows of a file: columns as in `Rows`."""

    row: Int64
    device: Int64
    t_ns: Int64
    x: Float32


def read_parts(file: TableFile, form: TableForm, number: dict[str, int]) -> Iterator[Part]:
    """The rows of a file, and the devices in `number` that are new with it."""
    device, time, *channels = columns_in(file, form)
    columns = list(dict.fromkeys(filter(None, (device, time, *channels))))
    name = _device_of(file, form.device) if isinstance(form.device, FileName) else ""
    first, are_texts = 0, form.unit == "iso8601"
    for chunk in file.chunks(columns):
        cells = dict(zip(columns, chunk, strict=True))
        n_rows = max(len(of.ns) if isinstance(of, Moments) else len(of) for of in chunk)
        names = [name] * n_rows if name else cell_texts(cells[device])
        if time and not first and form.unit != "cycle":
            are_texts |= is_text(cells[time])
        of_chunk = _Chunk(file, form, first)
        t_ns = np.zeros(n_rows, np.int64)
        if time:
            t_ns = cell_times(cells[time], form.unit, form.zone, are_texts=are_texts)
        x = of_chunk.values(cells, channels, len(names))
        kept = np.array([bool(name) for name in names])
        if not kept.all():
            kept |= (t_ns != IMPOSSIBLE_NS) | ~np.isnan(x).all(axis=1)
            for index in np.flatnonzero(kept & np.array([not name for name in names])):
                of_chunk.refuse(int(index), f"column {device!r} is empty", "Each row names its device.")
        for index in np.flatnonzero(kept & (t_ns == IMPOSSIBLE_NS)):
            refuse_time(file, first + int(index), form, are_texts=are_texts)
        owner = np.array([number.setdefault(name, len(number)) if name else 0 for name in names], np.int64)
        if len(number) > Bounds().devices_max:
            above = int(np.argmax(owner == Bounds().devices_max))
            of_chunk.refuse(above, f"is of device number {len(number):,}", "Take fewer devices at a time.")
        yield Part(first + np.flatnonzero(kept), owner[kept], t_ns[kept], x[kept])
        first += len(names)


def _device_of(file: TableFile, name: FileName) -> str:
    if device := name.device(file.path):
        return device
    next_step = "In the pattern {} stands for the device, and * for any part of a name."
    raise DataRefused(file.path, f"is not named like {name.pattern!r} (data.device)", next_step=next_step)


@dataclass(frozen=True, slots=True)
class _Chunk:
    """Some rows of a file from row `first` on."""

    file: TableFile
    form: TableForm
    first: int

    def values(self, cells: Mapping[str, Cells], columns: Sequence[str], n_rows: int) -> Float32:
        """float32 [n, F] in engineering units, NaN in a column that the file does not have."""
        x: Float64 = np.full((n_rows, len(columns)), np.nan)
        for place, (name, channel) in enumerate(zip(columns, self.form.channels, strict=True)):
            if name:
                try:
                    x[:, place] = cell_numbers(cells[name], channel)
                except BadCell as error:
                    what = f"column {name!r} is {self.cell(error.index, name)}, not a number"
                    next_step = "Leave the cell empty where the value is missing; decimals have a point."
                    next_step += self.form.where_text and f" {self.form.where_text}"
                    self.refuse(error.index, what, next_step)
        units = engineering_units(x, self.form.channels)
        for row, place in np.argwhere(np.isinf(units)):
            cell = self.cell(int(row), columns[place])
            what = f"column {columns[place]!r} is {cell}, not a finite number that float32 holds"
            self.refuse(int(row), what, "Leave the cell empty where the value is missing.")
        return units

    def cell(self, index: int, column: str) -> str:
        return shown(self.file.cell(self.first + index, column))

    def refuse(self, index: int, what: str, next_step: str) -> NoReturn:
        refuse_row(self.file, self.first + index, what, next_step)


def columns_in(file: TableFile, form: TableForm) -> list[str]:
    """The file's columns of device, time and each channel, "" for one that it need not have and has not.

    Those of a device that the file is named after, and of a time that rows have by their place, are "".

    Raises DataRefused with every column that is missing or there twice.
    """
    names = file.names()
    faults: list[str] = []
    columns: list[str] = []
    device = "" if isinstance(form.device, FileName) else form.device
    for column in (device, form.time, *(channel.field for channel in form.channels)):
        if not column:
            columns.append("")
            continue
        name = column if column in names else form.other_names.get(column, column)
        if names.count(name) > 1:
            faults.insert(0, f"column {name!r} is there twice")
        elif name in columns:
            faults.append(f"column {name!r} is asked for twice")
        elif name not in names and column not in form.may_be_absent:
            lower = {other.lower().strip(): other for other in names}
            near = get_close_matches(name.lower(), list(lower), n=1)
            hints = [form.asked_by.get(column, ""), f"nearest {shown(lower[near[0]])}" if near else ""]
            hint = ", ".join(filter(None, hints))
            faults.append(f"no column {name!r}" + (f" ({hint})" if hint else ""))
        columns.append(name if name in names else "")
    if faults:
        there = ", ".join(names[:SHOWN_MAX]) + (", ..." if len(names) > SHOWN_MAX else "")
        line = "" if not file.has_names else "line 1: "
        raise DataRefused(file.path, line + "; ".join(faults), next_step=f"These are its columns: {there}.")
    return columns


def refuse_time(file: TableFile, row: int, form: TableForm, *, are_texts: bool) -> NoReturn:
    """Raise DataRefused for a cell that is no time of the form's unit."""
    cell = file.cell(row, form.time)
    asked = f"; {form.unit_asked_by} is {form.unit!r}" if form.unit_asked_by else ""
    next_step, kind = f"Each row needs {UNIT_WORDS[form.unit]}{asked}.", "a time"
    if isinstance(cell, str) and are_texts:
        kind, next_step = "an ISO 8601 time", "Write times like 2024-05-31T23:59:00Z, or as numbers."
    elif isinstance(cell, str) and is_text([cell]):
        kind = "a number"
    elif looks := meant(cell, form.unit):
        next_step = f"It looks like {looks}. {next_step}"
    refuse_row(file, row, f"column {form.time!r} is {shown(cell)}, not {kind}", next_step)


def refuse_row(file: TableFile, row: int, what: str, next_step: str) -> NoReturn:
    raise DataRefused(file.path, f"{file.place(row)}: {what}", next_step=next_step) from None


def shown(cell: object) -> str:
    """As it is written, but short."""
    is_plain = isinstance(cell, (str, int, float))  # a date would be shown as Python writes it
    text = "empty" if cell is None else repr(cell) if is_plain else str(cell)
    return text if len(text) <= SHOWN_MAX else text[:SHOWN_MAX] + "..."


def is_text(cells: Cells) -> bool:
    """Is the first cell that holds something no number?"""
    if isinstance(cells, (Moments, np.ndarray)):
        return False
    first = next(filter(None, map(str.strip, cells)), "0")
    try:
        number_of(first)
    except ValueError:
        return first.lower() != "nan"
    return False
