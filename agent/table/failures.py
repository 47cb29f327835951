"""When recorded devices failed: a table with the columns of the device and `t_fail`, its times as those of the rows.

A device without a time, or without a line, did not fail while it was recorded. Lines of devices without rows are left
out, since one list may serve several recordings; both are told, and a name that differs from a device's only by its
case or by blanks is refused as misspelt. One recorded as `line1%2Fp7` may be called `line1/p7`.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from agent.table.cells import cell_texts, cell_times
from agent.table.form import Cells, Moments, TableFile, TableForm
from agent.table.recording import readable_name
from agent.table.rows import columns_in, is_text, refuse_row, refuse_time
from agent.values.times import IMPOSSIBLE_NS

TIME = "t_fail"
SHOWN_MAX = 5  # names


class Failure(NamedTuple):
    """A line of the file: its row, and when the device failed; None where it did not."""

    row: int
    t_ns: int | None


@dataclass(frozen=True, slots=True)
class Failures:
    """Of the recorded devices that have a line; `doubts` are to be told."""

    file: TableFile
    of: dict[str, Failure]
    doubts: tuple[str, ...]


def read_failures(file: TableFile, form: TableForm, devices: Collection[str]) -> Failures:
    """The failures of `devices`; the device column, unit and zone are the form's.

    Raises DataRefused: a device twice, a misspelt one, a cell that is no time.
    """
    of: dict[str, Failure] = {}
    recorded = set(devices)
    for row, written, t_ns in _lines(file, form):
        name = written if written in recorded or readable_name(written) not in recorded else readable_name(written)
        if name in of:
            next_step = "A device fails once: give its rows after the repair another name."
            refuse_row(file, row, f"device {written!r} fails again", next_step)
        of[name] = Failure(row, t_ns)
    meant = {name.strip().casefold(): name for name in recorded}
    unknown = [name for name in of if name not in recorded]
    for name in unknown:
        if (near := meant.get(name.strip().casefold())) is not None:
            refuse_row(file, of[name].row, f"device {name!r} has no rows; nearest {near!r}", "Write it as the rows do.")
    silent = sorted(recorded - set(of))
    doubts = [f"{len(unknown):,} device(s) without rows are left out: {_some(unknown)}"] if unknown else []
    doubts += [f"{len(silent):,} device(s) have no line and count as not failed: {_some(silent)}"] if silent else []
    known = {name: failure for name, failure in of.items() if name in recorded}
    return Failures(file, known, tuple(f"{file.path}: {doubt}" for doubt in doubts))


def _lines(file: TableFile, form: TableForm) -> Iterator[tuple[int, str, int | None]]:
    device, time = columns_in(file, form)
    first, are_texts = 0, form.unit == "iso8601"
    for names, times in file.chunks([device, time]):
        if not first and form.unit != "cycle":
            are_texts |= is_text(times)
        t_ns = cell_times(times, form.unit, form.zone, are_texts=are_texts).tolist()
        has_time = _has_value(times)
        for index, name in enumerate(cell_texts(names)):
            row = first + index
            if not name and has_time[index]:
                refuse_row(file, row, f"column {device!r} is empty", "Each row names its device.")
            if has_time[index] and t_ns[index] == IMPOSSIBLE_NS:
                refuse_time(file, row, form, are_texts=are_texts)
            if name:
                yield row, name, t_ns[index] if has_time[index] else None
        first += len(t_ns)


def _has_value(cells: Cells) -> list[bool]:
    if isinstance(cells, Moments):
        return [t_ns != IMPOSSIBLE_NS for t_ns in cells.ns.tolist()]
    return [bool(text.strip()) and text.strip().lower() != "nan" for text in cell_texts(cells)]


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:SHOWN_MAX]) + (", ..." if len(names) > SHOWN_MAX else "")
