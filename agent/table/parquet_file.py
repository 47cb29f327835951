"""A Parquet file as typed columns, read by polars: the extra `tables`, imported nowhere else."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from agent.errors import DataRefused
from agent.table.form import Cells, Moments
from agent.values.times import IMPOSSIBLE_NS

WHOLE = (pl.Int8, pl.Int16, pl.Int32, pl.Int64, pl.UInt8, pl.UInt16, pl.UInt32)


@dataclass(frozen=True, slots=True)
class ParquetFile:
    """Read as a whole: a file of it is bounded in bytes, and its columns are small beside the texts of a CSV file."""

    path: Path

    def names(self) -> list[str]:
        with self._errors():
            return list(pl.read_parquet_schema(self.path))

    def chunks(self, columns: Sequence[str]) -> Iterator[list[Cells]]:
        with self._errors():
            frame = pl.read_parquet(self.path, columns=list(columns))
        if len(frame):
            yield [self._cells(frame[name]) for name in columns]

    def cell(self, row: int, column: str) -> object:
        with self._errors():
            found: object = pl.read_parquet(self.path, columns=[column])[column][row]
        return found

    def place(self, row: int) -> str:
        return f"row {row + 1}"

    def _cells(self, column: pl.Series) -> Cells:
        of = column.dtype
        if of in (pl.String, pl.Categorical, pl.Enum):
            return column.cast(pl.String).fill_null("").to_list()
        if of in (pl.Date, pl.Datetime):
            ns = column.cast(pl.Datetime("ns", getattr(of, "time_zone", None))).dt.epoch("ns")
            return Moments(ns.fill_null(IMPOSSIBLE_NS).to_numpy(), is_local=getattr(of, "time_zone", None) is None)
        if of in WHOLE and not column.null_count():
            return column.to_numpy().astype(np.int64)
        if of.is_numeric() or of in (pl.Boolean, pl.Null):
            return column.cast(pl.Float64).fill_null(np.nan).to_numpy()
        what = f"row 1: column {column.name!r} holds {of}, not numbers, texts or dates"
        raise DataRefused(self.path, what, next_step="Write it as numbers.")

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except pl.exceptions.PolarsError as error:
            what = f"cannot be read: {str(error).splitlines()[0]}"
            raise DataRefused(self.path, what, next_step="Is the file whole?") from error
        except OSError as error:
            what = error.strerror or str(error).splitlines()[0]
            raise DataRefused(self.path, what, next_step="Give the path of a CSV or Parquet file.") from error
