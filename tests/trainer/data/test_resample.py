"""Rows of windows: each statistic against the plain formula, over files and chunks of any size."""

import gzip
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from agent.errors import DataRefused, ForewarnError
from agent.sources import SourceChannel
from agent.table.files import table_files
from agent.table.form import TableForm
from agent.table.rows import read_rows
from trainer.cli import cli
from trainer.data import resample as module
from trainer.data.resample import STATISTICS, columns_of, form_of, resampled

HZ = 10_000


def write_csv(path: Path, rows: list[tuple[str, str, str, str]]) -> None:
    path.write_text("device,t,acc,fault\n" + "".join(f"{','.join(row)}\n" for row in rows))


def vibration(n: int, device: str = "m1") -> tuple[list[tuple[str, str, str, str]], np.ndarray]:
    """Rows at 10 kHz from 1,700,000,000 s on; every 97th value is missing."""
    values = np.round(np.random.default_rng(1).normal(0.5, 2, n), 4)
    values[::97] = np.nan
    rows = []
    for index, value in enumerate(values):
        t = f"{1_700_000_000 + index // HZ}.{index % HZ * 100:06}"
        rows.append((device, t, "" if np.isnan(value) else str(value), str(int(index >= 15_000))))
    return rows, values


def windows_of(
    folder: Path, every_ns: int, chosen: dict[str, tuple[str, ...]]
) -> dict[str, list[tuple[int, list[float]]]]:
    files = table_files(["*.csv*"], folder, next_step="")
    form = form_of(files[0], "device", "t", "s", "")
    columns = columns_of([channel.field for channel in form.channels], chosen)
    found: dict[str, list[tuple[int, list[float]]]] = {}
    for part in resampled(files, form, every_ns, columns):
        found.setdefault(part.device, []).extend(zip(part.t_ns.tolist(), part.x.tolist(), strict=True))
    return found


@pytest.mark.slow
def test_each_statistic_is_its_formula(tmp_path: Path) -> None:
    rows, values = vibration(25_000)
    write_csv(tmp_path / "a.csv", rows)
    found = windows_of(tmp_path, 10**9, {"acc": tuple(STATISTICS), "fault": ("max",)})["m1"]
    ends_ns = [t_ns - 1_700_000_000 * 10**9 for t_ns, _ in found]  # of a float64 of seconds
    np.testing.assert_allclose(ends_ns, [999_900_000, 1_999_900_000, 2_499_900_000], atol=200)
    for (_, told), start in zip(found, (0, 10_000, 20_000), strict=True):
        kept = values[start : start + 10_000].astype(np.float32).astype(np.float64)
        last = kept[~np.isnan(kept)][-1]
        kept = kept[~np.isnan(kept)]
        moved = kept - kept.mean()
        rms, peak = np.sqrt((kept**2).mean()), np.abs(kept).max()
        kurtosis = (moved**4).mean() / (moved**2).mean() ** 2
        plain = [kept.mean(), kept.sum(), last, rms, peak, peak / rms, kurtosis, moved.std(), kept.min(), kept.max()]
        np.testing.assert_allclose(told, [*plain, float(start >= 10_000)], rtol=1e-9)


def test_counts_of_events_stay_counts_and_none_is_lost(tmp_path: Path) -> None:
    """A row a second with the events since the row before; no row comes in the second minute."""
    rng = np.random.default_rng(3)
    seconds = np.concatenate((np.arange(60), np.arange(120, 300)))
    counts = rng.poisson(0.05, len(seconds))
    rows = [("m1", str(1_700_000_040 + second), "1", str(count)) for second, count in zip(seconds, counts, strict=True)]
    write_csv(tmp_path / "a.csv", rows)
    found = [of_row[1] for _, of_row in windows_of(tmp_path, 60 * 10**9, {"fault": ("sum",)})["m1"]]
    assert found == counts.reshape(4, 60).sum(axis=1).tolist()
    assert sum(found) > 3


