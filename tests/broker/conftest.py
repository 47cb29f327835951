"""A private mosquitto, somebody who listens, and agents, all ended with the test."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from agent.replay.broker.own_broker import find_mosquitto
from tests.broker import schemas
from tests.broker.listener import Listener
from tests.broker.private_broker import PrivateBroker
from tests.broker.running_agent import RunningAgent
from tests.conftest import require


def running(folder: Path, *, has_default_limits: bool = False) -> Iterator[PrivateBroker]:
    require("mosquitto", find_mosquitto() is not None, "mosquitto is not installed")
    folder.mkdir()
    broker = PrivateBroker(folder, has_default_limits=has_default_limits)
    broker.start()
    yield broker
    broker.close()


@pytest.fixture
def broker(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[PrivateBroker]:
    """It queues far more than mosquitto does by itself, unless a test is marked `default_limits`."""
    has_default_limits = request.node.get_closest_marker("default_limits") is not None
    yield from running(tmp_path / "broker", has_default_limits=has_default_limits)


@pytest.fixture
def output_broker(tmp_path: Path) -> Iterator[PrivateBroker]:
    """Another one, for what the agent says."""
    yield from running(tmp_path / "output-broker")


@pytest.fixture
def listener(broker: PrivateBroker) -> Iterator[Listener]:
    """Hears all that agents say, from before they start; all of it must fit the schemas."""
    with Listener(broker.port, "forewarn/#") as one:
        yield one
    schemas.check(one.heard)


@pytest.fixture
def make_agent(tmp_path: Path, broker: PrivateBroker, listener: Listener) -> Iterator[Callable[..., RunningAgent]]:
    """An agent for a configuration text, in a folder of its own; not started yet."""
    made: list[RunningAgent] = []

    def make(text: str = "", hears: Listener = listener) -> RunningAgent:
        (tmp_path / "agent").mkdir(exist_ok=True)
        made.append(RunningAgent(tmp_path / "agent", broker, hears, text))
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
