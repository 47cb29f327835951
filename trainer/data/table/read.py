"""Rows and labels of files to histories: one a life of a machine."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import click
import numpy as np

from agent.errors import DataRefused
from agent.score.time_unit import seconds
from agent.table.cells import BadCell, cell_numbers
from agent.table.early_times import doubt_of
from agent.table.files import table_file, table_files
from agent.table.form import CsvForm
from agent.table.offsets import doubt_of_offsets
from agent.table.rows import read_rows, refuse_row
from agent.words import Float32, Int64, SourceChannel
from trainer.data.check import ROWS_MIN
from trainer.data.history import Float64, History, numbered
from trainer.data.plural import plural
from trainer.data.table.events import counts, events_of
from trainer.data.table.keys import TableKeys
from trainer.data.table.labels import WHERE, Recording, is_running_in, read_labels
from trainer.data.table.lives import lives, machine_of
from trainer.data.table.outliers import check_outliers

A_TIME_LEFT = "Each line is the time that a device had left, without a name over them."


def read_table(of: TableKeys, channels: Sequence[str], folder: Path) -> list[History]:
    """Every life of the files, relative to `folder`, by device, with the named channels. Raises DataRefused."""
    doubts: list[str] = []
    recording, label = recording_of(of, channels, of.rows, folder, doubts)
    labels = read_labels(recording, label)
    machines: dict[str, list[tuple[int, History]]] = defaultdict(list)
    n_down = 0
    for name, at, x in values_of(recording, channels):
        machine, number = machine_of(name)
        t_ns = recording.rows.t_ns[at]
        lives_, n_stopped = lives(t_ns, labels.failures[name], labels.resets[name], labels.downtime_ns)
        n_down += n_stopped
        faults = np.array(labels.faults[name], np.int64).reshape(-1, 2)
        for of_life, t_fail_ns in lives_:
            life = life_of(name, t_ns[of_life], x[of_life], t_fail_ns, faults, run_to_failure=of.run_to_failure)
            machines[machine].append((number, life))
    if n_down:
        doubts.append(f"{plural(n_down, 'row')} between a failure and its repair are left out (maintenance.downtime)")
    histories = [one for machine, found in machines.items() for one in named_lives(machine, found, doubts)]
    for doubt in doubts:
        click.echo(doubt, err=True)
    return histories


def recording_of(
    of: TableKeys, channels: Sequence[str], places: Sequence[str], folder: Path, doubts: list[str]
) -> tuple[Recording, Float32 | None]:
    """The rows of some files, and their label float32 [n], None where there is none. Raises DataRefused."""
    form = of.form(channels)
    rows = read_rows(table_files(places, folder, next_step=WHERE, form=of.csv), form)
    label: Float32 | None = None
    if of.label:
        if not any(of.label.column in file.names() for file in rows.files):
            what = f"no file has the column {of.label.column!r}"
            raise DataRefused("data.label", what, next_step=f"{rows.files[0].path.name} has {rows.files[0].names()}.")
        label, rows = rows.x[:, -1], replace(rows, x=rows.x[:, :-1])
    doubts += filter(None, [doubt_of(rows, form), doubt_of_offsets(rows.files, form)])
    if of.outliers == "refuse":
        columns = zip(form.channels, are_events(of, channels), strict=False)
        measured = {place: channel.field for place, (channel, is_event) in enumerate(columns) if not is_event}
        check_outliers(rows, measured)
    rows_of = rows.by_device(of.time)
    if of.label and label is not None and of.label.means == "failure":
        rows_of = {name: at[is_running_in(label[at])] for name, at in rows_of.items()}
    return Recording(of, form, folder, rows, rows_of, doubts.append), label


def are_events(of: TableKeys, channels: Sequence[str]) -> list[bool]:
    """Of the channels that are columns of the rows."""
    recorded = of.recorded(channels)
    return [info.event for info in of.channel_info(tuple(channels)) if info.name in recorded]


def values_of(recording: Recording, channels: Sequence[str]) -> Iterator[tuple[str, Int64, Float32]]:
    """Of each device its name, its rows with a value, and float32 [T, F]: its channels, in order."""
    of, rows = recording.of, recording.rows
    recorded = of.recorded(channels)
    is_event = np.array(are_events(of, channels), np.bool_)
    events = events_of(recording, of.events) if of.events else {}
    places = [recorded.index(name) if name in recorded else -1 for name in channels]
    for name, at in rows.with_values(recording.rows_of):
        x = rows.x[at]
        x[:, is_event] = np.nan_to_num(x[:, is_event], nan=0.0)
        if events:
            x = x[:, places]
            for channel, times in events.items():
                events_ns = times.get(name, np.empty(0, np.int64))
                if channel in channels:
                    x[:, channels.index(channel)] = counts(recording, name, rows.t_ns[at], events_ns)
        yield name, at, x


def life_of(
    name: str, t_ns: Int64, x: Float32, t_fail_ns: int | None, faults_ns: Int64, *, run_to_failure: bool
) -> History:
    """One life under the name of its recorded device, with the faults that it shows."""
    t_s = seconds(t_ns)
    shown = faults_ns[(faults_ns[:, 0] <= t_ns[-1]) & (faults_ns[:, 1] > t_ns[0])]
    t_fail = None if t_fail_ns is None else float(t_s[-1]) if run_to_failure else t_fail_ns / 1e9
    return History(name, t_s, x, t_fail, t_ns, faults=as_seconds(shown))


def as_seconds(times_ns: Int64) -> Float64:
    return seconds(times_ns.reshape(-1)).reshape(times_ns.shape)


def named_lives(machine: str, found: Sequence[tuple[int, History]], doubts: list[str]) -> list[History]:
    """The lives of a machine in their order; of several, those with too few rows to learn from are left out."""
    in_order = [life for _, life in sorted(found, key=lambda of: (of[0], of[1].t_ns[0]))]
    kept = [life for life in in_order if len(in_order) == 1 or len(life.t_s) >= ROWS_MIN]
    if not kept:
        kept = in_order[:1]
    if n_short := len(in_order) - len(kept):
        short = plural(n_short, "life").replace("lifes", "lives")
        doubts.append(f"device {machine!r}: {short} of fewer than {ROWS_MIN} rows are left out")
    return numbered(machine, kept)


def read_test_table(of: TableKeys, channels: Sequence[str], folder: Path) -> dict[str, list[History]]:
    """The official test set: devices in the order of the files, and the time each had left. Raises DataRefused."""
    assert of.tests is not None
    recording, _ = recording_of(of, channels, of.tests.rows, folder, [])
    left_s = numbers_in(folder / of.tests.left)
    values = {name: (at, x) for name, at, x in values_of(recording, channels)}
    if len(left_s) != len(values):
        what = f"has {len(left_s)} lines for {len(values)} test devices"
        raise DataRefused(folder / of.tests.left, what, next_step="It has one line a device, in the order of the rows.")
    histories = []
    for name, left in zip(recording.rows.names, left_s.tolist(), strict=True):
        at, x = values[name]
        t_ns = recording.rows.t_ns[at]
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
