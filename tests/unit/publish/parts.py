"""An output with its outbox and its log, turned by the test's own hand."""

import json
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import structlog
from structlog.testing import LogCapture

from agent.config.broker_settings import Broker
from agent.publish.mqtt import Output
from agent.publish.topic import Topics
from agent.store.outbox import Outbox
from agent.words import AlertEvent
from bench.strict_broker import StrictBroker
from tests import alert_events

TOPICS = Topics.of("f", "n")
TIMEOUT_S = 8.0
CLIENT_ID = "fw-out"
EVENT, AVAILABLE, INSTANCE, ALERT = "f/n/event", "f/n/available", "f/n/instance", "f/n/alert/press/p1/risk"
QUOTA, DENIED = 0x97, 0x87


class Parts:
    """`mirrors` lets it be due to tell what stands with each event, as an agent's output is."""

    def __init__(
        self,
        folder: Path,
        port: int,
        *,
        client_id: str = CLIENT_ID,
        instance: str = "0" * 16,
        mirrors: bool = False,
        trusts_puback: bool = False,
        **settings: object,
    ) -> None:
        self.log = LogCapture()
        self.outbox = Outbox(folder / "alerts.db", 1000)
        self.cursor = self.outbox.cursor("mqtt", mirrors=mirrors)
        broker = Broker(host="127.0.0.1", port=port, connect_timeout=timedelta(seconds=1), **settings)
        logger = structlog.wrap_logger(None, processors=[self.log])
        self.output = Output(broker, client_id, TOPICS, self.cursor, logger, instance, trusts_puback=trusts_puback)

    def stand(self, device: str = "p1") -> None:
        """Let an alert called `stands` stand, of which all has been told."""
        self.outbox.commit([alert_events.event("raised", "stands", t=1.0, device=device)])
        self.cursor.settle([one.number for one in self.cursor.sendable(9)], {})

    @property
    def has_told_all(self) -> bool:
        """Whether the outbox is empty, and all that stands has been told on this connection."""
        sender = self.output._sender
        return sender is not None and not (len(self.cursor) or len(sender.copies) or self.n_under_way())

    def n_under_way(self, besides: type | tuple[()] = ()) -> int:
        """Messages that wait for their acknowledgement, those of one kind left out."""
        sender = self.output._sender
        return sum(not isinstance(what, besides) for what in sender._under_way()) if sender is not None else 0

    def turn(self) -> None:
        self.output.turn()

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


def event(name: str, *, device: str = "", kind: str = "cleared") -> AlertEvent:
    """An event of an alert called `name`; by default of a device of its own, and of nothing that stands."""
    return alert_events.event(kind, name, t=1.0, device=device or f"of {name}")


def name_of(payload: bytes) -> bytes:
    """What the message of an event, or of what stands, calls its alert; other payloads as they are."""
    return json.loads(payload)["alert"].encode() if payload.startswith(b'{"event"') else payload


def told(broker: StrictBroker, topic: str = EVENT) -> list[bytes]:
    """What was taken under a topic, by the names of the alerts."""
    return [name_of(payload) for payload in broker.payloads(topic)]


def names(n: int) -> list[bytes]:
    return [f"{number}".encode() for number in range(n)]
