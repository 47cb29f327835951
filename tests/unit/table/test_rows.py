"""What a table's columns are taken for, and times that cannot be right."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from agent.errors import DataRefused
from agent.sources import SourceChannel, plain_channels
from agent.table.early_times import doubt_of
from agent.table.files import table_file
from agent.table.form import TableForm
from agent.table.rows import Rows, read_rows

FORM = TableForm("device", "t", "s", plain_channels("temp"))


def read(folder: Path, text: str, form: TableForm = FORM) -> Rows:
    (folder / "d.csv").write_text(text)
    return read_rows([table_file(folder / "d.csv", "")], form)


def test_missing_codes_and_words_are_no_value(tmp_path):
    """Case T7."""
    words = tuple((word, np.nan) for word in ("NA", "NULL", "Bad", "I/O Timeout"))
    channel = SourceChannel("temp", missing=(-9999.0,), words=(*words, ("ON", 1.0)))
    cells = ["NA", "NULL", "Bad", "I/O Timeout", "-9999", "", "5", "ON", "false"]
    text = "device,t,temp\n" + "".join(f"p,{t},{cell}\n" for t, cell in enumerate(cells))
    x = read(tmp_path, text, replace(FORM, channels=(channel,))).x[:, 0]
    assert x.tobytes() == np.float32([*[np.nan] * 6, 5, 1, 0]).tobytes()


def test_types_of_a_parquet_file_mean_what_their_texts_would(tmp_path):
    """Booleans, whole and short numbers, categories, dates with and without a zone, nothing at all."""
    channel = SourceChannel("temp", missing=(-9999.0,), words=(("ON", 1.0), ("OFF", 0.0)))
    form = replace(FORM, channels=(channel,), zone="Europe/Berlin")
    columns: list[list[object]] = [
        [True, None, False],
        [3, -9999, None],
        [1.5, -9999.0, None],
        ["ON", None, "OFF"],
        [None] * 3,
    ]
    types = [pl.Boolean, pl.Int16, pl.Float32, pl.Categorical, pl.Null]
    local = ["2026-07-15T12:00:00", "2026-10-25T02:30:00", "2026-12-01T00:00:00"]
    for cells, of in zip(columns, types, strict=True):
        frame = pl.DataFrame(
            [
                pl.Series("device", [7, 7, 7]),
                pl.Series("t", local).str.to_datetime(),
                pl.Series("temp", cells, dtype=of),
            ]
        )
        frame.write_parquet(tmp_path / "d.parquet")
        typed = read_rows([table_file(tmp_path / "d.parquet", "")], form)
        texts = ["" if cell is None else str(cell) for cell in cells]
        text = read(
            tmp_path, "device,t,temp\n" + "".join(f"7,{t},{c}\n" for t, c in zip(local, texts, strict=True)), form
        )
        assert typed.t_ns.tolist() == text.t_ns.tolist()
        assert typed.x.tobytes() == text.x.tobytes()
        assert typed.names == text.names == ("7",)


def test_a_column_of_neither_numbers_nor_texts_is_refused(tmp_path):
    pl.DataFrame({"device": ["p"], "t": [1], "temp": [[1.0]]}).write_parquet(tmp_path / "d.parquet")
    with pytest.raises(DataRefused, match=r"row 1: column 'temp' holds List\(Float64\)"):
        read_rows([table_file(tmp_path / "d.parquet", "")], FORM)


def test_columns_are_found_by_a_second_name_or_may_be_absent(tmp_path):
    form = replace(
        FORM, channels=plain_channels("T 1", "vib"), other_names={"T 1": "temp"}, may_be_absent=frozenset({"vib"})
    )
    assert read(tmp_path, "device,t,temp\np,1,5\n", form).x.tobytes() == np.float32([5, np.nan]).tobytes()
    assert read(tmp_path, "vib,device,t,temp,T 1\n6,p,1,5,4\n", form).x.tolist() == [[4, 6]]
    with pytest.raises(DataRefused, match=r"column 'temp' is asked for twice"):
        read(tmp_path, "device,t,temp\np,1,5\n", replace(form, channels=plain_channels("T 1", "temp")))


@pytest.mark.parametrize(
    ("cell", "unit", "looks"),
    [
        ("45717.041667", "s", "2025-03-01T01:00:00: write it as a text"),
        ("1795814694", "ms", 'seconds since 1970, which is the unit "s"'),
        ("1795814694123", "us", 'milliseconds since 1970, which is the unit "ms"'),
        ("17", "s", 'a counter, which is the unit "cycle"'),
        ("0.25", "s", "Is that right?"),
        ("1970-01-01T00:00:03", "s", "Is that right?"),
    ],
)
def test_a_time_before_2000_is_told_with_what_it_looks_like(tmp_path, cell, unit, looks):
    """Case T9."""
    form = replace(FORM, unit=unit)
    doubt = doubt_of(read(tmp_path, f"device,t,temp\np,{cell},5\n", form), form)
    assert doubt.startswith(f"d.csv line 2: column 't' is '{cell}', which is 1970-01-")
    assert looks in doubt


def test_a_time_from_2000_on_and_a_cycle_are_no_doubt(tmp_path):
    assert doubt_of(read(tmp_path, "device,t,temp\np,1795814694,5\n"), FORM) == ""
    cycles = replace(FORM, unit="cycle")
    assert doubt_of(read(tmp_path, "device,t,temp\np,17,5\n", cycles), cycles) == ""


def test_a_time_beyond_all_years_is_refused_with_what_it_looks_like(tmp_path):
    told = (
        "column 't' is '1795814694123', not a time\n  It looks like milliseconds since 1970, which is the unit \"ms\""
    )
    with pytest.raises(DataRefused, match=told):
        read(tmp_path, "device,t,temp\np,1795814694123,5\n")


def test_the_first_time_decides_between_numbers_and_texts(tmp_path):
    with pytest.raises(DataRefused, match="line 3: column 't' is '2026-11-27', not a number"):
        read(tmp_path, "device,t,temp\np,1795814694,5\np,2026-11-27,5\n")
    with pytest.raises(DataRefused, match="line 3: column 't' is '1795814694', not an ISO 8601 time"):
        read(tmp_path, "device,t,temp\np,2026-11-27,5\np,1795814694,5\n")
    assert (
        read(tmp_path, "device,t,temp\np,20261127,5\n", replace(FORM, unit="iso8601")).t_ns[0] == 1_795_737_600 * 10**9
    )
