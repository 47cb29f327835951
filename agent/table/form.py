"""How a table of recordings is to be read, and what its files give: columns of cells."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from agent.sources import SourceChannel
from agent.words import Int64

Float64 = npt.NDArray[np.float64]
FileUnit = Literal["s", "ms", "us", "ns", "iso8601", "cycle"]


class Moments(NamedTuple):
    """Dates of a Parquet file: int64 [n] ns since 1970, IMPOSSIBLE_NS where empty; `is_local` without a time zone."""

    ns: Int64
    is_local: bool


class CsvForm(NamedTuple):
    """How a CSV file is written, where it differs from commas under a line of names.

    separator  one character; a blank stands for any number of blanks or tabs
    header     names of the columns, () where the first line has them
    """

    separator: str = ","
    header: tuple[str, ...] = ()


PLAIN_CSV = CsvForm()


class FileName(NamedTuple):
    """A device that the file is named after: `{}` in the pattern is the device, * any part of a name.

    The pattern is the end of the path, with or without the file's ending. Several `{}` are joined by "-": `{}/{}` of
    `valve1/0.csv` is `valve1-0`.
    """

    pattern: str

    def device(self, path: Path) -> str:
        """ "" for a path that the pattern does not meet."""
        parts = (_NAME_PARTS.get(part, re.escape(part)) for part in re.split(r"({}|\*)", self.pattern))
        match = re.search(rf"(?:^|/){''.join(parts)}(?:\.[^/]*)?$", path.as_posix())
        return "-".join(match.groups()) if match else ""


_NAME_PARTS = {"{}": "([^/]+?)", "*": "[^/]*"}

Cells = Sequence[str] | Float64 | Int64 | Moments
"""Cells of a column: texts, "" where empty, as CSV has them; numbers, NaN where empty; whole numbers; dates."""


@dataclass(frozen=True, slots=True)
class TableForm:
    """Columns by name; a file may have others, which are not read.

    device          the column, or how the files are named after their devices
    time            the column, "" where rows come `every_ns` from 0 on in each device
    unit            of the time: numbers of a clock unit may as well be ISO 8601 texts; `iso8601` is texts alone
    zone            IANA time zone of texts and dates without an offset, "" for UTC
    channels        `field` is the column
    other_names     column to another name that it may have, where the file has no column of the first
    may_be_absent   columns that a file need not have: then no value is in it
    where_text      what else to do where a channel's cell is a text that is no number
    asked_by        column to the key or option that names it, for messages; `unit_asked_by` likewise
    """

    device: str | FileName
    time: str
    unit: FileUnit
    channels: tuple[SourceChannel, ...]
    zone: str = ""
    other_names: Mapping[str, str] = field(default_factory=dict)
    may_be_absent: frozenset[str] = frozenset()
    asked_by: Mapping[str, str] = field(default_factory=dict)
    unit_asked_by: str = ""
    every_ns: int = 0
    where_text: str = ""


class TableFile(Protocol):
    """A file of rows, numbered from 0 on. Every method may raise DataRefused with the place of what cannot be read."""

    @property
    def path(self) -> Path: ...

    @property
    def has_names(self) -> bool:
        """Is its first line the names of its columns?"""

    def names(self) -> list[str]:
        """Its columns."""

    def chunks(self, columns: Sequence[str]) -> Iterator[list[Cells]]:
        """All rows of the named columns, some thousands at a time."""

    def cell(self, row: int, column: str) -> object:
        """A cell as the file has it, None where it is empty."""

    def place(self, row: int) -> str:
        """Where a row stands: "line 7"."""
