"""Recordings of your own: rows of CSV or Parquet files, and when their devices failed. docs/data.md is for its users.

`write_table` writes such files, which `forewarn replay` reads as well.

A device may come in any number of stretches and files, as a historian exports it by time or by month; its own times
must rise in the order in which they are read. Rows in which no channel has a value are left out, as the agent drops
such a message. What would poison a training is refused with file, line and column, before anything is written.
"""

import csv
import glob
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Literal, NoReturn, Self

import numpy as np
from pydantic import Field, model_validator

from agent.core import Bounds
from agent.errors import DataRefused
from agent.replay.csv_lines import LINES_MAX
from agent.replay.recorded import device_problem
from agent.words import Float32, Int64
from trainer.data.columns import Columns, read_columns
from trainer.data.history import ChannelInfo, Float64, History
from trainer.data.section import Channels, Files, Margin, Section, Subject, required_folder

RARE_SHARE, RARE_FAR, FAR = 0.01, 100, 1e6
"""What lies outside of everything, in the distances from the median that a channel's values have: more than `RARE_FAR`
times as far as all but the farthest `RARE_SHARE` of them, or, since a code for "no value" may be frequent, more than
`FAR` times as far as half of them. A machine that mostly stands still keeps its few running hours by this.
"""
LATE_FAILURE = 100
"""A failure so many times the longest recording after its device's last row is a mistaken unit."""


class Table(Section):
    """Recordings of your own, read from CSV or Parquet files; docs/data.md."""

    dataset: Literal["table"]
    rows: Files = Field(min_length=1, description="One or more files; * and ? stand for parts of a name.")
    device: str = Field(default="device", min_length=1, description="Column with the device's name.")
    time: str = Field(default="t", min_length=1, description="Column with the time of the row.")
    time_unit: Literal["s", "cycle"] = Field(default="s", description="Seconds or ISO 8601 texts, or counted cycles.")
    channels: Channels
    missing: tuple[float, ...] = Field(default=(), description="Numbers that stand for no value, such as -9999.")
    outliers: Literal["refuse", "keep"] = Field(
        default="refuse", description="A value far from all others of its column."
    )
    failures: str = Field(default="", description="File with device,t_fail; a device without t_fail did not fail.")
    run_to_failure: bool = Field(default=False, description="Every device failed at its last row; needs no `failures`.")
    out_of_domain_margin: Margin = 0.25

    @model_validator(mode="after")
    def _failures_are_told_once(self) -> Self:
        if bool(self.failures) is self.run_to_failure:
            raise ValueError("give either failures = FILE or run_to_failure = true: training needs recorded failures")
        return self

    @model_validator(mode="after")
    def _a_column_is_one_thing(self) -> Self:
        named = (self.device, self.time, *self.channels)
        if twice := sorted({name for name in named if named.count(name) > 1}):
            raise ValueError(f"column {twice[0]!r} is named twice among device, time and channels")
        return self

    @property
    def lies_beside_config(self) -> bool:
        return True

    @property
    def subject(self) -> Subject:
        ends = "each run to its failure" if self.run_to_failure else f"failures from {self.failures}"
        return Subject(
            failure="failures like those recorded,",
            row="at a time",
            source=f"Recordings from {', '.join(self.rows)}, {ends}",
            device="device",
            every="a cadence",
            first="first row",
            test_set="",
            not_for="Other machines than those recorded, or failures of a kind that is not among the recorded ones.",
            reset="Devices repaired without their state being reset: a recorded life has no repair in it.",
        )

    def read(self, channels: tuple[str, ...], n_devices: int, folder: Path | None) -> list[History]:
        return read_table(self, channels, required_folder(folder))

    def read_tests(self, channels: tuple[str, ...], folder: Path | None) -> dict[str, list[History]]:
        return {}

    def channel_info(self, channels: tuple[str, ...]) -> tuple[ChannelInfo, ...]:
        """The channels as named; a table says nothing of units."""
        return tuple(ChannelInfo(name) for name in channels)


