"""Recordings of a user's own: what is read, and what is too large or no such file. The rest is in test_bad_data.py."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from agent.errors import ForewarnError
from agent.table import files
from tests.trainer.fleet import NAMES, fleet, small_config
from tests.trainer.recordings import DEVICES, FAILURES, ROWS, lines, set_cell, table, write, write_fleet
from trainer.bundle.assemble import channels_of
from trainer.data.dataset import histories_of
from trainer.data.history import History
from trainer.data.split import Parts
from trainer.data.table import Table
from trainer.data.table import read_table as read


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_fleet(tmp_path)
    return tmp_path


@pytest.fixture
def tokyo() -> Iterator[None]:
    """A machine on which local time is not UTC."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", "Asia/Tokyo")
        time.tzset()
        yield
    time.tzset()


def read_table(of: Table, folder: Path) -> list[History]:
    return read(of, of.channels, folder)


def equal(found: list[History], wanted: list[History]) -> bool:
    return all(
        (a.device, a.t_s.tobytes(), a.x.tobytes(), a.t_fail) == (b.device, b.t_s.tobytes(), b.x.tobytes(), b.t_fail)
        for a, b in zip(found, sorted(wanted, key=lambda one: one.device), strict=True)
    )


def test_what_the_trainer_records_comes_back_bit_for_bit(folder: Path) -> None:
    assert equal(read_table(table(), folder), fleet(DEVICES))


def test_the_order_of_devices_and_files_does_not_matter(folder: Path) -> None:
    """By time, as a historian exports; in two files of a pattern; with a byte order mark and CRLF."""
    header, *rows = lines(folder / ROWS)
    rows.sort(key=lambda row: float(row.split(",")[1]))
    for name, part in (("a-1.csv", rows[:300]), ("a-2.csv", rows[300:])):
        (folder / name).write_bytes("\r\n".join(["\ufeff" + header, *part, "", ""]).encode())
    assert equal(read_table(table(rows="a-*.csv"), folder), fleet(DEVICES))
    assert equal(read_table(table(rows=["a-1.csv", "a-2.csv"]), folder), fleet(DEVICES))


def test_parquet_is_read_like_csv_whatever_its_types(folder: Path) -> None:
    frame = pl.read_csv(folder / ROWS).with_columns(pl.col(NAMES).cast(pl.Float32), pl.col("device").cast(pl.Int32))
    moments = pl.from_epoch(pl.col("t").cast(pl.Int64), time_unit="s")
    frame.with_columns(moments.dt.replace_time_zone("UTC")).write_parquet(folder / "rows.parquet")
    failures = pl.read_csv(folder / FAILURES)
    failures.with_columns(pl.from_epoch(pl.col("t_fail").cast(pl.Int64), time_unit="s")).write_parquet(
        folder / "failures.parquet"
    )
    of = table(rows="rows.parquet", failures="failures.parquet", time_unit="s")
    assert equal(read_table(of, folder), fleet(DEVICES))


@pytest.mark.parametrize("form", ["{:%Y-%m-%dT%H:%M:%SZ}", "{:%Y-%m-%d %H:%M:%S}", "{:%Y-%m-%dT%H:%M:%S+00:00}"])
@pytest.mark.usefixtures("tokyo")
def test_times_may_be_iso_texts_utc_unless_they_say(folder: Path, form: str) -> None:
    for name, column in ((ROWS, 1), (FAILURES, 1)):
        header, *rows = (line.split(",") for line in lines(folder / name))
        for cells in rows:
            cells[column] = form.format(datetime.fromtimestamp(float(cells[column]), UTC))
        write(folder / name, [",".join(cells) for cells in (header, *rows)])
    assert equal(read_table(table(time_unit="s"), folder), fleet(DEVICES))
    set_cell(folder / ROWS, 7, 1, "")
    with pytest.raises(ForewarnError, match="line 7: column 't' is empty, not a time"):
        read_table(table(time_unit="s"), folder)
    set_cell(folder / ROWS, 7, 1, "31.05.2024")
    with pytest.raises(ForewarnError, match=r"line 7: column 't' is '31.05.2024', not an ISO 8601 time\n  Write times"):
        read_table(table(time_unit="s"), folder)


