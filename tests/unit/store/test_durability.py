"""What holds for every way to keep the state, shown on each that DURABILITIES lists. Elsewhere agents are killed."""

import sqlite3
from pathlib import Path

import pytest
import structlog
from structlog.testing import LogCapture

from agent.core import Core
from agent.errors import StateRefused
from agent.store.disk import StateFolder
from agent.store.durability import DURABILITIES
from agent.store.outbox import ALERT_TABLE, Outbox
from agent.store.state_directory import StateDirectory
from agent.words import Quality
from tests.streams import Message, core, life, take

WORN, REST = life("p1", 60), life("p1", 1, start=61, wear_from=1000)


class Process:
    """One run over a state directory, without receiver and sinks; its clock is the test's own."""

    def __init__(self, folder: Path, name: str) -> None:
        self.name = name
        self.log = LogCapture()
        self.core: Core = core()
        self.outbox = Outbox(folder / ALERT_TABLE, 1000)
        self.cursor = self.outbox.cursor("mqtt", mirrors=True)
        log = structlog.wrap_logger(None, processors=[self.log])
        self.durability = DURABILITIES[name](StateDirectory(StateFolder(folder), self.core, self.outbox, log))
        self.durability.start(0.0)

    def take(self, messages: list[Message]) -> list[str]:
        """Quality of each row; alerts are kept before this returns."""
        taken = take(self.durability, messages)
        self.durability.commit(taken)
        return [Quality(value).name for scores in taken.scores for value in scores.quality.tolist()]

    def due(self) -> list[str]:
        return [one.event.kind for one in self.cursor.sendable(99) if not one.is_alert]

    def events(self) -> list[str]:
        return [line["event"] for line in self.log.entries]


@pytest.fixture(params=DURABILITIES)
def begin(request, tmp_path):
    """Starts a process on the same folder again and again; what is not stopped was killed."""
    return lambda: Process(tmp_path, request.param)


def test_what_was_acknowledged_has_its_alerts_kept_and_due(begin):
    before = begin()
    before.take(WORN)
    standing, due = before.outbox.standing(), before.due()
    assert [one.device for one in standing] == ["p1"]
    assert due[0] == "raised"
    before.outbox.close()
    after = begin()
    assert (after.outbox.standing(), after.due()) == (standing, due)
    assert after.core.view().n_standing() == 1


def test_after_a_stop_the_state_goes_on_and_no_alert_is_said_again(begin):
    before = begin()
    before.take(WORN)
    before.durability.stop()
    due = before.due()
    before.outbox.close()
    after = begin()
    assert after.core.n_messages == len(WORN)
    assert after.take(REST) == ["GAP" if after.name == "snapshot" else "OK"], "a row may have passed in between"
    assert after.due() == due


def test_after_a_kill_a_device_says_ok_at_once_only_where_the_journal_has_its_rows(begin):
    before = begin()
    before.take(WORN[:30])
    before.durability.after_turn(10.0, 10.0)
    before.take(WORN[30:])
    before.outbox.close()
    after = begin()
    assert after.core.n_messages == (30 if after.name == "snapshot" else 60)
    assert (after.take(REST) == ["OK"]) == (after.name == "journal")


def test_a_first_start_finds_nothing_lost(begin):
    first = begin()
    assert first.take(WORN[:1]) == ["WARMING_UP"]
    assert first.events() == []


def test_a_failing_disk_is_said_after_a_turn_and_tried_again(begin, monkeypatch):
    process = begin()
    process.take(WORN)

    def failing(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fdatasync", failing)
    for now_s in (10.0, 19.0, 20.0):
        process.durability.after_turn(now_s, 10.0)
    assert process.events() == ["snapshot_failed", "snapshot_failed"]
    monkeypatch.undo()
    process.durability.after_turn(30.0, 10.0)
    process.outbox.close()
    assert begin().core.n_messages == len(WORN)


def test_an_alert_that_cannot_be_kept_ends_the_agent(begin):
    process = begin()
    process.outbox.close()
    with pytest.raises(sqlite3.Error):
        process.take(WORN)


def test_a_folder_that_cannot_be_read_is_refused_by_name(begin, tmp_path):
    (tmp_path / "snapshot-000000000001").mkdir()
    with pytest.raises(StateRefused, match="snapshot-000000000001: cannot be read"):
        begin()
