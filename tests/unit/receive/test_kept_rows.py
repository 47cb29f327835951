"""Rows that wait outlive the agent: each is taken once, in the order of its device, or a hole stands in its place.

The real feed, inbox and records of the journal, between a broker, a disk and a clock that are a few lines each.
"""

from collections import Counter
from itertools import pairwise
from types import SimpleNamespace
from typing import NamedTuple

import pytest
import structlog
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from structlog.testing import LogCapture

from agent.core.entries import Heartbeat
from agent.core.input_log import NOWHERE, NotRecorded, OldestShed, Recovered, RowWaits
from agent.log import DropLog, ShedLog
from agent.receive import backlog, feed
from agent.receive.feed import Feed
from agent.receive.inbox import Inbox, ReadBounds
from agent.receive.inputs import Inputs
from agent.receive.overload import Policy
from agent.receive.publish_frame import Message
from agent.receive.received import Received
from agent.store.kept_inputs import KeptInputs
from agent.store.records import Arrived, Kept, Lost, Noted, Record, SessionBegun, record_of
from agent.words import Taken
from tests.streams import SOURCE, core

pytestmark = pytest.mark.slow

WINDOW, ROWS_MAX, ROWS_OF_ONE_MAX, PORTION = 9, 2, 4, 3
DEVICES = ("a", "b")


class Sent(NamedTuple):
    """A message that the broker has not forgotten."""

    number: int
    packet_id: int
    device: str


class Disk:
    """An input log: of what was written the first `n_synced` records outlast whatever happens."""

    def __init__(self) -> None:
        self.written: list[Record] = []
        self.n_synced = 0
        self.n_room = 10**9  # records until it is full
        self.inputs = KeptInputs()

    def apply(self, entry, origin=NOWHERE) -> Taken:
        if not isinstance(entry, Heartbeat):
            self._write(record_of(entry, origin))
        return Taken([], [], [], [])

    def keep(self, broker, changes) -> None:
        self._write(Kept(broker, [*changes]))

    def note(self, broker, name, value) -> None:
        self._write(Noted(broker, name, value))

    def begin_session(self, broker) -> None:
        self._write(SessionBegun(broker))

    def before_acknowledge(self) -> None:
        self.n_synced = len(self.written)

    def lose(self, n: int) -> None:
        """The last `n` records, as far as they were not synced."""
        del self.written[max(self.n_synced, len(self.written) - n) :]
        self.n_synced = len(self.written)
        self.inputs = KeptInputs()
        for record in self.written:
            self.inputs.apply(record)

    def rows(self, device: str) -> list[int | None]:
        """What the core was given of a device, and then what waits of it; None where it was told of a hole."""
        found: list[int | None] = []
        for record in self.written:
            if isinstance(record, Arrived):
                messages = zip(record.topics, record.payloads, strict=True)
                found += [int(payload) for topic, payload in messages if f"/{device}/" in topic]
            elif isinstance(record, Lost) and device in (record.devices or DEVICES):
                found.append(None)
        waiting = self.inputs.recovered().get("0")
        for change in waiting.waiting if waiting else ():
            if change.device == device:
                found.append(int(change.payload) if isinstance(change, RowWaits) else None)
        return found

    def _write(self, record: Record) -> None:
        if self.n_room <= 0:
            raise NotRecorded
        self.n_room -= 1
        self.written.append(record)
        self.inputs.apply(record)


