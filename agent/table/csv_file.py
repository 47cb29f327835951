"""A CSV file as columns of texts: plain or compressed (.csv.gz, .csv.xz), UTF-8, read in pieces and within bounds."""

import csv
import gzip
import lzma
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedReader
from itertools import islice
from pathlib import Path
from typing import NoReturn

from agent.errors import DataRefused
from agent.table.form import Cells

LINES_MAX = 5_000_000
LINE_BYTES_MAX = 100_000
CHUNK_ROWS = 20_000
PLAIN = "Save it as UTF-8, with commas between the cells and points in the numbers."
TORN = (EOFError, lzma.LZMAError, zlib.error, gzip.BadGzipFile)


@dataclass(frozen=True, slots=True)
class CsvFile:
    """Lines without cells are no rows."""

    path: Path

    def names(self) -> list[str]:
        with self._records() as records:
            header = next(records, [])
        if not header:
            raise DataRefused(self.path, "is empty", next_step="The first line names the columns.")
        for separator in ";\t|":
            if len(header) <= 2 and header[0].count(separator) > 1:
                by = "tabs" if separator == "\t" else f"'{separator}'"
                self._refuse(f"line 1 is separated by {by}, not by commas", PLAIN)
        return header

    def chunks(self, columns: Sequence[str]) -> Iterator[list[Cells]]:
        with self._records() as records:
            header = next(records)
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
        with self._records() as records:
            header = next(records)
            return next(islice(filter(None, records), row, None))[header.index(column)] or None

    def place(self, row: int) -> str:
        return f"line {next(islice(self._line_numbers(), row + 1, None))}"

    def _check_sizes(self, rows: Sequence[Sequence[str]], first: int, n_cells: int) -> None:
        for row, cells in enumerate(rows, first):
            if len(cells) != n_cells:
                what = f"{self.place(row)} has {len(cells)} cells, the header has {n_cells}"
                self._refuse(what, "Mend that line; is the file cut short?")

    @contextmanager
    def _records(self) -> Iterator[Iterator[list[str]]]:
        try:
            with self._open() as file:
                yield csv.reader(self._lines(file), strict=True)
        except csv.Error as error:
            self._refuse_quotes(error)
        except TORN as error:
            self._refuse(f"cannot be read: {error}", "Is the file whole?")
        except OSError as error:
            self._refuse(error.strerror or str(error), "Give the path of a CSV or Parquet file.")

    def _line_numbers(self) -> Iterator[int]:
        """The line on which each record begins, the header the first."""
        with self._open() as file:
            reader = csv.reader(self._lines(file), strict=True)
            line = 1
            for cells in reader:
                if cells:
                    yield line
                line = reader.line_num + 1

    def _refuse_quotes(self, error: csv.Error) -> NoReturn:
        """The record that is badly quoted is the one after all those that can be read."""
        line = 1
        with self._open() as file:
            reader = csv.reader(self._lines(file), strict=True)
            try:
                for _ in reader:
                    line = reader.line_num + 1
            except csv.Error:
                self._refuse(f"line {line}: {error}", "Mend the quotes of that line.")
        raise error  # the file was changed meanwhile

    def _open(self) -> gzip.GzipFile | lzma.LZMAFile | BufferedReader:
        if self.path.suffix == ".gz":
            return gzip.open(self.path, "rb")
        return lzma.open(self.path, "rb") if self.path.suffix == ".xz" else self.path.open("rb")

    def _lines(self, file: gzip.GzipFile | lzma.LZMAFile | BufferedReader) -> Iterator[str]:
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
