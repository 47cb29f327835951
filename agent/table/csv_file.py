"""A CSV file as columns of texts: plain or compressed (.csv.gz, .csv.xz), UTF-8, read in pieces and within bounds.

Its cells stand between commas, another separator, or blanks; a file without a line of names is given them.
"""

import csv
import gzip
import lzma
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedReader, BytesIO
from itertools import islice
from pathlib import Path
from typing import NoReturn, Protocol

from agent.errors import DataRefused
from agent.table.form import PLAIN_CSV, Cells, CsvForm

LINES_MAX = 5_000_000
LINE_BYTES_MAX = 100_000
CHUNK_ROWS = 20_000
PLAIN = "Save it as UTF-8, with commas between the cells and points in the numbers."
BLANKS = " "
Opened = gzip.GzipFile | lzma.LZMAFile | BufferedReader | BytesIO
TORN = (EOFError, lzma.LZMAError, zlib.error, gzip.BadGzipFile)


class Records(Protocol):
    """What csv.reader returns."""

    line_num: int

    def __iter__(self) -> Iterator[list[str]]: ...

    def __next__(self) -> list[str]: ...


@dataclass(frozen=True, slots=True)
class CsvFile:
    """Lines without cells are no rows. `stored` is what a member of an archive holds, whose `path` goes through it."""

    path: Path
    form: CsvForm = PLAIN_CSV
    stored: bytes | None = None

    @property
    def has_names(self) -> bool:
        return not self.form.header

    def names(self) -> list[str]:
        with self._records() as (header, records):
            if not header or (self.form.header and not next(records, [])):
                raise DataRefused(self.path, "is empty", next_step="The first line names the columns.")
        for separator in ";\t|":
            if self.form == PLAIN_CSV and len(header) <= 2 and header[0].count(separator) > 1:
                by = "tabs" if separator == "\t" else f"'{separator}'"
                key = f"data.separator = {separator!r}".replace("'", '"')
                also = f"A training reads it with {key}, `forewarn-train resample` with --separator."
                self._refuse(f"line 1 is separated by {by}, not by commas", f"{PLAIN} {also}")
        return header

    def chunks(self, columns: Sequence[str]) -> Iterator[list[Cells]]:
        with self._records() as (header, records):
            places = [header.index(name) for name in columns]
            first = 0
            while rows := list(islice(records, CHUNK_ROWS)):
                if set(map(len, rows)) != {len(header)}:
                    rows = list(filter(None, rows))
                    self._check_sizes(rows, first, len(header))
                first += len(rows)
                by_column = list(zip(*rows, strict=True))
                if rows:
                    yield [by_column[column] for column in places]

    def cell(self, row: int, column: str) -> str | None:
        with self._records() as (header, records):
            return next(islice(filter(None, records), row, None))[header.index(column)] or None

    def place(self, row: int) -> str:
        return f"line {next(islice(self._line_numbers(), row + (not self.form.header), None))}"

    def _check_sizes(self, rows: Sequence[Sequence[str]], first: int, n_cells: int) -> None:
        for row, cells in enumerate(rows, first):
            if len(cells) != n_cells:
                names = "data.header" if self.form.header else "the header"
                what = f"{self.place(row)} has {len(cells)} cells, {names} has {n_cells}"
                self._refuse(what, "Mend that line; is the file cut short?")

    @contextmanager
    def _records(self) -> Iterator[tuple[list[str], Iterator[list[str]]]]:
        """The names of the columns, and the records of cells that follow them."""
        try:
            with self._open() as file:
                records = self._reader(file)
                yield list(self.form.header) or next(records, []), records
        except csv.Error as error:
            self._refuse_quotes(error)
        except TORN as error:
            self._refuse(f"cannot be read: {error}", "Is the file whole?")
        except OSError as error:
            self._refuse(error.strerror or str(error), "Give the path of a CSV or Parquet file.")

    def _line_numbers(self) -> Iterator[int]:
        """The line on which each record begins, the header the first."""
        with self._open() as file:
            reader = self._reader(file)
            line = 1
            for cells in reader:
                if cells:
                    yield line
                line = reader.line_num + 1

    def _refuse_quotes(self, error: csv.Error) -> NoReturn:
        """The record that is badly quoted is the one after all those that can be read."""
        line = 1
        with self._open() as file:
            reader = self._reader(file)
            try:
                for _ in reader:
                    line = reader.line_num + 1
            except csv.Error:
                self._refuse(f"line {line}: {error}", "Mend the quotes of that line.")
        raise error  # the file was changed meanwhile

    def _open(self) -> Opened:
        file = self.path.open("rb") if self.stored is None else BytesIO(self.stored)
        if self.path.suffix == ".gz":
            return gzip.GzipFile(fileobj=file)
        return lzma.LZMAFile(file) if self.path.suffix == ".xz" else file

    def _reader(self, file: Opened) -> Records:
        lines = self._lines(file)
        if self.form.separator == BLANKS:
            lines = (BLANKS.join(line.split()) for line in lines)
        return csv.reader(lines, delimiter=self.form.separator, strict=True)

    def _lines(self, file: Opened) -> Iterator[str]:
        for number in range(1, LINES_MAX + 2):
            line = file.readline(LINE_BYTES_MAX + 1)
            if not line:
                return
            if len(line) > LINE_BYTES_MAX:
                self._refuse(f"line {number} is longer than {LINE_BYTES_MAX:,} bytes", "Is it a CSV file?")
            try:
                yield line.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError:
                self._refuse(f"line {number} is not UTF-8 text", PLAIN)
        self._refuse(f"has more than {LINES_MAX:,} lines", "Average to fewer rows, or leave devices out.")

    def _refuse(self, what: str, next_step: str) -> NoReturn:
        raise DataRefused(self.path, what, next_step=next_step) from None
