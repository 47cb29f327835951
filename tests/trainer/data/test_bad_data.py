"""The words with which each kind of bad data in a user's own recordings is refused."""

from collections.abc import Callable
from pathlib import Path

import pytest

from agent.errors import ForewarnError
from tests.trainer.fleet import small_config
from tests.trainer.recordings import FAILURES, ROWS, lines, set_cell, table, write, write_fleet
from trainer.fit import fit

Spoil = Callable[[Path], object]
MEND, UTF8, EMPTY = "Mend that line", "Save it as UTF-8, with commas", "Leave the cell empty where"


def cell(line: int, column: int, text: str, name: str = ROWS) -> Spoil:
    return lambda folder: set_cell(folder / name, line, column, text)


def added(text: str, name: str = ROWS) -> Spoil:
    return lambda folder: write(folder / name, [*lines(folder / name), text])


def replaced(old: str, new: str) -> Spoil:
    return lambda folder: (folder / ROWS).write_text((folder / ROWS).read_text().replace(old, new))


def written(content: str, encoding: str = "utf-8", name: str = ROWS) -> Spoil:
    return lambda folder: (folder / name).write_text(content, encoding=encoding)


def swapped(folder: Path) -> None:
    content = lines(folder / ROWS)
    content[19], content[29] = content[29], content[19]
    write(folder / ROWS, content)


def bad_after_a_blank_line(folder: Path) -> None:
    content = lines(folder / ROWS)
    write(folder / ROWS, [*content[:5], "", *content[5:]])
    set_cell(folder / ROWS, 10, 3, "abc")


def silent(folder: Path) -> None:
    content = [line.split(",") for line in lines(folder / ROWS)]
    write(folder / ROWS, [",".join([*cells[:2], "", "", ""] if cells[0] == "2" else cells) for cells in content])


def latin_1(folder: Path) -> None:
    set_cell(folder / ROWS, 33, 0, "Kühler")
    (folder / ROWS).write_text((folder / ROWS).read_text(), encoding="latin-1")


IN_ROWS: dict[str, tuple[Spoil, str, str]] = {
    "unsorted": (swapped, "line 21: device '1' at '20' follows '29' in rows.csv line 20", "Sort each device's rows"),
    "repeated": (added("1,4,600,1580,47"), "line 975: device '1' at '4' follows '50' in rows.csv line 51", "two names"),
    "twice": (
        added("14,89,600,1580,47"),
        "line 975: device '14' at '89' follows '89' in rows.csv line 974",
        "one row a",
    ),
    "bad number": (cell(7, 3, "abc"), "line 7: column 'T30' is 'abc', not a number", EMPTY),
    "decimal comma": (cell(7, 3, '"1,5"'), "line 7: column 'T30' is '1,5', not a number", "decimals have a point"),
    "after a blank line": (bad_after_a_blank_line, "line 10: column 'T30' is 'abc', not a number", EMPTY),
    "infinite": (cell(7, 4, "inf"), "line 7: column 'Ps30' is 'inf', not a finite number", EMPTY),
    "beyond float32": (cell(7, 4, "-1e39"), "line 7: column 'Ps30' is '-1e39', not a finite number", EMPTY),
    "outlier": (
        cell(7, 2, "1e9"),
        "line 7: column 'T24' of device '1' is 1000000000, but half of all values lie within",
        '"no value": data.missing = [1000000000]; is it real: outliers = "keep".',
    ),
    "code for no value": (cell(7, 2, "-9999.1"), "column 'T24' of device '1' is -9999.1,", "missing = [-9999.1]"),
    "no time": (cell(7, 1, ""), "line 7: column 't' is empty, not a time", "a number of cycles"),
    "text for a time": (cell(7, 1, "late"), "line 7: column 't' is 'late', not a number", "needs a number of cycles"),
    "negative time": (cell(7, 1, "-1"), "line 7: column 't' is '-1', not a time", "data.time_unit is 'cycle'"),
    "milliseconds": (cell(51, 1, "1.7e12"), "line 51: column 't' is '1.7e12', not a time", "data.time_unit"),
    "no device": (cell(7, 0, ""), "line 7: column 'device' is empty", "Each row names its device"),
    "device no topic can hold": (cell(51, 0, "a/b"), "line 51: device 'a/b' holds one of / + #", "Name it otherwise"),
    "silent device": (silent, "line 52: device '2' has no value of any channel", "Leave the device out"),
    "cut short": (added("14,90,600"), "line 975 has 3 cells, the header has 5", MEND),
    "too long": (added("14,90,1,2,3,4"), "line 975 has 6 cells, the header has 5", MEND),
    "torn quotes": (added('"14,90,600,1580,47'), "line 975: unexpected end of data", "Mend the quotes"),
    "not UTF-8": (latin_1, "line 33 is not UTF-8 text", UTF8),
    "UTF-16": (written("device,t", "utf-16"), "line 1 is not UTF-8 text", UTF8),
    "semicolons": (replaced(",", ";"), "line 1 is separated by ';', not by commas", UTF8),
    "tabs": (replaced(",", "\t"), "line 1 is separated by tabs, not by commas", UTF8),
    "column missing": (
        replaced("T30", "T 30"),
        "line 1: no column 'T30' (data.channels, nearest 'T 30')",
        "These are its columns: device, t, T24, T 30, Ps30.",
    ),
    "column twice": (
        replaced("t,T24,T30", "t,T24,Ps30"),
        "column 'Ps30' is there twice; no column 'T30'",
        "Ps30, Ps30",
    ),
    "no header": (
        replaced("device,t,T24,T30,Ps30\n", ""),
        "line 1: no column 'device' (data.device); no column 't' (data.time); no column 'T24'",
        "These are its columns: 1, 1,",
    ),
    "empty": (written(""), "is empty", "The first line names the columns"),
    "header alone": (written("device,t,T24,T30,Ps30\n"), "holds no rows", "A row is a device, a time"),
    "no file": (lambda folder: (folder / ROWS).unlink(), "No such file", "Paths start at the folder of the training"),
}
IN_FAILURES: dict[str, tuple[Spoil, str, str]] = {
    "far off": (cell(2, 1, "9e8", FAILURES), "line 2: device '1' fails at '9e8', far from its last", "the same unit"),
    "misspelt": (cell(15, 0, "14 ", FAILURES), "line 15: device '14 ' has no rows; nearest '14'", "as the rows do"),
    "no time": (cell(2, 1, "soon", FAILURES), "line 2: column 't_fail' is 'soon', not a number", "number of cycles"),
    "no column": (
        written("device,failed\n", name=FAILURES),
        "line 1: no column 't_fail' (data.failures, nearest 'failed')",
        "These are its columns: device, failed.",
    ),
}
CASES = [(ROWS, *case) for case in IN_ROWS.values()] + [(FAILURES, *case) for case in IN_FAILURES.values()]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "spoil", "what", "next_step"), CASES, ids=[*IN_ROWS, *IN_FAILURES])
def test_bad_data_is_refused_with_its_place_and_what_to_do(
    tmp_path: Path, name: str, spoil: Spoil, what: str, next_step: str
) -> None:
    """Before anything is written."""
    write_fleet(tmp_path)
    spoil(tmp_path)
    with pytest.raises(ForewarnError) as refused:
        fit(small_config(data=table()), tmp_path, tmp_path / "out")
    assert refused.value.where == tmp_path / name
    assert what in refused.value.what
    assert next_step in refused.value.next_step
    assert len(str(refused.value).splitlines()) == 2
    assert not (tmp_path / "out").exists()
