"""Recordings of your own: rows of CSV or Parquet files, and when their devices failed. docs/data.md is for its users.

`write_table` writes such files, which `forewarn replay` reads as well.

A device may come in any number of stretches and files, as a historian exports it by time or by month; its own times
must rise in the order in which they are read. Rows in which no channel has a value are left out, as the agent drops
such a message. What would poison a training is refused with file, line and column, before anything is written.
"""

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal, NoReturn, Self

import click
import numpy as np
from pydantic import BeforeValidator, Field, FiniteFloat, model_validator

from agent.errors import DataRefused
from agent.score.time_unit import seconds
from agent.table.early_times import doubt_of
from agent.table.failures import Failure, read_failures
from agent.table.files import table_file, table_files
from agent.table.form import FileUnit, TableFile, TableForm
from agent.table.rows import Rows, read_rows, refuse_row, shown
from agent.values.numbers import number_of
from agent.values.times import time_zone
from agent.words import Int64, SourceChannel
from trainer.data.history import ChannelInfo, History
from trainer.data.section import Channels, Files, Margin, Section, Subject, required_folder

RARE_SHARE, RARE_FAR, FAR = 0.01, 100, 1e6
"""What lies outside of everything, in the distances from the median that a channel's values have: more than `RARE_FAR`
times as far as all but the farthest `RARE_SHARE` of them, or, since a code for "no value" may be frequent, more than
`FAR` times as far as half of them. A machine that mostly stands still keeps its few running hours by this.
"""
WHERE = "Paths start at the folder of the training TOML, or at --data FOLDER where that is given."
LATE_FAILURE = 100
"""A failure so many times the longest recording after its device's last row is a mistaken unit."""


def code(value: object) -> object:
    """A text that writes a number stands for that number: CSV has texts alone."""
    try:
        return number_of(value) if isinstance(value, str) else value
    except ValueError:
        return value


Word = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^\S(.*\S)?$")]
Words = dict[Word, FiniteFloat]
Missing = tuple[Annotated[FiniteFloat | Word, BeforeValidator(code)], ...]


class RecordedChannel(Section):
    """How the files have one channel, where that differs from the others or from its name."""

    column: str = Field(default="", description="Column of the files; its name where none is given.")
    unit: str = Field(default="", description="Unit of its values, for the bundle and its card.")
    description: str = Field(default="", description="What it measures.")
    missing: Missing = Field(default=(), description="As `data.missing`, for this channel.")
    words: Words = Field(default={}, description="As `data.words`, for this channel.")


def recorded_channel(value: object) -> object:
    """A text is the name of the column."""
    return {"column": value} if isinstance(value, str) else value


class Table(Section):
    """Recordings of your own, read from CSV or Parquet files; docs/data.md."""

    dataset: Literal["table"]
    rows: Files = Field(min_length=1, description="Files, folders, or patterns: * and ? stand for parts of a name.")
    device: str = Field(default="device", min_length=1, description="Column with the device's name.")
    time: str = Field(default="t", min_length=1, description="Column with the time of the row.")
    time_unit: FileUnit = Field(
        default="s", description="Of the times: s, ms, us or ns since 1970, or ISO 8601 texts; iso8601; or cycle."
    )
    zone: str = Field(default="", description="IANA time zone of texts without an offset; UTC where none is given.")
    channels: Channels
    columns: dict[str, Annotated[RecordedChannel, BeforeValidator(recorded_channel)]] = Field(
        default={}, description="Channel to its column in the files, or to a table of what is special about it."
    )
    missing: Missing = Field(default=(), description='Numbers and texts that stand for no value: -9999, "NA".')
    words: Words = Field(default={}, description="Texts that stand for numbers, such as ON = 1.")
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
        columns = [info.column or info.name for info in map(self._info, self.channels)]
        named = (self.device, self.time, *columns)
        if twice := sorted({name for name in named if named.count(name) > 1}):
            raise ValueError(f"column {twice[0]!r} is named twice among device, time and channels")
        return self

    @model_validator(mode="after")
    def _a_word_means_one_thing(self) -> Self:
        for info in map(self._info, dict.fromkeys((*self.channels, *self.columns))):
            for word, number in info.words.items():
                if word in info.missing_words or number in info.missing or isinstance(code(word), float):
                    raise ValueError(f"words.{word} = {number:g} of channel {info.name!r} is a number or missing, too")
        return self

    @model_validator(mode="after")
    def _zone_is_known(self) -> Self:
        time_zone(self.zone)
        return self

    @property
    def counts(self) -> Literal["s", "cycle"]:
        return "cycle" if self.time_unit == "cycle" else "s"

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
        """As `data.columns` has them. Raises DataRefused for one there that is no channel."""
        if unknown := sorted(set(self.columns) - set(channels)):
            what, known = f"no channel {unknown[0]!r}", ", ".join(channels)
            raise DataRefused(
                "data.columns", what, next_step=f"Those of data.channels, regimes.by and types.by: {known}."
            )
        return tuple(map(self._info, channels))

    def _info(self, name: str) -> ChannelInfo:
        of = self.columns.get(name, RecordedChannel())
        missing = (*self.missing, *of.missing)
        return ChannelInfo(
            name=name,
            unit=of.unit,
            description=of.description,
            missing=tuple(dict.fromkeys(one for one in missing if isinstance(one, float))),
            words=self.words | of.words,
            missing_words=tuple(dict.fromkeys(one for one in missing if isinstance(one, str))),
            column="" if of.column == name else of.column,
        )

    def form(self, channels: Sequence[str]) -> TableForm:
        """How the files are read."""
        infos = self.channel_info(tuple(channels))
        columns = [info.column or info.name for info in infos]
        return TableForm(
            device=self.device,
            time=self.time,
            unit=self.time_unit,
            zone=self.zone,
            channels=tuple(
                SourceChannel(
                    column, info.missing, (*info.words.items(), *((word, math.nan) for word in info.missing_words))
                )
                for column, info in zip(columns, infos, strict=True)
            ),
            asked_by={self.device: "data.device", self.time: "data.time", "t_fail": "data.failures"}
            | dict.fromkeys(columns, "data.channels"),
            unit_asked_by="data.time_unit",
        )


