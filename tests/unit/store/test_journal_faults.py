"""Disks and tables that fail in journal mode: nothing is taken that is not recorded, and it goes on by itself."""

import dataclasses
import faulthandler
import os
import signal
import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

import pytest

from agent.core import Bounds, Core
from agent.core.entries import Heartbeat, Listening, Messages
from agent.core.input_log import NotRecorded, Origin, RowsMissing, RowWaits
from agent.errors import ForewarnError, StateRefused
from agent.store import database, journal, journal_durability, rehearsal
from agent.store.database import NotNow
from agent.store.failed_record import FailedRecords
from agent.store.outbox import ALERT_TABLE
from agent.words import Quality
from tests.journal_lives import FailingDisk, Life, flapping, read
from tests.streams import SOURCE, core, model
from tests.streams import life as steady

STREAM = flapping(120)


def twin(n: int):
    """Core and events of who took the first n messages in one life."""
    one = core()
    return one, list(one.apply(read(STREAM[:n])).alerts)


@pytest.mark.slow
@pytest.mark.parametrize("room", [0, 1, 17, 300])
def test_a_full_disk_stops_the_stream_and_it_goes_on_when_there_is_room(tmp_path, room):
    """B6: nothing of the read is applied, half a record is cut off, it is said once and tried every second."""
    disk = FailingDisk(tmp_path)
    life = Life(tmp_path, disk=disk)
    life.take(STREAM[:10])
    before, n_bytes = life.core.snapshot(), disk.size(journal.name_of(0))
    disk.room = room
    for now_s in (0.1, 0.2, 5.0, 9.0):
        life.durability.after_turn(now_s, 1000.0)
        with pytest.raises(NotRecorded, match="No space left"):
            life.take(STREAM[10:20], at=10)
    assert life.core.snapshot() == before
    assert disk.size(journal.name_of(0)) == n_bytes
    disk.room = None
    life.durability.after_turn(20.0, 1000.0)
    life.take(STREAM[10:60], at=10)
    assert life.said() == ["journal_full", "journal_written_again"]
    (full,) = (line for line in life.log.entries if line["event"] == "journal_full")
    assert full["why"] == f"{tmp_path / journal.name_of(0)}: No space left on device"
    assert f"Make room in {tmp_path};" in full["next_step"]
    life.die()
    again = Life(tmp_path)
    expected, events = twin(60)
    assert (again.core.snapshot(), again.events()) == (expected.snapshot(), events)
    again.die()


def test_a_sync_that_fails_is_final(tmp_path):
    """B11: no acknowledgement, an error that names the file. What was not acknowledged comes again after a restart.

    The next process does not read what this one has written since: after a failed sync it looks written, and is not.
    """
    disk = FailingDisk(tmp_path)
    life = Life(tmp_path, disk=disk)
    life.take(STREAM[:10])
    life.durability.apply(read(STREAM[10:12], at=10))
    disk.errors["sync"] = OSError(5, "Input/output error")
    with pytest.raises(ForewarnError, match=rf"{journal.name_of(0)}: cannot be written for good \(Input/output"):
        life.durability.before_acknowledge()
    life.die()
    again = Life(tmp_path)
    assert again.core.n_messages == 10
    again.die()


def test_what_is_left_of_a_file_that_did_not_come_into_use_ends_the_agent(tmp_path):
    """It would stand in the middle, as one that lacks its entries, once the older file has been written on."""
    disk = FailingDisk(tmp_path)
    life = Life(tmp_path, disk=disk)
    life.take(STREAM[:10])
    disk.errors |= {"write": OSError(28, "No space left on device"), "remove": OSError(5, "Input/output error")}
    with pytest.raises(ForewarnError, match=rf"{journal.name_of(10)}: cannot be written for good \(Input/output"):
        life.durability.after_turn(100.0, 10.0)
    life.die()
    again = Life(tmp_path)
    again.take(STREAM[10:12], at=10)
    assert (again.said(), again.core.n_messages) == ([], 12)
    again.die()


def test_an_alert_is_never_committed_before_its_record_lasts(tmp_path):
    disk = FailingDisk(tmp_path)
    life = Life(tmp_path, disk=disk)
    taken = life.durability.apply(read(STREAM[:60]))
    assert taken.alerts
    disk.errors["sync"] = OSError(5, "Input/output error")
    with pytest.raises(ForewarnError):
        life.durability.commit(taken)
    assert life.events() == []
    life.die()


