"""Named columns of one CSV or Parquet file; what cannot be read is refused with file, line and column.

polars reads. Where it fails, or reads fewer cells than the file has (it takes a line that is cut short for one with
empty cells), the file is gone through again line by line to say where and why.
"""

import csv
import difflib
import io
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import NoReturn

import numpy as np
import polars as pl

from agent.errors import DataRefused
from agent.replay.csv_lines import T_MAX
from agent.words import Float32
from trainer.data.history import Float64

BYTES_MAX = 2**30
SHOWN_MAX = 40
"""Characters of a cell, and columns of a file, that a message repeats."""
FLOAT32_MAX = float(np.finfo(np.float32).max)
PLAIN = "Save it as UTF-8, with commas between the cells and points in the numbers."


@dataclass(frozen=True, slots=True)
class Columns:
    """Named columns of a file; `frame` also has `row`, the number of the row in the file from 0 on."""

    path: Path
    frame: pl.DataFrame

    def texts(self, name: str) -> list[str]:
        """Every cell as text. Raises DataRefused for an empty one."""
        column = self.frame[name].cast(pl.String)
        for index in np.flatnonzero((column.is_null() | (column == "")).to_numpy()):
            self.refuse(int(index), f"column {name!r} is empty", "Each row names its device.")
        return column.to_list()

    def channel(self, name: str, missing: tuple[float, ...]) -> Float32:
        """float32 [n], NaN where the cell is empty, `nan` or one of `missing`. Raises DataRefused for other cells."""
        values = self.numbers(name, "Leave the cell empty where the value is missing; decimals have a point.")
        values[np.isin(values, missing)] = np.nan
        for index in np.flatnonzero(np.abs(values) > FLOAT32_MAX):
            what = f"column {name!r} is {self.cell(name, int(index))}, not a finite number that float32 holds"
            self.refuse(int(index), what, "Leave the cell empty where the value is missing.")
        return values.astype(np.float32)

    def times(self, name: str, unit: str) -> Float64:
        """float64 [n]: seconds since 1970 or any other start, or cycles. Raises DataRefused for an impossible time."""
        column = self.frame[name]
        expected = "a number of cycles" if unit == "cycle" else "seconds (not milliseconds) or an ISO 8601 text"
        next_step = f"Each row needs {expected}; data.time_unit is {unit!r}."
        if unit == "s" and column.dtype.is_temporal():
            t_s = self.moments(name)
        elif unit == "s" and column.dtype == pl.String and self.holds_text(name):
            t_s = self.iso_times(name)
        else:
            t_s = self.numbers(name, next_step)
        for index in np.flatnonzero(~((t_s >= 0) & (t_s < T_MAX))):
            what = f"column {name!r} is {self.cell(name, int(index))}, not a time"
            self.refuse(int(index), what, next_step)
        return t_s

    def numbers(self, name: str, next_step: str) -> Float64:
        """float64 [n], NaN where the cell is empty. Raises DataRefused for a cell that is no number."""
        column = self.frame[name]
        if column.dtype == pl.String:
            column = column.str.strip_chars().replace("", None)
        elif not (column.dtype.is_numeric() or column.dtype in (pl.Boolean, pl.Null)):
            self.refuse(0, f"column {name!r} holds {column.dtype}, not numbers", "Write it as numbers.")
        values = column.cast(pl.Float64, strict=False)
        for index in np.flatnonzero((column.is_not_null() & values.is_null()).to_numpy()):
            what = f"column {name!r} is {self.cell(name, int(index))}, not a number"
            self.refuse(int(index), what, next_step)
        return values.fill_null(np.nan).to_numpy().astype(np.float64)

    def holds_text(self, name: str) -> bool:
        """Is the first cell that holds something no number?"""
        first = self.frame[name].drop_nulls().head(1)
        return bool(first.str.strip_chars().cast(pl.Float64, strict=False).is_null().any())

    def moments(self, name: str) -> Float64:
        """float64 [n]: seconds since 1970 of a Parquet file's dates; those without a time zone are UTC."""
        micros = self.frame[name].cast(pl.Datetime("us")).dt.epoch("us")
        return micros.cast(pl.Float64).fill_null(np.nan).to_numpy() / 1e6

    def iso_times(self, name: str) -> Float64:
        """float64 [n]: seconds since 1970 of ISO 8601 texts; those without an offset are UTC. NaN where empty."""
        t_s = np.full(len(self.frame), np.nan)
        for index, text in enumerate(self.frame[name]):
            if text:
                try:
                    moment = datetime.fromisoformat(text.strip())
                except ValueError:
                    what = f"column {name!r} is {self.cell(name, index)}, not an ISO 8601 time"
                    self.refuse(index, what, "Write times like 2024-05-31T23:59:00Z, or as seconds.")
                t_s[index] = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
        return t_s

    def cell(self, name: str, index: int) -> str:
        """A cell as a message repeats it."""
        return shown(self.frame[name][index])

    def place(self, index: int) -> str:
        """Where the row stands, as "line 7" of a CSV file or "row 6" of a Parquet file."""
        row = int(self.frame["row"][index])
        if self.path.suffix == ".parquet":
            return f"row {row + 1}"
        reader = csv.reader(io.StringIO(self.path.read_text(encoding="utf-8-sig"), newline=""))
        for _ in range(row + 1):
            next(reader)
        return f"line {reader.line_num + 1}"

    def refuse(self, index: int, what: str, next_step: str) -> NoReturn:
        """Raise DataRefused for the row at `index` of `frame`."""
        raise DataRefused(self.path, f"{self.place(index)}: {what}", next_step=next_step) from None


