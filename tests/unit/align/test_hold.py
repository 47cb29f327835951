"""A row a reading, with values held of the channels that it lacks."""

from dataclasses import replace

import numpy as np
import pytest

from agent.core import Bounds
from agent.core.entries import Heartbeat
from agent.errors import SnapshotRefused
from agent.sources import AlignRule
from tests.unit.align.rows_made import NOW_S, S, core_of, source, take

HOLD = AlignRule(max_age_s=10)


def test_a_channel_without_a_new_value_keeps_its_newest_one_until_it_is_too_old():
    into = core_of(source(HOLD))
    rows = take(into, [("a", 0, {"temp": 1}), ("a", 4, {"load": 2}), ("a", 10, {"wear": 3}), ("a", 11, {"wear": 4})])
    assert [values for _, _, values in rows] == [(1, None, None), (1, 2, None), (1, 2, 3), (None, 2, 4)]


def test_each_channel_may_have_an_age_of_its_own():
    into = core_of(source(AlignRule(), 100.0, 2.0, None))
    rows = take(into, [("a", 0, {"temp": 1, "load": 2, "wear": 3}), ("a", 3, {"wear": 4}), ("a", 100, {"load": 5})])
    assert [values for _, _, values in rows] == [(1, 2, 3), (1, None, 4), (1, 5, None)]


def test_a_part_of_a_row_is_no_doubt_and_a_value_that_is_too_old_is_one():
    into = core_of(source(HOLD))
    take(into, [("a", 0, {"temp": 1, "load": 2, "wear": 3}), ("a", 1, {"load": 5})])
    assert not into.counts
    take(into, [("a", 20, {"load": 5})])
    assert into.counts == {("press", "missing_channel"): 1}


def test_values_of_one_time_that_come_one_by_one_are_all_held():
    """The first makes the row; the others are for the next one. The same value again is repeated."""
    into = core_of(source(HOLD))
    first = take(into, [("a", 1, {"temp": 1}), ("a", 1, {"load": 2}), ("a", 1, {"wear": 3}), ("a", 1, {"wear": 9})])
    assert first == [("a", 1, (1, None, None))]
    assert into.counts["press", "repeated"] == 1
    assert take(into, [("a", 2, {"temp": 4})]) == [("a", 2, (4, 2, 3))]


def test_a_late_reading_changes_nothing_that_is_held():
    into = core_of(source(HOLD))
    rows = take(into, [("a", 5, {"temp": 1}), ("a", 3, {"temp": 7, "load": 7}), ("a", 6, {"wear": 3})])
    assert rows[-1] == ("a", 6, (1, None, 3))
    assert into.counts["press", "late"] == 1


def test_an_infinite_value_is_held_like_any_other_and_kept_in_a_snapshot():
    own = source(HOLD)
    into, later = core_of(own), core_of(own)
    take(into, [("a", 0, {"temp": 1e39})])
    later.restore(into.snapshot())
    assert take(later, [("a", 1, {"load": 2})]) == [("a", 1, (np.inf, 2, None))]


@pytest.mark.parametrize(
    "other",
    [
        source(AlignRule()),
        source(HOLD, channels=tuple(reversed(source(HOLD).channels))),
        source(HOLD, channels=source(HOLD).channels[:2]),
    ],
)
def test_what_is_held_is_not_taken_over_by_a_source_with_other_channels_or_rules(other):
    """The rest of the snapshot is: the device is known."""
    into, later = core_of(source(HOLD)), core_of(other)
    take(into, [("a", 0, {"temp": 1, "load": 1})])
    later.restore(into.snapshot())
    assert later.view().device == ["a"]
    (row,) = take(later, [("a", 1, {"temp": 5})])
    assert sorted(one for one in row[2] if one is not None) == [5]


def test_a_rule_for_the_ages_may_change_and_what_is_held_stays():
    into, later = core_of(source(HOLD)), core_of(source(replace(HOLD, max_age_s=3)))
    take(into, [("a", 0, {"temp": 1}), ("a", 4, {"load": 2})])
    later.restore(into.snapshot())
    assert take(later, [("a", 5, {"wear": 3})]) == [("a", 5, (None, 2, 3))]


def test_a_snapshot_from_before_there_was_a_rule_is_taken_over():
    into, later = core_of(source(AlignRule())), core_of(source(HOLD))
    take(into, [("a", 0, {"temp": 1})])
    later.restore(into.snapshot())
    assert take(later, [("a", 1, {"load": 2})]) == [("a", 1, (None, 2, None))]


def test_of_a_device_that_is_forgotten_nothing_is_held():
    into = core_of(source(HOLD), bounds=Bounds(forget_after_s=5))
    take(into, [("a", 0, {"temp": 1})])
    into.apply(Heartbeat((NOW_S + 4) * S))
    into.apply(Heartbeat((NOW_S + 9) * S))
    assert into.counts["press", "forgotten"] == 1
    assert take(into, [("b", 1, {"load": 2})]) == [("b", 1, (None, 2, None))]


def test_another_column_that_is_not_finite_is_still_refused():
    into = core_of(source(HOLD))
    take(into, [("a", 0, {"temp": 1})])
    kept = into.snapshot().replace(b'"name":"held"', b'"name":"helm"')
    with pytest.raises(SnapshotRefused, match="helm is not finite"):
        core_of(source(HOLD)).restore(kept)