def test_a_write_that_fails_for_another_reason_ends_the_agent(tmp_path):
    disk = FailingDisk(tmp_path)
    life = Life(tmp_path, disk=disk)
    disk.errors["write"] = OSError(5, "Input/output error")
    with pytest.raises(ForewarnError, match="Input/output error"):
        life.take(STREAM[:3])
    assert life.core.entry == 0
    life.die()


def test_a_journal_that_is_full_stops_reading_until_snapshots_can_be_written(tmp_path):
    """B18: nothing that no snapshot covers is dropped; a third of the bound brings a snapshot early."""
    disk = FailingDisk(tmp_path)
    life = Life(tmp_path, disk=disk, bytes_max=9000)
    disk.errors["rename"] = OSError(28, "No space left on device")  # of snapshots
    n, now_s = 0, 0.0
    why = ""
    while not why:
        now_s += 2.0
        life.durability.after_turn(now_s, 1000.0)
        try:
            life.take(STREAM[n % 120 : n % 120 + 10], at=n)
            n += 10
        except NotRecorded as error:
            why = str(error)
    assert why.startswith("the journal has its 9000 bytes")
    assert n > 50
    assert sum(path.stat().st_size for path in tmp_path.glob("journal-*")) <= 9000
    assert "snapshot_failed" in life.said(), "it was tried as soon as a third was full"
    disk.errors.clear()
    for _ in range(2):  # the older of the two snapshots needs the whole journal
        now_s += 2.0
        life.durability.after_turn(now_s, 1000.0)
    life.take(STREAM[:10], at=n)
    assert life.said()[-1] == "journal_written_again"
    n_messages = life.core.n_messages
    life.die()
    again = Life(tmp_path, bytes_max=9000)
    assert again.core.n_messages == n_messages
    again.die()


def test_rows_that_wait_and_do_not_fit_the_bound_any_more_are_said(tmp_path):
    """`agent.journal_max` was lowered over a restart: each file begins with them, so nothing would get in behind."""
    life = Life(tmp_path)
    rows = [RowWaits("press", "p0", "plant/p0/cycle", b"x" * 1000, 10**9, number + 1) for number in range(20)]
    life.durability.keep("", rows)
    life.take(STREAM[:3])
    life.die()
    again = Life(tmp_path, bytes_max=30_000)
    with pytest.raises(ForewarnError, match=r"rows that wait take 2[0-9]{4} of the 30000 bytes") as error:
        again.durability.after_turn(1000.0, 10.0)
    assert "agent.journal_max" in str(error.value)
    again.die()
    large = Life(tmp_path)
    assert len(large.recovered[""].waiting) == 20
    large.die()


@pytest.mark.slow
def test_a_table_that_a_shell_holds_while_the_tail_is_taken_is_waited_for(tmp_path, monkeypatch):
    """B20 at a start: an agent that runs gives up after 0.1 s and goes on with the rest; here nothing else is to do."""
    life = Life(tmp_path)
    assert life.durability.apply(read(STREAM[:60])).alerts
    life.durability.before_acknowledge()
    life.die()
    with closing(sqlite3.connect(tmp_path / ALERT_TABLE, isolation_level=None, check_same_thread=False)) as shell:

        def lock() -> None:
            if not shell.in_transaction:
                shell.execute("BEGIN EXCLUSIVE")

        monkeypatch.setattr(database, "BUSY_TIMEOUT_S", 0.2)
        with pytest.raises(NotNow, match="database is locked"):
            Life(tmp_path, starting=lock)
        shell.execute("ROLLBACK")
        monkeypatch.setattr(database, "BUSY_TIMEOUT_S", 30.0)
        leaves = threading.Timer(0.5, shell.execute, ["ROLLBACK"])

        def lock_for_a_while() -> None:
            lock()
            leaves.start()

        again = Life(tmp_path, starting=lock_for_a_while)
        leaves.join()
    expected, events = twin(60)
    assert (again.core.snapshot(), again.events()) == (expected.snapshot(), events)
    again.die()


