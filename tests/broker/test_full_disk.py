"""A disk that takes no more: nothing is said that is not committed, and nothing committed is lost."""

import os
import resource
from pathlib import Path

from tests.broker.running_agent import wait_until
from tests.streams import interleaved, life

FULL_BYTES = 20_000  # more than the log needs, less than the table's write-ahead log has


def test_an_alert_that_cannot_be_committed_is_not_published_and_not_forgotten(agent):
    """Exit 1 with the name of the file. With room again the fault that still shows is raised, once."""
    whole = life("p1", 70)
    agent.feed(whole[:15])
    assert (agent.state / "alerts.db-wal").stat().st_size > FULL_BYTES
    resource.prlimit(agent.process.pid, resource.RLIMIT_FSIZE, (FULL_BYTES, FULL_BYTES))
    agent.broker.publish_all(whole[15:50])
    assert agent.process.wait(20) == 1
    said = (agent.folder / "agent.log").read_text()
    assert "alerts.db: cannot be written" in said
    assert "Traceback" not in said
    assert agent.events() == []
    assert agent.standing() == {}
    os.truncate(agent.folder / "agent.log", 0)
    agent.go()
    agent.feed(whole[50:])
    (raised, *_) = agent.events()
    assert (raised["event"], raised["sequence"]) == ("raised", 1)
    assert len({event["alert"] for event in agent.events()}) == 1
    assert list(agent.standing()) == ["press/p1/risk"]


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
