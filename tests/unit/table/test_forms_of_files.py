"""Files of other plants: other separators, no names of columns, archives, devices by file name, rows without a time."""

import io
import lzma
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

from agent.errors import DataRefused
from agent.sources import plain_channels
from agent.table import archive
from agent.table.files import table_files
from agent.table.form import CsvForm, FileName, TableForm
from agent.table.log import read_log
from agent.table.rows import Rows, read_rows

BY_COLUMN = TableForm("device", "t", "s", plain_channels("temp"))
BY_FILE = TableForm(FileName("{}/{}.csv"), "", "cycle", plain_channels("temp"), every_ns=300 * 10**9)
SEMICOLONS = CsvForm(";")
NAMELESS = CsvForm(" ", ("device", "t", "temp"))


def read(folder: Path, *places: str, of: TableForm = BY_COLUMN, form: CsvForm) -> Rows:
    return read_rows(table_files(places, folder, next_step="Is it right?", form=form), of)


def tar(folder: Path, members: dict[str, str], name: str = "set.tar.xz") -> Path:
    with tarfile.open(folder / name, f"w:{name.rpartition('.')[2]}") as opened:
        for member, text in members.items():
            about = tarfile.TarInfo(member)
            about.size = len(text.encode())
            opened.addfile(about, io.BytesIO(text.encode()))
    return folder / name


def test_a_separator_may_be_another_character(tmp_path):
    (tmp_path / "d.csv").write_bytes(b"device;t;temp\r\np;1;5\r\n")
    assert read(tmp_path, "d.csv", form=SEMICOLONS).x.tolist() == [[5]]
    with pytest.raises(DataRefused, match=r"separated by ';', not by commas\n.*data.separator = \";\""):
        read(tmp_path, "d.csv", form=CsvForm())


def test_cells_between_blanks_in_a_text_file_without_names(tmp_path):
    """As C-MAPSS has them: blanks at the end of a line, and places count from line 1."""
    (tmp_path / "d.txt.xz").write_bytes(lzma.compress(b"1 1   5.0  \n1\t2 6.0 \n\n2 1 x\n"))
    with pytest.raises(DataRefused, match=r"d.txt.xz: line 4: column 'temp' is 'x', not a number"):
        read(tmp_path, "d.txt.xz", form=NAMELESS)
    (tmp_path / "d.txt").write_bytes(b"1 1   5.0  \n1\t2 6.0 \n\n2 1 7\n")
    rows = read(tmp_path, "d.txt", form=NAMELESS)
    assert (rows.x[:, 0].tolist(), rows.names, rows.place(2)) == ([5, 6, 7], ("1", "2"), "d.txt line 4")
    (tmp_path / "d.txt").write_bytes(b"1 1 5 6\n")
    with pytest.raises(DataRefused, match=r"line 1 has 4 cells, data.header has 3"):
        read(tmp_path, "d.txt", form=NAMELESS)
    (tmp_path / "d.txt").write_bytes(b"")
    with pytest.raises(DataRefused, match="is empty"):
        read(tmp_path, "d.txt", form=NAMELESS)


@pytest.mark.parametrize(
    ("pattern", "path", "device"),
    [
        ("omi-{}_*", "/data/asd/omi-10_test.csv.xz", "10"),
        ("{}", "/data/press-7.csv", "press-7"),
        ("{}/{}", "/data/skab.tar.xz/data/valve1/0.csv", "valve1-0"),
        ("{}/*.csv", "/data/valve1/0.csv", "valve1"),
        ("omi-{}_train", "/data/omi-10_test.csv", ""),
        ("x.{}.csv", "/data/xa7.csv", ""),
    ],
)
def test_a_device_may_be_what_its_file_is_named_after(pattern, path, device):
    assert FileName(pattern).device(Path(path)) == device


def test_rows_may_have_their_time_by_their_place_over_all_files_of_a_device(tmp_path):
    """Also where its rows are in between those of another one."""
    for name, text in (("a/1.csv", "temp\n5\n\n6\n"), ("b/1.csv", "temp\n7\n"), ("c/1.csv", "temp\n8\n")):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    rows = read(tmp_path, "a/1.csv", "b/1.csv", "a/1.csv", of=BY_FILE, form=CsvForm())
    assert rows.names == ("a-1", "b-1")
    at = rows.by_device("")["a-1"]
    assert (rows.t_ns[at] // 10**9).tolist() == [0, 300, 600, 900]
    assert rows.x[at, 0].tolist() == [5, 6, 5, 6]
    with pytest.raises(DataRefused, match=r"1.csv: is not named like 'x-\{\}' \(data.device\)"):
        read(tmp_path, "a/1.csv", of=replace(BY_FILE, device=FileName("x-{}")), form=CsvForm())


@pytest.mark.parametrize("name", ["set.tar.xz", "set.tar.gz"])
def test_members_of_an_archive_are_files(tmp_path, name):
    members = {"data/v1/0.csv": "device,t,temp\np,1,5\n", "data/v2/0.csv": "device,t,temp\np,2,x\n", "data/R.md": "x"}
    tar(tmp_path, members, name)
    assert read(tmp_path, f"{name}/data/v1/*.csv", form=CsvForm()).x.tolist() == [[5]]
    with pytest.raises(DataRefused, match=r"data/v2/0.csv: line 2: column 'temp' is 'x', not a number"):
        read(tmp_path, f"{name}/data", form=CsvForm())
    with pytest.raises(DataRefused, match=rf"{name}: holds no member data/v3/\*.csv"):
        read(tmp_path, f"{name}/data/v3/*.csv", form=CsvForm())
    (tmp_path / name).write_bytes((tmp_path / name).read_bytes()[:100])
    with pytest.raises(DataRefused, match=f"{name}: cannot be read"):
        read(tmp_path, name, form=CsvForm())
    with pytest.raises(DataRefused, match=r"No such file.*\n  Is it right"):
        read(tmp_path, "no.tar.xz/a.csv", form=CsvForm())


def test_an_archive_is_bounded(tmp_path, monkeypatch):
    tar(tmp_path, {"a.csv": "device,t,temp\np,1,5\n"})
    monkeypatch.setattr(archive, "BYTES_MAX", 10)
    with pytest.raises(DataRefused, match=r"its members . have more than 10 bytes"):
        read(tmp_path, "set.tar.xz", form=CsvForm())


def test_a_log_has_times_and_kinds_of_recorded_devices(tmp_path):
    (tmp_path / "log.csv").write_text("device,start,end,what\np,1,2,e1\nq,3,,\nnobody,1,1,e1\n,,,\n")
    (file,) = table_files(["log.csv"], tmp_path, next_step="")
    log = read_log(file, BY_COLUMN, {"p", "q"}, ["start", "end"], ["what"])
    assert [line[1:] for line in log.lines] == [
        ("p", "p", (10**9, 2 * 10**9), ("e1",)),
        ("q", "q", (3 * 10**9, None), ("",)),
    ]
    assert log.doubts == (f"{tmp_path}/log.csv: 1 device(s) without rows are left out: nobody",)
    (tmp_path / "log.csv").write_text("device,start,end,what\np,1,late,e1\n")
    with pytest.raises(DataRefused, match="line 2: column 'end' is 'late', not"):
        read_log(file, BY_COLUMN, {"p", "q"}, ["start", "end"], ["what"])
    (tmp_path / "log.csv").write_text("device,start,end,what\n,1,2,e1\n")
    with pytest.raises(DataRefused, match="line 2: column 'device' is empty"):
        read_log(file, BY_COLUMN, {"p", "q"}, ["start", "end"], ["what"])