def test_the_file_of_a_place_is_named(folder: Path) -> None:
    """The last row of one file, and the first of the next."""
    header, *rows = lines(folder / ROWS)
    write(folder / "a-1.csv", [header, *rows[:10]])
    write(folder / "a-2.csv", [header, *rows[9:]])
    with pytest.raises(ForewarnError, match=r"a-2.csv: line 2: device '1' at '10' follows '10' in a-1.csv line 11\n"):
        read_table(table(rows="a-*.csv"), folder)


def test_a_device_without_a_failure_time_did_not_fail(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(folder / FAILURES, ["device,t_fail", "1,50", "2,", "unheard,9"])
    found = {one.device: one.t_fail for one in read_table(table(), folder)}
    assert [found[device] for device in ("1", "2", "3")] == [50.0, None, None]
    doubts = capsys.readouterr().err
    assert "failures.csv: 1 device(s) without rows are left out: unheard\n" in doubts
    assert "failures.csv: 12 device(s) have no line and count as not failed: 10, 11, 12, 13, 14, ...\n" in doubts


def test_a_table_in_which_nothing_failed_is_refused(folder: Path) -> None:
    write(folder / FAILURES, ["device,t_fail"])
    with pytest.raises(ForewarnError, match=r"none of 14 device\(s\) failed"):
        histories_of(small_config(data=table()), folder)


def test_run_to_failure_needs_no_list(folder: Path) -> None:
    assert equal(read_table(table(failures="", run_to_failure=True), folder), fleet(DEVICES))


def test_missing_values_are_empty_nan_or_what_the_table_calls_missing(folder: Path) -> None:
    """A row in which nothing is left says nothing and is left out, as an agent drops such a message."""
    for column, text in ((2, ""), (3, "nan"), (4, "-9999.1")):
        set_cell(folder / ROWS, 10, column, text)
        set_cell(folder / ROWS, 9, 2, "")
    one = next(one for one in read_table(table(missing=[-9999.1, 1e9]), folder) if one.device == "1")
    assert len(one.t_s) == 49
    assert 9.0 not in one.t_s
    assert np.isnan(one.x[7]).tolist() == [True, False, False]


def test_a_table_names_its_channels_and_unit_of_time(folder: Path) -> None:
    for unit in ("s", "cycle"):
        config = small_config(data=table(time_unit=unit))
        assert config.data.counts == unit
        assert [one.name for one in config.data.channel_info(config.channels)] == list(NAMES)
    assert equal(histories_of(config, folder), fleet(DEVICES))


@pytest.mark.parametrize(
    ("rows", "what"),
    [
        ("rows.txt", "is none of .csv, .csv.gz, .csv.xz, .parquet"),
        ("rows-*.csv", "finds no file"),
        ("torn.parquet", "cannot be read"),
        ("texts.parquet", "row 1: column 'T24' holds List"),
    ],
)
def test_a_file_of_another_kind_is_refused(folder: Path, rows: str, what: str) -> None:
    (folder / "rows.txt").write_text("")
    (folder / "torn.parquet").write_bytes(b"PAR1" + b"\0" * 99)
    frame = pl.read_csv(folder / ROWS)
    frame.with_columns(T24=pl.concat_list("T24")).write_parquet(folder / "texts.parquet")
    with pytest.raises(ForewarnError, match=what):
        read_table(table(rows=rows), folder)


def test_a_place_in_parquet_is_a_row(folder: Path) -> None:
    frame = pl.read_csv(folder / ROWS)
    pl.concat([frame, frame[4:5]]).write_parquet(folder / "rows.parquet")
    with pytest.raises(ForewarnError, match=r"row 974: device '1' at 5 follows 50 in rows.parquet row 50"):
        read_table(table(rows="rows.parquet"), folder)


def test_a_date_in_parquet_is_told_as_a_date(folder: Path) -> None:
    frame = pl.read_csv(folder / ROWS).with_columns(pl.from_epoch("t", time_unit="d"))
    pl.concat([frame, frame[4:5]]).write_parquet(folder / "rows.parquet")
    with pytest.raises(ForewarnError, match=r"row 974: device '1' at 1970-01-06 follows 1970-02-20 in rows.parquet"):
        read_table(table(rows="rows.parquet", time_unit="s"), folder)


def test_sizes_are_bounded_and_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.table.rows.LINES_MAX", 972)
    with pytest.raises(ForewarnError, match="brings the rows to 973, at most 972 are read"):
        read_table(table(), folder)
    monkeypatch.setattr("agent.table.rows.LINES_MAX", 1000)
    read_table(table(), folder)
    with pytest.raises(ForewarnError, match=r"rows.csv: brings the rows to 1,946, at most 1,000 are read"):
        read_table(table(rows=[ROWS, ROWS]), folder)
    monkeypatch.setattr(files, "BYTES_MAX", 10_000)
    with pytest.raises(ForewarnError, match=r"has [\d,]+ bytes, at most 10,000 are read"):
        read_table(table(), folder)


def test_cells_may_have_quotes_and_spaces_and_other_columns_anything(folder: Path) -> None:
    header, *rows = (line.split(",") for line in lines(folder / ROWS))
    quoted = [[f'"{cells[0]}"', '"a, b"', f" {cells[1]}", *(f" {cell} " for cell in cells[2:]), "x"] for cells in rows]
    write(folder / ROWS, [",".join(cells) for cells in ([header[0], "remark", *header[1:], "plant"], *quoted)])
    for unit in ("s", "cycle"):
        assert equal(read_table(table(time_unit=unit), folder), fleet(DEVICES))


def test_an_outlier_may_be_kept_or_called_missing(folder: Path) -> None:
    set_cell(folder / ROWS, 7, 2, "1e9")
    kept, missing = (
        next(one.x[5, 0] for one in read_table(table(**how), folder) if one.device == "1")
        for how in ({"outliers": "keep"}, {"missing": [1e9]})
    )
    assert kept == 1e9
    assert np.isnan(missing)


def test_a_machine_that_mostly_stands_still_is_no_outlier(folder: Path) -> None:
    """T30 is about 0 but for one row in forty; Ps30 is 0 but for five rows."""
    content = [line.split(",") for line in lines(folder / ROWS)]
    for number, cells in enumerate(content[1:]):
        cells[3] = "1580" if number % 40 == 0 else f"0.00{number % 9}"
        cells[4] = "47" if number % 200 == 0 else "0"
    write(folder / ROWS, [",".join(cells) for cells in content])
    assert len(read_table(table(), folder)) == DEVICES


MAPPED = {
    "columns": {"T24": {"column": "T 24", "unit": "degR", "missing": ["-9999", "NA"]}, "T30": {"words": {"ON": 1.0}}},
    "missing": ["Bad", -1],
    "words": {"OFF": 0},
}


def test_what_is_mapped_is_what_a_bundle_tells(folder: Path) -> None:
    """Columns, units, codes and words, for one channel and for all; they come back from the kept configuration."""
    of = table(**MAPPED)
    t24, t30, ps30 = of.channel_info(NAMES)
    assert (t24.column, t24.unit, t24.missing, t24.missing_words) == ("T 24", "degR", (-1.0, -9999.0), ("Bad", "NA"))
    assert (t30.column, t30.missing, t30.words) == ("", (-1.0,), {"OFF": 0.0, "ON": 1.0})
    assert (ps30.missing, ps30.missing_words, ps30.words) == ((-1.0,), ("Bad",), {"OFF": 0.0})
    assert Table.model_validate_json(of.model_dump_json()) == of
    parts = Parts(fleet(3), fleet(3), fleet(3))
    for channel, info in zip(channels_of(small_config(data=of), parts), of.channel_info(NAMES), strict=True):
        told = (channel.column, channel.unit, channel.missing, channel.words, channel.missing_words)
        assert told == (info.column, info.unit, info.missing, info.words, info.missing_words)
        form_has = of.form(NAMES).channels[NAMES.index(channel.name)]
        assert channel.recorded == form_has


def test_a_table_is_read_by_its_columns_and_words(folder: Path) -> None:
    (folder / ROWS).write_text((folder / ROWS).read_text().replace("T24", "T 24"))
    for line, cell in ((3, "OFF"), (4, "Bad"), (5, "-9999"), (6, "NA"), (7, "true")):
        set_cell(folder / ROWS, line, 2, cell)
    set_cell(folder / ROWS, 3, 3, "ON")
    one = next(one for one in read_table(table(**MAPPED, outliers="keep"), folder) if one.device == "1")
    assert one.x[1:6, 0].tobytes() == np.float32([0, np.nan, np.nan, np.nan, 1]).tobytes()
    assert one.x[1, 1] == 1


@pytest.mark.parametrize(
    ("fields", "what"),
    [
        ({"words": {"NA": 1}, "missing": ["NA"]}, "words.NA = 1 of channel 'T24' is a number or missing, too"),
        ({"words": {"ON": -1}, "missing": [-1]}, "words.ON = -1"),
        ({"words": {"7": 1}}, "words.7 = 1"),
        ({"words": {" ON": 1}}, "words. ON"),
        ({"missing": [""]}, "missing"),
        ({"missing": [float("inf")]}, "missing"),
        ({"zone": "Europe/Atlantis"}, "'Europe/Atlantis' is no time zone"),
        ({"columns": {"T24": "T30"}}, "column 'T30' is named twice"),
        ({"columns": {"T24": "device"}}, "column 'device' is named twice"),
    ],
)
def test_a_mapping_that_contradicts_itself_is_refused(fields: dict[str, object], what: str) -> None:
    with pytest.raises(ValueError, match=what):
        table(**fields)


def test_a_column_for_no_channel_is_refused(folder: Path) -> None:
    with pytest.raises(ForewarnError, match=r"data.columns: no channel 'T25'\n  Those of .*: T24, T30, Ps30"):
        read_table(table(columns={"T25": "x"}), folder)


def test_local_times_and_other_units_are_read(folder: Path) -> None:
    write(folder / ROWS, ["device,t,T24,T30,Ps30", *(f"1,2026-07-15 12:00:{s:02},{s},2,3" for s in range(9))])
    write(folder / FAILURES, ["device,t_fail", "1,2026-07-15T10:01:00Z"])
    (one,) = read_table(table(time_unit="s", zone="Europe/Berlin"), folder)
    assert one.t_s[0] == 1_784_109_600
    assert one.t_fail == 1_784_109_660
    write(folder / ROWS, ["device,t,T24,T30,Ps30", *(f"1,{1_784_109_600_000 + s},{s},2,3" for s in range(9))])
    write(folder / FAILURES, ["device,t_fail", "1,1784109660000"])
    (one,) = read_table(table(time_unit="ms"), folder)
    assert (one.t_s[1] - one.t_s[0]).round(6) == 0.001
    assert one.t_fail == 1_784_109_660


def test_times_that_cannot_be_right_are_told(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Case T9: dates as a spreadsheet counts them."""
    write(folder / ROWS, ["device,t,T24,T30,Ps30", *(f"1,{45_717 + s / 24:.6f},{s},2,3" for s in range(9))])
    read_table(table(time_unit="s", failures="", run_to_failure=True), folder)
    told = capsys.readouterr().err
    assert told.startswith(
        "rows.csv line 2: column 't' is '45717.000000', which is 1970-01-01T12:41:57Z. It looks like a"
    )
    assert "a date as spreadsheets count days, 2025-03-01T00:00:00: write it as a text" in told
