"""An agent as the benches start it: its configuration is accepted, and its log, status and CPU time can be read."""

import json
from pathlib import Path

import pytest

from agent.config.load import check
from agent.replay.broker.own_broker import free_port
from bench import footprint, untrained
from bench.agent_process import Status, cpu_s, running_agent, write_configuration
from bench.fake_broker import FakeBroker
from bench.throughput import configuration
from tests.bundles import write_small_bundle
from tests.small_bundle import small_manifest


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return untrained.write(tmp_path_factory.mktemp("bundle") / "untrained.fwb", hidden=4)


def test_every_configuration_is_accepted(tmp_path: Path, bundle: Path) -> None:
    """Of the benches gateway, throughput and footprint, the last for a bundle that counts cycles."""
    of_gateway = {"publish": {"scores": "all"}, "source": {"qos": 1}}
    write_small_bundle(tmp_path / "small.fwb")
    paths = (
        write_configuration(tmp_path / "a", bundle, 1883, "agent/{device}/telemetry", of_gateway),
        configuration(tmp_path / "b", bundle, 1883, "3.1.1"),
        footprint.configuration(tmp_path / "c", tmp_path / "small.fwb", small_manifest(), 1883),
    )
    examined = [check(path, {}) for path in paths]
    assert [problem for one in examined for problem in one.problems] == []
    gateway, throughput, cycles = (one.settings for one in examined)
    assert (gateway.publish.scores, gateway.source[0].qos) == ("all", 1)
    assert (throughput.broker.protocol, throughput.agent.rows_per_device_max) == ("3.1.1", 4096)
    assert cycles.source[0].time.unit == "cycle"


@pytest.mark.slow
def test_an_agent_connects_logs_and_ends(tmp_path: Path, bundle: Path) -> None:
    with FakeBroker() as broker:
        nobody = {"output": {"host": "127.0.0.1", "port": free_port()}}
        path = write_configuration(tmp_path / "agent", bundle, broker.port, "plant/{device}", nobody)
        with running_agent(path) as agent:
            session = broker.session()
            session.read_connect()
            session.accept()
            agent.wait_until(lambda: bool(agent.events("broker_connected")), "connected")
            assert cpu_s(agent.pid) > 0
        assert agent.process.returncode == 0
        assert len(agent.events("agent_stopped")) == 1


@pytest.mark.slow
def test_an_agent_that_ends_by_itself_shows_its_log(tmp_path: Path, bundle: Path) -> None:
    path = write_configuration(tmp_path / "agent", bundle, 1883, "plant/#/{device}", {})
    with (
        running_agent(path) as agent,
        pytest.raises(
            RuntimeError, match=r"the agent has not connected: its log ends\n(?s:.*)may only be the last level"
        ),
    ):
        agent.wait_until(lambda: False, "connected")


def test_a_status_counts_what_was_taken_and_dropped() -> None:
    status = Status()
    assert (status.n_taken, status.n_dropped, status.is_granted) == (0, 0, False)
    drops = {"plant": {"late": 2, "shed": 3}, "press": {"late": 1}}
    for state, is_granted in (("pending", False), ("granted", True)):
        broker = {"input": {"subscriptions": {"plant/+": "granted", "press/+": state}}}
        status.update(json.dumps({"taken": 7, "drops": drops, "broker": broker}).encode())
        assert (status.n_taken, status.n_dropped, status.is_granted) == (7, 6, is_granted)
    status.update(b"")
    assert status.n_taken == 7, "an empty message removes what is retained, and says nothing"
