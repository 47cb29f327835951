"""Rows that come too often become rows of windows: `forewarn-train resample`.

Files are read some rows at a time. Of each device the rows of the window that is not over yet are kept, and of a window
that is over the statistics of its rows are, so memory grows with the longest window and not with the recording.

A window of `every` starts at a whole multiple of it since 1970 (or since cycle 0). Its row has the time of the last row
in it: so it is no earlier than what it tells, and no later than a failure that ended the recording. A window without a
row, or without any value, is left out.
"""

import csv
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import numpy as np

from agent.errors import ConfigurationRefused, DataRefused
from agent.sources import SourceChannel
from agent.table.form import FileName, FileUnit, Float64, TableFile, TableForm
from agent.table.lives.logs import code
from agent.table.rows import read_parts
from agent.words import Int64

PENDING_MAX = 50_000_000
"""Values of windows that are not over yet, of all devices: 400 MB."""
TAKEN_ROWS = 200_000
"""Rows that are looked through at a time."""
PART_ROWS = 200_000
"""Rows of a written file."""


class Windows(NamedTuple):
    """Values of rows, float64 [n, F], NaN = missing, in windows that begin at `starts` int64 [windows], rising."""

    x: Float64
    starts: Int64

    def of(self, values: Float64) -> Float64:
        """float64 [windows, F]: the sum of `values` [n, F] over each window, a missing one counting 0."""
        sums: Float64 = np.add.reduceat(np.nan_to_num(values, nan=0.0), self.starts)
        return sums

    @property
    def n_values(self) -> Float64:
        """float64 [windows, F] of values; NaN where there is none, so that every statistic is missing there."""
        n = np.add.reduceat(~np.isnan(self.x), self.starts, dtype=np.float64)
        return np.where(n > 0, n, np.nan)

    def moment(self, power: int) -> Float64:
        """Central moment over each window: float64 [windows, F]."""
        centre = np.repeat(mean(self), np.diff(self.starts, append=len(self.x)), axis=0)
        return self.of((self.x - centre) ** power) / self.n_values


def mean(of: Windows) -> Float64:
    return of.of(of.x) / of.n_values


def total(of: Windows) -> Float64:
    """Of counts of events, so that each is counted once; missing where no row has a count."""
    sums: Float64 = np.where(np.isnan(of.n_values), np.nan, of.of(of.x))
    return sums


def last(of: Windows) -> Float64:
    row = np.where(np.isnan(of.x), -1, np.arange(len(of.x))[:, None])
    newest = np.maximum.reduceat(row, of.starts)  # -1 or a row before the window where it has no value
    values: Float64 = np.take_along_axis(of.x, np.maximum(newest, 0), axis=0)
    values[newest < of.starts[:, None]] = np.nan
    return values


def rms(of: Windows) -> Float64:
    """Root of the mean square, a constant part included."""
    root: Float64 = np.sqrt(of.of(of.x**2) / of.n_values)
    return root


def peak(of: Windows) -> Float64:
    """The largest magnitude."""
    return largest(np.abs(of.x), of.starts)


def largest(values: Float64, starts: Int64) -> Float64:
    """float64 [windows, F]; a window without a value has none."""
    most: Float64 = np.fmax.reduceat(values, starts)
    return most


def crest(of: Windows) -> Float64:
    """Peak over RMS; missing where every value is 0."""
    return peak(of) / np.where(rms(of) > 0, rms(of), np.nan)


def kurtosis(of: Windows) -> Float64:
    """Fourth central moment over the square of the second: 3 for noise of a normal distribution; missing for a
    constant.
    """
    variance = of.moment(2)
    ratio: Float64 = of.moment(4) / np.where(variance > 0, variance, np.nan) ** 2
    return ratio


STATISTICS: dict[str, Callable[[Windows], Float64]] = {
    "mean": mean,
    "sum": total,
    "last": last,
    "rms": rms,
    "peak": peak,
    "crest": crest,
    "kurtosis": kurtosis,
    "std": lambda of: np.sqrt(of.moment(2)),
    "min": lambda of: -largest(-of.x, of.starts),
    "max": lambda of: largest(of.x, of.starts),
}


