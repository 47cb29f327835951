"""A log of what happened to the recorded devices: a line each with the device, one or two times, and maybe a kind.

Failures, fault intervals, maintenance and error codes are such logs; their times are as those of the rows. Lines of
devices without rows are left out, since one log may serve several recordings; that is told, and a name that differs
from a device's only by its case or by blanks is refused as misspelt. One recorded as `line1%2Fp7` may be called
`line1/p7`.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from agent.sources import SourceChannel
from agent.table.cells import cell_texts, cell_times
from agent.table.form import Cells, Moments, TableFile, TableForm
from agent.table.recording import readable_name
from agent.table.rows import columns_in, is_text, refuse_row, refuse_time
from agent.values.times import IMPOSSIBLE_NS

SHOWN_MAX = 5  # names


class Line(NamedTuple):
    """row: of the file; device: as its rows have it, `written` as the log does; t_ns: None for an empty cell; texts: of
    the columns that were asked for.
    """

    row: int
    device: str
    written: str
    t_ns: tuple[int | None, ...]
    texts: tuple[str, ...]

    @property
    def kind(self) -> str:
        """ "" without such a column."""
        return self.texts[0] if self.texts else ""


@dataclass(frozen=True, slots=True)
class Log:
    """Lines of the recorded devices in the file's order, and other devices in `unknown`."""

    file: TableFile
    lines: tuple[Line, ...]
    unknown: tuple[str, ...]

    @property
    def doubts(self) -> tuple[str, ...]:
        """To be told."""
        n_unknown = len(self.unknown)
        left_out = f"{self.file.path}: {n_unknown:,} device(s) without rows are left out: {some(self.unknown)}"
        return (left_out,) if n_unknown else ()


def read_log(
    file: TableFile, form: TableForm, devices: Collection[str], times: Sequence[str], texts: Sequence[str] = ()
) -> Log:
    """The lines of `devices`; device column, unit and zone are the form's.

    times  the columns of times
    texts  columns of texts, a kind the first of them

    Raises DataRefused: a column missing, a misspelt device, a cell that is no time.
    """
    recorded = set(devices)
    meant = {name.strip().casefold(): name for name in recorded}
    lines: list[Line] = []
    unknown: dict[str, None] = {}
    others = tuple(SourceChannel(column) for column in (*times[1:], *texts))
    for line in _lines(file, replace(form, time=times[0], channels=others, every_ns=0), times):
        written = line.written
        name = written if written in recorded or readable_name(written) not in recorded else readable_name(written)
        if name in recorded:
            lines.append(line._replace(device=name))
        elif (near := meant.get(name.strip().casefold())) is not None:
            refuse_row(file, line.row, f"device {name!r} has no rows; nearest {near!r}", "Write it as the rows do.")
        else:
            unknown[name] = None
    return Log(file, tuple(lines), tuple(unknown))


def doubts_of_silent(log: Log, devices: Collection[str]) -> tuple[str, ...]:
    """Of devices without a line: they count as not failed, and a misspelt name looks the same."""
    silent = sorted(set(devices) - {line.device for line in log.lines})
    what = f"{len(silent):,} device(s) have no line and count as not failed: {some(silent)}"
    return (f"{log.file.path}: {what}",) if silent else ()


def doubts_of_outside(log: Log, outside: Sequence[Line], ends: Callable[[str], str]) -> tuple[str, ...]:
    """What to tell of lines outside of their devices' rows; `ends` has the first and last time of a device's as text.

    Raises DataRefused where all lines are.
    """
    if not outside:
        return ()
    first = outside[0]
    what = f"of device {first.device!r} is outside of its rows ({ends(first.device)})"
    if len(outside) == len(log.lines):
        next_step = "Are the times in the unit and time zone of the rows?"
        refuse_row(log.file, first.row, f"{what}, as is every line", next_step)
    of = f"{len(outside):,} of {len(log.lines):,} lines are left out"
    return (f"{log.file.path}: {of}; {log.file.place(first.row)}: {what}",)


def _lines(file: TableFile, form: TableForm, times: Sequence[str]) -> Iterator[Line]:
    device, *columns = columns_in(file, form)
    first, are_texts = 0, [form.unit == "iso8601"] * len(times)
    for names, *cells in file.chunks([device, *columns]):
        t_ns: list[list[int | None]] = []
        for place, (column, of) in enumerate(zip(times, cells, strict=False)):
            if not first and form.unit != "cycle":
                are_texts[place] |= is_text(of)
            t_ns.append(_times(file, replace(form, time=column), of, first, are_texts=are_texts[place]))
        texts = [[text.strip() for text in cell_texts(of)] for of in cells[len(times) :]]
        of_lines = zip(*texts, strict=True) if texts else [()] * len(t_ns[0])
        for index, (name, of_line, *at) in enumerate(zip(cell_texts(names), of_lines, *t_ns, strict=True)):
            if name:
                yield Line(first + index, name, name, tuple(at), tuple(of_line))
            elif any(t is not None for t in at):
                refuse_row(file, first + index, f"column {device!r} is empty", "Each row names its device.")
        first += len(t_ns[0])


def _times(file: TableFile, form: TableForm, cells: Cells, first: int, *, are_texts: bool) -> list[int | None]:
    """None where the cell is empty. Raises DataRefused for one that is no time."""
    t_ns = cell_times(cells, form.unit, form.zone, are_texts=are_texts).tolist()
    has_time = _has_value(cells)
    for index, (t, is_there) in enumerate(zip(t_ns, has_time, strict=True)):
        if is_there and t == IMPOSSIBLE_NS:
            refuse_time(file, first + index, form, are_texts=are_texts)
    return [t if is_there else None for t, is_there in zip(t_ns, has_time, strict=True)]


def _has_value(cells: Cells) -> list[bool]:
    if isinstance(cells, Moments):
        return [t_ns != IMPOSSIBLE_NS for t_ns in cells.ns.tolist()]
    return [bool(text.strip()) and text.strip().lower() != "nan" for text in cell_texts(cells)]


def some(names: Sequence[str]) -> str:
    return ", ".join(names[:SHOWN_MAX]) + (", ..." if len(names) > SHOWN_MAX else "")
