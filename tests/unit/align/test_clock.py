"""Devices whose clocks are wrong, through the whole core: one row a second arrives, whatever time it says."""

import json
from dataclasses import replace

import numpy as np
import pytest

from agent.align.clock import WRONG_ROWS
from agent.core import Bounds
from agent.core.entries import Heartbeat, Messages
from agent.words import Quality
from tests.streams import SOURCE, bytes_of, core

WALL = replace(SOURCE, time_field="ts", time_unit="s", future_max_s=300.0, past_max_s=3600.0)
NOW_S = 1_800_000_000
HOUR_S = 3600


def rows(device, said_s, *, arrived_s=None, wear=0.0):
    """One message a time that the device says, and when each arrives: a second apart from NOW_S on."""
    arrived_s = arrived_s if arrived_s is not None else [NOW_S + index for index in range(len(said_s))]
    payload = {"temp": 0.0, "load": 0.0, "wear": wear}
    return [
        (f"plant/{device}/cycle", json.dumps({"ts": said, **payload}).encode(), round(arrived * 1e9))
        for said, arrived in zip(said_s, arrived_s, strict=True)
    ]


def take(into, messages):
    topics, payloads, arrived_ns = (list(column) for column in zip(*messages, strict=True))
    return into.apply(Messages(topics, payloads, arrived_ns))


def right(n, start=0):
    return [NOW_S + start + index for index in range(n)]


def shifted(times, by_s):
    return [time + by_s for time in times]


def test_a_clock_hours_ahead_is_rebased_after_a_while_and_says_gap_once():
    into = core(WALL)
    scores = take(into, rows("p1", shifted(right(40), 8 * HOUR_S))).scores[0]
    assert into.counts["press", "future"] == WRONG_ROWS - 1
    assert into.counts["press", "clock_rebased"] == 1
    assert len(scores.t_ns) == 40 - (WRONG_ROWS - 1)
    assert scores.t_ns.tolist() == [second * 10**9 for second in right(40)[WRONG_ROWS - 1 :]]
    assert scores.quality[0] == Quality.GAP
    assert Quality.GAP not in scores.quality[1:]


def test_a_device_that_boots_in_1970_is_rebased_and_loses_no_row_and_no_state():
    """It is heard from its first row on; the rows before and after the re-basing are a second apart."""
    into = core(WALL)
    scores = take(into, rows("p1", range(100, 140))).scores[0]
    assert into.counts == {("press", "clock_rebased"): 1}
    assert len(scores.t_ns) == 40
    assert scores.t_ns[WRONG_ROWS - 2] == 118 * 10**9
    assert scores.t_ns[WRONG_ROWS - 1 :].tolist() == [second * 10**9 for second in right(40)[WRONG_ROWS - 1 :]]
    assert scores.quality[WRONG_ROWS - 1] == Quality.GAP
    assert (scores.quality[WRONG_ROWS:] == Quality.OK).all()  # no warm-up: the state went on


def test_a_clock_that_is_set_back_does_not_silence_its_device_for_ever():
    into = core(WALL)
    said = [*shifted(right(30), 200), *right(30, start=30)]
    taken = take(into, rows("p1", said))
    assert into.counts["press", "late"] == WRONG_ROWS - 1
    assert into.counts["press", "clock_rebased"] == 1
    assert taken.scores[0].t_ns[-1] == (NOW_S + 59) * 10**9
    assert taken.scores[0].quality[-1] == Quality.OK


def test_a_clock_that_comes_right_again_is_taken_at_its_word():
    into = core(WALL)
    said = [*shifted(right(30), 8 * HOUR_S), *right(40, start=30)]
    scores = take(into, rows("p1", said)).scores[0]
    assert into.counts["press", "clock_rebased"] == 2
    assert scores.t_ns[-1] == (NOW_S + 69) * 10**9
    assert into.view().clock_offset_ns.tolist() == [0]
    assert into.view().clock_epoch.tolist() == [2]


def test_an_unsteady_clock_ahead_gives_way_to_arrival():
    into = core(WALL)
    said = [time + HOUR_S * (1 + index % 7) for index, time in enumerate(right(40))]
    scores = take(into, rows("p1", said)).scores[0]
    assert into.counts["press", "future"] == WRONG_ROWS - 1
    assert into.counts["press", "clock_unsteady"] == 40 - (WRONG_ROWS - 1)
    assert ("press", "clock_rebased") not in into.counts
    assert scores.t_ns.tolist() == [second * 10**9 for second in right(40)[WRONG_ROWS - 1 :]]