def form_of(
    file: TableFile, device: str, time: str, unit: FileUnit, channels: str, missing: Sequence[str] = ()
) -> TableForm:
    """How the files are read: the named `channels`, parted by commas, or all other columns of the first file.

    device   the column; or with {} in it, how the files are named after their devices
    missing  numbers and texts that stand for no value
    """
    names = channels.split(",") if channels else [name for name in file.names() if name not in (device, time)]
    asked_by = {device: "--device", time: "--time"} | dict.fromkeys(names, "--channels")
    codes = [code(text) for text in missing]
    numbers = tuple(one for one in codes if isinstance(one, float))
    words = tuple((one, math.nan) for one in codes if isinstance(one, str))
    return TableForm(
        device=FileName(device) if "{}" in device else device,
        time=time,
        unit=unit,
        channels=tuple(SourceChannel(name, numbers, words) for name in names),
        asked_by=asked_by,
        unit_asked_by="--unit",
        where_text="" if channels else "Or name the columns of numbers, such as --channels temp,flow.",
    )


@dataclass(frozen=True, slots=True)
class Columns:
    """Statistics of channels: the names of the columns, and of each the channel's place and its statistic."""

    names: tuple[str, ...]
    of: tuple[tuple[int, str], ...]

    def row_values(self, windows: Windows) -> Float64:
        """float64 [windows, columns]."""
        needed = {statistic: STATISTICS[statistic](windows) for statistic in dict.fromkeys(name for _, name in self.of)}
        return np.stack([needed[statistic][:, place] for place, statistic in self.of], axis=1)


def columns_of(channels: Sequence[str], chosen: Mapping[str, Sequence[str]]) -> Columns:
    """The mean of each channel but those `chosen`; several statistics of a channel are `CHANNEL_STATISTIC`.

    Raises ConfigurationRefused for an unknown channel or statistic, and for two columns of one name.
    """
    for channel, statistics in chosen.items():
        if channel not in channels:
            what = f"no column {channel!r} of numbers"
            raise ConfigurationRefused("--of", what, next_step=f"There are: {', '.join(channels)}.")
        if unknown := [name for name in statistics if name not in STATISTICS]:
            what = f"{unknown[0]!r} is no statistic"
            raise ConfigurationRefused("--of", what, next_step=f"There are: {', '.join(STATISTICS)}.")
    pairs = [(place, one) for place, name in enumerate(channels) for one in dict.fromkeys(chosen.get(name, ("mean",)))]
    names = [
        channels[place] if len(set(chosen.get(channels[place], ("mean",)))) == 1 else f"{channels[place]}_{statistic}"
        for place, statistic in pairs
    ]
    if twice := [name for name in names if names.count(name) > 1]:
        what = f"column {twice[0]!r} would be there twice"
        raise ConfigurationRefused("--of", what, next_step="Rename a column of the files.")
    return Columns(tuple(names), tuple(pairs))


class _Pending:
    """Rows of one device whose window may go on, in order."""

    def __init__(self) -> None:
        self.t_ns: list[Int64] = []
        self.x: list[Float64] = []
        self.n_rows = 0
        self.looked_at = 0

    def add(self, t_ns: Int64, x: Float64) -> None:
        self.t_ns.append(t_ns)
        self.x.append(x)
        self.n_rows += len(t_ns)

    def take(self, every_ns: int, *, is_end: bool) -> tuple[Int64, Windows] | None:
        """Times, int64 [windows], and windows that are over; the others stay. None where there is none."""
        if not self.n_rows:
            return None
        t_ns, x = np.concatenate(self.t_ns), np.concatenate(self.x)
        window = t_ns // every_ns
        end = len(t_ns) if is_end else int(np.searchsorted(window, window[-1]))
        self.t_ns, self.x, self.n_rows, self.looked_at = [t_ns[end:]], [x[end:]], len(t_ns) - end, len(t_ns) - end
        if not end:
            return None
        starts = np.flatnonzero(np.diff(window[:end], prepend=window[0] - 1))
        return t_ns[:end][np.append(starts[1:], end) - 1], Windows(x[:end], starts)


class Resampled(NamedTuple):
    """Rows of one device: its name, int64 [n] ns (cycles times 1e9), float32 [n, columns]."""

    device: str
    t_ns: Int64
    x: Float64