class Rows(RuleBasedStateMachine):
    """`under_way` is what the broker has not heard an acknowledgement of; the first WINDOW of it are delivered."""

    @initialize(policy=st.sampled_from(["newest", "oldest"]))
    def start(self, policy):
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(backlog, "ROWS_OF_ONE_MAX", ROWS_OF_ONE_MAX)
        self.patch.setattr(feed, "PORTION_MESSAGES", PORTION)
        self.patch.setattr(feed, "TAKE_S_MAX", 0.0)
        self.policy = policy
        self.n, self.now_s = 0, 10.0
        self.published: dict[str, list[int]] = {device: [] for device in DEVICES}
        self.under_way: list[Sent] = []
        self.delivered: set[int] = set()  # numbers that were sent on this connection
        self.is_again: set[int] = set()  # numbers that were sent on one before
        self.hears = True  # the broker, of acknowledgements
        self.disk = Disk()
        self.begin_process()

    def teardown(self):
        if hasattr(self, "patch"):
            self.patch.undo()

    def begin_process(self):
        self.sources, self.client = ("press",), None
        self.subscriptions = SimpleNamespace(of_source={"press": "granted"})
        self.inbox = Inbox([SOURCE], ReadBounds(1000, ROWS_MAX), lambda: 1, {"press": Policy(self.policy)})
        if "0" in (kept := self.disk.inputs.recovered()):
            self.inbox.keep_session(kept["0"])
        else:
            self.inbox.keep_session(Recovered())
        log = structlog.wrap_logger(None, processors=[LogCapture()])
        inputs = Inputs({"0": self}, lambda: 1, Counter())
        self.feed = Feed(inputs, core(), self.disk, lambda _: None, drop_log=DropLog(log), shed_log=ShedLog(log))

    # What Feed asks of a receiver ------------------------------------------------------------------------------------

    def read(self, _: float) -> Received:
        received = self.inbox.begin(self.now_s)
        for sent in self.under_way[:WINDOW]:
            if sent.number not in self.delivered:
                topic = f"plant/{sent.device}/cycle".encode()
                is_again = sent.number in self.is_again
                self.inbox.take(Message(topic, b"%d" % sent.number, 1, sent.packet_id, False, is_again))
                self.delivered.add(sent.number)
        self.inbox.stamp()
        self.inbox.settle(self.now_s)
        return received

    def acknowledge(self, packet_ids) -> None:
        if self.hears:
            self.under_way = [sent for sent in self.under_way if sent.packet_id not in packet_ids]

    def due_s(self, _: float) -> float:
        return 0.0

    def keep_alive(self) -> None:
        pass

    # What happens ----------------------------------------------------------------------------------------------------

    @rule(devices=st.text("aaab", min_size=1, max_size=12))
    def devices_publish(self, devices):
        for device in devices:
            self.n += 1
            self.published[device].append(self.n)
            self.under_way.append(Sent(self.n, self.n, device))

    @rule(step_s=st.sampled_from([0.01, 0.2]), n=st.integers(1, 4))
    def time_passes(self, step_s, n):
        for _ in range(n):
            self.now_s += step_s
            self.feed.turn(0.0)

    @rule(hears=st.booleans(), step_s=st.sampled_from([0.01, 0.2]))
    def the_connection_breaks(self, hears, step_s):
        """After another turn, of whose acknowledgements the broker has heard all or none."""
        self.hears = hears
        self.time_passes(step_s, 1)
        self.hears = True
        while not self.feed._has_taken_all:  # nothing is read from a new connection before that
            self.disk.n_room = 10**9
            self.feed.turn(0.0)
        self.deliver_again()

    @rule(n_lost=st.integers(0, 4))
    def the_agent_dies(self, n_lost):
        self.disk.lose(n_lost)
        self.deliver_again()
        self.begin_process()

    @rule(n_room=st.integers(0, 3))
    def the_disk_fills_up(self, n_room):
        self.disk.n_room = n_room

    @rule()
    def the_disk_has_room(self):
        self.disk.n_room = 10**9

    def deliver_again(self):
        self.is_again |= self.delivered
        self.delivered = set()

    # What holds always -----------------------------------------------------------------------------------------------

    @invariant()
    def each_is_there_once_in_order_or_a_hole_is(self):
        to_come = {sent.number for sent in self.under_way}
        for device, published in self.published.items():
            rows = self.disk.rows(device)
            numbers = [row for row in rows if row is not None]
            assert all(one < other for one, other in pairwise(numbers)), rows
            forgotten = [number for number in published if number not in to_come]
            missing = {*forgotten} - {*numbers}
            for number in missing:
                before = max((one for one in numbers if one < number), default=0)
                after = next((one for one in numbers if one > number), None)
                between = rows[rows.index(before) + 1 if before else 0 : rows.index(after) if after else None]
                assert None in between, (number, rows)


TestRows = Rows.TestCase
TestRows.settings = settings(max_examples=50, stateful_step_count=25, deadline=None)


@pytest.mark.parametrize("how", ["taken", "shed"])
def test_topics_are_forgotten_with_their_rows_while_others_of_the_device_wait(how):
    """A device whose topics never come twice has always one row that waits."""
    inputs = KeptInputs()
    for number in range(50):
        inputs.apply(Kept("0", [RowWaits("press", "hog", f"plant/hog/{number}", b"1", 1)]))
        if number and how == "taken":
            inputs.apply(Arrived([f"plant/hog/{number - 1}"], [b"1"], [1], (), "0", [0], 1))
        elif number:
            inputs.apply(Kept("0", [OldestShed("press", "hog")]))
    (waiting,) = [one.topic for one in inputs.recovered()["0"].waiting if isinstance(one, RowWaits)]
    assert waiting == "plant/hog/49"
    assert [*inputs._inputs["0"].whose] == [waiting]
