"""Recorded rows and labels for a bundle, read as its training's were: by its channels' names or recorded columns."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from agent.bundle.manifest import Channel, Manifest
from agent.score.early_warning import Float64
from agent.score.time_unit import seconds
from agent.table.form import PLAIN_CSV, FileUnit, TableForm
from agent.table.lives.keys import TableKeys
from agent.table.lives.logs import LabelKeys
from agent.table.lives.read import Life, read_lives, recording_of, values_of
from agent.table.lives.recording import Asked, AskedTable
from agent.words import Float32, Int64

NEXT_STEP = "Are --data and the labels' files right?"


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
    """Devices in the order of their names, and what is to be told of how they were read.

    t_fail_s  of each device, None for one that did not fail as far as is known
    faults    float64 [n, 2] of a device with labelled faults, in seconds or cycles, rising; None where nobody gave any
    """

    devices: tuple[Recorded, ...]
    doubts: tuple[str, ...] = ()
    t_fail_s: Mapping[str, float | None] = field(default_factory=dict)
    faults: Mapping[str, Float64] | None = None


def form_for(manifest: Manifest, layout: Layout) -> TableForm:
    """How a table for the bundle is read. A channel's column has the name that it had in training, or the channel's."""
    channels = [channel.recorded for channel in manifest.inputs]
    form = TableForm(
        device=layout.device,
        time=layout.time,
        unit=layout.unit or manifest.time_unit,
        zone=layout.zone,
        channels=tuple(channels),
        asked_by={layout.device: "--device", layout.time: "--time"}
        | {of.field: f"a channel of bundle {manifest.name}" for of in channels},
        unit_asked_by="--time-unit",
    )
    return _with_other_names(form, manifest.inputs)


def _with_other_names(form: TableForm, channels: Sequence[Channel]) -> TableForm:
    """A column may have the channel's own name, and that of a channel that may be missing may be absent.

    channels  those that are columns, in the form's order
    """
    columns = dict(zip((of.field for of in form.channels), channels, strict=False))  # a label comes after them
    may_be_absent = {column for column, channel in columns.items() if channel.may_be_missing}
    other_names = {column: channel.name for column, channel in columns.items()}
    return replace(form, other_names=other_names, may_be_absent=form.may_be_absent | may_be_absent)


def asked_for(manifest: Manifest, places: Sequence[str], layout: Layout, labels: LabelKeys) -> Asked:
    """Rows and labels as the options of a replay say."""
    names, events = _channels(manifest)
    table = AskedTable(tuple(places), form_for(manifest, layout), PLAIN_CSV, names)
    return Asked((table,), Path(), names, events, labels, NEXT_STEP)


def asked_by(keys: TableKeys, folder: Path, manifest: Manifest, places: Sequence[str]) -> Asked:
    """Rows and labels as `[data]` of a training configuration says; its files are relative to `folder`."""
    names, events = _channels(manifest)
    asked = keys.asked(names, places, folder)
    of = {channel.name: channel for channel in manifest.inputs}
    tables = [
        replace(table, form=_with_other_names(table.form, [of[name] for name in table.channels]))
        for table in asked.tables
    ]
    return replace(asked, tables=tuple(tables), events=asked.events | events, next_step=NEXT_STEP)


def _channels(manifest: Manifest) -> tuple[tuple[str, ...], frozenset[str]]:
    """All of them, and those that count events."""
    names = tuple(channel.name for channel in manifest.inputs)
    return names, frozenset(channel.name for channel in manifest.inputs if channel.event)


def read_recorded(places: Sequence[str], manifest: Manifest, layout: Layout | None = None) -> Recordings:
    """Every device of files, folders and patterns, whatever became of it. Raises DataRefused as `agent.table` does.

    Rows without a value of any channel are left out, as the agent drops such a message.
    """
    doubts: list[str] = []
    recording = recording_of(asked_for(manifest, places, layout or Layout(), LabelKeys()), doubts.append)
    devices = [Recorded(name, t_ns, x) for name, t_ns, x in values_of(recording)]
    return Recordings(tuple(devices), tuple(doubts))


def read_labelled(asked: Asked) -> Recordings:
    """Every life of the machines as a device of its own, as a training has them. Raises DataRefused."""
    doubts: list[str] = []
    lives = sorted(read_lives(asked, doubts.append), key=lambda one: one.device)
    doubts += _doubts_of_cuts(lives)
    labels = asked.labels
    has_faults = labels.faults is not None or labels.alerts is not None
    has_faults |= labels.label is not None and labels.label.means == "fault"
    return Recordings(
        tuple(Recorded(one.device, one.t_ns, one.x) for one in lives),
        tuple(doubts),
        {one.device: one.t_fail_s for one in lives},
        {one.device: one.faults_s for one in lives if len(one.faults_s)} if has_faults else None,
    )


def _doubts_of_cuts(lives: Sequence[Life]) -> list[str]:
    machines = {one.machine for one in lives if one.machine and one.machine != one.device}
    if not machines:
        return []
    n_lives = sum(one.machine in machines for one in lives)
    cut = f"failures and repairs cut {len(machines)} machine(s) into {n_lives} lives"
    return [f"{cut}; each is played as a device of its own"]
