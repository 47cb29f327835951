"""A snapshot is written while the stream goes on, and is the one of the entry at which it began."""

import threading
from concurrent.futures import Future

import pytest

from agent.core import Bounds, Core
from agent.store import snapshot, snapshot_writer
from agent.store.disk import StateFolder
from agent.store.snapshot_writer import SnapshotWriter, at_once, in_thread
from tests.streams import SOURCE, core, life, model, take


class Held:
    """Work that is done when the test says so."""

    def __init__(self):
        self.work = self.future = None

    def __call__(self, work):
        assert self.work is None, "one at a time"
        self.work, self.future = work, Future()
        return self.future

    def do(self):
        self.future.set_result(self.work())


def contents(folder):
    found = []
    snapshot.restore(StateFolder(folder), found.append)
    return found


def test_what_comes_while_it_is_written_is_not_in_it(tmp_path):
    one, held = core(), Held()
    take(one, life("p1", 30))
    writer = SnapshotWriter(StateFolder(tmp_path), one, held)
    expected = one.snapshot()
    assert writer.begin() == one.entry == 30
    take(one, life("p1", 60)[30:40])
    assert writer.turn() is None, "it was copied and handed over"
    take(one, life("p1", 60)[40:])
    assert writer.turn() is None
    assert contents(tmp_path) == []
    held.do()
    written = writer.turn()
    assert written == (written.name, 30, 30, (tmp_path / written.name).stat().st_size)
    assert contents(tmp_path) == [expected]
    assert not writer.is_busy
    assert writer.turn() is None


def test_a_large_one_is_copied_over_turns(tmp_path, monkeypatch):
    monkeypatch.setattr(snapshot_writer, "PART_BYTES", 100)
    one = Core((SOURCE,), (model(SOURCE),), Bounds())
    take(one, [line for device in range(50) for line in life(f"p{device}", 1)])
    writer = SnapshotWriter(StateFolder(tmp_path), one, at_once)
    expected = one.snapshot()
    writer.begin()
    turns = 0
    while writer.turn() is None:
        turns += 1
        take(one, life(f"p{turns % 50}", 5 + turns)[4 + turns :])
    assert turns >= 10, "50 devices of 20 bytes of state in parts of 100, and the turn of its beginning"
    assert contents(tmp_path) == [expected]


def test_a_stop_waits_for_what_is_under_way(tmp_path):
    """In the real thread, which is slow."""
    one, may_write = core(), threading.Event()
    take(one, life("p1", 30))
    submit = in_thread()
    first = submit(lambda: str(may_write.wait(60)))  # the thread is busy: nothing is written before it
    writer = SnapshotWriter(StateFolder(tmp_path), one, submit)
    expected = one.snapshot()
    writer.begin()
    assert writer.turn() is None
    assert writer.turn() is None
    assert not first.done()
    may_write.set()
    written = writer.finish()
    assert written is not None
    assert contents(tmp_path) == [expected]
    assert writer.finish() is None


@pytest.mark.parametrize("submit", [at_once, in_thread()])
def test_a_failure_is_raised_in_the_callers_turn_and_the_next_one_may_begin(tmp_path, monkeypatch, submit):
    one = core()
    take(one, life("p1", 30))
    writer = SnapshotWriter(StateFolder(tmp_path), one, submit)

    def failing(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fdatasync", failing)
    writer.begin()
    with pytest.raises(OSError, match="No space left"):
        writer.finish()
    assert not writer.is_busy
    assert contents(tmp_path) == []
    monkeypatch.undo()
    writer.begin()
    assert writer.finish() is not None
    assert contents(tmp_path) == [one.snapshot()]