def read_table(of: Table, channels: Sequence[str], folder: Path) -> list[History]:
    """Every device of the files, relative to `folder`, by name, with the named channels. Raises DataRefused."""
    form = of.form(channels)
    rows = read_rows(table_files(of.rows, folder, next_step=WHERE), form)
    if doubt := doubt_of(rows, form):
        click.echo(doubt, err=True)
    columns = [channel.field for channel in form.channels]
    if of.outliers == "refuse":
        check_outliers(rows, columns)
    rows_of = rows.by_device(of.time)
    failures = {} if of.run_to_failure else failures_of(of, form, folder, rows, rows_of)
    histories = []
    for name, at in rows.with_values(rows_of):
        t_s = seconds(rows.t_ns[at])
        t_fail = float(t_s[-1]) if of.run_to_failure else failures.get(name)
        histories.append(History(name, t_s, rows.x[at], t_fail, rows.t_ns[at]))
    return histories


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


def failures_of(of: Table, form: TableForm, folder: Path, rows: Rows, rows_of: Mapping[str, Int64]) -> dict[str, float]:
    """When the devices failed that did, in seconds. Raises DataRefused for a failure that the rows contradict."""
    file = table_file(folder / of.failures, WHERE)
    in_file = read_failures(file, replace(form, time="t_fail", channels=()), rows_of.keys())
    for doubt in in_file.doubts:
        click.echo(doubt, err=True)
    last = {name: int(at[-1]) for name, at in rows_of.items()}
    longest_ns = int(max(rows.t_ns[at] for at in last.values()) - rows.t_ns.min())
    failures: dict[str, float] = {}
    for name, failure in in_file.of.items():
        if failure.t_ns is None:
            continue
        late_ns = failure.t_ns - int(rows.t_ns[last[name]])
        if late_ns < 0 or late_ns > LATE_FAILURE * max(longest_ns, 10**9):
            refuse_failure(of, file, failure, rows, last[name], is_early=late_ns < 0)
        failures[name] = failure.t_ns / 1e9
    return failures


def refuse_failure(of: Table, file: TableFile, failure: Failure, rows: Rows, last: int, *, is_early: bool) -> NoReturn:
    """Raise DataRefused for a failure before the device's last row, or too far after it."""
    failed_at, ended_at = shown(file.cell(failure.row, "t_fail")), rows.cell(last, of.time)
    what = f"device {rows.names[rows.device[last]]!r} fails at {failed_at}, "
    if is_early:
        what += f"but has rows up to {ended_at}, {rows.place(last)}"
        next_step = "Cut the rows after the failure, or give them to a device of another name."
    else:
        what += f"far from its last row at {ended_at}"
        next_step = "Are t_fail and the times of the rows in the same unit?"
    refuse_row(file, failure.row, what, next_step)


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
