"""Rows that wait for their share when the agent is killed: in journal mode each is scored once, in its order."""

import pytest

from tests.broker.running_agent import configuration, wait_until
from tests.faults.twin import Twin, risks_of
from tests.streams import life

N = 600


@pytest.mark.long
def test_a_backlog_in_one_go_outlives_kills(broker, make_agent):
    """Fifty times the share of its device: most of it is acknowledged, and waits in the agent."""
    text = configuration(broker.port, durability="journal")
    agent = make_agent(text.replace("rows_per_device_max = 4096", "rows_per_device_max = 12"))
    agent.go()
    messages = life("p1", N, wear_from=10_000)
    broker.publish_all(messages)
    for n_taken in (50, 200, 350):
        wait_until(lambda: agent.status()["taken"] >= n_taken, "some rows are taken")  # noqa: B023
        agent.kill()
        agent.go()
    wait_until(lambda: agent.status()["taken"] >= N, "all are taken")
    twin = Twin(agent.folder / "small.fwb")
    twin.take(messages)
    newest = risks_of(twin.scores["p1"])[-20:]
    wait_until(lambda: risks_of(agent.scores("p1"))[-20:] == newest, "the newest scores are the twin's")
    assert agent.status()["taken"] == N
    assert agent.status()["drops"].get("press", {}).keys() <= {"duplicate_delivery"}