def test_chunks_and_files_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two devices interleaved, in one file, and cut into three, looked through in small pieces."""
    one, other = vibration(3_000, "m1")[0], vibration(3_000, "m2")[0]
    rows = [row for pair in zip(one, other, strict=True) for row in pair]
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    whole.mkdir()
    cut.mkdir()
    write_csv(whole / "a.csv", rows)
    for number, place in enumerate((0, 1_501, 4_000)):
        write_csv(cut / f"{number}.csv", rows[place : (1_501, 4_000, 6_000)[number]])
    (cut / "1.csv.gz").write_bytes(gzip.compress((cut / "1.csv").read_bytes()))
    (cut / "1.csv").unlink()
    chosen = {"acc": ("rms", "kurtosis", "last"), "fault": ("max",)}
    wholes = windows_of(whole, 10**8, chosen)
    monkeypatch.setattr(module, "TAKEN_ROWS", 100)
    assert windows_of(cut, 10**8, chosen) == wholes
    assert {device: len(of) for device, of in wholes.items()} == {"m1": 3, "m2": 3}


def test_gaps_and_windows_without_a_value_are_left_out(tmp_path: Path) -> None:
    write_csv(
        tmp_path / "a.csv", [("p", "0.5", "1", ""), ("p", "5.0", "", ""), ("p", "9.1", "3", ""), ("p", "9.9", "", "")]
    )
    assert windows_of(tmp_path, 10**9, {"acc": ("mean", "last")}) == {
        "p": [
            (500_000_000, [1.0, 1.0, pytest.approx(np.nan, nan_ok=True)]),
            (9_900_000_000, [3.0, 3.0, pytest.approx(np.nan, nan_ok=True)]),
        ]
    }


def test_a_constant_has_no_kurtosis_and_zeros_have_no_crest(tmp_path: Path) -> None:
    write_csv(tmp_path / "a.csv", [("p", "1", "0", "1"), ("p", "2", "0", "2")])
    ((_, told),) = windows_of(tmp_path, 10**10, {"acc": ("kurtosis", "crest", "rms"), "fault": ("mean",)})["p"]
    assert np.isnan(told[:2]).all()
    assert told[2:] == [0, 1.5]


def test_memory_holds_one_window_and_says_when_it_does_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_csv(tmp_path / "a.csv", vibration(3_000)[0])
    monkeypatch.setattr(module, "PENDING_MAX", 3_000)
    with pytest.raises(ForewarnError, match=r"--every: is so long .+\n  Resample to a shorter window first"):
        windows_of(tmp_path, 10**12, {})


def test_a_time_that_falls_is_refused_with_its_line(tmp_path: Path) -> None:
    write_csv(tmp_path / "a.csv", [("p", "2", "1", ""), ("p", "1", "1", "")])
    with pytest.raises(DataRefused, match=r"a\.csv: line 3: the time of device 'p' does not rise"):
        windows_of(tmp_path, 10**9, {})


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--of", "acc=media"], "'media' is no statistic\n  There are: mean, sum, last, rms"),
        (["--of", "volume=rms"], "no column 'volume' of numbers\n  There are: acc, fault"),
        (["--of", "acc"], "'acc' names no statistic"),
        (["--separator", "semicolon"], "--separator: 'semicolon' is not one character"),
        (["--every", "0s"], "--every: is 0"),
        (["--every", "soon"], "must be a duration"),
    ],
)
def test_what_cannot_be_done_is_said(tmp_path: Path, arguments: list[str], says: str) -> None:
    write_csv(tmp_path / "a.csv", vibration(10)[0])
    every = [] if "--every" in arguments else ["--every", "1s"]
    ended = CliRunner().invoke(cli, ["resample", str(tmp_path), *every, *arguments, "--out", str(tmp_path / "out")])
    assert says in str(ended.exception)
    assert not (tmp_path / "out").exists()


def test_a_column_of_text_is_refused_with_the_option_that_names_others(tmp_path: Path) -> None:
    """Where nobody named the channels all other columns are taken for numbers."""
    (tmp_path / "a.csv").write_text("device,t,acc,note\np,1,2.5,fine\n")
    arguments = ["resample", str(tmp_path), "--every", "1s", "--out", str(tmp_path / "out")]
    refused = str(CliRunner().invoke(cli, arguments).exception)
    assert "a.csv: line 2: column 'note' is 'fine', not a number" in refused
    assert "Or name the columns of numbers, such as --channels temp,flow." in refused
    assert CliRunner().invoke(cli, [*arguments, "--channels", "acc"]).exception is None
    named = CliRunner().invoke(cli, [*arguments[:-1], str(tmp_path / "other"), "--channels", "acc,note"])
    assert "Or name" not in str(named.exception)


def test_refused_rows_leave_no_folder(tmp_path: Path) -> None:
    write_csv(tmp_path / "a.csv", [("p", "2", "1", ""), ("p", "1", "1", "")])
    out = tmp_path / "out"
    ended = CliRunner().invoke(cli, ["resample", str(tmp_path), "--every", "1s", "--out", str(out)])
    assert "does not rise" in str(ended.exception)
    assert not out.exists()


@pytest.mark.slow
def test_the_command_writes_rows_that_it_reads_again(tmp_path: Path) -> None:
    """T11: 10 kHz vibration becomes rows; a second round of longer windows reads the first one's Parquet files."""
    write_csv(tmp_path / "a.csv", vibration(25_000)[0])
    arguments = [
        "resample",
        str(tmp_path / "a.csv"),
        "--every",
        "100ms",
        "--of",
        "acc=rms,peak,kurtosis",
        "--of",
        "fault=max",
    ]
    ended = CliRunner().invoke(cli, [*arguments, "--out", str(tmp_path / "rows")], catch_exceptions=False)
    assert "25 rows of 1 device(s), columns acc_rms, acc_peak, acc_kurtosis, fault" in ended.stderr
    again = [
        "resample",
        str(tmp_path / "rows"),
        "--every",
        "1s",
        "--unit",
        "iso8601",
        "--out",
        str(tmp_path / "longer"),
    ]
    ended = CliRunner().invoke(cli, again, catch_exceptions=False)
    assert "3 rows of 1 device(s)" in ended.stderr
    ended = CliRunner().invoke(cli, again)
    assert "is not empty" in str(ended.exception)


def test_an_export_of_a_sensor_is_read_as_it_is(tmp_path: Path) -> None:
    """A file a machine without a column of its name, semicolons, and texts for no value."""
    for device in ("C-1", "C-2"):
        (tmp_path / f"{device}_acc.csv").write_text("t;acc\n0.1;1\n0.2;NA\n0.3;-9999\n0.4;3\n1.1;5\n")
    arguments = ["--every", "1s", "--separator", ";", "--device", "{}_*.csv", "--missing", "NA", "--missing", "-9999"]
    out = tmp_path / "rows"
    ended = CliRunner().invoke(cli, ["resample", str(tmp_path), *arguments, "--out", str(out)], catch_exceptions=False)
    assert "4 rows of 2 device(s), columns acc" in ended.stderr
    rows = read_rows(
        table_files([str(out)], Path(), next_step=""), TableForm("device", "t", "s", (SourceChannel("acc"),))
    )
    assert rows.x[:, 0].tolist() == [2, 5, 2, 5]
    assert sorted(rows.by_device("t")) == ["C-1", "C-2"]
