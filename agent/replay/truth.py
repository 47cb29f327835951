"""Recorded data and what became of its devices, read from CSV (also .csv.xz and .csv.gz).

Data has the header `device,t,CHANNEL...`, one row a reading: t in the bundle's time unit, rising within each device,
devices in any order; an empty cell or `nan` is a missing value. Truth has the header `device,t_fail`, one row a
device; an empty t_fail means that it did not fail. What cannot be read is refused with file, line and column: a score
over half-read data would be worse than none.
"""

import csv
import difflib
import gzip
import lzma
import math
import zlib
from array import array
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn, TextIO

import numpy as np

from agent.bundle.manifest import Manifest
from agent.core import Bounds
from agent.decode.topic import device_id_problem
from agent.errors import DataRefused
from agent.score.early_warning import Float64
from agent.words import Float32

LINES_MAX = 5_000_000
LINE_CHARS_MAX = 100_000
T_MAX = 2**62 / 1e9  # event time is int64 nanoseconds
_DATA_FORM = "A row is device,t,CHANNEL...; see docs/replay.md."
_TRUTH_FORM = "A row is device,t_fail; see docs/replay.md."


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
    devices_max = Bounds().max_devices
    with _opened(path) as lines:
        header = next(lines, (1, []))[1]
        columns = _columns(path, header, manifest)
        for line, cells in lines:
            if len(cells) != len(header):
                _refuse(path, line, f"has {len(cells)} cells, the header has {len(header)}", _DATA_FORM)
            rows = growing.get(cells[0])
            if rows is None:
                _check_device(path, line, cells[0])
                if len(growing) == devices_max:
                    _refuse(path, line, f"is of device number {devices_max + 1}", "Replay fewer devices at a time.")
                rows = growing[cells[0]] = _Growing()
            try:
                rows.t.append(float(cells[1]))
                rows.x.extend([float(cells[c]) if c and cells[c] else math.nan for c in columns])
            except ValueError:
                _refuse_cell(path, line, header, cells)
            rows.line.append(line)
    if not growing:
        raise DataRefused(path, "holds no rows", next_step=_DATA_FORM)
    names = [channel.name for channel in manifest.channels]
    return [_checked(path, device, growing[device], names) for device in sorted(growing)]


def read_truth(path: Path, devices: Sequence[str]) -> dict[str, float | None]:
    """When each of `devices` failed, None for one that did not.

    Raises DataRefused when one of them is not in the file or twice. Devices of the file that are not asked for are
    left out: one truth file may serve several recordings.
    """
    truth: dict[str, float | None] = {}
    with _opened(path) as lines:
        header = next(lines, (1, []))[1]
        if header != ["device", "t_fail"]:
            _refuse(path, 1, f"is {','.join(header)!r}, not 'device,t_fail'", _TRUTH_FORM)
        for line, cells in lines:
            if len(cells) != 2:
                _refuse(path, line, f"has {len(cells)} cells, not 2", _TRUTH_FORM)
            device, t_fail = cells
            if device in truth:
                _refuse(path, line, f"gives device {device!r} again", "Only one failure a device can be measured.")
            truth[device] = _failure_time(path, line, t_fail) if t_fail else None
    missing = [device for device in devices if device not in truth]
    if missing:
        named = ", ".join(missing[:5]) + (", ..." if len(missing) > 5 else "")
        what = f"says nothing of {len(missing)} recorded device(s): {named}"
        raise DataRefused(path, what, next_step="Give each a line; an empty t_fail means it did not fail.")
    return {device: truth[device] for device in devices}


def _columns(path: Path, header: Sequence[str], manifest: Manifest) -> list[int]:
    """Index of each channel's column, 0 for a channel that may be missing and is."""
    if list(header[:2]) != ["device", "t"]:
        _refuse(path, 1, f"begins with {','.join(header[:2])!r}, not 'device,t'", _DATA_FORM)
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
        _refuse(path, 1, f"does not fit: {'; '.join(faults)}", f"The bundle reads: {', '.join(names)}.")
    return [header.index(name) if name in given else 0 for name in names]


def _nearest(name: str, others: Sequence[str]) -> str:
    lower = {other.lower(): other for other in others}
    found = difflib.get_close_matches(name.lower(), list(lower), n=1)
    return f" (nearest: {lower[found[0]]!r})" if found else ""


