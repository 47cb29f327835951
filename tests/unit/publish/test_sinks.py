"""What holds for every sink, shown on each that SINKS lists and on the one that docs/sinks.md adds."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import structlog
from structlog.testing import LogCapture

from agent.config.broker_settings import Broker
from agent.config.settings import Publish
from agent.publish import mqtt
from agent.publish.sinks import RETRY_S, SINKS, Opening, Sink, SinkKind, Sinks
from agent.publish.topic import Topics
from agent.store.cursor import Cursor
from agent.store.outbox import Outbox
from bench.strict_broker import StrictBroker
from tests import toy_sink
from tests.alert_events import event

TIMEOUT_S = 10.0
TOY: dict[str, object] = {}
exec(toy_sink.code(), TOY)
KINDS: dict[str, SinkKind] = {**SINKS, "lines": TOY["LINES"]}


class Receiver:
    """Where a sink sends to: it can be shut, and says which alerts it was told of."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.settings = SimpleNamespace(agent=SimpleNamespace(state_dir=folder, node="n"), publish=Publish())


class Lines(Receiver):
    def open(self) -> None:
        if (self.folder / toy_sink.FILE).is_dir():
            (self.folder / toy_sink.FILE).rmdir()

    def shut(self) -> None:
        (self.folder / toy_sink.FILE).mkdir()

    def told(self) -> list[str]:
        path = self.folder / toy_sink.FILE
        return [json.loads(line)["alert"] for line in path.read_text().splitlines()] if path.is_file() else []

    def close(self) -> None:
        pass


class Mqtt(Receiver):
    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._broker = StrictBroker()
        self._broker.__enter__()
        self.settings.broker = self.settings.output_broker = Broker(host="127.0.0.1", port=self._broker.port)

    def open(self) -> None:
        self._broker.change(answer=lambda _: 0)

    def shut(self) -> None:
        self._broker.change(answer=lambda one: 0x97 if one.topic == "f/n/event" else 0)

    def told(self) -> list[str]:
        return [json.loads(payload)["alert"] for payload in self._broker.payloads("f/n/event")]

    def close(self) -> None:
        self._broker.__exit__(None, None, None)


RECEIVERS: dict[str, Callable[[Path], Receiver]] = {"mqtt": Mqtt, "lines": Lines}


def test_every_sink_has_a_receiver_here():
    assert RECEIVERS.keys() == KINDS.keys()


class Running:
    """A sink with its outbox and receiver; started and ended by hand."""

    def __init__(self, folder: Path, name: str) -> None:
        self.name = name
        self.folder = folder
        self.receiver = RECEIVERS[name](folder)
        self.log = LogCapture()
        self.start()

    def start(self) -> None:
        log = structlog.wrap_logger(None, processors=[self.log])
        self.outbox = Outbox(self.folder / "alerts.db", 1000)
        self.cursor: Cursor = self.outbox.cursor(self.name, mirrors=KINDS[self.name].mirrors)
        opening = Opening(self.receiver.settings, self.cursor, Topics.of("f", "n"), "0" * 16, log)
        self.sink: Sink = KINDS[self.name].open(opening)
        self.sinks = Sinks({self.name: self.sink}, log)
        self.clock_s = 1000.0

    def turn_until(self, done: Callable[[], object]) -> None:
        deadline_s = time.monotonic() + TIMEOUT_S
        while not done():
            assert time.monotonic() < deadline_s, self.log.entries
            self.clock_s += RETRY_S
            self.sinks.turn(self.clock_s)
            time.sleep(0.002)

    def end(self) -> None:
        """As kill -9 would: nothing is said any more."""
        connection = getattr(self.sink, "_connection", None)
        if connection is not None:
            connection.cut()
        self.outbox.close()


@pytest.fixture(params=KINDS)
def running(request, tmp_path, monkeypatch) -> Iterator[Running]:
    monkeypatch.setattr(mqtt, "RETRY_MIN_S", 0.01)
    one = Running(tmp_path, request.param)
    yield one
    one.end()
    one.receiver.close()


@pytest.mark.slow
def test_it_tells_every_event_in_order_and_then_nothing_is_due(running):
    running.outbox.commit([event("raised", f"{number}", t=number) for number in range(30)])
    running.turn_until(lambda: len(running.cursor) == 0)
    assert running.receiver.told() == [f"{number}" for number in range(30)]


