"""When recorded devices were not normal: a log with the columns `start` and `end`, a line an interval [start, end).

An empty end is that of a fault that still stood at the device's last row. Intervals of a device that overlap or touch
are one fault.
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from agent.table.form import TableFile, TableForm
from agent.table.log import read_log
from agent.table.rows import refuse_row
from agent.words import Int64

START, END = "start", "end"


@dataclass(frozen=True, slots=True)
class Faults:
    """int64 [n, 2] in nanoseconds of each recorded device that had one, rising; `doubts` are to be told."""

    of: dict[str, Int64]
    doubts: tuple[str, ...]


def read_faults(file: TableFile, form: TableForm, ends_ns: Mapping[str, int]) -> Faults:
    """The faults of the devices, whose recordings end at `ends_ns`; the device column, unit and zone are the form's.

    Raises DataRefused: a misspelt device, a cell that is no time, a fault without a start or that ends before it.
    """
    log = read_log(file, form, ends_ns.keys(), [START, END])
    intervals: dict[str, list[tuple[int, int]]] = defaultdict(list)
    n_later = 0
    for line in log.lines:
        start, end = line.t_ns
        if start is None:
            refuse_row(file, line.row, f"column {START!r} is empty, not a time", "A fault begins at a time.")
        last = ends_ns[line.device]
        if start >= last:
            n_later += 1
            continue
        end = last if end is None else end
        if end <= start:
            next_step = "The interval is from its start up to, and without, its end."
            refuse_row(file, line.row, f"{END} is not after {START}", next_step)
        intervals[line.device].append((start, end))
    later = f"{file.path}: {n_later:,} fault(s) begin after their device's last row and are left out"
    return Faults(
        {device: _joined(of_device) for device, of_device in intervals.items()},
        (*log.doubts, *([later] if n_later else [])),
    )


def _joined(intervals: list[tuple[int, int]]) -> Int64:
    rising: list[list[int]] = []
    for start, end in sorted(intervals):
        if rising and start <= rising[-1][1]:
            rising[-1][1] = max(rising[-1][1], end)
        else:
            rising.append([start, end])
    return np.array(rising, np.int64)
