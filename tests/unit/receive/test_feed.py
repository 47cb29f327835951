"""A read goes to the core in portions; a turn is bounded in time; what it leaves waits, and nothing is lost by that."""

import math
from collections import Counter
from dataclasses import replace
from types import SimpleNamespace

import pytest
import structlog
from structlog.testing import LogCapture

from agent.core.entries import HistoryLost, Messages
from agent.core.input_log import NOWHERE, NotRecorded, Unkept
from agent.log import DropLog, ShedLog
from agent.receive import backlog, feed
from agent.receive.backlog import Row
from agent.receive.feed import PORTION_MESSAGES, Feed
from agent.receive.inbox import Inbox, ReadBounds
from agent.receive.inputs import Inputs
from agent.receive.publish_frame import Message
from agent.receive.received import Received
from agent.sources import plain_channels
from agent.words import Quality
from tests.streams import SOURCE, core, interleaved, life, states_of

ROWS_MAX = 64


class Reads:
    """A receiver that has read these before."""

    def __init__(self, *reads: Received, rows_max: int = ROWS_MAX, sources: tuple[str, ...] = ("press",)) -> None:
        self.sources, self.client = sources, None
        self.inbox = Inbox([SOURCE], ReadBounds(2**16, rows_max), lambda: 10**9)
        self.granted: list[str] = []
        self.acknowledged: list[int] = []
        self.kept_alive = 0
        self._reads = list(reads)

    def read(self, _: float) -> Received:
        return self._reads.pop(0) if self._reads else Received()

    @property
    def subscriptions(self) -> SimpleNamespace:
        return SimpleNamespace(of_source=dict.fromkeys(self.granted, "granted") | {"refused": "refused: why"})

    def due_s(self, _: float) -> float:
        return 0.0

    def keep_alive(self) -> None:
        self.kept_alive += 1

    def acknowledge(self, packet_ids: list[int]) -> None:
        self.acknowledged += packet_ids

    def close(self) -> None:
        self._reads.clear()


