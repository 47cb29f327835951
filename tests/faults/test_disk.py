"""A disk that is full, has no inodes, is read-only, slow or failing under a running agent.

In `journal` mode nothing is acknowledged that is not on the disk: reading stops, and goes on when there is room again,
without a restart. In `snapshot` mode the stream goes on, and the older snapshot stays. In both an alert is published
only once it is committed.
"""

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager

import pytest

from tests.broker.running_agent import ROOT, Json, RunningAgent, configuration, wait_until
from tests.broker.told import events_inline, scores_inline
from tests.faults.system_calls import Attached, SmallDisk, failing, require_strace
from tests.faults.twin import Twin, without_repeats
from tests.streams import Message, interleaved, life

Fault = Callable[[RunningAgent, SmallDisk], AbstractContextManager[object]]
SYNC = "fsync,fdatasync"
WRITE = "write,pwrite64,writev,pwritev"


@pytest.fixture
def disk(tmp_path) -> Iterator[SmallDisk]:
    """The state directory on a disk of its own."""
    (tmp_path / "agent" / "state").mkdir(parents=True)
    with SmallDisk(tmp_path / "agent" / "state", size="1m", inodes=60) as one:
        yield one


@pytest.fixture
def on_disk(disk, broker, make_agent, durability) -> RunningAgent:
    """An agent whose state directory is that disk."""
    agent = make_agent(configuration(broker.port, durability=durability))
    agent.start(under=disk.under)
    agent.wait_until_it_listens()
    return agent


@pytest.fixture
def traced(make_agent, broker, durability) -> RunningAgent:
    require_strace()
    agent = make_agent(configuration(broker.port, durability=durability))
    agent.go()
    return agent


@contextmanager
def full(_: RunningAgent, disk: SmallDisk) -> Iterator[None]:
    disk.fill()
    yield
    disk.free()


@contextmanager
def without_inodes(_: RunningAgent, disk: SmallDisk) -> Iterator[None]:
    disk.take_all_inodes()
    yield
    disk.free()


def refusing(error: str) -> Fault:
    """Every write to what lies in the state directory. `EROFS`: as after an error of the medium, since a disk with
    files open for writing cannot be remounted by hand; `EFBIG`: a quota, or a limit on the size of a file."""

    def spoil(agent: RunningAgent, disk: SmallDisk) -> Attached:
        files = [agent.state / path.name for path in disk.path.iterdir()]
        return failing(agent.process.pid, f"{WRITE}:error={error}", paths=files)

    spoil.__name__ = error
    return spoil


@pytest.mark.slow
@pytest.mark.parametrize("fault", [full, without_inodes, refusing("EROFS"), refusing("EFBIG")])
def test_a_disk_that_takes_nothing_for_a_while_costs_nothing(on_disk, broker, disk, durability, fault):
    """A machine falls ill meanwhile. What cannot be kept is not said; afterwards all is as if nothing had been."""
    messages = interleaved(life("p1", 60), life("p2", 60, wear_from=1000, seed=1))
    on_disk.feed(messages[:30])
    with fault(on_disk, disk):
        broker.publish_all(messages[30:100])
        on_disk.expect(70)
        wait_until(lambda: len(disk_lines(on_disk)) > 0, "a word of the disk in the log")
    on_disk.feed(messages[100:])
    check_it_went_on(on_disk, messages)
    assert on_disk.stop() == 0


def disk_lines(agent: RunningAgent) -> list[Json]:
    """Of what could not be written, in the log."""
    return [line for event in ("snapshot_failed", "journal_full", "alerts_not_kept") for line in agent.log(event)]


def check_it_went_on(agent: RunningAgent, messages: list[Message]) -> None:
    """One process, one connection, and byte for byte what an undisturbed core says of all messages."""
    assert agent.process.poll() is None
    assert len(agent.log("broker_connected")) == 1
    for device in ("p1", "p2"):
        assert agent.scores(device) == scores_inline(messages, device)
    said = [one.payload for one in agent.listener.heard if one.topic == f"{ROOT}/event"]
    assert said == events_inline(messages, agent.folder / "small.fwb")


@pytest.mark.slow
def test_an_fsync_that_fails_is_final(traced, broker, durability):
    """Its pages may be marked clean, so a second try would succeed and prove nothing. The agent ends with the file's
    name, having acknowledged nothing; the next start has it all from its disk and from the broker."""
    messages = life("p1", 60)
    traced.feed(messages[:20])
    with failing(traced.process.pid, f"{SYNC}:error=EIO:when=1"):
        broker.publish_all(messages[20:50])
        assert traced.process.wait(20) == 1
    said = (traced.folder / "agent.log").read_text()
    assert f"{traced.state}/" in said
    assert "Traceback" not in said
    os.truncate(traced.folder / "agent.log", 0)
    traced.go()
    traced.feed(messages[50:])
    events = traced.events(all_lives=True)
    assert len({event["alert"] for event in events}) == 1
    if durability == "journal":
        twin = Twin(traced.folder / "small.fwb")
        twin.take(messages)
        assert without_repeats(events) == twin.events["p1"]


@pytest.mark.slow
def test_a_slow_disk_delays_and_loses_nothing(traced, broker, durability):
    """A worn SD card: 0.3 s a sync. The stream is late, whole, and on one connection."""
    messages = interleaved(life("p1", 60), life("p2", 60, wear_from=1000, seed=1))
    with failing(traced.process.pid, f"{SYNC}:delay_exit=300000"):
        for first in range(0, 120, 30):
            traced.feed(messages[first : first + 30])
    check_it_went_on(traced, messages)


@pytest.mark.slow
def test_a_table_that_a_persons_shell_holds_is_waited_for(traced, broker):
    """Nothing is said of an alert that is not committed; it is once the shell lets go, and nobody was restarted."""
    messages = interleaved(life("p1", 60), life("p2", 60, wear_from=1000, seed=1))
    traced.feed(messages[:30])
    with closing(sqlite3.connect(traced.state / "alerts.db", isolation_level=None)) as shell:
        shell.execute("BEGIN EXCLUSIVE")
        broker.publish_all(messages[30:100])
        traced.expect(70)
        assert "locked" in traced.wait_for_log("alerts_not_kept")["why"]
        assert traced.events() == []
        shell.execute("ROLLBACK")
    traced.feed(messages[100:])
    check_it_went_on(traced, messages)


@pytest.mark.slow
def test_snapshots_that_somebody_deletes_come_back(traced, durability):
    """From memory, with the next one; a crash after that goes on from there."""
    whole = life("p1", 33, wear_from=1000)
    traced.feed(whole[:20])
    traced.wait_for_snapshots(1)
    for path in traced.state.glob("snapshot-*"):
        path.unlink()
    traced.feed(whole[20:30])
    traced.wait_for_snapshots(1)
    traced.kill()
    traced.go()
    assert len(traced.log("state_restored")) == 1
    traced.feed(whole[30:])
    assert len(traced.qualities("p1")) == 3
