"""Law 1 and law 3 together: whatever a read brings and wherever the agent dies, state and alerts are those of one call.

From the messages of a receiver through the real feed and journal; tests/laws/test_split.py has the core alone.
"""

from collections import Counter
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import pytest
import structlog
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from structlog.testing import LogCapture

from agent.core.entries import Messages
from agent.core.input_log import Recovered
from agent.log import DropLog, ShedLog
from agent.receive.feed import Feed
from agent.receive.inbox import Inbox, ReadBounds
from agent.receive.inputs import Inputs
from agent.receive.publish_frame import Message
from agent.receive.received import Received
from tests.journal_lives import Life, flapping
from tests.streams import SOURCE, core

pytestmark = pytest.mark.slow

STREAM = flapping(100)
ARRIVED_NS = 10**12


class Broker:
    """A receiver of a broker that keeps the session: what follows the first `n_acknowledged` comes, or comes again."""

    def __init__(self) -> None:
        self.sources, self.client = ("press",), None
        self.subscriptions = SimpleNamespace(of_source={})  # who may be heard is an entry of its own
        self.n_acknowledged = self.n_sent = self.n_ever_sent = 0

    def begin_process(self, kept: Recovered) -> None:
        self.inbox = Inbox([SOURCE], ReadBounds(2**16), lambda: ARRIVED_NS)
        self.inbox.keep_session(kept)
        self.n_sent = self.n_acknowledged
        self.hears = True

    def read(self, _: float) -> Received:
        self.inbox.begin(0.0)
        for number in range(self.n_sent, self.until):
            topic, payload = STREAM[number]
            is_again = number < self.n_ever_sent
            self.inbox.take(Message(topic.encode(), payload, 1, number + 1, False, is_again))
        self.n_sent, self.n_ever_sent = self.until, max(self.until, self.n_ever_sent)
        self.inbox.stamp()
        return self.inbox.settle(0.0)

    def acknowledge(self, packet_ids: list[int]) -> None:
        if self.hears:
            self.n_acknowledged += len(packet_ids)

    def due_s(self, _: float) -> float:
        return 0.0


def begin(folder: Path, broker: Broker) -> tuple[Life, Feed]:
    life = Life(folder)
    broker.begin_process(life.recovered.get("", Recovered()))
    log = structlog.wrap_logger(None, processors=[LogCapture()])
    inputs = Inputs({"": broker}, lambda: ARRIVED_NS, Counter())  # type: ignore[dict-item]
    feed = Feed(inputs, life.core, life.durability, life.durability.commit, DropLog(log), ShedLog(log))
    return life, feed


@settings(
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture], max_examples=8, deadline=None
)
@given(
    reads=st.lists(st.integers(1, len(STREAM) - 1), max_size=8, unique=True).map(sorted),
    deaths=st.lists(st.sampled_from(["", "", "dies", "unheard"]), min_size=9, max_size=9),
)
def test_any_reads_and_deaths_give_the_state_and_the_alerts_of_one_call(tmp_path_factory, reads, deaths):
    """An agent that dies `unheard` has taken and recorded a read of which the broker gets no acknowledgement."""
    folder, broker = tmp_path_factory.mktemp("state"), Broker()
    life, feed = begin(folder, broker)
    for (_, end), death in zip(pairwise([0, *reads, len(STREAM)]), deaths, strict=False):
        broker.until, broker.hears = end, death != "unheard"
        feed.turn(0.0)
        if death:
            life.die()
            life, feed = begin(folder, broker)
            broker.until = end
            if broker.n_sent < end:
                feed.turn(0.0)  # all of it comes again, and is dropped
    once = core()
    topics, payloads = map(list, zip(*STREAM, strict=True))
    taken = once.apply(Messages(topics, payloads, [ARRIVED_NS] * len(STREAM)))
    assert life.core.snapshot() == once.snapshot()
    assert life.events() == taken.alerts
    assert broker.n_acknowledged == len(STREAM)
    life.die()
