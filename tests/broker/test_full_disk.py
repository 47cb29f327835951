"""A disk that takes no more: nothing is said that is not committed, and nothing committed is lost."""

import os
import resource

from tests.streams import life

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
    assert list(agent.standing()) == ["p1/risk"]
