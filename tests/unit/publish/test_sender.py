"""What a sender makes of words that the broker refuses, by a clock of the test's own."""

import pytest
import structlog
from structlog.testing import LogCapture

from agent.mqtt.limits import Limits
from agent.publish.connection import Acknowledged
from agent.publish.copies import Copies
from agent.publish.others import Others
from agent.publish.refused import RefusalLog
from agent.publish.round_trip import RoundTrip
from agent.publish.sender import Counts, Sender
from agent.publish.topic import Topics
from agent.store.outbox import Outbox

INSTANCE, AVAILABLE = "f/n/instance", "f/n/available"
DENIED, TAKEN = 0x87, 0


class Wire:
    """A connection that keeps what is published, until it is answered."""

    def __init__(self) -> None:
        self.sent: list[tuple[int, str, bytes, bool]] = []
        self.n_sent = 0

    def publish(self, topic: str, payload: bytes, *, qos: int, retain: bool) -> int:
        self.n_sent += 1
        self.sent.append((self.n_sent, topic, payload, retain))
        return self.n_sent

    def packet_bytes(self, topic: str, payload: bytes, qos: int) -> int:
        return len(topic) + len(payload) + qos


class Parts:
    def __init__(self, folder) -> None:
        self.wire, self.log, self.now_s = Wire(), LogCapture(), 1000.0
        self.refusals = RefusalLog(structlog.wrap_logger(None, processors=[self.log]))
        self.outbox, topics = Outbox(folder / "alerts.db", 100), Topics.of("f", "n")
        cursor = self.cursor = self.outbox.cursor("mqtt", mirrors=True)
        log = structlog.wrap_logger(None, processors=[self.log])
        copies, proof = Copies(cursor, topics, log), RoundTrip(topics, log, is_asked_for=False)
        self.sender = Sender(self.wire, Limits(), cursor, copies, topics, proof, self.refusals, Counts())

    def turn(self, after_s: float, *denied: str) -> list[bytes]:
        """What is sent in a turn; the broker denies some topics."""
        self.now_s += after_s
        self.sender.turn(self.now_s)
        sent, self.wire.sent = self.wire.sent, []
        for message_id, topic, _, _ in sent:
            code = DENIED if topic in denied else TAKEN
            self.sender.acknowledge(Acknowledged(message_id, code, "a reason"), self.now_s)
        self.refusals.say(self.now_s)
        return [payload for _, _, payload, _ in sent]


@pytest.fixture
def parts(tmp_path):
    return Parts(tmp_path)


@pytest.mark.slow
def test_a_day_beside_another_agent_on_a_topic_that_is_denied_costs_a_few_tries_and_no_memory(parts):
    """The other one asks each minute, and we do. It is said once."""
    own, other = Others("0" * 16, "me"), Others("1" * 16, "you")
    own.connect(parts.now_s)
    for second in range(24 * 3600):
        if second % 60 == 0:
            other.connect(parts.now_s)
            own.receive(other.take()[0][0], parts.now_s)
        own.advance(parts.now_s)
        for payload, retain in own.take():
            parts.sender.enqueue(INSTANCE, payload, retain=retain)
        parts.turn(1, INSTANCE)
    assert len(parts.sender._own) <= 2
    assert parts.wire.n_sent < 1000
    assert len(parts.log.entries) == 1
    parts.sender.enqueue(AVAILABLE, b"stopped", retain=True)
    assert parts.turn(0) == [b"stopped"]
    assert parts.sender.is_idle


def test_a_refused_word_is_dropped_after_a_few_tries_with_growing_waits(parts):
    parts.sender.enqueue(INSTANCE, b"ask", retain=True)
    tried = [second for second in range(600) if parts.turn(1, INSTANCE)]
    assert len(tried) == 3
    assert tried[1] - tried[0] < tried[2] - tried[1]
    parts.sender.enqueue(INSTANCE, b"ask again", retain=True)
    assert parts.turn(0) == [b"ask again"], "another word is another chance"
    parts.sender.enqueue(INSTANCE, b"and again", retain=True)
    assert parts.turn(0) == [b"and again"]


def test_available_is_tried_until_it_is_taken(parts):
    parts.sender.enqueue(AVAILABLE, b"online", retain=True, until_taken=True)
    tried = [second for second in range(24 * 3600) if parts.turn(1, AVAILABLE)]
    assert 100 < len(tried) < 1000
    assert parts.sender.is_pending(AVAILABLE)
    assert [parts.turn(1) for _ in range(600)].count([b"online"]) == 1
    assert not parts.sender.is_pending(AVAILABLE)


def test_a_word_replaces_one_of_its_topic_that_still_waits(parts):
    """A retained one and a passing one are two: who is asked hears the one, who comes later reads the other."""
    for payload in (b"1", b"2"):
        parts.sender.enqueue(INSTANCE, payload, retain=True)
    parts.sender.enqueue(INSTANCE, b"3", retain=False)
    parts.sender.enqueue(AVAILABLE, b"stopped", retain=True)
    assert parts.turn(0) == [b"2", b"3", b"stopped"]


def test_an_older_word_that_is_refused_does_not_come_after_a_newer_one(parts):
    parts.sender.enqueue(AVAILABLE, b"online", retain=True, until_taken=True)
    parts.sender.turn(parts.now_s)
    parts.sender.enqueue(AVAILABLE, b"stopped", retain=True, until_taken=True)
    parts.sender.turn(parts.now_s)
    online, stopped = parts.wire.sent
    parts.wire.sent = []
    for (message_id, *_), code in ((online, DENIED), (stopped, TAKEN)):
        parts.sender.acknowledge(Acknowledged(message_id, code, "a reason"), parts.now_s)
    assert [sent for _ in range(600) for sent in parts.turn(1)] == []
    assert not parts.sender.is_pending(AVAILABLE)
