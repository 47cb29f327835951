"""What is asked of the files, and the rows that they hold: what labels, events and lives are read beside."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from agent.sources import AlignRule
from agent.table.files import table_file
from agent.table.form import CsvForm, TableForm
from agent.table.lives import logs
from agent.table.log import Log, read_log
from agent.table.rows import Rows
from agent.words import Int64


@dataclass(frozen=True, slots=True)
class AskedTable:
    """Files of rows, and how they are read.

    places     files, folders, patterns and members of archives
    form       its channels are `channels`; of the first table the label's column may come after them
    max_age_s  of a table that is joined: its values are held for so long, None: as the rule says
    """

    places: tuple[str, ...]
    form: TableForm
    csv: CsvForm
    channels: tuple[str, ...]
    max_age_s: float | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """What is to be read, and how.

    tables     the first one, and those that are joined to it
    folder     where the places of the tables and the files of `labels` start
    channels   in the order of `x`: those of all tables, and events of a log
    events     those of them that count events: an empty cell is 0
    next_step  what to do where a file is not found
    align      the rule by which readings become rows, None: each row of the first table is one
    """

    tables: tuple[AskedTable, ...]
    folder: Path
    channels: tuple[str, ...]
    events: frozenset[str]
    labels: logs.LabelKeys
    next_step: str
    align: AlignRule | None = None


@dataclass(frozen=True, slots=True)
class Recording:
    """The rows of the first table, and those of each device in time order.

    joined  those of each other table
    tell    of a doubt
    """

    asked: Asked
    rows: Rows
    rows_of: Mapping[str, Int64]
    joined: tuple[tuple[Rows, Mapping[str, Int64]], ...]
    tell: Callable[[str], None]

    @property
    def form(self) -> TableForm:
        return self.asked.tables[0].form

    def log(self, of: logs.Log, times: Sequence[str], kind: str = "") -> Log:
        """Raises DataRefused."""
        file = table_file(self.asked.folder / of.file, self.asked.next_step, CsvForm(of.separator))
        device = of.device or (self.form.device if isinstance(self.form.device, str) else "device")
        log = read_log(file, replace(self.form, device=device), self.rows_of.keys(), times, [kind] if kind else [])
        for doubt in log.doubts:
            self.tell(doubt)
        return log

    def span(self, device: str) -> tuple[int, int]:
        """Times of its first and its last row, in ns."""
        at = self.rows_of[device]
        return int(self.rows.t_ns[at[0]]), int(self.rows.t_ns[at[-1]])

    def ends(self, device: str) -> str:
        """Its first and last time, as the rows have them."""
        first, last = (int(self.rows_of[device][place]) for place in (0, -1))
        if not self.form.time:
            return f"{self.rows.place(first)} to {self.rows.place(last)}"
        return f"{self.rows.cell(first, self.form.time)} to {self.rows.cell(last, self.form.time)}"


def usual_step_ns(recording: Recording, device: str) -> int:
    """The median time from a row to the next, at least 1."""
    t_ns = recording.rows.t_ns[recording.rows_of[device]]
    return max(int(np.median(np.diff(t_ns))), 1) if len(t_ns) > 1 else 1