def test_a_locked_table_holds_everything_up_and_then_all_goes_on(tmp_path):
    """B20: what the core has made of the entry is committed later, before anything else is taken."""
    life = Life(tmp_path)
    with closing(sqlite3.connect(tmp_path / ALERT_TABLE, isolation_level=None)) as shell:
        shell.execute("BEGIN EXCLUSIVE")
        taken = life.durability.apply(read(STREAM[:60]))
        for _ in range(2):
            with pytest.raises(NotRecorded, match="database is locked"):
                life.durability.commit(taken)
        with pytest.raises(NotRecorded, match="takes nothing"):
            life.durability.apply(read(STREAM[60:], at=60))
        life.durability.after_turn(1000.0, 1.0)
        assert list(tmp_path.glob("snapshot-*")) == [], "what it says would not be in the table"
        shell.execute("ROLLBACK")
    life.durability.commit(taken)
    assert life.said() == ["alerts_not_kept", "alerts_kept_again"]
    expected, events = twin(60)
    assert (life.core.snapshot(), life.events()) == (expected.snapshot(), events)
    life.die()


def test_a_record_at_which_the_core_fails_is_set_aside_after_two_restarts(tmp_path, monkeypatch):
    """C8: with its content, and devices say gap; the stream goes on, and so does the next start."""
    life = Life(tmp_path)
    life.take(STREAM[:20])
    poison = read([("plant/p0/cycle", b"poison")], at=20)
    apply = type(life.core).apply

    def failing(self, entry):
        if b"poison" in getattr(entry, "payloads", ()):
            raise RuntimeError("a codec of ours has a fault")
        return apply(self, entry)

    monkeypatch.setattr(type(life.core), "apply", failing)
    with pytest.raises(RuntimeError):
        life.apply(poison)
    life.die()
    for _ in range(2):
        with pytest.raises(RuntimeError):
            Life(tmp_path)
    again = Life(tmp_path)
    assert again.said() == ["record_set_aside"]
    (aside,) = tmp_path.glob("record.corrupt-*")
    assert b"poison" in aside.read_bytes()
    assert again.core.n_messages == 21
    assert again.take(STREAM[20:21], at=21).scores[0].quality.tolist() == [Quality.GAP]
    again.durability.after_turn(1.0, 1000.0)
    again.die()
    last = Life(tmp_path)
    assert last.said() == [], "a snapshot has replaced it"
    last.die()


@pytest.mark.slow
def test_the_table_has_the_last_word_over_a_record_that_was_taken_once_and_is_set_aside(tmp_path, monkeypatch):
    """Its alerts were committed, and without it the core has others: no start may be refused for that."""
    raised = next(n for n in range(len(STREAM)) if core().apply(read(STREAM[: n + 1])).alerts)
    life = Life(tmp_path)
    for n in range(raised + 1):
        life.take(STREAM[n : n + 1], at=n)
    (standing,) = life.outbox.standing()
    life.die()
    apply = type(life.core).apply

    def failing(self, entry):
        if isinstance(entry, Messages) and STREAM[raised] in zip(entry.topics, entry.payloads, strict=True):
            raise MemoryError
        return apply(self, entry)

    monkeypatch.setattr(type(life.core), "apply", failing)
    for _ in range(4):  # the first time it is one of several
        with pytest.raises(MemoryError):
            Life(tmp_path)
    for is_last in (False, True):
        again = Life(tmp_path)
        assert again.said() == ([] if is_last else ["record_set_aside"])
        assert again.core.view().alerts == {standing.key: standing.alert}
        assert again.outbox.standing() == [standing]
        if is_last:
            again.take(STREAM[raised + 1 :], at=raised + 1)
            own = [(one.alert, one.kind) for one in again.events() if one.key == standing.key and one.kind != "updated"]
            assert own[:2] == [(standing.alert, "raised"), (standing.alert, "cleared")]
            assert len(own) == len(set(own)) > 2
        again.die()


def start_in_a_child(folder: Path, then: Callable[[Life], object]) -> int:
    """A life that may end at its start, or when it is given to `then`; returns how."""
    child = os.fork()
    if child == 0:
        try:
            then(Life(folder))
        finally:
            os._exit(0)
    return -os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.mark.slow
