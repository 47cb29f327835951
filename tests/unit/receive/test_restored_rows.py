"""Rows that waited when an agent died are the devices' whose topics they have, whatever a source is called by now."""

from collections import Counter
from dataclasses import replace
from types import SimpleNamespace

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import LogCapture

from agent.core.entries import HistoryLost
from agent.core.input_log import Recovered, RowsMissing, RowWaits
from agent.log import DropLog, ShedLog
from agent.receive.feed import Feed
from agent.receive.inbox import Inbox, ReadBounds
from agent.receive.inputs import Inputs
from agent.receive.publish_frame import Message
from agent.receive.restored_rows import settle
from agent.store.kept_inputs import KeptInputs
from agent.store.records import Kept
from agent.words import Quality
from tests.journal_lives import Life, flapping, read
from tests.streams import SOURCE, core, states_of

NEW = replace(SOURCE, name="renamed")
YARD = replace(SOURCE, name="yard", topics=("yard/{device}/cycle",))
STREAM = flapping(40, devices=1)


class Input:
    """The input of a life: one more message a read, while it has some."""

    def __init__(self, life: Life, *sources, reads=None, rows_max=100) -> None:
        self.sources, self.client = tuple(reads or [one.name for one in sources]), None
        self.subscriptions = SimpleNamespace(of_source=dict.fromkeys(self.sources, "granted"))
        self.inbox = Inbox(sources, ReadBounds(1000, rows_max), lambda: 10**12, reads=reads)
        self.inbox.keep_session(life.recovered.get("", Recovered()))
        self.comes: list[tuple[str, bytes]] = []
        self.now_s = 10.0
        self.taken = []
        log = structlog.wrap_logger(None, processors=[LogCapture()])
        inputs = Inputs({"": self}, lambda: 10**12, Counter())  # type: ignore[dict-item]
        finish = self.taken.append
        self.feed = Feed(inputs, life.core, life.durability, finish, drop_log=DropLog(log), shed_log=ShedLog(log))

    def read(self, _):
        self.now_s += 1.0
        received = self.inbox.begin(self.now_s)
        for topic, payload in self.comes:
            self.inbox.take(Message(topic.encode(), payload, 1, 77, False, False))
        self.comes = []
        self.inbox.stamp()
        self.inbox.settle(self.now_s)
        return received

    def acknowledge(self, _) -> None:
        pass

    def due_s(self, _) -> float:
        return 0.0

    def keep_alive(self) -> None:
        pass

    def rows(self) -> list[tuple[str, float, int]]:
        """Source, event time and quality of each row that was scored."""
        scores = [taken.scores[0] for taken in self.taken]
        return [
            (one.source[0], one.t_ns[row] / 10**9, int(one.quality[row]))
            for one in scores
            for row in range(len(one.device))
        ]


def waits(number: int, source: str = "press", device: str = "p0") -> RowWaits:
    topic, payload = STREAM[number]
    return RowWaits(source, device, topic, payload, (number + 1) * 10**9, 0)


def dead(folder, *waiting) -> None:
    """An agent has taken ten rows and died while others waited."""
    one = Life(folder)
    one.take(STREAM[:10])
    one.durability.keep("", waiting)
    one.durability.before_acknowledge()
    one.die()


HOLE = RowsMissing("press", "p0")


@pytest.mark.slow
@pytest.mark.parametrize("waiting", [[HOLE], [HOLE, waits(11)], [waits(10), HOLE]], ids=["alone", "before", "behind"])
def test_a_hole_of_a_source_that_has_another_name_is_a_gap_of_its_device_once(tmp_path, waiting):
    """And no error that ends each start of the agent; the next start has nothing of it."""
    dead(tmp_path, *waiting)
    life = Life(tmp_path, make=lambda: core(NEW))
    one = Input(life, NEW)
    one.comes = [STREAM[12]]
    for _ in range(4):
        one.feed.turn(0.0)
    qualities = [quality for _, _, quality in one.rows()]
    assert qualities.count(Quality.GAP) == 1
    assert qualities[waiting.index(HOLE)] == Quality.GAP
    assert life.core.counts == {}
    life.die()
    again = Life(tmp_path, make=lambda: core(NEW))
    assert (again.recovered[""].waiting, again.said()) == ([], [])