def test_while_its_receiver_takes_nothing_all_is_kept_and_told_once_it_does(running):
    """Nothing leaves the cursor, and no turn waits for the receiver."""
    running.receiver.shut()
    running.outbox.commit([event("raised", "a", t=1.0), event("cleared", "a", t=2.0)])
    seen = running.log.entries
    running.turn_until(lambda: any(line["event"] in ("sink_failed", "publish_refused") for line in seen))
    assert len(running.cursor) >= 2
    assert running.receiver.told() == []
    running.receiver.open()
    running.outbox.commit([event("raised", "b", t=3.0, device="e2")])
    running.cursor.unpark()
    running.turn_until(lambda: len(running.cursor) == 0)
    told = running.receiver.told()
    assert [alert for alert in told if alert == "a"] == ["a", "a"]
    assert "b" in told


def test_it_goes_on_where_it_was_after_the_process_has_died(running):
    running.outbox.commit([event("raised", "a", t=1.0)])
    running.turn_until(lambda: len(running.cursor) == 0)
    running.outbox.commit([event("updated", "b", t=2.0)])
    running.end()
    running.start()
    running.outbox.commit([event("cleared", "c", t=3.0)])
    running.turn_until(lambda: len(running.cursor) == 0)
    assert running.receiver.told() == ["a", "b", "c"]


def test_a_stop_tells_what_waits(running):
    running.outbox.commit([event("raised", "a", t=1.0)])
    running.turn_until(lambda: len(running.cursor) == 0)
    running.outbox.commit([event("cleared", "a", t=2.0)])
    running.sinks.close()
    assert running.receiver.told() == ["a", "a"]


# One beside the other ---------------------------------------------------------------------------------------------


class Toy:
    """A sink that fails, or hangs: it takes nothing."""

    is_busy = True

    def __init__(self, cursor: Cursor, why: str = "") -> None:
        self.why, self.cursor = why, cursor
        self.n_turns = 0

    def turn(self) -> None:
        self.n_turns += 1
        if self.why:
            raise TimeoutError(self.why)

    def close(self) -> None:
        self.turn()


@pytest.mark.slow
@pytest.mark.parametrize("why", ["", "no route to host"], ids=["hangs", "fails"])
def test_a_sink_that_hangs_or_fails_holds_up_no_other_one(tmp_path, monkeypatch, why):
    monkeypatch.setattr(mqtt, "RETRY_MIN_S", 0.01)
    running = Running(tmp_path, "mqtt")
    toy = Toy(running.outbox.cursor("toy", mirrors=False), why)
    log = structlog.wrap_logger(None, processors=[running.log])
    running.sinks = Sinks({"toy": toy, "mqtt": running.sink}, log)
    for number in range(5):
        running.outbox.commit([event("updated", f"{number}", t=number)])
        running.turn_until(lambda: len(running.cursor) == 0)
    assert running.receiver.told() == [f"{number}" for number in range(5)]
    assert len(toy.cursor) == 5
    running.end()
    running.start()
    again = running.outbox.cursor("toy", mirrors=False)
    assert [one.event.alert for one in again.sendable(9)] == [f"{number}" for number in range(5)]
    assert len(running.cursor) == 0
    running.end()
    running.receiver.close()


def test_a_sink_that_fails_is_said_once_and_left_alone_for_a_while(tmp_path):
    log = LogCapture()
    toy = Toy(Outbox(tmp_path / "alerts.db", 10).cursor("toy", mirrors=False), "refused")
    sinks = Sinks({"toy": toy}, structlog.wrap_logger(None, processors=[log]))
    assert sinks.is_busy
    for now_s in (0.0, 1.0, RETRY_S - 0.1, RETRY_S):
        sinks.turn(now_s)
    assert toy.n_turns == 2
    assert not sinks.is_busy, "the loop does not hurry for it"
    (line,) = log.entries
    assert (line["event"], line["sink"], line["why"]) == ("sink_failed", "toy", "refused")
    toy.why = ""
    sinks.turn(2 * RETRY_S)
    sinks.turn(2 * RETRY_S + 0.1)
    assert toy.n_turns == 4
    assert log.entries[1]["event"] == "sink_recovered"
    assert sinks.is_busy


def test_a_stop_goes_on_where_one_sink_fails(tmp_path):
    outbox, log = Outbox(tmp_path / "alerts.db", 10), LogCapture()
    toys = {name: Toy(outbox.cursor(name, mirrors=False), why) for name, why in (("bad", "gone"), ("good", ""))}
    Sinks(toys, structlog.wrap_logger(None, processors=[log])).close()
    assert toys["good"].n_turns == 1
    assert [line["sink"] for line in log.entries] == ["bad"]
