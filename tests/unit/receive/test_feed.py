"""A read goes to the core in portions; a turn is bounded in time; what it leaves waits, and nothing is lost by that."""

from collections import Counter

import pytest
import structlog
from structlog.testing import LogCapture

from agent.log import DropLog, ShedLog
from agent.receive import feed
from agent.receive.feed import PORTION_MESSAGES, Feed
from agent.receive.inbox import Received
from agent.words import Quality, Shed
from tests.streams import core, interleaved, life


class Reads:
    """A receiver that has read these before."""

    def __init__(self, *reads: Received) -> None:
        self.counts: Counter[tuple[str, str]] = Counter()
        self.acknowledged: list[int] = []
        self.kept_alive = 0
        self.took_s = 0.0
        self._reads = list(reads)

    def read(self, _: float) -> Received:
        return self._reads.pop(0) if self._reads else Received()

    def keep_alive(self) -> None:
        self.kept_alive += 1

    def spend(self, took_s: float) -> None:
        self.took_s += took_s

    def acknowledge(self, packet_ids: list[int]) -> None:
        self.acknowledged += packet_ids

    def now_ns(self) -> int:
        return 10**9

    def close(self) -> None:
        self._reads.clear()


MESSAGES = interleaved(*(life(f"p{number}", 50, seed=number) for number in range(2 * PORTION_MESSAGES // 50 + 1)))


def of(messages, *packet_ids: int, shed=()) -> Received:
    topics, payloads = map(list, zip(*messages, strict=True))
    return Received(topics, payloads, [10**9] * len(topics), [*packet_ids], shed=[*shed])


def fed(reads: Reads):
    log = structlog.wrap_logger(None, processors=[LogCapture()])
    into, taken = core(), []
    return Feed(reads, into, taken.append, drop_log=DropLog(log), shed_log=ShedLog(log)), into, taken  # type: ignore[arg-type]


def test_a_turn_that_has_lasted_too_long_leaves_the_rest_to_the_next_ones(monkeypatch):
    """Meanwhile nothing is read; acknowledged is only what was taken; the scores are those of one call."""
    monkeypatch.setattr(feed, "TAKE_S_MAX", 0.0)
    reads = Reads(of(MESSAGES, 7, 8), of(MESSAGES[:1], 9))
    one, into, taken = fed(reads)
    one.turn(0.0)
    assert (into.entry, one.n_read, reads.acknowledged) == (PORTION_MESSAGES, len(MESSAGES), [])
    one.turn(0.0)
    assert (into.entry, reads.acknowledged, reads.kept_alive) == (2 * PORTION_MESSAGES, [], 1)
    one.turn(0.0)
    assert (into.entry, reads.acknowledged, reads.kept_alive) == (len(MESSAGES), [7, 8], 2)
    one.turn(0.0)
    assert reads.acknowledged == [7, 8, 9]
    whole = core()
    topics, payloads = zip(*MESSAGES, strict=True)
    scores = whole.take(topics, payloads, [10**9] * len(topics)).scores
    assert b"".join(part.scores.risk.tobytes() for part in taken[:3]) == scores.risk.tobytes()


def test_within_its_time_a_turn_takes_all_that_was_read():
    reads = Reads(of(MESSAGES, 7))
    one, into, _ = fed(reads)
    one.turn(0.0)
    assert (into.entry, reads.acknowledged) == (len(MESSAGES), [7])
    assert reads.took_s > 0


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


def test_the_device_whose_rows_were_shed_says_gap_with_its_next_row_and_nobody_else():
    first, then = life("hog", 11), life("p1", 11)
    shed = [Shed("press", "hog", "plant/hog/cycle", n_rows=20, n_shed=10)]
    one, _, taken = fed(Reads(of(interleaved(first[:10], then[:10]), shed=shed), of([first[10], then[10]])))
    one.turn(0.0)
    one.turn(0.0)
    assert set(taken[0].scores.quality[6:].tolist()) == {Quality.OK}
    assert dict(zip(taken[1].scores.device, taken[1].scores.quality.tolist(), strict=True)) == {
        "hog": Quality.GAP,
        "p1": Quality.OK,
    }


@pytest.mark.parametrize("device", ["nobody", "p1"])
def test_a_gap_of_a_device_that_is_not_known_touches_nobody(device):
    into = core()
    topics, payloads = zip(*life("p1", 10), strict=True)
    into.take(topics, payloads, [10**9] * 10)
    into.mark_gap("press", [device])
    assert into._stepper.slab.columns.history_lost.sum() == (device == "p1")
