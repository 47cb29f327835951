"""A disk that takes no more: nothing is said that is not committed, and nothing committed is lost."""

import resource
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.broker.running_agent import configuration, wait_until
from tests.streams import interleaved, life

FULL_BYTES = 20_000  # more than the log needs, less than the table's write-ahead log has


@pytest.fixture(params=["snapshot", "journal"])
def either(make_agent, broker, request):
    """An agent that listens and keeps its state in one of the two ways."""
    one = make_agent(configuration(broker.port, durability=request.param))
    one.go()
    return one


def check_that_it_waits(agent, whole, let_go) -> None:
    """While the table takes nothing, nothing is said; then all is, in its order, and nothing twice."""
    agent.broker.publish_all(whole[15:50])
    assert agent.wait_for_log("alerts_not_kept")["level"] == "error"
    assert agent.events() == []
    assert agent.standing() == {}
    let_go()
    agent.wait_for_log("alerts_kept_again")
    agent.expect(35)
    agent.feed(whole[50:])
    (raised, *_) = agent.events()
    assert (raised["event"], raised["sequence"]) == ("raised", 1)
    assert len({event["alert"] for event in agent.events()}) == 1
    assert list(agent.standing()) == ["press/p1/risk"]
    assert set(agent.qualities("p1")) == {"warming_up", "ok"}, "nothing was missed meanwhile"
    assert agent.process.poll() is None


def test_an_alert_that_cannot_be_committed_is_not_published_and_not_forgotten(either):
    """The table is on a full disk. With room again everything goes on, without a restart."""
    whole = life("p1", 70)
    either.feed(whole[:15])
    assert (either.state / "alerts.db-wal").stat().st_size > FULL_BYTES
    _, most = resource.prlimit(either.process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(either.process.pid, resource.RLIMIT_FSIZE, (FULL_BYTES, most))
    check_that_it_waits(
        either, whole, lambda: resource.prlimit(either.process.pid, resource.RLIMIT_FSIZE, (most, most))
    )


def test_a_table_that_a_person_has_locked_is_waited_for(either):
    """A shell with an open transaction holds the agent up, and does not end it."""
    whole = life("p1", 70)
    either.feed(whole[:15])
    with closing(sqlite3.connect(either.state / "alerts.db", isolation_level=None)) as shell:
        shell.execute("BEGIN EXCLUSIVE")
        check_that_it_waits(either, whole, lambda: shell.execute("ROLLBACK"))


def test_a_snapshot_on_a_full_disk_is_said_and_follows_once_there_is_room(agent):
    """The stream goes on meanwhile and no restart is needed; a crash after it goes on from the newer one."""
    fleet = [life(f"p{number}", 6, seed=number) for number in range(400)]
    agent.feed(interleaved(*(one[:2] for one in fleet)))
    wait_until(lambda: any(path.stat().st_size > FULL_BYTES for path in snapshots(agent)), "a snapshot of the fleet")
    _, most = resource.prlimit(agent.process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(agent.process.pid, resource.RLIMIT_FSIZE, (FULL_BYTES, most))
    before = snapshots(agent)
    agent.feed(interleaved(*(one[2:4] for one in fleet)))
    assert "File too large" in agent.wait_for_log("snapshot_failed")["why"]
    assert snapshots(agent) == before
    resource.prlimit(agent.process.pid, resource.RLIMIT_FSIZE, (most, most))
    wait_until(lambda: snapshots(agent) - before, "another snapshot")
    agent.kill()
    agent.go()
    assert agent.log("snapshot_set_aside") == []
    agent.feed(interleaved(*(one[4:] for one in fleet)))
    assert agent.qualities("p399") == ["gap", "ok"]


def snapshots(agent) -> set[Path]:
    return set(agent.state.glob("snapshot-*[0-9]"))
