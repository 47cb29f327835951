"""When recorded devices failed: a log with the column `t_fail`.

A device without a time, or without a line, did not fail while it was recorded; those without a line are told, since a
misspelt name looks the same. `forewarn replay` plays a device as one life, so it takes one failure of each.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import NamedTuple

from agent.table.form import TableFile, TableForm
from agent.table.log import Log, read_log, some
from agent.table.rows import refuse_row

TIME = "t_fail"


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
    log = read_log(file, form, devices, [TIME])
    of: dict[str, Failure] = {}
    for line in log.lines:
        if line.device in of:
            next_step = "A device fails once: give its rows after the repair another name."
            refuse_row(file, line.row, f"device {line.written!r} fails again", next_step)
        of[line.device] = Failure(line.row, line.t_ns[0])
    return Failures(file, of, (*log.doubts, *doubts_of_silent(log, devices)))


def doubts_of_silent(log: Log, devices: Collection[str]) -> tuple[str, ...]:
    """Of devices without a line."""
    silent = sorted(set(devices) - {line.device for line in log.lines})
    what = f"{len(silent):,} device(s) have no line and count as not failed: {some(silent)}"
    return (f"{log.file.path}: {what}",) if silent else ()
