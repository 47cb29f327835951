"""One agent a state directory."""

import os
import stat
import subprocess
import sys

import pytest

from agent.errors import StateRefused
from agent.store.lock import lock

HOLD = (
    "import sys, pathlib; from agent.store.lock import lock; held = lock(pathlib.Path(sys.argv[1])); print(); input()"
)


def test_a_second_one_is_refused_and_told_the_pid(tmp_path):
    with (
        lock(tmp_path / "state"),
        pytest.raises(StateRefused, match=rf"state: another agent uses it \(pid {os.getpid()}\)"),
    ):
        lock(tmp_path / "state")
    lock(tmp_path / "state").close()


def test_kill_9_releases_it(tmp_path):
    """The lock is the kernel's: a pid that stands in the file does not hold it."""
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        holder.stdout.readline()
        with pytest.raises(StateRefused, match=rf"pid {holder.pid}\)"):
            lock(tmp_path)
        holder.kill()
        holder.wait()
        with lock(tmp_path):
            assert (tmp_path / "lock").read_text() == f"{os.getpid()}\n"


def test_the_folder_is_made_for_nobody_else_to_read(tmp_path):
    lock(tmp_path / "a" / "b").close()
    assert stat.S_IMODE((tmp_path / "a" / "b").stat().st_mode) & 0o007 == 0


@pytest.mark.parametrize("error", [PermissionError(13, "Permission denied"), OSError(28, "No space left on device")])
def test_a_folder_that_cannot_be_used_is_named(tmp_path, monkeypatch, error):
    def failing(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("os.open", failing)
    with pytest.raises(StateRefused, match=rf"{tmp_path}: cannot be used \({error.strerror}\)\n.*agent.state_dir"):
        lock(tmp_path)


def test_a_file_in_its_place_is_named(tmp_path):
    (tmp_path / "state").write_text("")
    with pytest.raises(StateRefused, match="state: cannot be used"):
        lock(tmp_path / "state")
