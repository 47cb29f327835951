"""Files, folders and patterns; what a file is that cannot be read."""

import gzip
import lzma
from importlib.util import find_spec
from pathlib import Path

import polars as pl
import pytest

from agent.errors import DataRefused
from agent.sources import plain_channels
from agent.table import csv_file, files
from agent.table.files import table_file, table_files
from agent.table.form import TableForm
from agent.table.rows import Rows, read_rows

FORM = TableForm("device", "t", "s", plain_channels("temp"))
TEXT = "device,t,temp\np,1,5\n"


def read(folder: Path, *places: str) -> Rows:
    return read_rows(table_files(places, folder, next_step="Is it right?"), FORM)


def write(path: Path, text: str | bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    data = text if isinstance(text, bytes) else text.encode()
    opened = {".gz": gzip.compress, ".xz": lzma.compress}.get(path.suffix, bytes)
    path.write_bytes(opened(data))


def test_a_folder_is_all_tables_within_by_name(tmp_path):
    """As `forewarn record` leaves them, a file a day; what is no table is passed over."""
    write(tmp_path / "rec/press/2026-11-02.csv.gz", "device,t,temp\np,3,7\n")
    write(tmp_path / "rec/press/2026-11-01.csv", "temp,device,t\n6,p,2\n")
    pl.DataFrame({"device": ["p"], "t": [1], "temp": [5.0]}).write_parquet(tmp_path / "rec/a.parquet")
    write(tmp_path / "rec/notes.txt", "hello")
    assert read(tmp_path, "rec").x.tolist() == [[5], [6], [7]]
    assert read(tmp_path, "rec/press/*.csv", "rec/press/2026-11-02.csv.gz").x.tolist() == [[6], [7]]


@pytest.mark.parametrize("name", ["d.csv", "d.csv.gz", "d.csv.xz"])
def test_csv_may_be_compressed_and_have_a_byte_order_mark(tmp_path, name):
    write(tmp_path / name, "\ufeff" + TEXT.replace("\n", "\r\n"))
    assert read(tmp_path, name).x.tolist() == [[5]]


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("d.csv", b"device,t,temp\np,1,\xff\n", "line 2 is not UTF-8 text"),
        ("d.csv", b'device,t,temp\np,1,5\n"q,1,5\nr,1,5\n', "line 3: unexpected end of data"),
        ("d.csv", b"device,t,temp\n\np,1\n", "line 3 has 2 cells, the header has 3"),
        ("d.csv", b"device,t,temp\np," + b"1" * 200_000, "line 2 is longer than 100,000 bytes"),
        ("d.csv", b"", "is empty"),
        ("d.csv", b"\n\np,1,2\n", "is empty"),
        ("d.csv", b"device,t,temp\n,,\n", "holds no rows"),
        ("d.parquet", b"PAR1 and more", "cannot be read"),
        ("d.txt", b"", "is none of .csv, .csv.gz, .csv.xz, .parquet"),
    ],
)
def test_a_file_is_refused_with_its_place(tmp_path, name, content, told):
    write(tmp_path / name, content)
    with pytest.raises(DataRefused, match=told) as refused:
        read(tmp_path, name)
    assert refused.value.where == tmp_path / name


@pytest.mark.parametrize("name", ["d.csv.gz", "d.csv.xz"])
def test_a_torn_archive_is_refused(tmp_path, name):
    write(tmp_path / name, TEXT * 100)
    (tmp_path / name).write_bytes((tmp_path / name).read_bytes()[:-9])
    with pytest.raises(DataRefused, match="cannot be read"):
        read(tmp_path, name)
    (tmp_path / name).write_bytes(b"no archive")
    with pytest.raises(DataRefused, match="cannot be read"):
        read(tmp_path, name)


def test_what_is_not_there_is_refused_with_what_to_do(tmp_path):
    (tmp_path / "empty").mkdir()
    for place, told in (("d.csv", "No such file"), ("*.csv", "finds no file"), ("empty", "holds no table")):
        with pytest.raises(DataRefused, match=f"{told}.*\n  Is it right"):
            read(tmp_path, place)


def test_lines_are_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(csv_file, "LINES_MAX", 2)
    write(tmp_path / "d.csv", TEXT)
    assert len(read(tmp_path, "d.csv").t_ns) == 1
    write(tmp_path / "d.csv", TEXT + "\n")
    with pytest.raises(DataRefused, match="has more than 2 lines"):
        read(tmp_path, "d.csv")


def test_parquet_without_its_library_names_the_extra(tmp_path, monkeypatch):
    pl.DataFrame({"device": ["p"], "t": [1], "temp": [5.0]}).write_parquet(tmp_path / "d.parquet")
    monkeypatch.setattr(files, "find_spec", lambda name: None if name == "polars" else find_spec(name))
    with pytest.raises(DataRefused, match=r"pip install 'forewarn\[tables\]'"):
        table_file(tmp_path / "d.parquet", "")


def test_pieces_of_a_file_make_no_difference(tmp_path, monkeypatch):
    """A blank line, a cell over two lines and places included."""
    lines = [f'p{row % 3},{row},"{row}\n"\n' + ("\n" if row % 4 == 0 else "") for row in range(1, 40)]
    write(tmp_path / "d.csv", "device,t,temp\n" + "".join(lines))
    whole = read(tmp_path, "d.csv")
    assert len(whole.t_ns) == 39
    for size in (1, 2, 5, 38):
        monkeypatch.setattr(csv_file, "CHUNK_ROWS", size)
        pieces = read(tmp_path, "d.csv")
        assert (pieces.t_ns.tolist(), pieces.names) == (whole.t_ns.tolist(), whole.names)
        assert pieces.x.tobytes() == whole.x.tobytes()
        assert [pieces.place(row) for row in (0, 3, 4, 38)] == [whole.place(row) for row in (0, 3, 4, 38)]
    assert whole.place(4) == "d.csv line 11"
    assert whole.cell(4, "temp") == "'5\\n'"
