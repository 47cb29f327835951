"""A private mosquitto, somebody who listens, and agents, all ended with the test."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from agent.replay.broker import find_mosquitto
from tests.broker.listener import Listener
from tests.broker.private_broker import PrivateBroker
from tests.broker.running_agent import RunningAgent
from tests.conftest import require


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[PrivateBroker]:
    require("mosquitto", find_mosquitto() is not None, "mosquitto is not installed")
    (tmp_path / "broker").mkdir()
    one = PrivateBroker(tmp_path / "broker")
    one.start()
    yield one
    one.close()


@pytest.fixture
def listener(broker: PrivateBroker) -> Iterator[Listener]:
    """Hears all that agents say, from before they start."""
    with Listener(broker.port, "forewarn/#") as one:
        yield one


@pytest.fixture
def make_agent(tmp_path: Path, broker: PrivateBroker, listener: Listener) -> Iterator[Callable[..., RunningAgent]]:
    """An agent for a configuration text, in a folder of its own; not started yet."""
    made: list[RunningAgent] = []

    def make(text: str = "", folder: str = "agent") -> RunningAgent:
        (tmp_path / folder).mkdir(exist_ok=True)
        made.append(RunningAgent(tmp_path / folder, broker, listener, text))
        return made[-1]

    yield make
    for one in made:
        one.end()


@pytest.fixture
def agent(make_agent: Callable[..., RunningAgent]) -> RunningAgent:
    """An agent that listens."""
    one = make_agent()
    one.go()
    return one
