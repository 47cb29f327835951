"""The real disk: nothing is followed that a stranger may have put there, and nobody else may read."""

import errno
import os
import resource
import stat

import pytest

from agent.store.disk import FULL, StateFolder


def test_what_is_written_at_the_end_is_read_from_the_beginning(tmp_path):
    disk = StateFolder(tmp_path)
    file = disk.create("log")
    file.write(b"one")
    file.write(memoryview(b"two"))
    file.truncate(4)
    file.write(b"x")
    file.sync()
    file.close()
    again = disk.append("log")
    again.write(b"!")
    again.close()
    disk.sync()
    assert (disk.read("log"), disk.size("log"), disk.names()) == (b"onetx!", 6, ["log"])
    assert stat.S_IMODE((tmp_path / "log").stat().st_mode) == 0o600


def test_a_new_file_takes_the_place_of_an_old_one_and_of_a_link(tmp_path):
    """A link that somebody put there is replaced, never followed."""
    disk = StateFolder(tmp_path)
    other = tmp_path / "other"
    other.write_bytes(b"of somebody else")
    (tmp_path / "old").write_bytes(b"old content")
    (tmp_path / "link").symlink_to(other)
    for name in ("old", "link"):
        file = disk.create(name)
        file.write(b"new")
        file.close()
        assert disk.read(name) == b"new"
    assert other.read_bytes() == b"of somebody else"


def test_a_link_is_neither_read_nor_written_on(tmp_path):
    disk = StateFolder(tmp_path)
    (tmp_path / "other").write_bytes(b"secret")
    (tmp_path / "link").symlink_to(tmp_path / "other")
    for call in (disk.read, disk.append):
        with pytest.raises(OSError, match="symbolic links") as caught:
            call("link")
        assert caught.value.errno == errno.ELOOP


def test_a_name_that_is_not_there_is_an_error(tmp_path):
    disk = StateFolder(tmp_path)
    for call in (disk.read, disk.append, disk.size, disk.remove):
        with pytest.raises(FileNotFoundError):
            call("none")


def test_a_write_that_is_refused_can_be_cut_off_again(tmp_path):
    """The kernel takes part of it and refuses the rest, as it does at the end of a disk."""
    disk = StateFolder(tmp_path)
    file = disk.create("log")
    file.write(b"whole")
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limit[1]))
    try:
        with pytest.raises(OSError, match="File too large") as caught:
            file.write(bytes(100_000))
        assert caught.value.errno in FULL
        assert disk.size("log") == 1000
        file.truncate(5)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    file.write(b"!")
    file.close()
    assert disk.read("log") == b"whole!"


def test_a_name_is_renamed_and_removed(tmp_path):
    disk = StateFolder(tmp_path)
    disk.create("a").close()
    disk.create("b").close()
    disk.rename("a", "b")
    assert os.listdir(tmp_path) == ["b"]
    disk.remove("b")
    assert disk.names() == []
