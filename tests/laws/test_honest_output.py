"""Law 4, honest output: every score says how good it is, and rows that are not `ok` neither raise nor clear."""

from dataclasses import replace

import msgspec
import numpy as np
import pytest

from agent.bundle.manifest import Cadence
from agent.core import Bounds
from agent.core.entries import Heartbeat, HistoryLost
from agent.words import Quality
from tests.small_bundle import small_manifest
from tests.streams import SOURCE, core, life, message, take

OK, WARMING_UP, GAP, OUT_OF_DOMAIN = Quality.OK, Quality.WARMING_UP, Quality.GAP, Quality.OUT_OF_DOMAIN


BENCH = replace(SOURCE, first_seen="new")
BENCH_LIFE = life("p1", 5)


def qualities(messages, source=SOURCE):
    into = core(source)
    return take(into, messages).scores[0].quality.tolist()


def test_the_first_rows_of_a_device_are_warming_up():
    """The manifest's warmup_rows is 3: two rows are fewer than three."""
    assert qualities(life("p1", 5)) == [WARMING_UP, WARMING_UP, OK, OK, OK]


def test_more_than_twice_the_cadence_is_a_gap_for_that_row():
    stream = [*life("p1", 4), message("p1", 6), message("p1", 9), message("p1", 10)]
    assert qualities(stream)[4:] == [OK, GAP, OK]


def test_more_than_dt_max_is_lost_history_and_warms_up_again():
    stream = [*life("p1", 4), message("p1", 25), message("p1", 26), message("p1", 27)]
    assert qualities(stream)[4:] == [GAP, WARMING_UP, OK]


def test_lost_history_starts_from_a_zero_state():
    """A device back after dt_max is scored as one that was never heard."""
    again = [message("p1", 100 + cycle, wear=1.0) for cycle in range(4)]
    back = take(core(), [*life("p1", 40), *again]).scores[0]
    new = take(core(), again).scores[0]
    assert back.outputs["risk"][40:].tobytes() == new.outputs["risk"].tobytes()


def test_known_missing_history_is_a_gap_for_the_next_row_of_each_device_of_the_source():
    into = core(SOURCE, replace(SOURCE, name="oven", topics=("oven/{device}",)))
    take(into, [*life("p1", 4), *[("oven/o1", payload) for _, payload in life("o1", 4)]])
    into.apply(HistoryLost("press"))
    later = [message("p1", 5), ("oven/o1", message("o1", 5)[1]), message("p1", 6)]
    assert take(into, later, arrived_ns=2 * 10**9).scores[0].quality.tolist() == [GAP, OK, OK]


def test_a_device_known_to_be_new_does_not_warm_up():
    """Its history is complete from its first row on."""
    assert set(qualities(BENCH_LIFE, source=BENCH)) == {OK}


def test_every_other_rule_holds_for_a_new_device():
    stream = [message("p1", 1, wear=4.1), message("p1", 2), message("p1", 6), message("p1", 7)]
    assert qualities(stream, source=BENCH) == [OUT_OF_DOMAIN, OK, GAP, OK]


def test_a_new_device_that_loses_its_history_is_of_unknown_age():
    """After dt_max it warms up, and is scored as one that was never heard and may be of any age."""
    again = [message("p1", 100 + cycle, wear=1.0) for cycle in range(4)]
    back = take(core(BENCH), [*BENCH_LIFE, *again]).scores[0]
    unknown = take(core(), again).scores[0]
    assert back.quality[len(BENCH_LIFE) :].tolist() == [GAP, WARMING_UP, OK, OK]
    assert back.outputs["risk"][len(BENCH_LIFE) :].tobytes() == unknown.outputs["risk"].tobytes()


@pytest.mark.parametrize("channels", [{"wear": 4.1}, {"temp": -3.1}, {"wear": None}, {"temp": 1e39}])
def test_a_channel_outside_its_training_range_is_out_of_domain(channels):
    """Range -2 to 3 with a margin of a fifth of its width: beyond -3 or 4, or missing where training had it always."""
    assert qualities([*life("p1", 4), message("p1", 5, **channels)])[4] == OUT_OF_DOMAIN


@pytest.mark.parametrize("channels", [{"wear": 3.9}, {"temp": -2.9}, {"load": None}])
def test_a_channel_within_the_margin_or_allowed_to_be_missing_is_ok(channels):
    assert qualities([*life("p1", 4), message("p1", 5, **channels)])[4] == OK


