"""The agent as a service manager sees it: a real process, a real notify socket."""

import os
import signal

import pytest

from bench.fake_broker import FakeBroker
from bench.mqtt_packets import PUBLISH
from tests.broker.running_agent import configuration, with_output
from tests.service_manager import ServiceManager
from tests.streams import life

WATCHDOG = {"WATCHDOG_USEC": "400000"}  # fed every 0.2 s


@pytest.fixture
def manager(request, tmp_path):
    is_abstract = getattr(request, "param", "path") == "abstract"
    address = f"@forewarn-test-{os.getpid()}" if is_abstract else tmp_path / "notify"
    with ServiceManager(address) as one:
        yield one


@pytest.mark.parametrize("manager", ["path", "abstract"], indirect=True)
def test_it_is_ready_says_how_it_is_and_feeds_the_watchdog_while_nothing_comes(manager, agent_of):
    """Idle, then stopped by SIGSTOP: not fed; continued: fed again; SIGTERM: STOPPING, and not fed any more."""
    agent = agent_of(manager)
    assert manager.wait_for("WATCHDOG=1")[0] == "READY=1"
    agent.wait_until_it_listens()
    manager.wait_for("STATUS=0 devices (0 ok), 0 alerts stand, connected")
    agent.process.send_signal(signal.SIGSTOP)
    manager.told(within_s=0.1)
    assert manager.told(within_s=1.0) == []
    agent.process.send_signal(signal.SIGCONT)
    manager.wait_for("WATCHDOG=1")
    agent.feed(life("p1", 60))
    manager.wait_for("STATUS=1 devices (1 ok), 1 alert stands, connected")
    assert agent.stop() == 0
    manager.wait_for("STOPPING=1")
    assert "WATCHDOG=1" not in manager.told(within_s=0.1)


def test_it_is_ready_without_a_broker_and_says_why(manager, broker, agent_of):
    """A gateway that boots without network is up; its watchdog is fed."""
    broker.kill()
    agent_of(manager)
    assert manager.wait_for("READY=1")[0] == "READY=1"
    manager.wait_for("STATUS=0 devices (0 ok), 0 alerts stand, input away: [Errno 111]")
    manager.wait_for("WATCHDOG=1")


def test_a_broken_bundle_is_never_ready(manager, make_agent):
    agent = make_agent()
    (agent.folder / "small.fwb").write_bytes(b"")
    agent.start(NOTIFY_SOCKET=manager.address)
    assert agent.process.wait(20) == 2
    assert manager.told() == []


def test_an_abort_shows_where_every_thread_stood(manager, agent_of):
    """What systemd does to a process that no longer feeds its watchdog."""
    agent = agent_of(manager)
    manager.wait_for("WATCHDOG=1")
    agent.process.send_signal(signal.SIGABRT)
    assert agent.process.wait(20) == -signal.SIGABRT
    said = (agent.folder / "agent.log").read_text()
    assert "Fatal Python error: Aborted" in said
    assert "in turn" in said


@pytest.mark.long
def test_an_output_that_takes_nothing_starves_the_watchdog(manager, broker, make_agent):
    """Connected, alive by its pings, but no PUBACK for three keepalives: said by name, and no longer fed."""
    with FakeBroker() as output:
        text = with_output(broker.port, output.port) + 'keepalive = "5s"\n'
        agent = make_agent(text)
        agent.start(NOTIFY_SOCKET=manager.address, **WATCHDOG)
        session = output.session()
        session.read_connect()
        session.accept()
        while not agent.log("agent_stuck"):
            first, _ = session.read()
            if first == 0xC0:
                session.send(b"\xd0\0")
                agent.broker.publish_all(life("p1", 60))  # again at each ping: the input may not listen at the first
            assert first & 0xF0 in (PUBLISH, 0x80, 0xC0)
        (line,) = agent.log("agent_stuck")
        assert line["stage"] == "outbox"
        manager.told()
        assert "WATCHDOG=1" not in manager.told(within_s=1.0)


@pytest.fixture
def agent_of(make_agent, broker):
    """Starts an agent under a manager, with a watchdog."""

    def start(manager: ServiceManager):
        agent = make_agent(configuration(broker.port))
        agent.start(NOTIFY_SOCKET=manager.address, **WATCHDOG)
        return agent

    return start