def test_newer_rows_of_a_source_with_another_name_go_behind_those_that_wait(tmp_path):
    """They are taken in their order: none overtakes, and none is dropped as late."""
    dead(tmp_path, *map(waits, range(10, 16)))
    life = Life(tmp_path, make=lambda: core(NEW))
    one = Input(life, NEW, rows_max=2)
    one.comes = [STREAM[16]]
    for _ in range(9):
        one.feed.turn(0.0)
    assert [(source, t) for source, t, _ in one.rows()] == [(0, float(cycle)) for cycle in range(11, 18)]
    assert life.core.counts == {}


def test_a_source_that_is_gone_takes_its_holes_with_it_and_says_no_gap_of_others(tmp_path):
    dead(tmp_path, waits(10), HOLE)
    life = Life(tmp_path, make=lambda: core(YARD))
    one = Input(life, YARD)
    one.comes = [("yard/y/cycle", STREAM[12][1])]
    for _ in range(3):
        one.feed.turn(0.0)
    assert not states_of(life.core).history_lost.any()
    assert life.core.counts == {("", "no_source"): 11}, "ten that the journal had, and the one that waited"


def test_rows_that_wait_of_a_source_that_another_broker_has_now_are_a_gap_there():
    """The core takes them for nothing that it reads of this one, and counts them."""
    inbox = Inbox([SOURCE, YARD], ReadBounds(1000, 100), lambda: 1, reads=["yard"])
    inbox.keep_session(Recovered(waiting=[waits(10)]))
    received = inbox.release()
    assert (received.gaps, received.topics, received.n_waited) == ([("press", "p0")], [STREAM[10][0]], 1)


def test_a_hole_of_a_topic_that_stands_in_for_its_devices_is_a_gap_of_their_source(tmp_path):
    """Also in a process that has read nothing of it: the topic itself says what it is."""
    dead(tmp_path, RowsMissing("press", "plant/p0/cycle"))
    by_payload = replace(SOURCE, topics=("plant/{gate}/cycle",), device="{id}", tags=(("id", "id"),))
    life = Life(tmp_path)
    one = Input(life, by_payload)
    one.feed.turn(0.0)
    assert states_of(life.core).history_lost.tolist()[:1] == [True]


@pytest.mark.parametrize("lost", [("press",), ("renamed",), ("press", ["p0"]), ("renamed", ["p0"]), ("", ())])
def test_lost_history_is_that_of_devices_whose_source_has_another_name_too(lost):
    """They have no source until their next row, which goes on with their state."""
    before, after = core(), core(NEW)
    before.apply(read(STREAM[:10]))
    after.restore(before.snapshot())
    after.apply(HistoryLost(*lost))
    assert after.apply(read(STREAM[10:11])).scores[0].quality.tolist() == [Quality.GAP]


TOPICS = ("topic a", "topic b", "topic c")
PLACES = st.lists(st.tuples(st.sampled_from(TOPICS), st.booleans()), max_size=12)
NAMES = st.sampled_from([("s", "a"), ("s", "b"), ("s", "c"), ("t", "a"), ("t", "b"), ("", "")])


@pytest.mark.slow
@given(PLACES, st.fixed_dictionaries(dict.fromkeys(TOPICS, NAMES)), st.fixed_dictionaries(dict.fromkeys(TOPICS, NAMES)))
def test_what_is_recorded_makes_of_the_former_queues_those_of_today(places, former, today):
    """Each row is there once; of a device in the order in which they came; a hole is before the same rows, at least."""
    waiting = []
    for number, (topic, is_hole) in enumerate(places):
        device = former[topic]
        waiting.append(RowsMissing(*device) if is_hole else RowWaits(*device, topic, b"%d" % number, number))
    kept = KeptInputs()
    kept.apply(Kept("", waiting))
    queues, changes = settle(kept.recovered()[""].waiting, lambda topic: today.get(topic, ("", "")), lambda _: ("", ""))
    kept.apply(Kept("", changes))

    def of(rows):
        found = {}
        for one in rows:
            queue = found.setdefault((one.source, one.device), [])
            if isinstance(one, RowWaits) or queue[-1:] != [None]:
                queue.append(one if isinstance(one, RowWaits) else None)
        return found

    assert of(kept.recovered()[""].waiting) == of(queues)
    rows = [one for one in queues if isinstance(one, RowWaits)]
    assert Counter(row.payload for row in rows) == Counter(row.payload for row in waiting if isinstance(row, RowWaits))
    assert all((row.source, row.device) == today[row.topic] for row in rows)
    for queue in of(queues).values():
        numbers = [row.arrived_ns for row in queue if row is not None]
        assert numbers == sorted(numbers)
    if former == today and ("", "") not in former.values():
        assert changes == []
