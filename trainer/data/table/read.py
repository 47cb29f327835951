"""Rows and labels of files to histories: one a life of a machine."""

from collections.abc import Sequence
from pathlib import Path

import click
import numpy as np

from agent.errors import DataRefused
from agent.score.time_unit import seconds
from agent.sources import SourceChannel
from agent.table.cells import BadCell, cell_numbers
from agent.table.files import table_file
from agent.table.form import CsvForm
from agent.table.lives.keys import WHERE, TableKeys
from agent.table.lives.read import read_lives, recording_of, values_of
from agent.table.rows import Rows, refuse_row
from trainer.data.history import Float64, History
from trainer.data.table.outliers import check_outliers, spoilt

A_TIME_LEFT = "Each line is the time that a device had left, without a name over them."


def read_table(of: TableKeys, channels: Sequence[str], folder: Path) -> list[History]:
    """Every life of the files, relative to `folder`, by device, with the named channels. Raises DataRefused."""
    asked, doubts = of.asked(channels, of.rows, folder), list[str]()

    def check(rows: Rows, recorded: Sequence[str]) -> None:
        columns = {place: of.channel(name).column for place, name in enumerate(recorded) if name not in asked.events}
        check_outliers(rows, columns)
        doubts.extend(spoilt(rows, columns))

    lives = read_lives(asked, doubts.append, check if of.outliers == "refuse" else None)
    for doubt in doubts:
        click.echo(doubt, err=True)
    return [
        History(one.device, seconds(one.t_ns), one.x, one.t_fail_s, one.t_ns, machine=one.machine, faults=one.faults_s)
        for one in lives
    ]


def read_test_table(of: TableKeys, channels: Sequence[str], folder: Path) -> dict[str, list[History]]:
    """The official test set: devices in the order of the files, and the time each had left. Raises DataRefused."""
    assert of.tests is not None
    recording = recording_of(of.asked(channels, of.tests.rows, folder), lambda doubt: None)
    left_s = numbers_in(folder / of.tests.left)
    values = {name: (t_ns, x) for name, t_ns, x in values_of(recording)}
    if len(left_s) != len(values):
        what = f"has {len(left_s)} lines for {len(values)} test devices"
        raise DataRefused(folder / of.tests.left, what, next_step="It has one line a device, in the order of the rows.")
    histories = []
    for name, left in zip(recording.rows.names, left_s.tolist(), strict=True):
        t_ns, x = values[name]
        t_s = seconds(t_ns)
        histories.append(History(name, t_s, x, float(t_s[-1]) + left, t_ns))
    return {"test": histories}


def numbers_in(path: Path) -> Float64:
    """The numbers of a file with one a line, none below 0. Raises DataRefused."""
    file = table_file(path, WHERE, CsvForm(header=("left",)))
    numbers = np.empty(0)
    for (cells,) in file.chunks(["left"]):
        try:
            numbers = np.append(numbers, cell_numbers(cells, SourceChannel("left")))
        except BadCell as error:
            refuse_row(file, len(numbers) + error.index, "is no number", A_TIME_LEFT)
    if bad := np.flatnonzero(~(numbers >= 0)).tolist():
        refuse_row(file, bad[0], "is no number from 0 on", A_TIME_LEFT)
    return numbers
