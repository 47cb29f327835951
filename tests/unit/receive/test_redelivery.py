"""What a broker delivers again is dropped where it was recorded, and taken where it was not: against a model broker."""

from itertools import pairwise
from typing import NamedTuple

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from agent.core import recent
from agent.core.input_log import REDELIVERED_MAX, Recovered, digest_of
from agent.core.recent import Recent
from agent.receive.inbox import Inbox, ReadBounds
from agent.receive.publish_frame import Message
from tests.unit.receive.talk import PUMP

TOPIC = "pumps/p1"


def test_the_newest_message_of_an_identifier_is_the_one_that_counts():
    one = Recent({7: digest_of(TOPIC, b"old")})
    assert one.has(7, TOPIC, b"old")
    one.add([7, 0, 8], [TOPIC] * 3, [b"new", b"at QoS 0", b"x"])
    assert [one.has(7, TOPIC, payload) for payload in (b"old", b"new")] == [False, True]
    assert [one.has(8, topic, b"x") for topic in (TOPIC, "pumps/p2")] == [True, False]
    assert not one.has(0, TOPIC, b"at QoS 0")


@pytest.mark.slow
@pytest.mark.parametrize("n_a_read", [7, REDELIVERED_MAX])
@pytest.mark.parametrize("asks", [False, True])
def test_as_many_are_remembered_as_may_be_under_way_and_memory_is_bounded(n_a_read, asks):
    """Those of QoS 0 do not count: they are never delivered again. Identifiers are used again, one after the other."""
    one = Recent()
    for first in range(0, 2 * REDELIVERED_MAX, n_a_read):
        numbers = range(first, first + n_a_read)
        ids = [1 + number % REDELIVERED_MAX for number in numbers]
        one.add([*ids, *[0] * n_a_read], [TOPIC] * 2 * n_a_read, [b"%d" % number for number in numbers] * 2)
        if asks:
            one.has(1, TOPIC, b"")
        assert one.n_without < REDELIVERED_MAX + n_a_read
    kept = range(numbers[-1] - REDELIVERED_MAX + 1, numbers[-1] + 1)
    assert all(one.has(1 + number % REDELIVERED_MAX, TOPIC, b"%d" % number) for number in kept)
    assert list(one.digests()) == [1 + number % REDELIVERED_MAX for number in kept]


def test_large_payloads_are_not_kept_alive_for_long():
    one = Recent()
    for number in range(1, 11):
        one.add([number], [TOPIC], [bytes(recent.HELD_BYTES_MAX // 4)])
        assert one._n_bytes <= recent.HELD_BYTES_MAX
    assert all(one.has(number, TOPIC, bytes(recent.HELD_BYTES_MAX // 4)) for number in range(1, 11))


def test_digests_can_be_made_some_at_a_time():
    one, whole = Recent(), Recent()
    for first in range(0, 90, 10):
        read = (
            [*range(first + 1, first + 11)],
            [TOPIC] * 10,
            [b"%d" % (number // 20) for number in range(first, first + 10)],
        )
        one.add(*read)
        whole.add(*read)
    n_made = [one.prepare(25) for _ in range(4)]
    assert (n_made, one.n_without) == ([30, 30, 30, 0], 0)
    one.add([5, 0], [TOPIC] * 2, [b"new", b"at QoS 0"])
    whole.add([5, 0], [TOPIC] * 2, [b"new", b"at QoS 0"])
    assert one.n_without == 1
    assert [*one.digests().items()] == [*whole.digests().items()]


class Sent(NamedTuple):
    """A message that the broker has under way."""

    number: int
    packet_id: int
    payload: bytes


class Redeliveries(RuleBasedStateMachine):
    """A broker with a window of 5 and 8 identifiers, a network that breaks anywhere, and an agent that dies anywhere.

    Payloads are few, so that equal ones are common. `recorded` is what the journal has.
    """

    @initialize(lowest_first=st.booleans())
    def start(self, lowest_first):
        self.lowest_first = lowest_first
        self.last_id = self.n = 0
        self.under_way: list[Sent] = []
        self.is_again: set[int] = set()  # numbers that were sent before: they have the DUP flag from then on
        self.recorded: list[Sent] = []
        self.digests: dict[int, bytes] = {}
        self.begin_process()

    def begin_process(self):
        self.inbox = Inbox([PUMP], ReadBounds(100), lambda: 1)
        self.inbox.keep_session(Recovered(recent=self.digests))

    @precondition(lambda self: len(self.under_way) < 5)
    @rule(payloads=st.lists(st.sampled_from([b"a", b"b"]), min_size=1, max_size=3))
    def publish(self, payloads):
        for payload in payloads[: 5 - len(self.under_way)]:
            used = {sent.packet_id for sent in self.under_way}
            first = 0 if self.lowest_first else self.last_id
            self.last_id = next(one % 8 + 1 for one in range(first, first + 8) if one % 8 + 1 not in used)
            self.n += 1
            self.under_way.append(Sent(self.n, self.last_id, payload))

    @rule()
    def all_goes_well(self):
        self.record(self.deliver(5), 5)
        self.acknowledge(5)

    @rule(n_arrives=st.integers(0, 5), n_acknowledged=st.integers(0, 5))
    def the_connection_breaks(self, n_arrives, n_acknowledged):
        """Some messages never arrive, some acknowledgements are lost."""
        self.record(self.deliver(n_arrives), 5)
        self.acknowledge(min(n_arrives, n_acknowledged))

    @rule(n_arrives=st.integers(0, 5), n_recorded=st.integers(0, 5))
    def the_agent_dies(self, n_arrives, n_recorded):
        """A part of a read is recorded, nothing of it is acknowledged."""
        self.record(self.deliver(n_arrives), n_recorded)
        self.begin_process()

    @rule()
    def the_broker_loses_the_session(self):
        self.under_way.clear()
        self.digests.clear()
        self.inbox.begin(0.0)
        self.inbox.begin_session()

    def deliver(self, n: int) -> list[Sent]:
        """The first `n` messages under way arrive; those that are taken."""
        received = self.inbox.begin(0.0)
        taken = []
        for sent in self.under_way[:n]:
            n_before = len(received.topics)
            is_again = sent.number in self.is_again
            self.inbox.take(Message(TOPIC.encode(), sent.payload, 1, sent.packet_id, False, is_again, ()))
            taken += [sent] * (len(received.topics) - n_before)
        self.is_again |= {sent.number for sent in self.under_way}
        self.inbox.stamp()
        self.inbox.settle(0.0)
        assert received.packet_ids == [sent.packet_id for sent in self.under_way[:n]]
        assert received.message_ids == [sent.packet_id for sent in taken]
        return taken

    def record(self, taken: list[Sent], n: int) -> None:
        for sent in taken[:n]:
            self.recorded.append(sent)
            self.digests = {**self.digests, sent.packet_id: digest_of(TOPIC, sent.payload)}
        self.inbox.remember(self.inbox.received)

    def acknowledge(self, n: int) -> None:
        """Whatever the broker may forget was recorded; or it is the ambiguous case of recent.py."""
        for sent in self.under_way[:n]:
            assert sent in self.recorded or any(sent[1:] == other[1:] for other in self.recorded)
        del self.under_way[:n]

    @invariant()
    def each_is_recorded_once_and_in_order(self):
        assert all(one.number < other.number for one, other in pairwise(self.recorded))


TestRedeliveries = pytest.mark.slow(Redeliveries.TestCase)
TestRedeliveries.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