def test_a_silent_device_is_stale_and_heard_again_is_not():
    into = core(bounds=Bounds(stale_after_s=5))
    take(into, life("p1", 4))
    into.apply(Heartbeat(10**9 + 4 * 10**9))
    assert into.view().devices_by_quality()["stale"] == 0
    into.apply(Heartbeat(10**9 + 7 * 10**9))
    assert into.view().devices_by_quality()["stale"] == 1
    take(into, [message("p1", 5)], arrived_ns=9 * 10**9)
    assert into.view().devices_by_quality()["stale"] == 0


@pytest.mark.parametrize("quality", ["warming_up", "gap", "out_of_domain"])
def test_rows_that_are_not_ok_do_not_raise(quality):
    """Rows of certain failure, each made not ok in one way: no alert; the same rows when ok: an alert."""
    manifest = small_manifest()
    cycles = range(1, 40)
    if quality == "gap":
        cycles = range(1, 160, 4)
    elif quality == "warming_up":
        manifest = msgspec.structs.replace(manifest, warmup_rows=100)
    else:
        channels = tuple(msgspec.structs.replace(channel, high=2.0) for channel in manifest.channels)
        manifest = msgspec.structs.replace(manifest, channels=channels, out_of_domain_margin=0.0)
    worn = [message("p1", cycle, wear=2.5) for cycle in cycles]
    taken = take(core(manifest=manifest), worn)
    assert set(taken.scores[0].quality[3:].tolist()) == {Quality[quality.upper()]}
    assert taken.scores[0].outputs["risk"][-1, 2] > 0.9
    assert not taken.alerts
    assert take(core(), [message("p1", cycle, wear=2.5) for cycle in range(1, 40)]).alerts[0].kind == "raised"


def test_rows_that_are_not_ok_do_not_clear():
    """A standing alert, then healthy rows each after a gap: it stands; without the gaps it clears."""
    worn = [message("p1", cycle, wear=2.5) for cycle in range(1, 30)]
    with_gaps = [message("p1", 30 + 4 * index) for index in range(60)]
    without = [message("p1", 30 + index) for index in range(60)]
    assert [event.kind for event in take(core(), [*worn, *with_gaps]).alerts][-1] != "cleared"
    assert [event.kind for event in take(core(), [*worn, *without]).alerts][-1] == "cleared"


def test_the_status_counts_every_device_once():
    into = core()
    take(into, [*life("p1", 5), *life("p2", 1), *life("p3", 4), message("p3", 9)])
    assert into.view().devices_by_quality() == {
        "ok": 1,
        "warming_up": 1,
        "gap": 1,
        "out_of_domain": 0,
        "stale": 0,
        "stuck": 0,
        "stopped": 0,
    }


def test_rows_that_come_far_too_fast_are_not_stepped():
    """A row ten times a cadence, for a bundle that learnt one: what is stepped is one row a cadence, as in training."""
    fast = [message("p1", round(1 + index / 10, 1), wear=2.5) for index in range(200)]
    into = core()
    taken = take(into, fast)
    assert into.counts["press", "too_fast"] == 200 - len(taken.scores[0].entry)
    steps = np.diff(taken.scores[0].t_ns) / 1e9
    assert set(steps.round(3)) == {1.0}
    assert taken.alerts[0].kind == "raised"


def test_a_bundle_that_does_not_say_how_close_its_rows_came_takes_none_closer_than_half_a_cadence():
    into = core(manifest=msgspec.structs.replace(small_manifest(), cadence=Cadence(1.0, 20.0)))
    taken = take(into, [message("p1", cycle) for cycle in (1, 1.5, 2, 2.4, 3)])
    assert (taken.scores[0].t_ns / 1e9).tolist() == [1, 1.5, 2, 3]
    assert into.counts == {("press", "too_fast"): 1}


def test_rows_left_out_as_too_fast_do_not_depend_on_how_the_stream_is_cut():
    fast = [message("p1", round(1 + index * 0.3, 1), wear=1.0) for index in range(60)]
    whole, cut = take(core(), fast).scores[0], core()
    parts = [take(cut, [one]).scores[0] for one in fast]
    assert whole.t_ns.tolist() == [int(t) for part in parts for t in part.t_ns]
    assert whole.outputs["risk"].tobytes() == b"".join(part.outputs["risk"].tobytes() for part in parts)