@pytest.mark.parametrize("every_s", [1.0, 0.02])
def test_a_backlog_sent_after_an_outage_rebases_nobody(every_s):
    """200 rows of the past arrive within a second after a newer one: each is late, none moves the clock."""
    into = core(WALL)
    backlog = [NOW_S - 1000 + index * every_s for index in range(200)]
    take(into, rows("p1", [NOW_S, *backlog], arrived_s=[NOW_S + index * 0.005 for index in range(201)]))
    assert into.counts == {("press", "late"): 200}


def test_recorded_history_played_fast_keeps_its_own_time():
    into = core(WALL)
    said = [1_600_000_000 + index for index in range(300)]
    scores = take(into, rows("p1", said, arrived_s=[NOW_S + index * 0.001 for index in range(300)])).scores[0]
    assert scores.t_ns.tolist() == [second * 10**9 for second in said]
    assert not into.counts


def test_one_wild_reading_moves_no_clock():
    into = core(WALL)
    said = right(100)
    said[50] += 8 * HOUR_S
    said[70] -= 8 * HOUR_S
    scores = take(into, rows("p1", said)).scores[0]
    assert into.counts == {("press", "future"): 1, ("press", "late"): 1}
    assert len(scores.t_ns) == 98


@pytest.mark.parametrize("unit", ["cycle", "arrival"])
def test_times_that_are_not_the_walls_are_never_compared_with_it(unit):
    into = core(replace(WALL, time_unit=unit, time_field="ts" if unit == "cycle" else ""))
    take(into, rows("p1", range(1, 60)))
    assert ("press", "clock_rebased") not in into.counts
    assert ("press", "future") not in into.counts