def resampled(files: Sequence[TableFile], form: TableForm, every_ns: int, of: Columns) -> Iterator[Resampled]:
    """The windows of all devices, as they end. Raises DataRefused for what cannot be read, and for times that fall."""
    number: dict[str, int] = {}
    pending: list[_Pending] = []
    newest: list[int] = []
    n_channels = len(form.channels)
    for file in files:
        for part in read_parts(file, form, number):
            names = tuple(number)
            for device in np.unique(part.device).tolist():
                if device == len(pending):
                    pending.append(_Pending())
                    newest.append(-1)
                rows = np.flatnonzero(part.device == device)
                t_ns = part.t_ns[rows]
                falls = np.flatnonzero(np.diff(t_ns, prepend=newest[device]) <= 0)
                if len(falls):
                    place = file.place(int(part.row[rows[falls[0]]]))
                    what = f"{place}: the time of device {names[device]!r} does not rise"
                    next_step = "Sort each device's rows by time; name files so that they are read in order of time."
                    raise DataRefused(file.path, what, next_step=next_step)
                newest[device] = int(t_ns[-1])
                of_device = pending[device]
                of_device.add(t_ns, part.x[rows].astype(np.float64))
                if of_device.n_rows >= max(TAKEN_ROWS, 2 * of_device.looked_at):
                    yield from _rows(names[device], of_device.take(every_ns, is_end=False), of)
            if sum(one.n_rows for one in pending) * n_channels > PENDING_MAX:
                for name, of_device in zip(names, pending, strict=True):
                    yield from _rows(name, of_device.take(every_ns, is_end=False), of)
                refuse_longer_windows(sum(one.n_rows for one in pending) * n_channels)
    for name, of_device in zip(number, pending, strict=True):
        yield from _rows(name, of_device.take(every_ns, is_end=True), of)


def refuse_longer_windows(n_values: int) -> None:
    """Raise ConfigurationRefused where windows that are not over hold more than half of `PENDING_MAX` values."""
    if n_values > PENDING_MAX / 2:
        what = "is so long that its rows do not fit into memory"
        next_step = "Resample to a shorter window first, and what comes of it to the longer one."
        raise ConfigurationRefused("--every", what, next_step=next_step)


def _rows(device: str, taken: tuple[Int64, Windows] | None, of: Columns) -> Iterator[Resampled]:
    if taken is None:
        return
    t_ns, windows = taken
    x = of.row_values(windows)
    kept = ~np.isnan(x).all(axis=1)
    if kept.any():
        yield Resampled(device, t_ns[kept], x[kept])


class Written(NamedTuple):
    """What `write_resampled` wrote."""

    n_rows: int
    n_devices: int
    files: tuple[Path, ...]


def write_resampled(rows: Iterator[Resampled], columns: Sequence[str], out: Path, *, counts_cycles: bool) -> Written:
    """Files of `PART_ROWS` rows in the folder `out`, Parquet where polars is installed, else CSV; a file is there whole
    or not at all. Raises DataRefused where no window has a value.
    """
    part: list[Resampled] = []
    files: list[Path] = []
    devices: set[str] = set()
    n_rows = n_part = 0
    for window in rows:
        part.append(window)
        devices.add(window.device)
        n_part += len(window.t_ns)
        if n_part >= PART_ROWS:
            files.append(_write_part(part, columns, out, len(files) + 1, counts_cycles))
            n_rows, n_part, part = n_rows + n_part, 0, []
    if part:
        files.append(_write_part(part, columns, out, len(files) + 1, counts_cycles))
    if not files:
        raise DataRefused(out, "no window has a value", next_step="Name the columns of the values with --of.")
    return Written(n_rows + n_part, len(devices), tuple(files))


def _write_part(part: Sequence[Resampled], columns: Sequence[str], out: Path, number: int, counts_cycles: bool) -> Path:
    device = [one.device for one in part for _ in one.t_ns]
    t_ns = np.concatenate([one.t_ns for one in part])
    x = np.concatenate([one.x for one in part]).astype(np.float32)
    is_parquet = find_spec("polars") is not None
    out.mkdir(parents=True, exist_ok=True)
    path = out / f"rows-{number:05}.{'parquet' if is_parquet else 'csv'}"
    partial = path.with_suffix(".part")
    if is_parquet:
        from agent.table.parquet_file import packed  # needs the extra `tables`

        partial.write_bytes(packed(device, t_ns / 1e9 if counts_cycles else t_ns, dict(zip(columns, x.T, strict=True))))
    else:
        with partial.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(["device", "t", *columns])
            for name, t, values in zip(device, t_ns.tolist(), x, strict=True):
                cells = ("" if math.isnan(value) else str(value) for value in values)
                writer.writerow([name, f"{t // 10**9}.{t % 10**9:09}", *cells])
    partial.replace(path)
    return path
