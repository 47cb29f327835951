"""An output with its outbox and its log, turned by the test's own hand."""

import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import structlog
from structlog.testing import LogCapture

from agent.config.settings import Broker
from agent.publish.mqtt import Output
from agent.publish.topic import Topics
from agent.store.outbox import Outbox, Outgoing

TOPICS = Topics.of("f", "n")
STANDING = [Outgoing("raised", "f/n/alert/p1/risk", b"stands", retain=True)]
TIMEOUT_S = 8.0
CLIENT_ID = "fw-out"


class Parts:
    """`standing` is what the alert table holds."""

    def __init__(
        self, folder: Path, port: int, *, client_id: str = CLIENT_ID, instance: str = "0" * 16, **settings: object
    ) -> None:
        self.log = LogCapture()
        self.outbox = Outbox(folder / "alerts.db", 1000)
        broker = Broker(host="127.0.0.1", port=port, connect_timeout=timedelta(seconds=1), **settings)
        logger = structlog.wrap_logger(None, processors=[self.log])
        self.output = Output(broker, client_id, TOPICS, self.outbox, logger, instance)
        self.standing: list[Outgoing] = []

    def turn(self) -> None:
        self.output.turn(lambda: self.standing)

    def turn_until(self, done: Callable[[], object], *others: "Parts") -> None:
        """Turn, and others with it, until `done`."""
        deadline_s = time.monotonic() + TIMEOUT_S
        while not done():
            assert time.monotonic() < deadline_s, self.log.entries
            for one in (self, *others):
                one.turn()
            time.sleep(0.002)

    def turn_for(self, time_s: float) -> None:
        """Turn for a while, to see that nothing happens."""
        end_s = time.monotonic() + time_s
        self.turn_until(lambda: time.monotonic() > end_s)

    def lines(self, name: str) -> list[dict[str, object]]:
        return [line for line in self.log.entries if line["event"] == name]

    def events(self) -> list[str]:
        return [line["event"] for line in self.log.entries]

    def end(self) -> None:
        if self.output._connection is not None:
            self.output._connection.cut()
        self.outbox.close()


def event(name: str, *, chain: str = "", kind: str = "raised") -> Outgoing:
    return Outgoing(kind, "f/n/event", name.encode(), retain=False, chain=chain)