def test_a_wrong_clock_moves_no_neighbour():
    """Law 2: a healthy device beside clocks that jump about is told the same to the bit."""
    healthy = rows("p1", right(120), wear=1.0)
    jumps = np.random.default_rng(0).choice([-40 * HOUR_S, -300, 0, 0, 250, 8 * HOUR_S], size=120)
    wild = rows("p2", [time + int(jumps[index // 25]) for index, time in enumerate(right(120))])
    mixed = [one for pair in zip(healthy, wild, strict=True) for one in pair]
    assert bytes_of(take(core(WALL), mixed), "p1") == bytes_of(take(core(WALL), healthy), "p1")


@pytest.mark.parametrize("cut", [5, 20, 21, 39])
def test_a_snapshot_keeps_what_is_known_of_a_clock(cut):
    """Law 1: split anywhere and restored in between, a stream gives the same."""
    stream = rows("p1", shifted(right(60), 8 * HOUR_S), wear=1.0)
    whole = core(WALL)
    expected = take(whole, stream)
    first, second = core(WALL), core(WALL)
    take(first, stream[:cut])
    second.restore(first.snapshot())
    later = take(second, stream[cut:])
    assert later.scores[0].t_ns.tolist() == expected.scores[0].t_ns[-len(later.scores[0].t_ns) :].tolist()
    assert second.snapshot() == whole.snapshot()


def test_an_alert_keeps_its_id_when_its_devices_clock_is_rebased():
    """Raised by a clock in 1970, cleared by one that was set right; a later alert has another id."""
    into = core(WALL)
    worn = rows("p1", range(100, 115), wear=3.0)
    well = rows("p1", range(115, 200), arrived_s=[NOW_S + 15 + index for index in range(85)])
    events = take(into, [*worn, *well]).alerts
    assert events[0].kind == "raised"
    assert events[-1].kind == "cleared"
    assert len({event.alert for event in events}) == 1
    assert {event.clock_epoch for event in events} == {0}
    assert events[-1].t_ns > events[0].t_ns + 10**18
    again = rows("p1", range(200, 230), arrived_s=[NOW_S + 100 + index for index in range(30)], wear=3.0)
    later = take(into, again).alerts
    assert later[0].kind == "raised"
    assert later[0].clock_epoch == 1
    assert later[0].alert != events[0].alert


def test_a_device_that_only_ever_sent_the_future_is_forgotten_like_any_other():
    into = core(WALL)
    take(into, rows("p1", [NOW_S + 8 * HOUR_S]))
    assert sum(into.view().devices_by_quality().values()) == 1
    for hour in range(31 * 24):
        into.apply(Heartbeat((NOW_S + (400 * 24 + hour) * HOUR_S) * 10**9))
    assert sum(into.view().devices_by_quality().values()) == 0


def test_exactly_future_max_ahead_is_not_the_future():
    into = core(WALL)
    take(into, rows("p1", [NOW_S + 300, NOW_S + 301.001], arrived_s=[NOW_S, NOW_S + 1]))
    assert into.counts == {("press", "future"): 1}


@pytest.mark.parametrize(("every_s", "is_lost"), [(0.9, False), (2.0, True)])
def test_the_time_that_a_clock_was_late_counts_by_arrival(every_s, is_lost):
    """20 late rows at dt_max = 20 s: one second apart the state is kept, two seconds apart it is lost history."""
    into = core(WALL)
    arrived = [NOW_S + index * every_s for index in range(60)]
    said = [*shifted(arrived[:20], 250), *arrived[20:]]
    quality = take(into, rows("p1", said, arrived_s=arrived)).scores[0].quality
    assert into.counts["press", "clock_rebased"] == 1
    assert (Quality.WARMING_UP in quality[20:]) == is_lost


def test_a_repeated_time_is_not_a_wrong_clock():
    into = core(WALL)
    take(into, rows("p1", [NOW_S] * 60))
    assert into.counts == {("press", "repeated"): 59}


BOOT_S = 1000  # the gateway's own clock at its boot: January 1970


def of_a_gateway_without_a_clock(n_before, n_after, **more):
    """Rows a second apart that say the right time; they arrive in 1970 until NTP sets the gateway's clock."""
    n = n_before + n_after
    arrived = [BOOT_S + index if index < n_before else NOW_S + index for index in range(n)]
    return rows("p1", right(n), arrived_s=arrived, **more)


def test_a_gateway_that_boots_in_1970_gets_over_it_when_its_clock_is_set():
    """Its devices seem ahead, then behind; re-based twice they lose no state and keep their alert."""
    into = core(WALL)
    stream = of_a_gateway_without_a_clock(60, 60, wear=3.0)
    before = take(into, stream[:60])
    (raised, *_) = before.alerts
    assert len(before.scores[0].t_ns) == 60 - (WRONG_ROWS - 1)
    after = take(into, stream[60:])
    assert into.counts == {("press", "future"): WRONG_ROWS - 1, ("press", "clock_rebased"): 2}
    assert len(after.scores[0].t_ns) == 60
    assert Quality.WARMING_UP not in after.scores[0].quality
    assert after.scores[0].t_ns[-1] == (NOW_S + 119) * 10**9
    assert {event.alert for event in [*before.alerts, *after.alerts]} == {raised.alert}
    assert into.view().n_standing() == 1


@pytest.mark.parametrize("by", ["message", "heartbeat"])
def test_time_in_which_nobody_listened_forgets_nobody(by):
    """A clock that was set, or an agent that was away for a year: its devices are stale until they are heard."""
    into = core(WALL)
    take(into, rows("p1", right(10)) + rows("p2", right(10)))
    year_s = 365 * 86_400
    if by == "heartbeat":
        into.apply(Heartbeat((NOW_S + year_s) * 10**9))
    else:
        take(into, rows("p3", right(1, year_s), arrived_s=[NOW_S + year_s]))
    assert into.view().devices_by_quality()["stale"] == 2
    take(into, rows("p1", right(1, year_s + 5), arrived_s=[NOW_S + year_s + 5]))
    assert into.view().devices_by_quality()["stale"] == 1
    for hour in range(1, 31 * 24):
        into.apply(Heartbeat((NOW_S + year_s + hour * HOUR_S) * 10**9))
    assert into.counts["press", "forgotten"] == (2 if by == "heartbeat" else 3)


def test_silence_before_an_unheard_time_counts_with_that_after_it():
    """Twenty days, a year without the agent, and ten days and a bit; an agent that is often off still forgets."""
    into = core(WALL)
    take(into, rows("p1", right(10)))
    for hour in range(20 * 24):
        into.apply(Heartbeat((NOW_S + hour * HOUR_S) * 10**9))
    year_later_s = NOW_S + (20 + 365) * 24 * HOUR_S
    for hour in range(10 * 24):
        into.apply(Heartbeat((year_later_s + hour * HOUR_S) * 10**9))
    assert into.counts["press", "forgotten"] == 0
    for hour in range(10 * 24, 11 * 24):
        into.apply(Heartbeat((year_later_s + hour * HOUR_S) * 10**9))
    assert into.counts["press", "forgotten"] == 1


def test_a_step_of_an_hour_still_counts_as_silence():
    """So long may an agent be busy, or a machine asleep."""
    into = core(WALL, bounds=Bounds(stale_after_s=60, forget_after_s=HOUR_S))
    take(into, rows("p1", right(1)))
    into.apply(Heartbeat((NOW_S + 10) * 10**9))
    into.apply(Heartbeat((NOW_S + 10 + HOUR_S) * 10**9))
    assert into.counts["press", "forgotten"] == 1


def test_an_offset_is_not_taken_from_times_of_arrival():
    """The clock was made good by decades; then the source takes the time of arrival instead."""
    before = core(WALL)
    take(before, rows("p1", range(100, 160)))
    after = core(replace(WALL, time_unit="arrival", time_field=""))
    after.restore(before.snapshot())
    scores = take(after, rows("p1", [0], arrived_s=[NOW_S + 100])).scores[0]
    assert scores.t_ns.tolist() == [(NOW_S + 100) * 10**9]


def zoned(hours, n=40, every_s=10, jitter_s=0.4):
    """Rows each `every_s` seconds of a device that tells local times, which take a varying moment to arrive."""
    arrived = [NOW_S + index * every_s + 0.1 + jitter_s * (index % 3) for index in range(n)]
    return rows("p1", [NOW_S + index * every_s + round(hours * HOUR_S) for index in range(n)], arrived_s=arrived)


@pytest.mark.parametrize(
    ("hours", "text"),
    [(2, "steady 2 h ahead"), (-7, "steady 7 h behind"), (5.75, "steady 5 h 45 min ahead"), (-1, "steady 1 h behind")],
)
def test_a_clock_that_is_off_by_whole_quarter_hours_is_called_a_time_zone_at_once(hours, text):
    """Three readings show it. It is re-based when any other clock would be, and rows until then say `gap`."""
    into = core(WALL)
    first = take(into, zoned(hours)[:3])
    assert into.counts["press", "time_zone"] == 1
    (said,) = [drop.detail for drop in first.drops if drop.reason == "time_zone"]
    assert said == f"{text}: local times? set the device's clock to UTC"
    scores = take(into, zoned(hours)[3:]).scores[0]
    assert into.counts["press", "time_zone"] == 1
    assert into.counts["press", "clock_rebased"] == 1
    assert into.view().clock_offset_ns.tolist() == [round(hours * HOUR_S) * 10**9]
    is_right = scores.t_ns >= (NOW_S + 10 * (WRONG_ROWS - 1)) * 10**9 if hours < 0 else scores.t_ns > 0
    assert scores.t_ns[is_right].tolist() == [(NOW_S + 10 * index) * 10**9 for index in range(WRONG_ROWS - 1, 40)]
    assert set(scores.quality[~is_right]) <= {Quality.GAP}


def test_a_time_zone_of_texts_is_to_be_named():
    into = core(replace(WALL, time_unit="iso8601"))
    payloads = [json.dumps({"ts": f"2027-01-15T10:0{minute}:00", "wear": 1.0}).encode() for minute in range(3)]
    arrived = [(NOW_S + 60 * minute) * 10**9 for minute in range(3)]  # NOW_S is 08:00 UTC
    taken = into.apply(Messages(["plant/p1/cycle"] * 3, payloads, arrived))
    details = [drop.detail for drop in taken.drops if drop.reason == "time_zone"]
    assert details == ["steady 2 h ahead: local times? give time.zone"]


@pytest.mark.parametrize("ahead_s", [HOUR_S + 400, 15 * HOUR_S, -40 * 24 * HOUR_S])
def test_another_offset_is_no_time_zone(ahead_s):
    into = core(WALL)
    take(into, rows("p1", shifted(right(30), ahead_s)))
    assert ("press", "time_zone") not in into.counts
    assert into.counts["press", "clock_rebased"] == 1