@pytest.mark.parametrize("ends", [signal.SIGSEGV, signal.SIGALRM, signal.SIGKILL])
def test_a_record_that_ends_the_process_is_found_by_a_child_and_set_aside(tmp_path, monkeypatch, ends):
    """C8 where nobody is left to count: by a fault of native code, by one that never returns. A kill says nothing."""
    life = Life(tmp_path)
    life.take(STREAM[:20])
    life.die()
    apply, here = type(life.core).apply, os.getpid()
    is_last = False

    def failing(self, entry):
        if b"poison" in getattr(entry, "payloads", ()) and (os.getpid() != here or ends is not signal.SIGKILL):
            if ends is signal.SIGALRM and is_last:
                signal.pause()  # until the child is told that it stands still
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            faulthandler.disable()
            signal.raise_signal(ends)
        return apply(self, entry)

    monkeypatch.setattr(type(life.core), "apply", failing)
    monkeypatch.setattr(rehearsal, "STILL_S", 1)
    poison = read([("plant/p0/cycle", b"poison")], at=20)
    assert start_in_a_child(tmp_path, lambda life: life.apply(poison)) == ends
    for _ in range(2):
        assert start_in_a_child(tmp_path, lambda _: None) == ends
    is_last = True
    again = Life(tmp_path)
    is_own = ends is not signal.SIGKILL
    assert again.said() == ["record_set_aside"] * is_own
    assert len([*tmp_path.glob("record.corrupt-*")]) == is_own
    assert again.core.n_messages == 21
    assert again.take(STREAM[20:21], at=21).scores[0].quality.tolist() == [Quality.GAP if is_own else Quality.OK]
    again.die()


def test_a_process_that_ends_at_every_record_is_no_fault_of_the_records(tmp_path, monkeypatch):
    """A library that this machine cannot run, memory that is broken: nothing is set aside, and the start says why."""
    life = Life(tmp_path)
    for n in range(20):
        life.take(STREAM[n : n + 1], at=n)
    expected = life.core.snapshot()
    life.die()
    children = []

    def ends_at_the_next(take, _):
        children.append(take)
        return len(children), f"{len(children):016x}"

    monkeypatch.setattr(journal_durability, "rehearse", ends_at_the_next)
    failed = FailedRecords(FailingDisk(tmp_path))
    for _ in range(2):
        failed.begin_replay(0)
    for _ in range(2):
        children.clear()
        with pytest.raises(StateRefused, match="ends the process at more than 3 records"):
            Life(tmp_path)
        assert len(children) == 4
    monkeypatch.setattr(journal_durability, "rehearse", lambda *_: None)
    again = Life(tmp_path)
    assert (again.said(), again.core.snapshot()) == ([], expected)
    again.die()


def test_another_mode_takes_what_the_first_has_left(tmp_path):
    """No alert is doubled or lost on the way; what is lost is said."""
    for number, mode in enumerate(("snapshot", "journal", "snapshot", "journal", "journal")):
        life = Life(tmp_path, mode=mode)
        for key, alert in life.core.view().alerts.items():
            assert alert in {event.alert for event in life.outbox.standing()}, key
        if number:
            switched = {"snapshot": "journal_left", "journal": "history_lost"}[mode]
            assert (switched in life.said()) == (number < 4)
        life.take(STREAM[number * 20 : number * 20 + 20], at=number * 20)
        life.durability.after_turn(1000.0, 1.0)
        if number % 2:
            life.stop()
        else:
            life.die()
    last = Life(tmp_path)
    raised = [event.alert for event in last.events() if event.kind == "raised"]
    assert len(raised) == len(set(raised)), "none twice"
    last.die()


def test_other_rules_take_the_tail_and_the_table_has_the_last_word(tmp_path):
    """A model that is another one now, a threshold that has changed: alerts come from the table, nothing is refused."""
    life = Life(tmp_path)
    life.take(STREAM[:40])
    standing = life.outbox.standing()
    assert standing
    life.die()
    for changed in (lambda: core(threshold=0.9), lambda: core(digest="e" * 64)):
        again = Life(tmp_path, make=changed)
        assert "rules_changed" in again.said()
        assert again.outbox.standing() == standing
        assert set(again.core.view().alerts.values()) == {event.alert for event in standing}
        assert again.core.n_messages == 40
        again.die()
    same = Life(tmp_path, make=lambda: core(digest="e" * 64))
    assert same.said() == []
    same.die()


def test_a_source_that_is_gone_takes_its_alerts_with_it(tmp_path):
    life = Life(tmp_path)
    life.take(STREAM[:40])
    assert life.outbox.standing()
    life.die()
    renamed = dataclasses.replace(SOURCE, name="oven")
    again = Life(tmp_path, make=lambda: Core((renamed,), (model(renamed),), Bounds()))
    assert again.outbox.standing() == []
    assert {event.cause for event in again.events()[-2:]} == {"source_removed"}
    again.die()


