"""An inference that never returns: the loop hangs, and the process ends by itself, without a service manager."""

import json
import signal
import time

import pytest

from tests.streams import life, message

HANGS = """
import threading
from agent import stall
from agent.step import engine

stall.STALL_S, stall.LOOK_S = 1.5, 0.1
run = engine.Engine.run

def run_or_hang(self, x, dt, state):
    if (x == 77).any():
        threading.Event().wait()
    return run(self, x, dt, state)

engine.Engine.run = run_or_hang
"""  # what a Python runs at its start, where it is in its path


@pytest.fixture
def hanging(make_agent, tmp_path):
    (tmp_path / "sitecustomize.py").write_text(HANGS)
    agent = make_agent()
    agent.start(PYTHONPATH=str(tmp_path))
    agent.wait_until_it_listens()
    return agent


def test_a_stuck_inference_is_named_and_ended(hanging):
    hanging.feed(life("p1", 5))
    hanging.broker.publish_all([message("p1", 6, temp=77.0)])
    assert hanging.process.wait(20) == 1
    said = (hanging.folder / "agent.log").read_text()
    (line,) = [one for one in said.splitlines() if '"agent_hangs"' in one]
    assert json.loads(line)["stage"] == "step"
    assert "run_or_hang" in said.partition(line)[2], "the stacks follow"
    hanging.start()
    hanging.wait_until_it_listens()


@pytest.mark.slow
def test_a_process_that_was_stopped_does_not_hang(hanging):
    hanging.process.send_signal(signal.SIGSTOP)
    time.sleep(2.5)  # longer than the loop may hang
    hanging.process.send_signal(signal.SIGCONT)
    hanging.feed(life("p1", 5))
    assert hanging.stop() == 0
