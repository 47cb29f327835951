"""`forewarn state forget`: the next start does not know the device any more, whatever the state and the table say."""

import pytest
from click.testing import CliRunner

from agent.cli import main
from agent.errors import StateRefused
from agent.store.disk import StateFolder
from agent.store.durability import DURABILITIES
from agent.store.forget import TO_FORGET
from agent.store.lock import lock
from tests.journal_lives import Life
from tests.streams import life, message
from tests.unit.store.test_durability import REST, WORN, commanded, hiding


class Stubborn(StateFolder):
    """The process comes as far as to the end of it."""

    def remove(self, name):
        if name == TO_FORGET:
            raise OSError(5, "Input/output error")
        super().remove(name)


def run(*args, exit_code=0):
    """Standard output of `forewarn state forget ...`; standard error where it fails."""
    result = CliRunner().invoke(main, ["state", "forget", *map(str, args)])
    assert result.exit_code == exit_code, result.output
    return result.stdout if exit_code == 0 else result.stderr


@pytest.fixture(params=DURABILITIES)
def begin(request, tmp_path):
    """Starts on the same folder again and again."""
    return lambda **kinds: Life(tmp_path, mode=request.param, **kinds)


@pytest.mark.parametrize("ends", ["stop", "die"])
def test_a_device_that_is_forgotten_is_new_and_its_alert_ends_with_the_cause(begin, ends, tmp_path):
    before = begin()
    before.take([*WORN, *life("p2", 30)])
    before.durability.after_turn(10.0, 10.0)
    (standing,) = before.outbox.standing()
    getattr(before, ends)()
    assert run("p1", "--state-dir", tmp_path) == "press/p1 is forgotten at the next start\n"
    after = begin()
    end = after.events()[-1]
    assert (end.kind, end.cause, end.alert) == ("cleared", "forgotten", standing.alert)
    assert end.sequence == standing.sequence + 1
    assert (after.outbox.standing(), after.core.view().n_standing()) == ([], 0)
    assert after.core.view().device == ["p2"]
    assert "device_forgotten" in after.said()
    assert after.qualities(REST) == ["WARMING_UP"], "its rows begin again at number 61"
    after.die()
    again = begin()
    assert "device_forgotten" not in again.said()
    assert "p2" in again.core.view().device
    assert again.events().count(end) == 1


def test_a_crash_before_the_start_has_ended_forgets_it_at_the_one_after_it(begin, tmp_path):
    before = begin()
    before.take(WORN)
    before.stop()
    run("p1", "--state-dir", tmp_path)

    with pytest.raises(StateRefused):
        begin(disk=Stubborn(tmp_path))
    after = begin()
    assert (after.core.view().device, after.outbox.standing()) == ([], [])
    assert [one.cause for one in after.events()].count("forgotten") == 1


def test_what_hides_a_device_ends_with_it_and_what_hides_others_does_not(begin, tmp_path):
    before = begin(make=commanded)
    before.take([*WORN, hiding("p1"), hiding("p2"), hiding("")])
    before.stop()
    run("p1", "--state-dir", tmp_path)
    after = begin(make=commanded)
    (line,) = [line for line in after.log.entries if line["event"] == "device_forgotten"]
    assert line["hides_ended"] == 1
    assert sorted(pattern[1] for pattern, _ in after.outbox.hides()) == ["", "p2"]
    assert after.core.view().n_hidden == 2
    after.die()
    again = begin(make=commanded)
    assert sorted(pattern[1] for pattern, _ in again.core._stepper.handling.keep()) == ["", "p2"]


def test_who_is_to_be_forgotten_is_so_where_the_state_is_moved_to(begin, tmp_path):
    before = begin()
    before.take(WORN)
    before.stop()
    run("p1", "--state-dir", tmp_path)
    there, archive = tmp_path / "there", tmp_path / "moved.fws"
    for command, folder in (("export", tmp_path), ("import", there)):
        result = CliRunner().invoke(main, ["state", command, "--state-dir", str(folder), str(archive)])
        assert result.exit_code == 0, result.output
    after = Life(there, mode=before.mode)
    assert "device_forgotten" in after.said()
    assert after.core.view().device == []


def test_one_that_the_snapshot_does_not_have_is_refused_unless_its_source_is_named(tmp_path):
    before = Life(tmp_path)
    before.take([message("p1", 1)])
    before.stop()
    assert "no device 'p9'" in run("p9", "--state-dir", tmp_path, exit_code=1)
    run("p9", "--source", "press", "--state-dir", tmp_path)
    after = Life(tmp_path)
    assert after.core.view().device == ["p1"]


def test_beside_a_running_agent_it_is_refused(tmp_path):
    before = Life(tmp_path)
    before.take([message("p1", 1)])
    before.stop()
    with lock(tmp_path):
        assert "Stop the agent first" in run("p1", "--state-dir", tmp_path, exit_code=1)


def test_what_cannot_be_written_is_said(tmp_path):
    before = Life(tmp_path)
    before.take([message("p1", 1)])
    before.stop()
    (tmp_path / f"{TO_FORGET}.new").mkdir()
    assert "cannot be written (Is a directory)" in run("p1", "--state-dir", tmp_path, exit_code=1)
