"""Recorded rows of devices, read from CSV.

The header is `device,t,CHANNEL...`, one row a reading: t in the bundle's time unit, rising within each device, devices
in any order; an empty cell or `nan` is a missing value.
"""

import math
from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

import numpy as np

from agent.bundle.manifest import Manifest
from agent.core import Bounds
from agent.decode.topic import device_id_problem
from agent.errors import DataRefused
from agent.near import nearest
from agent.replay.csv_lines import T_MAX, open_csv, refuse
from agent.score.early_warning import Float64
from agent.words import Float32

_FORM = "A row is device,t,CHANNEL...; see docs/replay.md."


@dataclass(frozen=True, slots=True)
class Recorded:
    """All rows of one device: t_s float64 [T >= 1] rising; x float32 [T, F] in the bundle's order, NaN = missing."""

    device: str
    t_s: Float64
    x: Float32


@dataclass(slots=True)
class _Growing:
    """The rows of a device read so far, and the lines they stand on."""

    t: "array[float]" = field(default_factory=lambda: array("d"))
    x: "array[float]" = field(default_factory=lambda: array("d"))
    line: "array[int]" = field(default_factory=lambda: array("q"))


def read_recorded(path: Path, manifest: Manifest) -> list[Recorded]:
    """Read recorded data for a bundle, devices in the order of their names.

    A channel that may be missing needs no column. Raises DataRefused: not such a file, a channel missing or unknown,
    a cell that is no number, a time that does not rise, more than LINES_MAX lines or the agent's device bound.
    """
    growing: dict[str, _Growing] = {}
    devices_max = Bounds().devices_max
    with open_csv(path) as lines:
        header = next(lines, (1, []))[1]
        columns = _columns(path, header, manifest)
        for line, cells in lines:
            if len(cells) != len(header):
                refuse(path, line, f"has {len(cells)} cells, the header has {len(header)}", _FORM)
            rows = growing.get(cells[0])
            if rows is None:
                _check_device(path, line, cells[0])
                if len(growing) == devices_max:
                    refuse(path, line, f"is of device number {devices_max + 1}", "Replay fewer devices at a time.")
                rows = growing[cells[0]] = _Growing()
            try:
                rows.t.append(float(cells[1]))
                rows.x.extend([float(cells[c]) if c and cells[c] else math.nan for c in columns])
            except ValueError:
                _refuse_cell(path, line, header, cells)
            rows.line.append(line)
    if not growing:
        raise DataRefused(path, "holds no rows", next_step=_FORM)
    names = [channel.name for channel in manifest.channels]
    return [_checked(path, device, growing[device], names) for device in sorted(growing)]


def _columns(path: Path, header: Sequence[str], manifest: Manifest) -> list[int]:
    """Index of each channel's column, 0 for a channel that may be missing and is."""
    if list(header[:2]) != ["device", "t"]:
        refuse(path, 1, f"begins with {','.join(header[:2])!r}, not 'device,t'", _FORM)
    given = header[2:]
    names = [channel.name for channel in manifest.channels]
    faults = [f"column {name!r} is there twice" for name in sorted({name for name in given if given.count(name) > 1})]
    for name in given:
        if name not in names:
            faults.append(f"column {name!r} is no channel of bundle {manifest.name}" + _nearest(name, names))
    for channel in manifest.channels:
        if channel.name not in given and not channel.may_be_missing:
            faults.append(f"channel {channel.name!r} is missing" + _nearest(channel.name, given))
    if faults:
        refuse(path, 1, f"does not fit: {'; '.join(faults)}", f"The bundle reads: {', '.join(names)}.")
    return [header.index(name) if name in given else 0 for name in names]


def _nearest(name: str, others: Sequence[str]) -> str:
    lower = {other.lower(): other for other in others}
    found = nearest(name.lower(), lower)
    return f" (nearest: {lower[found]!r})" if found else ""


def _checked(path: Path, device: str, rows: _Growing, names: Sequence[str]) -> Recorded:
    t_s = np.array(rows.t, np.float64)
    with np.errstate(over="ignore"):  # looked for below
        x = np.array(rows.x, np.float64).reshape(len(t_s), len(names)).astype(np.float32)
    where = f"device {device!r}"
    possible = (t_s >= 0) & (t_s < T_MAX)
    for bad in np.flatnonzero(~possible):
        refuse(path, rows.line[bad], f"column 't': {where} at the impossible time {t_s[bad]:g}", _FORM)
    for bad in np.flatnonzero(np.diff(t_s) <= 0) + 1:
        what = f"column 't': {where} goes from {t_s[bad - 1]:g} to {t_s[bad]:g}"
        refuse(path, rows.line[bad], what, "Sort the rows of each device by t, one row a time.")
    for bad, column in np.argwhere(np.isinf(x)):
        what = f"column {names[column]!r}: {where} has a value beyond float32"
        refuse(path, rows.line[bad], what, "Leave the cell empty where the value is missing.")
    for bad in np.flatnonzero(np.isnan(x).all(axis=1)):
        refuse(path, rows.line[bad], f"has no value of {where} at all", "Leave such rows out.")
    return Recorded(device, t_s, x)


def device_problem(device: str) -> str:
    """Why a recorded device cannot be played under its name, "" when it can."""
    problem = device_id_problem(device, Bounds().device_id_bytes_max)
    if not problem and any(character in device for character in "/+#"):
        return "holds one of / + #, so it cannot be a topic level"
    return problem


def _check_device(path: Path, line: int, device: str) -> None:
    if problem := device_problem(device):
        refuse(path, line, f"column 'device': {device[:40]!r} {problem}", "Name the device otherwise.")


def _refuse_cell(path: Path, line: int, header: Sequence[str], cells: Sequence[str]) -> NoReturn:
    for name, cell in zip(header[1:], cells[1:], strict=True):
        try:
            float(cell or "nan" if name != "t" else cell)
        except ValueError:
            refuse(path, line, f"column {name!r} is {cell[:40]!r}, not a number", _FORM)
    raise AssertionError("a cell was no number, and now all are")
