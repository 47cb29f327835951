"""A channel that stands still, or has no value, for far longer than training saw is not `ok`."""

import msgspec
import numpy as np
import pytest

from agent.words import Quality
from tests.small_bundle import CHANNELS, small_manifest
from tests.streams import bytes_of, core, engine_of, interleaved, life, message, take

STEADY_S, ABSENT_S = 4.0, 6.0  # of each channel, in the training of the bundle below


def measured(**spans: float):
    manifest = small_manifest()
    spans = {"steady_max_s": STEADY_S, "absent_max_s": ABSENT_S} | spans
    channels = tuple(msgspec.structs.replace(channel, **spans) for channel in manifest.channels)
    return msgspec.structs.replace(manifest, channels=channels)


def moving(n: int, **fixed: object):
    """n cycles in which every channel moves but those in `fixed`; None leaves a channel out."""
    values = [dict.fromkeys(CHANNELS, 0.01 * (cycle % 7)) | fixed for cycle in range(1, n + 1)]
    return [message("p1", cycle, **values[cycle - 1]) for cycle in range(1, n + 1)]


def qualities(stream, **spans: float):
    return take(core(manifest=measured(**spans)), stream).scores[0].quality.tolist()


def test_no_row_is_ok_after_three_times_the_longest_run_of_training():
    """4 s from the first to the last row are 5 rows of a cadence; the 16th row of a run is more than three times 5."""
    frozen = qualities(moving(30, temp=0.5))
    assert frozen[2:15] == [Quality.OK] * 13
    assert frozen[15:] == [Quality.STUCK] * 15
    assert qualities(moving(30)) == [Quality.WARMING_UP] * 2 + [Quality.OK] * 28


def test_the_channel_is_named_once_with_the_first_row_that_says_so():
    into = core(manifest=measured())
    taken = take(into, [*moving(30, load=0.5), message("p1", 31, temp=0.9, load=0.6, wear=0.9)])
    assert dict(into.counts) == {("press", "stuck"): 1}
    (drop,) = taken.drops
    assert (drop.device, drop.detail.split()[0]) == ("p1", "load")
    again = [message("p1", 31 + n, temp=n / 9, load=0.6, wear=n / 9) for n in range(1, 20)]
    take(into, again)
    assert into.counts["press", "stuck"] == 2


def test_a_dead_machine_whose_gateway_repeats_its_last_row_is_stuck():
    living = life("p1", 30)
    taken = take(
        core(manifest=measured()), [*living, *(message("p1", 30 + n, temp=1, load=1, wear=1) for n in range(1, 31))]
    )
    assert Quality.STUCK not in taken.scores[0].quality[:45]
    assert set(taken.scores[0].quality[46:].tolist()) == {Quality.STUCK}


def test_a_channel_that_always_moved_in_training_may_repeat_a_value_and_no_more():
    assert qualities(moving(8, temp=0.5), steady_max_s=0.0)[2:] == [Quality.OK] + [Quality.STUCK] * 5


def test_it_is_ok_again_with_the_first_row_that_moves():
    again = [*moving(30, temp=0.5), message("p1", 31, temp=0.51, load=0.3, wear=0.4)]
    assert qualities(again)[-2:] == [Quality.STUCK, Quality.OK]


def test_rows_without_a_value_do_not_end_a_run():
    stream = moving(30, load=0.5)
    stream[10] = message("p1", 11, temp=0.9, wear=0.9, load=None)
    assert qualities(stream)[14:17] == [Quality.OK, Quality.STUCK, Quality.STUCK]


def test_a_channel_that_stands_still_is_stuck_until_it_moves_also_in_rows_without_it():
    stream = [message("p1", n, temp=n % 7 / 9, wear=n % 5 / 9, load=0.5 if n % 2 else None) for n in range(1, 31)]
    assert set(qualities(stream)[16:]) == {Quality.STUCK}
    gone = [message("p1", n, temp=n % 7 / 9, wear=n % 5 / 9, load=0.5 if n < 4 else None) for n in range(1, 20)]
    assert set(qualities(gone)[2:]) == {Quality.OK}, "no value is no value that stands still"


def test_a_silence_beyond_dt_max_begins_the_run_anew():
    stream = [*moving(14, temp=0.5), *(message("p1", 14 + 21 + n, temp=0.5, load=n / 9, wear=n / 9) for n in range(10))]
    assert Quality.STUCK not in qualities(stream)


def test_a_channel_that_was_missing_at_times_may_not_be_missing_for_ever():
    """Missing for 6 cycles in training, so for 18 here; and one that is never heard counts from the first row."""
    assert qualities(moving(24, load=None))[2:] == [Quality.OK] * 17 + [Quality.OUT_OF_DOMAIN] * 5


def test_minus_zero_is_zero():
    stream = [message("p1", n, temp=0.0 if n % 2 else -0.0, load=n / 40, wear=n / 40) for n in range(1, 31)]
    assert qualities(stream)[-1] == Quality.STUCK


def test_a_bundle_that_does_not_say_is_judged_as_before():
    frozen = take(core(), moving(40, temp=0.5)).scores[0]
    assert set(frozen.quality[2:].tolist()) == {Quality.OK}


def test_a_stuck_row_neither_raises_nor_clears():
    into = core(manifest=measured(steady_max_s=1.0))
    worn = [message("p1", cycle, temp=0.5, load=cycle / 50, wear=3.0) for cycle in range(1, 40)]
    assert [event.kind for event in take(into, worn[:5]).alerts] == ["raised", "updated"]
    low = [message("p1", 5 + n, temp=0.5, load=n / 50, wear=-n / 40) for n in range(1, 30)]
    taken = take(into, low)
    assert taken.scores[0].quality[-1] == Quality.STUCK
    assert [event.kind for event in taken.alerts if event.kind == "cleared"] == []


def test_a_run_goes_on_over_a_restart_and_is_a_devices_own():
    stream = interleaved(moving(30, temp=0.5), life("p2", 30))
    whole = take(core(manifest=measured()), stream)
    into = core(manifest=measured())
    take(into, stream[:23])
    again = core(manifest=measured())
    assert again.restore(into.snapshot()) == {}
    rest = take(again, stream[23:]).scores[0]
    of_whole = whole.scores[0].quality[whole.scores[0].entry >= 23]
    np.testing.assert_array_equal(rest.quality, of_whole)
    assert bytes_of(whole, "p2") == bytes_of(take(core(manifest=measured()), life("p2", 30)), "p2")


@pytest.mark.parametrize("steady_max_s", [None, 1e9])
def test_a_bound_that_nothing_reaches_is_none(steady_max_s):
    assert set(qualities(moving(60, temp=0.5), steady_max_s=steady_max_s)[2:]) == {Quality.OK}


def test_the_model_steps_stuck_rows_as_any_other():
    into = core(manifest=measured())
    take(into, moving(30, temp=0.5))
    twin = core()
    take(twin, moving(30, temp=0.5))
    assert engine_of(into) is not None
    np.testing.assert_array_equal(
        into._stepper.predictors[0].states.columns.state[0], twin._stepper.predictors[0].states.columns.state[0]
    )
