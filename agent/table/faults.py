"""When recorded devices were not normal: a log with two columns of times, a line an interval [start, end).

An empty end is that of a fault that still stood at the device's last row. A replay and a training read them alike.
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from agent.table.log import Line, Log
from agent.table.rows import refuse_row, shown

START, END = "start", "end"


class Span(NamedTuple):
    """Of a device, in ns: its first and last row, and up to when a fault lasts that has no end."""

    first_ns: int
    last_ns: int
    end_ns: int


@dataclass(frozen=True, slots=True)
class Faults:
    """(start, end) in ns by device, rising and apart; and the lines `outside` of their devices' rows, left out."""

    of: dict[str, list[tuple[int, int]]]
    outside: tuple[Line, ...]


def faults_in(log: Log, spans: Mapping[str, Span], start: str = START, end: str = END) -> Faults:
    """The faults of a log whose two times are in the columns `start` and `end`; spans of its devices.

    Raises DataRefused for a fault without a start, one that ends before it, and one that overlaps with another.
    """
    intervals: dict[str, list[tuple[int, int]]] = defaultdict(list)
    before: dict[str, tuple[int, Line]] = {}
    outside: list[Line] = []
    for line in sorted(log.lines, key=lambda line: line.t_ns[0] or 0):
        start_ns, end_ns = line.t_ns
        if start_ns is None:
            refuse_row(log.file, line.row, f"column {start!r} is empty, not a time", "A fault begins at a time.")
        first_ns, last_ns, open_ns = spans[line.device]
        if end_ns is None:
            end_ns = max(open_ns, start_ns + 1)
        if end_ns <= start_ns:
            what = f"column {end!r} is {shown(log.file.cell(line.row, end))}, which is not after "
            what += f"{shown(log.file.cell(line.row, start))}, the start of the fault of device {line.device!r}"
            refuse_row(log.file, line.row, what, f"Swap them, or leave {end!r} empty: it lasts to the last row.")
        until_ns, other = before.get(line.device, (start_ns, line))
        if until_ns > start_ns:
            what = f"the fault of device {line.device!r} overlaps with that of {log.file.place(other.row)}"
            refuse_row(log.file, line.row, what, "Make one interval of them.")
        before[line.device] = end_ns, line
        if end_ns <= first_ns or start_ns > last_ns:
            outside.append(line)
        else:
            intervals[line.device].append((start_ns, end_ns))
    return Faults(intervals, tuple(outside))