MESSAGES = interleaved(*(life(f"p{number}", 50, seed=number) for number in range(2 * PORTION_MESSAGES // 50 + 1)))


def of(messages, *packet_ids: int, gaps=()) -> Received:
    topics, payloads = map(list, zip(*messages, strict=True))
    return Received(topics, payloads, [10**9] * len(topics), [*packet_ids], gaps=[*gaps])


class FullDisk(Unkept):
    """A log that keeps nothing while `is_full`."""

    is_full = True

    def apply(self, entry, origin=NOWHERE):
        if self.is_full:
            raise NotRecorded("no space left on device")
        return super().apply(entry, origin)


def fed(*reads: Reads, sources=(SOURCE,), log_of=Unkept):
    log = structlog.wrap_logger(None, processors=[LogCapture()])
    into, taken = core(*sources), []
    input_log = log_of(into)
    inputs = Inputs({str(number): one for number, one in enumerate(reads)}, lambda: 10**9, Counter())  # type: ignore[arg-type]
    return Feed(inputs, into, input_log, taken.append, drop_log=DropLog(log), shed_log=ShedLog(log)), into, taken


def test_a_turn_that_has_lasted_too_long_leaves_the_rest_to_the_next_ones(monkeypatch):
    """Meanwhile nothing is read; acknowledged is only what was taken; the scores are those of one call."""
    monkeypatch.setattr(feed, "TAKE_S_MAX", 0.0)
    reads = Reads(of(MESSAGES, 7, 8), of(MESSAGES[:1], 9))
    one, into, taken = fed(reads)
    one.turn(0.0)
    assert (into.entry, one.n_read, reads.acknowledged) == (PORTION_MESSAGES, len(MESSAGES), [])
    one.turn(0.0)
    assert (into.n_messages, reads.acknowledged, reads.kept_alive) == (2 * PORTION_MESSAGES, [], 1)
    one.turn(0.0)
    assert (into.n_messages, reads.acknowledged, reads.kept_alive) == (len(MESSAGES), [7, 8], 2)
    one.turn(0.0)
    assert reads.acknowledged == [7, 8, 9]
    whole = core()
    topics, payloads = zip(*MESSAGES, strict=True)
    scores = whole.apply(Messages(topics, payloads, [10**9] * len(topics))).scores[0]
    assert b"".join(part.scores[0].outputs["risk"].tobytes() for part in taken[:3]) == scores.outputs["risk"].tobytes()


@pytest.mark.parametrize(
    ("sizes", "taken"),
    [([30, 30, 40, 1], [3, 1]), ([101, 1, 100, 99], [1, 1, 1, 1]), ([1] * 9, [4, 4, 1]), ([0, 100, 0, 1], [3, 1])],
)
def test_a_portion_is_cut_by_bytes_too(sizes, taken):
    """Many payloads that each ask for a lot of rows are not held at once; each message is given once, in order."""
    received = of([(f"t{number}", b"x" * size) for number, size in enumerate(sizes)])
    received.n_bytes = sum(sizes)
    portions = []
    while not received.is_taken:
        portions.append(received.portion(4, 100))
    assert [len(topics) for topics, _, _ in portions] == taken
    assert [topic for topics, _, _ in portions for topic in topics] == [f"t{number}" for number in range(len(sizes))]
    assert all(len(one) == len(two) == len(three) for one, two, three in portions)


@pytest.mark.parametrize(
    ("changes", "n_messages"),
    [({}, 2048), ({"compression": "gzip"}, 256), ({"channels": plain_channels(*map(str, range(129)))}, 256)],
)
def test_where_few_bytes_may_ask_for_many_numbers_a_portion_has_fewer_messages(changes, n_messages):
    assert feed.portion_messages(replace(SOURCE, **changes)) == n_messages


def test_rows_that_waited_count_in_a_portion():
    received = Received()
    received.prepend([Row("t", b"x" * 60, 1), Row("t", b"x" * 60, 1)])
    assert len(received.portion(4, 100)[0]) == 1


def test_within_its_time_a_turn_takes_all_that_was_read(monkeypatch):
    monkeypatch.setattr(feed, "TAKE_S_MAX", math.inf)
    reads = Reads(of(MESSAGES, 7))
    one, into, _ = fed(reads)
    one.turn(0.0)
    assert (into.n_messages, reads.acknowledged) == (len(MESSAGES), [7])
    assert reads.inbox.overload.share._took_s > 0


def test_a_stop_takes_what_was_read(monkeypatch):
    monkeypatch.setattr(feed, "TAKE_S_MAX", 0.0)
    one, into, _ = fed(Reads(of(MESSAGES)))
    one.turn(0.0)
    one.close()
    assert into.entry == len(MESSAGES)


def test_a_read_that_only_dropped_is_acknowledged_and_the_clock_goes_on():
    reads = Reads(Received(packet_ids=[5]))
    one, into, _ = fed(reads)
    one.turn(0.0)
    assert (reads.acknowledged, into.log_time_ns) == ([5], 10**9)


def qualities(taken) -> dict[str, list[int]]:
    """Of each device, the quality of each of its rows."""
    found: dict[str, list[int]] = {}
    for part in taken:
        for device, quality in zip(part.scores[0].device, part.scores[0].quality.tolist(), strict=True):
            found.setdefault(device, []).append(quality)
    return found


def test_a_device_that_lost_history_says_gap_with_the_rows_of_that_read_and_nobody_else():
    first, then = life("hog", 11), life("p1", 11)
    one, _, taken = fed(
        Reads(of(interleaved(first[:10], then[:10])), of([first[10], then[10]], gaps=[("press", "hog")]))
    )
    one.turn(0.0)
    one.turn(0.0)
    found = qualities(taken)
    assert (found["hog"][-2:], found["p1"][-2:]) == ([Quality.OK, Quality.GAP], [Quality.OK, Quality.OK])


def test_a_stop_takes_what_waits_and_marks_what_was_shed_behind_it():
    reads = Reads()
    one, into, taken = fed(reads)
    for topic, payload in life("hog", 2 * ROWS_MAX + 1):
        reads.inbox.overload.backlog.add(("press", "hog"), Row(topic, payload, 10**9))
    reads.inbox.overload.backlog.lose_history()
    one.close()
    assert into.n_messages == 2 * ROWS_MAX + 1
    assert Quality.GAP not in qualities(taken)["hog"]
    assert states_of(into).history_lost.sum() == 1


class Shared(Reads):
    """Reads go through a real inbox, each at its own monotonic time."""

    def __init__(self, rows_max: int) -> None:
        super().__init__(rows_max=rows_max)
        self.comes: list[tuple[float, list]] = []
        self.lost_at_s = math.inf  # the read of that time follows a lost connection
        self.loss: dict[str, object] = {"history_lost": True}  # what such a read says

    def read(self, _: float) -> Received:
        now_s, messages = self.comes.pop(0)
        received = self.inbox.begin(now_s)
        for name, value in self.loss.items() if now_s == self.lost_at_s else ():
            setattr(received, name, value)
        for topic, payload in messages:
            self.inbox.take(Message(topic.encode(), payload, 0, 0, False, False, ()))
        self.inbox.stamp()
        return self.inbox.settle(now_s)


@pytest.mark.slow
def test_a_backlog_in_one_go_is_scored_whole_and_as_if_it_had_come_slowly():
    rows = life("p1", 506)
    reads = Shared(ROWS_MAX)
    reads.comes = [(10.0, rows[:300]), (10.01, rows[300:]), *((10.2 + number, []) for number in range(8))]
    one, into, taken = fed(reads)
    while reads.comes:
        one.turn(0.0)
    assert (into.n_messages, reads.inbox.counts, bool(reads.inbox.overload.backlog)) == (506, {}, False)
    topics, payloads = zip(*rows, strict=True)
    slowly = core().apply(Messages(topics, payloads, [10**9] * 506)).scores[0]
    assert b"".join(part.scores[0].outputs["risk"].tobytes() for part in taken) == slowly.outputs["risk"].tobytes()
    assert qualities(taken)["p1"] == slowly.quality.tolist()


def test_a_read_that_is_shed_whole_is_a_gap(monkeypatch):
    monkeypatch.setattr(backlog, "ROWS_MAX", 0)
    rows = life("p1", 15)
    reads = Shared(12)
    reads.comes = [(10.0, rows[:12]), (10.05, rows[12:13]), (11.0, rows[13:])]
    one, _, taken = fed(reads)
    for _ in range(3):
        one.turn(0.0)
    assert (reads.inbox.counts, reads.inbox.overload.shed_of) == ({("press", "shed"): 1}, {("press", "p1"): 1})
    assert qualities(taken)["p1"][11:] == [Quality.OK, Quality.GAP, Quality.OK]


@pytest.mark.parametrize("loss", [{"history_lost": True}, {"lost_sources": ["press"]}])
def test_a_connection_that_is_lost_while_rows_wait_is_a_gap_behind_them(loss):
    """The first row behind the loss says so, though it waits itself and rows before it are taken later."""
    rows = life("p1", 40)
    reads = Shared(12)
    reads.comes = [(10.0, rows[:30]), (10.05, rows[30:]), *((11.0 + number, []) for number in range(4))]
    reads.lost_at_s, reads.loss = 10.05, loss
    one, _, taken = fed(reads)
    while reads.comes:
        one.turn(0.0)
    found = qualities(taken)["p1"]
    assert len(found) == 40
    assert [place for place, quality in enumerate(found) if quality == Quality.GAP] == [12, 30]


def test_a_device_that_the_core_refuses_for_its_id_is_neither_kept_waiting_nor_named():
    reads = Shared(1)
    reads.comes = [(10.0, [(f"plant/{'x' * 60_000}/cycle", b"{}")] * 5)]
    one, into, _ = fed(reads)
    one.turn(0.0)
    assert (reads.inbox.overload.shed_of, bool(reads.inbox.overload.backlog)) == ({}, False)
    assert into.counts == {("press", "device_id"): 5}


@pytest.mark.parametrize("device", ["nobody", "p1"])
def test_a_gap_of_a_device_that_is_not_known_touches_nobody(device):
    into = core()
    topics, payloads = zip(*life("p1", 10), strict=True)
    into.apply(Messages(topics, payloads, [10**9] * 10))
    into.apply(HistoryLost("press", [device]))
    assert states_of(into).history_lost.sum() == (device == "p1")


YARD = replace(SOURCE, name="yard", topics=("yard/{device}/cycle",))


def in_yard(messages):
    return [(topic.replace("plant/", "yard/"), payload) for topic, payload in messages]


def test_a_broker_that_floods_holds_up_no_other(monkeypatch):
    """One portion of each in turn, however much of the first is left; each acknowledges what is its own."""
    monkeypatch.setattr(feed, "TAKE_S_MAX", 0.0)
    flood = Reads(of(MESSAGES, 7), of(MESSAGES, 8))
    other = Reads(of(in_yard(life("y1", 1)), 1), of(in_yard(life("y1", 1, start=2)), 2), sources=("yard",))
    one, into, _ = fed(flood, other, sources=(SOURCE, YARD))
    taken = []
    for _ in range(5):
        one.turn(3600.0)
        taken.append((into.n_messages, [*flood.acknowledged], [*other.acknowledged]))
    rest = len(MESSAGES) - 2 * PORTION_MESSAGES
    assert taken == [
        (PORTION_MESSAGES, [], []),
        (PORTION_MESSAGES + 1, [], [1]),
        (2 * PORTION_MESSAGES + 1, [], [1]),
        (2 * PORTION_MESSAGES + 2, [], [1, 2]),
        (2 * PORTION_MESSAGES + 2 + rest, [7], [1, 2]),
    ]
    assert one.n_read == into.n_messages


def test_history_that_one_broker_lost_is_no_gap_at_another():
    first, then = of(life("p1", 11)), of(life("p1", 2, start=12))
    lost = of(in_yard(life("y1", 2, start=12)))
    lost.history_lost = True
    one, _, taken = fed(
        Reads(first, then), Reads(of(in_yard(life("y1", 11))), lost, sources=("yard",)), sources=(SOURCE, YARD)
    )
    for _ in range(2):
        one.turn(0.0)
    found = qualities(taken)
    assert (found["p1"][-2:], found["y1"][-2:]) == ([Quality.OK] * 2, [Quality.GAP, Quality.OK])


def test_history_that_some_sources_of_a_broker_lost_is_no_gap_at_the_others():
    both = [*life("p1", 10), *in_yard(life("y1", 10))]
    then = of([*life("p1", 1, start=11), *in_yard(life("y1", 1, start=11))])
    then.lost_sources = ["yard"]
    one, _, taken = fed(Reads(of(both), then, sources=("press", "yard")), sources=(SOURCE, YARD))
    for _ in range(2):
        one.turn(0.0)
    found = qualities(taken)
    assert (found["p1"][-1], found["y1"][-1]) == (Quality.OK, Quality.GAP)


def test_a_stop_takes_what_waits_of_all_brokers():
    both = [Reads(), Reads(sources=("yard",))]
    one, into, _ = fed(*both, sources=(SOURCE, YARD))
    for reads, source, messages in zip(both, ("press", "yard"), (life("p1", 5), in_yard(life("y1", 7))), strict=True):
        for topic, payload in messages:
            reads.inbox.overload.backlog.add((source, messages[0][0]), Row(topic, payload, 10**9))
    one.close()
    assert into.n_messages == 12


def test_the_clock_goes_on_when_no_broker_brings_anything():
    one, into, _ = fed(Reads(), Reads(sources=("yard",)), sources=(SOURCE, YARD))
    one.turn(0.0)
    assert (into.log_time_ns, into.n_messages) == (10**9, 0)


def test_the_core_knows_of_whom_messages_can_come():
    """An entry where that changes, and none where it does not."""
    reads = Reads()
    one, into, _ = fed(reads)
    for granted, n_entries in (([], 1), (["press"], 3), (["press"], 4), ([], 6)):  # a heartbeat each turn
        reads.granted = granted
        one.turn(0.0)
        assert (into.listening(), into.entry) == (set(granted), n_entries)


class TableBehind(Unkept):
    """A log that takes nothing while alerts of the entry before could not be kept."""

    is_behind = False

    def apply(self, entry, origin=NOWHERE):
        if self.is_behind:
            raise NotRecorded("the alert table takes nothing for now")
        return super().apply(entry, origin)


def test_what_could_not_be_finished_comes_before_who_is_heard():
    """Else the log takes no entry for the table's sake, and the table nothing for that entry's, for ever."""
    reads, made = Reads(of(MESSAGES[:3], 7)), []
    one, into, taken = fed(reads, log_of=lambda core: made.append(TableBehind(core)) or made[0])

    def fails(_):
        made[0].is_behind = True
        raise NotRecorded("the alert table takes nothing for now")

    one._finish = fails
    one.turn(0.0)
    reads.granted = ["press"]
    one.turn(0.0)
    assert (into.n_messages, reads.acknowledged, one.why_held) == (3, [], "the alert table takes nothing for now")

    def finishes(what):
        made[0].is_behind = False
        taken.append(what)

    one._finish = finishes
    one.turn(0.0)
    assert (reads.acknowledged, one.why_held, into.listening()) == ([7], "", {"press"})


def test_what_cannot_be_recorded_is_neither_taken_nor_acknowledged_until_it_can():
    """Nothing more is read meanwhile, the connection is kept, and the loss stands before its rows."""
    reads = Reads(of(MESSAGES[:3], 7), of(MESSAGES[3:4], 8))
    made = []
    one, into, taken = fed(reads, log_of=lambda core: made.append(FullDisk(core)) or made[0])
    one._lines[0].first.append(lambda: one._log.apply(HistoryLost("press")))
    for _ in range(2):
        one.turn(0.0)
    assert (into.entry, taken, reads.acknowledged, reads.kept_alive) == (0, [], [], 1)
    assert one.why_held == "no space left on device"
    made[0].is_full = False
    one.turn(0.0)
    assert one.why_held == ""
    assert (into.n_messages, into.entry, reads.acknowledged) == (3, 4, [7])
    one.turn(0.0)
    assert (into.n_messages, reads.acknowledged) == (4, [7, 8])


def test_a_read_is_acknowledged_once_it_is_kept():
    """By the time of the first acknowledgement the log has been asked to make all of it last."""
    reads, kept = Reads(of(MESSAGES[:3], 7, 8)), []

    class Disk(Unkept):
        def before_acknowledge(self):
            kept.append([*reads.acknowledged])

    one, _, _ = fed(reads, log_of=Disk)
    one.turn(0.0)
    assert (kept, reads.acknowledged) == ([[]], [7, 8])
