"""What surrounds the process: its environment and umask, and signals at an inconvenient time."""

import signal
import stat

import pytest

from bench.fake_broker import FakeBroker
from tests.broker.running_agent import with_output
from tests.broker.told import scores_inline
from tests.streams import life

BARE = ("env", "-u", "HOME", "-u", "PATH", "-u", "LANG", "LC_ALL=C", f"FILLS={'x' * 100_000}")
OPEN = ("sh", "-c", 'umask 000; exec "$@"', "sh")  # what it makes, all may write, unless it sees to it


def test_without_home_locale_and_umask_it_works_and_its_files_are_its_own(make_agent):
    """A device whose name is not ASCII is among them; SIGPIPE ends nothing."""
    agent = make_agent()
    agent.start(under=(*OPEN, *BARE))
    agent.wait_until_it_listens()
    agent.process.send_signal(signal.SIGPIPE)
    agent.feed(life("p1", 60))
    agent.feed(life("Presse ü", 3))
    assert agent.scores("p1") == scores_inline(life("p1", 60), "p1")
    assert len(agent.scores("Presse%20%C3%BC")) == 3
    assert agent.stop() == 0
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in agent.state.iterdir()}
    assert len(modes) >= 4
    assert {name: oct(mode) for name, mode in modes.items() if mode & 0o027} == {}


@pytest.mark.slow
def test_a_second_sigterm_ends_at_once_what_the_first_lets_drain(make_agent, broker):
    """The output takes nothing, so the first would wait for 5 s."""
    with FakeBroker() as output:
        agent = make_agent(with_output(broker.port, output.port))
        agent.start()
        session = output.session()
        session.read_connect()
        session.accept()
        while not agent.log("alert_raised"):
            agent.broker.publish_all(life("p1", 60))  # again: the input may not listen at the first
        agent.process.send_signal(signal.SIGTERM)
        agent.wait_for_log("agent_stopping")
        agent.process.send_signal(signal.SIGTERM)
        assert agent.process.wait(20) == 130
        assert agent.log("agent_stopped") == []