def read_columns(path: Path, keys: Mapping[str, str]) -> Columns:
    """The columns of a .csv or .parquet file; `keys` maps a column to the key of the configuration that names it.

    Rows in which none of them holds anything are left out. Raises DataRefused: no such file, too large, not of that
    form, or a column missing or there twice.
    """
    try:
        size = path.stat().st_size
        if size > BYTES_MAX:
            what = f"has {size:,} bytes, at most {BYTES_MAX:,} are read"
            raise DataRefused(path, what, next_step="Average it to fewer rows, or leave devices out.")
        if path.suffix == ".csv":
            frame = csv_frame(path, path.read_bytes(), keys)
        elif path.suffix == ".parquet":
            check_names(path, "", list(pl.read_parquet_schema(path)), keys)
            frame = pl.read_parquet(path, columns=list(keys))
        else:
            raise DataRefused(path, "is neither .csv nor .parquet", next_step="Save it as one of them.")
    except OSError as error:
        what = error.strerror or str(error)
        next_step = "Paths start at the folder of the training TOML, or at --data FOLDER where that is given."
        raise DataRefused(path, what, next_step=next_step) from error
    except pl.exceptions.PolarsError as error:
        what = f"cannot be read: {str(error).splitlines()[0]}"
        raise DataRefused(path, what, next_step="Is the file whole?") from error
    frame = frame.with_row_index("row").filter(~pl.all_horizontal(pl.col(*keys).is_null()))
    return Columns(path, frame)


def csv_frame(path: Path, content: bytes, keys: Mapping[str, str]) -> pl.DataFrame:
    """The columns named by `keys`, as text."""
    try:
        first = content.split(b"\n", 1)[0].decode("utf-8-sig")
    except UnicodeDecodeError:
        raise DataRefused(path, "line 1 is not UTF-8 text", next_step=PLAIN) from None
    header = next(csv.reader([first.rstrip("\r")]), [])
    if not header:
        raise DataRefused(path, "is empty", next_step="The first line names the columns.")
    for separator in ";\t|":
        if len(header) <= 2 and header[0].count(separator) > 1:
            named = "tabs" if separator == "\t" else f"'{separator}'"
            raise DataRefused(path, f"line 1 is separated by {named}, not by commas", next_step=PLAIN)
    check_names(path, "line 1: ", header, keys)
    try:
        frame = pl.read_csv(io.BytesIO(content), infer_schema=False, columns=list(keys))
    except pl.exceptions.PolarsError:
        check_lines(path, content, len(header))
        raise
    if content.count(b",") != (len(header) - 1) * (len(frame) + 1):
        check_lines(path, content, len(header))
    return frame


def check_names(path: Path, place: str, names: list[str], keys: Mapping[str, str]) -> None:
    """Raise DataRefused with every column of `keys` that is not among the file's names just once."""
    faults = [f"column {name!r} is there twice" for name in keys if names.count(name) > 1]
    for name, key in keys.items():
        if name not in names:
            lower = {other.lower().strip(): other for other in names}
            near = difflib.get_close_matches(name.lower(), list(lower), n=1)
            nearest = f", nearest {shown(lower[near[0]])}" if near else ""
            faults.append(f"no column {name!r} ({key}{nearest})")
    if faults:
        there = ", ".join(names[:SHOWN_MAX]) + (", ..." if len(names) > SHOWN_MAX else "")
        raise DataRefused(path, place + "; ".join(faults), next_step=f"These are its columns: {there}.")


def check_lines(path: Path, content: bytes, n_cells: int) -> None:
    """Raise DataRefused for the first line that is not UTF-8, is badly quoted, or has other than `n_cells` cells."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise DataRefused(path, f"line {line} is not UTF-8 text", next_step=PLAIN) from None
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    line = 1
    try:
        for cells in reader:
            if cells and len(cells) != n_cells:
                what = f"line {line} has {len(cells)} cells, the header has {n_cells}"
                raise DataRefused(path, what, next_step="Mend that line; is the file cut short?")
            line = reader.line_num + 1
    except csv.Error as error:
        raise DataRefused(path, f"line {line}: {error}", next_step="Mend the quotes of that line.") from None


def shown(cell: object) -> str:
    """As it is written, but short."""
    is_plain = isinstance(cell, (str, int, float))  # a date would be shown as Python writes it
    text = "empty" if cell is None else repr(cell) if is_plain else str(cell)
    return text if len(text) <= SHOWN_MAX else text[:SHOWN_MAX] + "..."
