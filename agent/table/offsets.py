"""Times with and without an offset from UTC in one recording: whose clocks may be in several zones."""

import re
from collections.abc import Sequence

from agent.table.form import TableFile, TableForm

_OFFSET = re.compile(r"(?:[Zz]|[+-]\d\d(?::?\d\d)?)$")
_TEXT = re.compile(r"\d{4}-?\d\d-?\d\d[T ]\d\d")


def doubt_of_offsets(files: Sequence[TableFile], form: TableForm) -> str:
    """What to tell where the first time of one file has an offset and that of another one has none, else ""."""
    if not form.time or form.unit == "cycle":
        return ""
    places: dict[bool, str] = {}
    for file in files:
        cell = file.cell(0, form.time)
        if isinstance(cell, str) and _TEXT.match(cell.strip()):
            has_offset = bool(_OFFSET.search(cell.strip()[10:]))
            places.setdefault(has_offset, f"{file.path.name} {file.place(0)}: column {form.time!r} is {cell!r}")
    if len(places) < 2:
        return ""
    zone = f"a time of {form.zone}" if form.zone else "UTC"
    return f"{places[False]}, without an offset: it is taken for {zone}, but {places[True]}. Is that one clock?"