def test_a_table_that_is_lost_is_not_a_reason_to_stop(tmp_path):
    life = Life(tmp_path)
    life.take(STREAM[:30])
    life.durability.after_turn(100.0, 1.0)
    life.die()
    (tmp_path / ALERT_TABLE).write_bytes(b"junk")
    again = Life(tmp_path)
    assert again.said() == ["history_lost", "alert_table_lost"]
    assert again.outbox.standing() == []
    again.die()


def test_a_table_where_silence_alone_stands_is_not_taken_for_a_lost_one(tmp_path):
    source = dataclasses.replace(SOURCE, silent_after_s=30.0, device_silent_after_s=20.0)
    life = Life(tmp_path, mode="snapshot", make=lambda: Core((source,), (model(source),), Bounds()))
    life.apply(Listening(("press",)))
    life.take(steady("p1", 30))
    for at_s in range(31, 200):
        life.apply(Heartbeat(at_s * 10**9))
    assert life.outbox.standing()
    assert not life.outbox.newest()
    life.stop()
    again = Life(tmp_path, mode="snapshot", make=lambda: Core((source,), (model(source),), Bounds()))
    assert again.said() == []
    again.die()


def test_a_word_of_an_orderly_stop_is_for_one_start_alone(tmp_path):
    """Else a later snapshot of the same number would be taken for the last one of an agent that was killed."""
    life = Life(tmp_path)
    life.take(STREAM[:10])
    life.stop()
    assert (tmp_path / "stopped").exists()
    for path in tmp_path.glob("snapshot-*"):
        path.write_bytes(b"junk")
    again = Life(tmp_path)
    assert not (tmp_path / "stopped").exists()
    again.die()


@pytest.mark.slow
@pytest.mark.parametrize("room", range(0, 9000, 900))
def test_a_start_with_other_rules_loses_nothing_wherever_it_ends(tmp_path, room):
    """An upgrade on a disk that is nearly full: what was acknowledged is in the old journal until a snapshot has it."""
    life = Life(tmp_path)
    life.take(STREAM[:40])
    waits = RowWaits("press", "p1", *STREAM[41], 10**12, 5)
    life.durability.keep("", [waits])
    life.durability.before_acknowledge()
    life.die()
    disk = FailingDisk(tmp_path)
    disk.room = room
    with suppress(StateRefused):
        Life(tmp_path, disk=disk, make=lambda: core(threshold=0.6)).die()
    again = Life(tmp_path, make=lambda: core(threshold=0.6))
    assert again.core.n_messages == 40
    assert again.recovered[""].waiting[0] == waits
    assert set(again.core.view().alerts.values()) == {event.alert for event in again.outbox.standing()} != set()
    again.die()


def test_rows_that_are_lost_behind_those_that_wait_say_gap(tmp_path):
    """The broken part of the journal had rows of a device whose earlier ones still wait."""
    life = Life(tmp_path)
    rows = steady("p1", 45)
    life.take(rows[:40])
    waiting = [RowWaits("press", "p1", *row, 10**9 * (41 + n), 1 + n) for n, row in enumerate(rows[40:43])]
    life.durability.keep("", waiting[:2])
    life.durability.before_acknowledge()
    path = tmp_path / journal.name_of(0)
    good_bytes = path.stat().st_size
    life.durability.keep("", waiting[2:])
    life.durability.before_acknowledge()
    life.take(rows[40:41], at=40, origin=Origin("", [0], 1))
    life.die()
    content = bytearray(path.read_bytes())
    content[good_bytes + 30] ^= 1
    path.write_bytes(content)
    again = Life(tmp_path)
    assert again.said() == ["history_lost"]
    assert again.recovered[""].waiting == [*waiting[:2], RowsMissing("press", "p1")]
    again.die()


def test_a_start_that_was_cut_short_is_not_taken_for_one_without_loss(tmp_path):
    """The journal is broken, and the disk is full when the new one is to begin: the next start says gap too."""
    life = Life(tmp_path)
    life.take(STREAM[:30])
    life.die()
    name = tmp_path / journal.name_of(0)
    content = bytearray(name.read_bytes())
    content[100] ^= 1
    name.write_bytes(content)
    disk = FailingDisk(tmp_path)
    disk.room = 200
    with pytest.raises(ForewarnError, match="No space left"):
        Life(tmp_path, disk=disk)
    again = Life(tmp_path)
    assert again.said() == ["history_lost"]
    again.die()
