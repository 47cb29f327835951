"""A broker in the test's own hand, and receivers of both kinds for it."""

from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
import structlog
from structlog.testing import LogCapture

from agent.config.broker_settings import Broker
from agent.core.input_log import Recovered
from agent.mqtt import retry
from agent.receive import client
from agent.receive.client import Receiver
from agent.receive.inbox import ReadBounds
from agent.receive.input_options import InputOptions
from agent.sources import Source
from bench.fake_broker import FakeBroker
from tests.unit.receive.talk import PRESS

PAYLOAD_BYTES_MAX = 1024


@pytest.fixture
def broker() -> Iterator[FakeBroker]:
    with FakeBroker() as one:
        yield one


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "RETRY_MIN_S", 0.001)
    monkeypatch.setattr(retry, "AT_ONCE_S", 0.001)
    monkeypatch.setattr(retry, "CUT_SHORT_MAX", 10**6)  # many tests end a session just so


@pytest.fixture(params=["fast", "paho"])
def path(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def receiver(broker: FakeBroker, path: str) -> Callable[..., Receiver]:
    """Makes receivers of one path; what a test says of them holds for the other too."""

    def make(
        *sources: Source,
        log: LogCapture | None = None,
        protocol: str = "auto",
        payload_bytes_max: int = PAYLOAD_BYTES_MAX,
        wanted: str = "",
        at: FakeBroker = broker,
        kept: Recovered | None = None,
    ) -> Receiver:
        settings = Broker(host="127.0.0.1", port=at.port, protocol=protocol, connect_timeout=timedelta(seconds=1))
        sources = sources or (PRESS,)
        one = Receiver(
            settings,
            InputOptions(
                "fw-in",
                sources,
                [1] * len(sources),
                ReadBounds(payload_bytes_max),
                path=wanted or ("auto" if path == "fast" else "paho"),
                kept=kept,
            ),
            structlog.wrap_logger(None, processors=[log or LogCapture()]),
        )
        assert one.path == path
        return one

    return make
