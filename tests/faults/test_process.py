"""What a machine may withhold from a process: memory, descriptors, cores, a network; and signals while it works."""

import os
import resource
from collections import Counter
from pathlib import Path

import pytest

from tests.broker.listener import Heard
from tests.broker.running_agent import ROOT, configuration, wait_until
from tests.broker.test_crash_equivalence import check_lives
from tests.broker.told import scores_inline
from tests.faults.system_calls import require_namespaces
from tests.faults.twin import Twin, without_repeats
from tests.streams import interleaved, life, message


@pytest.fixture
def kept(make_agent, broker, durability):
    """An agent that keeps its state so."""
    agent = make_agent(configuration(broker.port, durability=durability))
    agent.go()
    return agent


@pytest.mark.long
def test_an_agent_that_runs_out_of_memory_ends_and_leaves_a_good_state(kept, broker):
    """Allocations fail at any place. It goes on, or ends with a code; the next start finds nothing corrupt."""
    whole = life("p1", 60)
    kept.feed(whole[:45])
    kept.wait_for_snapshots(1)
    used = int(Path(f"/proc/{kept.process.pid}/statm").read_text().split()[0]) * resource.getpagesize()
    resource.prlimit(kept.process.pid, resource.RLIMIT_AS, (used, used))
    broker.publish_all([message(f"x{number}", 1, more="x" * 20_000) for number in range(3000)])
    assert kept.process.wait(60) == 1
    assert "MemoryError" in (kept.folder / "agent.log").read_text()
    os.truncate(kept.folder / "agent.log", 0)
    kept.go()
    broker.publish_all(whole[45:])
    wait_until(lambda: len(kept.scores("p1")) == 15, "all rows")
    assert not list(kept.state.glob("*.corrupt-*"))
    assert len({event["alert"] for event in kept.events(all_lives=True) if event["device"] == "p1"}) == 1


@pytest.mark.long
def test_an_agent_out_of_descriptors_keeps_its_connections(kept):
    """Whatever needs another file waits for one; the stream goes on."""
    whole = life("p1", 60)
    kept.feed(whole[:15])
    in_use = {int(name) for name in os.listdir(f"/proc/{kept.process.pid}/fd")}
    lowest_free = min(set(range(len(in_use) + 1)) - in_use)
    _, most = resource.prlimit(kept.process.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(kept.process.pid, resource.RLIMIT_NOFILE, (lowest_free, most))
    kept.feed(whole[15:45])
    assert "Too many open files" in kept.wait_for_log("snapshot_failed")["why"]
    resource.prlimit(kept.process.pid, resource.RLIMIT_NOFILE, (most, most))
    kept.feed(whole[45:])
    assert kept.scores("p1") == scores_inline(whole, "p1")
    assert len(kept.log("broker_connected")) == 1
    assert kept.stop() == 0


@pytest.mark.long
def test_without_any_network_it_waits_and_ends_in_order(make_agent, broker, durability):
    """The loopback is down, as when a gateway boots: no exit that a service manager would count."""
    require_namespaces()
    agent = make_agent(configuration(broker.port, durability=durability))
    agent.start(under=("unshare", "-rn"))
    assert "unreachable" in agent.wait_for_log("broker_not_connected")["why"].lower()
    assert agent.process.poll() is None
    assert agent.stop() == 0


@pytest.mark.slow
def test_sigterm_in_the_middle_of_a_burst_loses_nothing(kept, broker, durability):
    """What was taken is kept, what was not is the broker's: with `journal` it comes after the start. An alert has one
    id in both, and no row is scored twice."""
    messages = interleaved(*(life(f"p{number}", 60, seed=number) for number in range(20)))
    broker.publish_all(messages[:600])
    assert kept.stop() == 0
    kept.listener.wait_for(lambda one: one == Heard(f"{ROOT}/available", b"stopped", False), "stopped")
    kept.go()
    kept.broker.publish_all(messages[600:])
    if durability == "journal":
        wait_until(lambda: kept.status()["taken"] == len(messages), "each message, once")
    wait_until(lambda: kept.qualities("p19")[-1:] == ["ok"] and kept.status()["queues"]["outbox"] == 0, "the last row")
    events = without_repeats(kept.events(all_lives=True))
    check_lives(events)
    assert max(Counter(kept.scores("p7", all_lives=True)).values()) == 1
    if durability == "journal":
        twin = Twin(kept.folder / "small.fwb")
        twin.take(messages)
        assert [event for event in events if event["device"] == "p7"] == twin.events["p7"]
