"""Parquet files as typed columns, read and written by polars: the extra `tables`, imported nowhere else."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
import polars as pl

from agent.errors import DataRefused
from agent.table.form import Cells, Float64, Moments
from agent.values.times import IMPOSSIBLE_NS
from agent.words import Float32, Int64

WHOLE = (pl.Int8, pl.Int16, pl.Int32, pl.Int64, pl.UInt8, pl.UInt16, pl.UInt32)


@dataclass(frozen=True, slots=True)
class ParquetFile:
    """Read as a whole: a file of it is bounded in bytes, and its columns are small beside the texts of a CSV file."""

    path: Path

    @property
    def has_names(self) -> bool:
        return False

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

    def counts(self) -> list[str]:
        """Columns of whole numbers: in a recording those that count events."""
        with self._errors():
            return [name for name, of in pl.read_parquet_schema(self.path).items() if of in WHOLE]

    def n_rows(self) -> int:
        with self._errors():
            return int(pl.scan_parquet(self.path).select(pl.len()).collect().item())

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


def packed(
    device: Sequence[str],
    time: Int64 | Float64,
    channels: Mapping[str, Float32],
    counts: Collection[str] = (),
) -> bytes:
    """A file of n rows with the columns `device`, `t` and the channels.

    time      int64 [n] ns since 1970, written as dates of UTC, or float64 [n] cycles
    channels  float32 [n] each, NaN where there is no value
    counts    those of them that count events, written as whole numbers
    """
    t = pl.Series("t", time)
    if time.dtype == np.int64:
        t = t.cast(pl.Datetime("ns", "UTC"))
    columns = [pl.Series(name, values).fill_nan(None) for name, values in channels.items()]
    columns = [one.cast(pl.UInt32) if one.name in counts else one for one in columns]
    return _packed(pl.DataFrame([pl.Series("device", device, pl.String), t, *columns]))


def whole(paths: Sequence[Path]) -> bytes:
    """A file with the rows of several, one after the other; a column that one of them lacks is empty there.

    Raises DataRefused that names the first file which cannot be read, or whose columns are of another kind.
    """
    frames: list[pl.DataFrame] = []
    for path in paths:
        with ParquetFile(path)._errors():
            frames.append(pl.read_parquet(path))
            if frames[-1].schema != frames[0].schema:  # it is tried here, where the file is known
                pl.concat([frames[0].clear(), frames[-1].clear()], how="diagonal")
    return _packed(pl.concat(frames, how="diagonal"))


def _packed(frame: pl.DataFrame) -> bytes:
    buffer = BytesIO()
    frame.write_parquet(buffer, compression="zstd")
    return buffer.getvalue()
