"""`forewarn state import` that is ended on its way: all is as it was, or no start takes it for a state."""

import os

import pytest
from click.testing import CliRunner

from agent.cli import main
from agent.errors import StateRefused
from agent.store.durability import DURABILITIES
from tests.journal_lives import Life
from tests.streams import life
from tests.unit.store.test_durability import WORN

N_MOVES = 5  # at the least, where a state is replaced


class Killed(BaseException):
    """The process ends here: nothing after it is done."""


def run(*args):
    return CliRunner().invoke(main, ["state", *map(str, args)])


@pytest.fixture(params=DURABILITIES)
def mode(request):
    return request.param


@pytest.fixture
def folder(tmp_path, mode):
    """A state directory with an alert, beside an export of another one with another alert."""
    for name, messages in (("new", life("p2", 60)), ("old", WORN)):
        (tmp_path / name).mkdir()
        process = Life(tmp_path / name, mode=mode)
        process.take(messages)
        process.stop()
    assert run("export", "--state-dir", tmp_path / "new", tmp_path / "new.fws").exit_code == 0
    return tmp_path / "old"


def contents(folder):
    return {path.name: path.is_file() and path.read_bytes() for path in folder.iterdir() if path.name != "lock"}


def ending_at(move, error):
    """Instead of os.replace: the move of this number, counted from 0, does not come about."""
    replace, n_moves = os.replace, 0

    def ending(path, to):
        nonlocal n_moves
        if not str(path).endswith(".new"):  # a small file that is written
            if n_moves == move:
                n_moves += 1
                raise error
            n_moves += 1
        replace(path, to)

    return ending


def import_it(folder):
    return run("import", "--replace", "--state-dir", folder, folder.parent / "new.fws")


@pytest.mark.slow
@pytest.mark.parametrize("move", range(N_MOVES))
def test_what_cannot_be_moved_leaves_all_as_it_was(folder, mode, monkeypatch, move):
    before = contents(folder)
    with monkeypatch.context() as patched:
        patched.setattr("os.replace", ending_at(move, PermissionError(13, "Permission denied")))
        done = import_it(folder)
    assert done.exit_code == 1
    assert "cannot be moved to" in done.stderr
    assert "Permission denied" in done.stderr
    assert contents(folder) == before
    after = Life(folder, mode=mode)
    assert (after.said(), [key[1] for key in after.core.view().alerts]) == ([], ["p1"])


@pytest.mark.slow
@pytest.mark.parametrize("move", range(N_MOVES))
def test_after_a_death_in_the_middle_no_start_takes_it_for_a_state_and_it_can_be_imported_again(
    folder, mode, monkeypatch, move
):
    with monkeypatch.context() as patched:
        patched.setattr("agent.state.archive._move", ending_at(move, Killed()))
        patched.setattr("agent.state.archive._undo", lambda *_: None)
        with pytest.raises(Killed):
            import_it(folder)
    before = contents(folder)
    with pytest.raises(StateRefused, match="an import was ended before it came to its end"):
        Life(folder, mode=mode)
    assert contents(folder) == before
    assert "importing: an import was ended" in run("verify", "--state-dir", folder).stderr
    assert "an import was ended" in run("export", "--state-dir", folder, folder.parent / "x.fws").stderr
    assert import_it(folder).exit_code == 0
    after = Life(folder, mode=mode)
    assert [key[1] for key in after.core.view().alerts] == ["p2"]
    (line,) = [line for line in after.log.entries if line["event"] == "state_restored"]
    assert not line["stopped_in_order"], "rows may have passed in the state that was replaced"


def test_the_folder_of_a_file_system_is_no_state_and_stays(folder):
    there = folder.parent / "there"
    (there / "lost+found").mkdir(parents=True)
    assert run("import", "--state-dir", there, folder.parent / "new.fws").exit_code == 0
    (folder / "lost+found").mkdir()
    assert import_it(folder).exit_code == 0
    assert (folder / "lost+found").is_dir()