def _checked(path: Path, device: str, rows: _Growing, names: Sequence[str]) -> Recorded:
    t_s = np.array(rows.t, np.float64)
    with np.errstate(over="ignore"):  # looked for below
        x = np.array(rows.x, np.float64).reshape(len(t_s), len(names)).astype(np.float32)
    where = f"device {device!r}"
    possible = (t_s >= 0) & (t_s < T_MAX)
    for bad in np.flatnonzero(~possible):
        _refuse(path, rows.line[bad], f"column 't': {where} at the impossible time {t_s[bad]:g}", _DATA_FORM)
    for bad in np.flatnonzero(np.diff(t_s) <= 0) + 1:
        what = f"column 't': {where} goes from {t_s[bad - 1]:g} to {t_s[bad]:g}"
        _refuse(path, rows.line[bad], what, "Sort the rows of each device by t, one row a time.")
    for bad, column in np.argwhere(np.isinf(x)):
        what = f"column {names[column]!r}: {where} has a value beyond float32"
        _refuse(path, rows.line[bad], what, "Leave the cell empty where the value is missing.")
    for bad in np.flatnonzero(np.isnan(x).all(axis=1)):
        _refuse(path, rows.line[bad], f"has no value of {where} at all", "Leave such rows out.")
    return Recorded(device, t_s, x)


def _failure_time(path: Path, line: int, text: str) -> float:
    try:
        t_fail = float(text)
    except ValueError:
        t_fail = math.nan
    if not 0 <= t_fail < T_MAX:
        _refuse(path, line, f"column 't_fail' is {text[:40]!r}, not a time", _TRUTH_FORM)
    return t_fail


def device_problem(device: str) -> str:
    """Why a recorded device cannot be played under its name, "" when it can."""
    problem = device_id_problem(device, Bounds().device_id_bytes_max)
    if not problem and any(character in device for character in "/+#"):
        return "holds one of / + #, so it cannot be a topic level"
    return problem


def _check_device(path: Path, line: int, device: str) -> None:
    if problem := device_problem(device):
        _refuse(path, line, f"column 'device': {device[:40]!r} {problem}", "Name the device otherwise.")


def _refuse_cell(path: Path, line: int, header: Sequence[str], cells: Sequence[str]) -> NoReturn:
    for name, cell in zip(header[1:], cells[1:], strict=True):
        try:
            float(cell or "nan" if name != "t" else cell)
        except ValueError:
            _refuse(path, line, f"column {name!r} is {cell[:40]!r}, not a number", _DATA_FORM)
    raise AssertionError("a cell was no number, and now all are")


def _refuse(path: Path, line: int, what: str, next_step: str) -> NoReturn:
    raise DataRefused(path, f"line {line} {what}", next_step=next_step) from None


@contextmanager
def _opened(path: Path) -> Iterator[Iterator[tuple[int, list[str]]]]:
    """The file's lines as (number, cells); whatever goes wrong with it becomes DataRefused."""
    number = 0
    try:
        with _text(path) as file:
            reader = csv.reader(_bounded_lines(path, file), strict=True)

            def numbered() -> Iterator[tuple[int, list[str]]]:
                nonlocal number
                for cells in reader:
                    number = reader.line_num
                    if cells:
                        yield number, cells

            yield numbered()
    except (csv.Error, UnicodeDecodeError, EOFError, lzma.LZMAError, zlib.error, gzip.BadGzipFile) as error:
        _refuse(path, number + 1, f"cannot be read: {error}", "Is it a UTF-8 CSV file, and whole?")
    except OSError as error:
        raise DataRefused(path, error.strerror or str(error), next_step="Give the path of a CSV file.") from None


def _text(path: Path) -> TextIO:
    if path.suffix == ".xz":
        return lzma.open(path, "rt", encoding="utf-8-sig", newline="")
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8-sig", newline="")
    return path.open(encoding="utf-8-sig", newline="")


def _bounded_lines(path: Path, file: TextIO) -> Iterator[str]:
    for number in range(1, LINES_MAX + 2):
        text = file.readline(LINE_CHARS_MAX + 1)
        if not text:
            return
        if len(text) > LINE_CHARS_MAX:
            _refuse(path, number, f"is longer than {LINE_CHARS_MAX} characters", "Is it a CSV file?")
        yield text
    _refuse(path, LINES_MAX + 1, "is one too many", "Replay fewer devices at a time.")