@dataclass(frozen=True, slots=True)
class Rows:
    """Every row of every file, in the order read.

    device int64 [n] indexes `names`; t_s float64 [n]; x float32 [n, F]; starts: the first row of each of `files`.
    """

    files: tuple[Columns, ...]
    starts: tuple[int, ...]
    names: tuple[str, ...]
    device: Int64
    t_s: Float64
    x: Float32

    def file_of(self, row: int) -> tuple[Columns, int]:
        """The file of a row, and its index there."""
        number = int(np.searchsorted(self.starts, row, side="right")) - 1
        return self.files[number], row - self.starts[number]

    def place(self, row: int) -> str:
        file, index = self.file_of(row)
        return f"{file.path.name} {file.place(index)}"

    def cell(self, row: int, column: str) -> str:
        file, index = self.file_of(row)
        return file.cell(column, index)

    def refuse(self, row: int, what: str, next_step: str) -> NoReturn:
        file, index = self.file_of(row)
        file.refuse(index, what, next_step)


def read_table(of: Table, channels: Sequence[str], folder: Path) -> list[History]:
    """Every device of the files, relative to `folder`, by name, with the named channels. Raises DataRefused."""
    rows = read_rows(of, channels, folder)
    if of.outliers == "refuse":
        check_outliers(rows, channels)
    order = np.argsort(rows.device, kind="stable")
    ends = np.cumsum(np.bincount(rows.device, minlength=len(rows.names)))
    rows_of = dict(zip(rows.names, np.split(order, ends[:-1]), strict=True))
    for name, at in rows_of.items():
        check_times(rows, name, at, of.time)
    last = {name: int(at[-1]) for name, at in rows_of.items()}
    failures = {} if of.run_to_failure else read_failures(of, folder, rows, last)
    histories = []
    for name in sorted(rows_of):
        at = rows_of[name][~np.isnan(rows.x[rows_of[name]]).all(axis=1)]
        if not len(at):
            what = f"device {name!r} has no value of any channel from here on"
            rows.refuse(int(rows_of[name][0]), what, "Leave the device out.")
        t_fail = float(rows.t_s[at[-1]]) if of.run_to_failure else failures.get(name)
        histories.append(History(name, rows.t_s[at], rows.x[at], t_fail))
    return histories


def read_rows(of: Table, channels: Sequence[str], folder: Path) -> Rows:
    """All rows of `data.rows`. Raises DataRefused."""
    keys = {of.device: "data.device", of.time: "data.time"} | dict.fromkeys(channels, "data.channels")
    files: list[Columns] = []
    starts = [0]
    for path in paths_of(of, folder):
        files.append(read_columns(path, keys))
        starts.append(starts[-1] + len(files[-1].frame))
        if starts[-1] > LINES_MAX:
            what = f"brings the rows to {starts[-1]:,}, at most {LINES_MAX:,} are read"
            raise DataRefused(path, what, next_step="Average to fewer rows, or leave devices out.")
    if not starts.pop():
        raise DataRefused(files[0].path, "holds no rows", next_step="A row is a device, a time and its channels.")
    number: dict[str, int] = {}
    device = np.array([number.setdefault(name, len(number)) for file in files for name in file.texts(of.device)])
    t_s = np.concatenate([file.times(of.time, of.time_unit) for file in files])
    x = np.concatenate([np.stack([file.channel(name, of.missing) for name in channels], axis=1) for file in files])
    rows = Rows(tuple(files), tuple(starts), tuple(number), device, t_s, x)
    for name, index in number.items():
        if problem := device_problem(name):
            rows.refuse(int(np.argmax(device == index)), f"device {name[:40]!r} {problem}", "Name it otherwise.")
    if len(number) > Bounds().devices_max:
        first = int(np.argmax(device == Bounds().devices_max))
        rows.refuse(first, f"is of device number {Bounds().devices_max + 1:,}", "Train on fewer devices.")
    return rows


def paths_of(of: Table, folder: Path) -> list[Path]:
    """The files of `data.rows`, those of a pattern by name. Raises DataRefused for a pattern that finds none."""
    paths: list[Path] = []
    for pattern in of.rows:
        matches = sorted(glob.glob(str(folder / pattern))) if set(pattern) & set("*?[") else [folder / pattern]
        if not matches:
            raise DataRefused(folder / pattern, "finds no file", next_step="Is data.rows right for this folder?")
        paths += map(Path, matches)
    return paths


