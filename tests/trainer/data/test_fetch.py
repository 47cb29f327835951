"""`forewarn-train data fetch`: every set from a copy over HTTP, and what becomes of one that is not as recorded."""

import functools
import http.server
import io
import lzma
import os
import pickle
import tarfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from agent.errors import DataRefused
from trainer.cli import cli
from trainer.data.fetch import PUBLIC_SETS, PublicSet, array_of, content_of_asd, fetch_set, sha256


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *arguments: object) -> None:
        pass


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The address of an HTTP server over a folder."""
    handler = functools.partial(Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def data(cmapss: Path) -> Path:
    """$FOREWARN_DATA."""
    return cmapss.parent


@pytest.mark.parametrize("name", PUBLIC_SETS)
def test_a_set_comes_whole_from_a_copy(name: str, tmp_path: Path, data: Path) -> None:
    of = PUBLIC_SETS[name]
    with served(data) as address:
        written = fetch_set(name, tmp_path, address)
    assert [path.relative_to(tmp_path).as_posix() for path in written] == ([of.archive] if of.archive else [*of.sums])
    for path in written:
        stored, copy = (path.read_bytes(), (data / path.relative_to(tmp_path)).read_bytes())
        if path.suffix == ".xz" and not of.archive:
            stored, copy = lzma.decompress(stored), lzma.decompress(copy)
        if not of.archive:
            assert stored == copy
    assert fetch_set(name, tmp_path, "http://127.0.0.1:1") == []  # nothing is asked where all is there


def test_pickled_arrays_of_asd_become_the_recorded_files(data: Path) -> None:
    path = "asd/omi-3_test.csv.xz"
    with lzma.open(data / path, "rt") as file:
        table = np.loadtxt(file, delimiter=",", skiprows=1, dtype=np.float32)
    arrays = {"omi-3_test.pkl": table[:, :19], "omi-3_test_label.pkl": table[:, 19]}
    content = content_of_asd(path, lambda address: pickle.dumps(arrays[address.rpartition("/")[2]]))
    assert sha256(content) == PUBLIC_SETS["asd"].sums[path]


def test_a_pickle_that_names_anything_but_an_array_is_refused() -> None:
    for hostile in (pickle.dumps(os.system), pickle.dumps({"a": 1}), b"cos\nsystem\n(S'true'\ntR.", b"\x80", b""):
        with pytest.raises(DataRefused, match="holds no pickled array"):
            array_of(hostile)


def small_set(**more: str) -> PublicSet:
    sums = {"small/a.csv": sha256(b"a\n1\n"), "small/b.csv.xz": sha256(b"b\n2\n")}
    return PublicSet("two files", "none", sums, lambda path, fetch: fetch(path), **more)


@pytest.fixture
def copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a copy of the set `small`."""
    monkeypatch.setitem(PUBLIC_SETS, "small", small_set())
    (tmp_path / "copy" / "small").mkdir(parents=True)
    (tmp_path / "copy" / "small" / "a.csv").write_bytes(b"a\n1\n")
    (tmp_path / "copy" / "small" / "b.csv.xz").write_bytes(lzma.compress(b"b\n2\n"))
    return tmp_path / "copy"


@pytest.mark.parametrize("spoilt", [lzma.compress(b"b\n3\n"), lzma.compress(b"b\n2\n")[:-9], b"", b"<html>"])
def test_another_content_is_refused_and_nothing_of_it_is_written(copy: Path, tmp_path: Path, spoilt: bytes) -> None:
    (copy / "small" / "b.csv.xz").write_bytes(spoilt)
    with pytest.raises(DataRefused, match=r"b\.csv\.xz: (has the SHA-256|cannot be unpacked)"):
        fetch_set("small", tmp_path / "to", str(copy))
    assert [path.name for path in (tmp_path / "to" / "small").iterdir()] == ["a.csv"]


def test_only_what_is_missing_or_wrong_is_brought(copy: Path, tmp_path: Path) -> None:
    assert len(fetch_set("small", tmp_path / "to", str(copy))) == 2
    (tmp_path / "to" / "small" / "a.csv").write_bytes(b"a\n7\n")
    assert fetch_set("small", tmp_path / "to", str(copy)) == [tmp_path / "to" / "small" / "a.csv"]
    assert fetch_set("small", tmp_path / "to", str(copy)) == []


def test_what_cannot_be_read_is_said_with_its_address(copy: Path, tmp_path: Path) -> None:
    with (
        served(copy) as address,
        pytest.raises(DataRefused, match=r"nowhere/small/a\.csv: cannot be read: File not found"),
    ):
        fetch_set("small", tmp_path / "to", f"{address}/nowhere")
    with pytest.raises(DataRefused, match=r"cannot be read"):
        fetch_set("small", tmp_path / "to", str(tmp_path / "absent"))


def test_an_archive_is_checked_member_by_member(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PUBLIC_SETS, "small", small_set(archive="small/all.tar.xz"))

    def packed(second: bytes) -> None:
        with tarfile.open(tmp_path / "copy" / "small" / "all.tar.xz", "w:xz") as archive:
            for name, content in (("small/a.csv", b"a\n1\n"), ("small/b.csv.xz", second), ("../evil", b"x")):
                about = tarfile.TarInfo(name)
                about.size = len(content)
                archive.addfile(about, io.BytesIO(content))

    (tmp_path / "copy" / "small").mkdir(parents=True)
    packed(b"b\n3\n")
    with pytest.raises(DataRefused, match=r"all\.tar\.xz/small/b\.csv\.xz: has the SHA-256"):
        fetch_set("small", tmp_path / "to", str(tmp_path / "copy"))
    packed(b"b\n2\n")
    (archive,) = fetch_set("small", tmp_path / "to", str(tmp_path / "copy"))
    with tarfile.open(archive) as written:
        assert written.getnames() == ["small/a.csv", "small/b.csv.xz"]
    (tmp_path / "copy" / "small" / "all.tar.xz").write_bytes(b"no archive")
    assert fetch_set("small", tmp_path / "to", str(tmp_path / "copy")) == []
    with pytest.raises(DataRefused, match="is no archive"):
        fetch_set("small", tmp_path / "elsewhere", str(tmp_path / "copy"))


def test_the_command_lists_and_brings(copy: Path, tmp_path: Path) -> None:
    ended = CliRunner().invoke(cli, ["data", "fetch"], catch_exceptions=False)
    assert [line.partition(":")[0] for line in ended.stdout.splitlines()] == [*PUBLIC_SETS]
    assert "terms: GPL-3.0" in ended.stdout
    arguments = ["data", "fetch", "small", "--to", str(tmp_path / "to"), "--from", str(copy)]
    ended = CliRunner().invoke(cli, arguments, catch_exceptions=False)
    assert ended.stdout == f"{tmp_path / 'to' / 'small'}\n"
    assert ended.stderr == "small: 2 file(s) written, every sum is right; terms: none\n"
    ended = CliRunner().invoke(cli, ["data", "fetch", "smal"])
    assert "smal: is no public set\n  There are: cmapss, skab, asd, azure_pdm" in str(ended.exception)
