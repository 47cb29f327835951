"""Recorded rows and failures for a bundle, read as its training's were: by its channels' names or recorded columns."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from agent.bundle.manifest import Manifest
from agent.score.early_warning import Float64
from agent.score.time_unit import seconds
from agent.table.early_times import doubt_of
from agent.table.failures import read_failures
from agent.table.faults import END, START, Span, faults_in
from agent.table.files import table_file, table_files
from agent.table.form import FileUnit, TableForm
from agent.table.log import doubts_of_outside, read_log
from agent.table.rows import read_rows
from agent.words import Float32, Int64


@dataclass(frozen=True, slots=True)
class Recorded:
    """All rows of one device: t_ns int64 [T >= 1] rising; x float32 [T, F] in the bundle's order, NaN = missing."""

    device: str
    t_ns: Int64
    x: Float32

    @property
    def t_s(self) -> Float64:
        """float64 [T]: the same times in seconds, or in cycles."""
        return seconds(self.t_ns)


@dataclass(frozen=True, slots=True)
class Layout:
    """What a recording calls device and time, as the options of `forewarn replay` name them.

    unit  None for what the bundle counts: seconds since 1970 or ISO 8601 texts, or cycles
    """

    device: str = "device"
    time: str = "t"
    unit: FileUnit | None = None
    zone: str = ""


@dataclass(frozen=True, slots=True)
class Recordings:
    """Devices in the order of their names, and what is to be told of how they were read."""

    devices: tuple[Recorded, ...]
    doubts: tuple[str, ...] = field(default=())


def form_for(manifest: Manifest, layout: Layout) -> TableForm:
    """How a table for the bundle is read. A channel's column has the name that it had in training, or the channel's."""
    channels = [channel.recorded for channel in manifest.channels]
    pairs = list(zip(manifest.channels, channels, strict=True))
    return TableForm(
        device=layout.device,
        time=layout.time,
        unit=layout.unit or manifest.time_unit,
        zone=layout.zone,
        channels=tuple(channels),
        other_names={of.field: channel.name for channel, of in pairs},
        may_be_absent=frozenset(of.field for channel, of in pairs if channel.may_be_missing),
        asked_by={layout.device: "--device", layout.time: "--time"}
        | {of.field: f"a channel of bundle {manifest.name}" for of in channels},
        unit_asked_by="--time-unit",
    )


def read_recorded(places: Sequence[str], manifest: Manifest, layout: Layout | None = None) -> Recordings:
    """Read files, folders and patterns for a bundle. Raises DataRefused as `agent.table` does.

    Rows without a value of any channel are left out, as the agent drops such a message.
    """
    form = form_for(manifest, layout or Layout())
    rows = read_rows(table_files(places, Path(), next_step="Is --data right?"), form)
    devices = [Recorded(name, rows.t_ns[at], rows.x[at]) for name, at in rows.with_values(rows.by_device(form.time))]
    n_empty = len(rows.t_ns) - sum(len(one.t_ns) for one in devices)
    doubts = [doubt_of(rows, form)]
    doubts += [f"{n_empty:,} rows hold no value of any channel and are left out, as live"] if n_empty else []
    return Recordings(tuple(devices), tuple(filter(None, doubts)))


def read_truth(
    path: Path, devices: Sequence[str], manifest: Manifest, layout: Layout | None = None
) -> tuple[Mapping[str, float | None], tuple[str, ...]]:
    """When each of `devices` failed, in seconds or cycles, None for one that did not; and what is to be told."""
    form = replace(form_for(manifest, layout or Layout()), time="t_fail", channels=())
    failures = read_failures(table_file(path, next_step="Is --truth right?"), form, devices)
    t_s = {name: failure.t_ns / 1e9 for name, failure in failures.of.items() if failure.t_ns is not None}
    truth = {name: t_s.get(name) for name in devices}
    return truth, failures.doubts


def read_fault_intervals(
    path: Path, devices: Sequence[Recorded], manifest: Manifest, layout: Layout | None = None
) -> tuple[Mapping[str, Float64], tuple[str, ...]]:
    """When each device was not normal: float64 [n, 2] in seconds or cycles, rising; and what is to be told.

    Raises DataRefused as `agent.table.faults` does, and where every fault is outside of its device's rows.
    """
    form = replace(form_for(manifest, layout or Layout()), channels=())
    every_ns = round(manifest.cadence.every_s * 1e9)
    spans = {one.device: Span(int(one.t_ns[0]), int(one.t_ns[-1]), int(one.t_ns[-1]) + every_ns) for one in devices}
    log = read_log(table_file(path, next_step="Is --faults right?"), form, spans.keys(), [START, END])
    faults = faults_in(log, spans)

    def ends(device: str) -> str:
        first, last = (_text(t_ns, form.unit) for t_ns in spans[device][:2])
        return f"{first} to {last}"

    doubts = (*log.doubts, *doubts_of_outside(log, faults.outside, ends))
    return {name: seconds(np.array(of, np.int64)) for name, of in faults.of.items()}, doubts


def _text(t_ns: int, unit: FileUnit) -> str:
    """The number of a cycle, or the time in UTC to the second."""
    if unit == "cycle":
        return f"{t_ns / 1e9:g}"
    return f"{datetime.fromtimestamp(t_ns // 10**9, UTC).replace(tzinfo=None).isoformat()}Z"