def check_times(rows: Rows, name: str, at: Int64, column: str) -> None:
    """Raise DataRefused unless the times of a device rise over its rows `at`."""
    t_s = rows.t_s[at]
    for later in np.flatnonzero(np.diff(t_s) <= 0) + 1:
        before, after = int(at[later - 1]), int(at[later])
        what = (
            f"device {name!r} at {rows.cell(after, column)} follows {rows.cell(before, column)} in {rows.place(before)}"
        )
        next_step = "Sort each device's rows by time, one row a time. Two machines need two names, local times UTC."
        rows.refuse(after, what, next_step)


def check_outliers(rows: Rows, channels: Sequence[str]) -> None:
    """Raise DataRefused for a value so far from a channel's others that scaled by it they would all be alike."""
    for column, name in enumerate(channels):
        values = rows.x[:, column].astype(np.float64)
        away = np.abs(values - np.nanmedian(values)) if not np.isnan(values).all() else values
        some = np.sort(away[away > 0])
        if not len(some):
            continue
        most = min(RARE_FAR * some[int((1 - RARE_SHARE) * (len(some) - 1))], FAR * some[(len(some) - 1) // 2])
        far = np.flatnonzero(away > most)
        if len(far):
            worst = int(far[np.argmax(away[far])])
            value, usual = f"{float(str(rows.x[worst, column])):.15g}", some[(len(some) - 1) // 2]
            what = (
                f"column {name!r} of device {rows.names[rows.device[worst]]!r} is {value}, but half of all values lie"
            )
            what += f" within {usual:.3g} of {np.nanmedian(values):.6g} ({len(far):,} such)"
            next_step = (
                f'Empty the cell. Where it means "no value": data.missing = [{value}]; is it real: outliers = "keep".'
            )
            rows.refuse(worst, what, next_step)


def read_failures(of: Table, folder: Path, rows: Rows, last: dict[str, int]) -> dict[str, float]:
    """When the devices failed that did. Raises DataRefused for a failure that no row or a later row contradicts."""
    file = read_columns(folder / of.failures, {of.device: "data.device", "t_fail": "data.failures"})
    devices = file.texts(of.device)
    failed = file.frame["t_fail"].is_not_null() & (file.frame["t_fail"].cast(str) != "")
    kept = np.flatnonzero(failed.to_numpy())
    file = Columns(file.path, file.frame.filter(failed))
    t_fail = file.times("t_fail", of.time_unit)
    longest_s = float(max(rows.t_s[at] for at in last.values()) - rows.t_s.min())
    failures: dict[str, float] = {}
    for index, (name, t_s) in enumerate(zip((devices[at] for at in kept), t_fail.tolist(), strict=True)):
        if name in failures:
            what = f"device {name!r} fails again"
            file.refuse(index, what, "A device fails once: give its rows after the repair another name.")
        if name not in last:
            near = get_close_matches(name, list(last), n=1)
            what = f"device {name!r} has no rows" + (f"; nearest {near[0]!r}" if near else "")
            file.refuse(index, what, "Take the line out, or add the device's rows.")
        end_s = float(rows.t_s[last[name]])
        failed_at, ended_at = file.cell("t_fail", index), rows.cell(last[name], of.time)
        if t_s < end_s:
            what = f"device {name!r} fails at {failed_at}, but has rows up to {ended_at}, {rows.place(last[name])}"
            file.refuse(index, what, "Cut the rows after the failure, or give them to a device of another name.")
        if t_s - end_s > LATE_FAILURE * max(longest_s, 1):
            what = f"device {name!r} fails at {failed_at}, far from its last row at {ended_at}"
            file.refuse(index, what, "Are t_fail and the times of the rows in the same unit?")
        failures[name] = t_s
    return failures


def write_table(histories: Sequence[History], channels: Sequence[str], rows: Path, failures: Path) -> None:
    """Write `device,t,CHANNEL...` and `device,t_fail`; a missing value or an unknown failure is an empty cell.

    A float32 is written so that reading it gives the same bits.
    """
    with rows.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["device", "t", *channels])
        for history in histories:
            for t, row in zip(history.t_s.tolist(), history.x, strict=True):
                writer.writerow([history.device, f"{t:.17g}", *("" if v != v else str(v) for v in row)])
    with failures.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["device", "t_fail"])
        for history in histories:
            writer.writerow([history.device, "" if history.t_fail is None else f"{history.t_fail:.17g}"])
