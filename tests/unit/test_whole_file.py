"""A file is replaced whole or not at all."""

import os
import resource
from pathlib import Path

import pytest

from agent import whole_file


def test_the_parts_replace_what_was_there(tmp_path):
    path = tmp_path / "state"
    for parts in ((b"a long one", b"of two parts"), (b"short",), (), (memoryview(b"view"), b"")):
        whole_file.write(path, *parts)
        assert path.read_bytes() == b"".join(parts)
    assert os.listdir(tmp_path) == ["state"]


def failing(*_: object) -> None:
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize("call", ["os.fsync", "pathlib.Path.replace"])
def test_a_write_that_fails_leaves_the_old_file_and_no_rest(tmp_path, monkeypatch, call):
    """ENOSPC, EIO: the caller hears of it once, and nothing of the new file is left to fill the disk."""
    path = tmp_path / "state"
    whole_file.write(path, b"old")
    monkeypatch.setattr(call, failing)
    with pytest.raises(OSError, match="No space"):
        whole_file.write(path, b"new")
    monkeypatch.undo()
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["state"]


def test_a_disk_that_is_full_leaves_the_old_file_and_no_rest(tmp_path):
    """The kernel refuses the bytes above the limit of a file's size, as it does those above the disk's."""
    path = tmp_path / "state"
    whole_file.write(path, b"old")
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limit[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            whole_file.write(path, bytes(100_000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["state"]


def test_a_folder_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        whole_file.write(tmp_path / "none" / "state", b"new")


def test_content_is_synced_before_the_name_and_the_name_before_it_returns(tmp_path, monkeypatch):
    """A power cut at any time leaves the old content or the new: the order of the calls is what assures it."""
    calls = []
    monkeypatch.setattr("os.fsync", lambda descriptor: calls.append(os.readlink(f"/proc/self/fd/{descriptor}")))
    replace = Path.replace
    monkeypatch.setattr("pathlib.Path.replace", lambda path, to: (calls.append("rename"), replace(path, to))[1])
    whole_file.write(tmp_path / "state", b"content")
    assert calls == [str(tmp_path / "state.new"), "rename", str(tmp_path)]


def test_nobody_else_writes_a_file_in_one_step():
    """Whoever syncs a file or renames one does it here; others rename what must not be read again."""
    root = Path(__file__).parents[2]
    by_hand = {
        str(path.relative_to(root))
        for part in ("agent", "trainer")
        for path in (root / part).rglob("*.py")
        if any(call in path.read_text() for call in ("fsync(", "os.fdatasync(", "path.rename(", "os.replace("))
    }
    assert by_hand == {
        "agent/whole_file.py",
        "agent/store/disk.py",
        "agent/state/archive.py",  # moves whole files from one folder to another
        "agent/record/source_folder.py",
    }
