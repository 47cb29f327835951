"""The files of a recording: none is half, no row is read twice or lost, wherever the writing was cut off."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
import structlog

from agent import whole_file
from agent.record import source_folder
from agent.record.source_folder import SourceFolder
from agent.sources import plain_channels
from agent.table.files import table_files
from agent.table.form import TableForm
from agent.table.parquet_file import packed
from agent.table.recording import Part, contained
from agent.table.rows import read_rows

LOG = structlog.get_logger()
FORM = TableForm("device", "t", "s", plain_channels("temp"))
DAY = "2026-11-28"
START_NS = 1_795_824_000 * 10**9


def data(number: int) -> bytes:
    """One row, whose value is its number."""
    return packed(["p1"], np.array([START_NS + number], np.int64), {"temp": np.float32([number])})


def folder(path: Path) -> SourceFolder:
    return SourceFolder(path / "press", 3, LOG)


def values(path: Path) -> list[float]:
    """Of all rows, in the order in which a reader meets them."""
    rows = read_rows(table_files([str(path / "*" / "*.parquet")], Path(), next_step="?"), FORM)
    assert list(rows.by_device("t")) == ["p1"]
    assert table_files([str(path)], Path(), next_step="?") == list(rows.files)
    return rows.x[:, 0].tolist()


def names(path: Path) -> list[str]:
    return sorted(one.name for one in (path / "press").iterdir())


@pytest.mark.slow
def test_small_files_are_joined_step_by_step_and_no_row_is_lost_or_doubled(tmp_path):
    files = folder(tmp_path)
    for number in range(1, 100):
        files.write(DAY, data(number), 1)
        files.join_some(DAY)
        assert len(files) <= 1 + 2 * 7
    assert values(tmp_path) == [*range(1, 100)]
    assert names(tmp_path)[:2] == [f"{DAY}.000001-000064.parquet", f"{DAY}.000065-000072.parquet"]
    files.join_all(DAY)
    assert names(tmp_path) == [f"{DAY}.000001-000099.parquet"]
    assert values(tmp_path) == [*range(1, 100)]
    assert files.size_bytes == (tmp_path / "press" / names(tmp_path)[0]).stat().st_size


def test_a_file_grows_no_further_than_one_can_be_joined(tmp_path, monkeypatch):
    monkeypatch.setattr(source_folder, "CELLS_MAX", 3 * 10)
    files = folder(tmp_path)
    for number in range(1, 26):
        files.write(DAY, data(number), 1)
    files.join_all(DAY)
    assert [one.split(".")[1] for one in names(tmp_path)] == ["000001-000010", "000011-000020", "000021-000025"]
    assert values(tmp_path) == [*range(1, 26)]


def test_it_goes_on_in_the_same_folder(tmp_path):
    for number in range(1, 4):
        files = folder(tmp_path)
        files.write(DAY, data(number), 1)
    files = folder(tmp_path)
    files.join_all(DAY)
    files.write(DAY, data(4), 1)
    assert names(tmp_path) == [f"{DAY}.000001-000003.parquet", f"{DAY}.000004-000004.parquet"]
    assert values(tmp_path) == [1, 2, 3, 4]


class Killed(BaseException):
    """kill -9 at this moment."""


@pytest.mark.slow
def test_killed_at_any_step_of_a_write_or_a_join_the_recording_is_whole(tmp_path, monkeypatch):
    """Each call that changes the folder is the last one in turn; then what a reader sees, and what a restart makes."""
    left = 0

    def counted(change):
        def call(*arguments, **options):
            nonlocal left
            if left == 0:
                raise Killed
            left -= 1
            return change(*arguments, **options)

        return call

    for name in ("replace", "unlink"):
        monkeypatch.setattr(Path, name, counted(getattr(Path, name)))
    monkeypatch.setattr(whole_file, "sync_folder", counted(whole_file.sync_folder))
    for step in range(1, 40):
        path = tmp_path / str(step)
        left = 1000
        files = folder(path)
        for number in range(1, 8):
            files.write(DAY, data(number), 1)
        left = step
        try:
            files.write(DAY, data(8), 1)
            files.join_some(DAY)
            files.write(DAY, data(9), 1)
            files.join_all(DAY)
        except Killed:
            left = 1000
            seen = values(path)
            assert seen in ([*range(1, 8)], [*range(1, 9)], [*range(1, 10)])
            restarted = folder(path)
            assert values(path) == seen
            assert not list((path / "press").glob("*.new"))
            restarted.write(DAY, data(10), 1)
            restarted.join_all(DAY)
            assert values(path) == [*seen, 10]
        else:
            assert step >= 20, "the last step was reached"
            return
    pytest.fail("there were more steps")


def test_a_full_disk_while_files_are_joined_leaves_them(tmp_path, monkeypatch):
    files = folder(tmp_path)
    for number in (1, 2):
        files.write(DAY, data(number), 1)
    with monkeypatch.context() as patch:
        patch.setattr(source_folder.whole_file, "write", full)
        with pytest.raises(OSError, match="No space"):
            files.join_all(DAY)
    assert values(tmp_path) == [1, 2]
    files.join_all(DAY)
    assert values(tmp_path) == [1, 2]
    assert len(names(tmp_path)) == 1


def full(path: Path, *_: bytes) -> None:
    raise OSError(28, "No space left on device", str(path))


def test_files_of_other_columns_are_joined_and_of_another_kind_of_time_are_left(tmp_path):
    files = folder(tmp_path)
    files.write(DAY, data(1), 1)
    files.write(DAY, packed(["p1"], np.array([START_NS + 2]), {"vib": np.float32([5])}), 1)
    files.join_all(DAY)
    frame = pl.read_parquet(tmp_path / "press" / "*.parquet")
    assert (frame["temp"].to_list(), frame["vib"].to_list()) == ([1, None], [None, 5])
    files.write(DAY, packed(["p1"], np.array([3.0]), {"temp": np.float32([5])}), 1)
    with structlog.testing.capture_logs() as said:
        SourceFolder(tmp_path / "press", 3, structlog.get_logger()).join_all(DAY)
    assert [one["event"] for one in said] == ["files_not_joined"]
    assert len(names(tmp_path)) == 2


def test_a_file_that_cannot_be_read_is_set_aside_by_name(tmp_path):
    files = folder(tmp_path)
    for number in (1, 2):
        files.write(DAY, data(number), 1)
    torn = tmp_path / "press" / names(tmp_path)[0]
    torn.write_bytes(torn.read_bytes()[:50])
    with structlog.testing.capture_logs() as said:
        SourceFolder(tmp_path / "press", 3, structlog.get_logger())
    assert [one["event"] for one in said] == ["file_unreadable"]
    assert values(tmp_path) == [2]
    assert names(tmp_path)[0].endswith(".unreadable")


def test_what_another_file_contains_is_told_by_the_names():
    def paths(*parts: tuple[int, int], day: str = DAY) -> list[Path]:
        return [Path("press") / Part(day, first, last).name for first, last in parts]

    assert contained(paths((1, 8), (9, 9))) == set()
    assert contained(paths((1, 1), (2, 2), (1, 8), (9, 9), (9, 10))) == {*paths((1, 1), (2, 2), (9, 9))}
    assert contained([*paths((1, 8)), *paths((2, 2), day="2026-11-29"), Path("mill") / paths((2, 2))[0].name]) == set()
    assert contained([Path("a.parquet"), Path("2026-11-28.parquet")]) == set()
