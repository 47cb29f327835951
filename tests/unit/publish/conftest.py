"""Outputs of a test, ended with it, and waits that are short."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from agent.mqtt import retry
from agent.publish import mqtt, others, refused
from agent.store.cursor import Parked
from bench.strict_broker import StrictBroker
from tests.unit.publish.parts import Parts


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mqtt, "RETRY_MIN_S", 0.01)
    monkeypatch.setattr(retry, "AT_ONCE_S", 0.001)
    monkeypatch.setattr(others, "ANSWER_WITHIN_S", 0.05)
    monkeypatch.setattr(
        refused, "WAITS_S", {Parked.FOR_NOW: (0.02, 0.1), Parked.FOR_GOOD: (0.04, 0.2), Parked.UNPROVEN: (0.04, 0.2)}
    )


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[..., Parts]]:
    made: list[Parts] = []

    def make_parts(broker: StrictBroker, name: str = "a", **settings: object) -> Parts:
        (tmp_path / name).mkdir(exist_ok=True)
        made.append(Parts(tmp_path / name, broker.port, **settings))
        return made[-1]

    yield make_parts
    for one in made:
        one.end()
