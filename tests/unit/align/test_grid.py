"""Rows on a grid of event time."""

import json

import pytest

from agent.align.grid import ROWS_MAX
from agent.core.entries import Messages
from agent.sources import AlignRule, SourceChannel
from tests.unit.align.rows_made import NOW_S, S, core_of, source, take

GRID = AlignRule(every_s=10, max_age_s=30)


def test_a_row_is_at_a_whole_multiple_and_made_by_the_first_reading_beyond_it():
    into = core_of(source(GRID))
    assert take(into, [("a", 3, {"temp": 1}), ("a", 7, {"load": 2}), ("a", 10, {"wear": 3})]) == []
    assert take(into, [("a", 11, {"temp": 4})]) == [("a", 10, (1, 2, 3))]
    assert take(into, [("a", 25, {"temp": 5})]) == [("a", 20, (4, 2, 3))]


def test_one_value_a_topic_becomes_rows_with_old_values_missing():
    """S1: `plant/pump7/temp` says 55.1 and `plant/pump7/vib` 1.2, seconds apart; there is no time but arrival."""
    channels = (SourceChannel("temp"), SourceChannel("vib", max_age_s=10))
    into = core_of(
        source(
            GRID, topics=("plant/{device}/{name}",), channel="{name}", codec="text", channels=channels,
            time_field="", time_unit="arrival",
        )
    )  # fmt: skip
    arrivals = [("temp", b"55.1", 2), ("vib", b"1.2", 5), ("temp", b"56", 12), ("temp", b"57", 22), ("vib", b"3", 31)]
    topics, payloads, seconds = zip(*arrivals, strict=True)
    taken = into.apply(
        Messages([f"plant/pump7/{name}" for name in topics], payloads, [(NOW_S + one) * S for one in seconds])
    )
    rows = [(t_ns / S - NOW_S, *x) for part in taken.rows for t_ns, x in zip(part.t_ns, part.x.tolist(), strict=True)]
    assert [(t_s, round(temp, 3)) for t_s, temp, _ in rows] == [(10, 55.1), (20, 56), (30, 57)]
    assert [round(vib, 3) for _, _, vib in rows[:1]] == [1.2]
    assert all(vib != vib for _, _, vib in rows[1:])  # of 5: it was 10 s old at 15
    assert into.counts == {("press", "missing_channel"): 2}


def test_no_row_is_made_with_fewer_channels_than_the_quorum():
    into = core_of(source(AlignRule(every_s=10, max_age_s=30, quorum=0.6)))
    assert take(into, [("a", 1, {"temp": 1}), ("a", 11, {"temp": 2}), ("a", 21, {"load": 3})]) == []
    assert take(into, [("a", 31, {"temp": 4})]) == [("a", 30, (2, 3, None))]
    assert set(into.counts) == {("press", "missing_channel")}


def test_points_without_a_new_value_make_rows_while_values_are_held():
    into = core_of(source(GRID))
    rows = take(into, [("a", 5, {"temp": 1, "load": 1}), ("a", 15, {"load": 2}), ("a", 500, {"wear": 3})])
    assert rows == [
        ("a", 10, (1, 1, None)),
        ("a", 20, (1, 2, None)),
        ("a", 30, (1, 2, None)),
        ("a", 40, (None, 2, None)),
    ]


def test_one_reading_makes_a_bounded_number_of_rows():
    into = core_of(source(AlignRule(every_s=1, max_age_s=1e6)))
    rows = take(into, [("a", 0, {"temp": 1}), ("a", 100_000, {"temp": 2}), ("a", 100_001, {"temp": 3})])
    assert [t_s for _, t_s, _ in rows] == [*range(ROWS_MAX), 100_000]


def test_without_an_age_a_value_counts_for_its_own_point_only():
    into = core_of(source(AlignRule(every_s=10)))
    rows = take(into, [("a", 5, {"temp": 1}), ("a", 15, {"load": 2}), ("a", 21, {"wear": 3})])
    assert rows == [("a", 10, (1, None, None)), ("a", 20, (None, 2, None))]


def test_a_reading_of_a_point_that_is_passed_is_late_even_if_that_made_no_row():
    into = core_of(source(AlignRule(every_s=10, max_age_s=30, quorum=1)))
    assert take(into, [("a", 5, {"temp": 1}), ("a", 11, {"load": 2}), ("a", 9, {"wear": 3})]) == []
    assert into.counts == {("press", "late"): 1}


def test_a_row_stands_under_the_message_that_made_it():
    into = core_of(source(GRID))
    payloads = [json.dumps({"ts": NOW_S + t_s, "temp": 1}).encode() for t_s in (1, 2, 12, 13, 34)]
    taken = into.apply(Messages(["plant/a/cycle"] * 5, payloads, [NOW_S * S] * 5))
    assert [(row.entry.tolist(), (row.t_ns // S - NOW_S).tolist()) for row in taken.rows] == [
        ([2], [10]),
        ([4], [20]),
        ([4], [30]),
    ]


@pytest.mark.parametrize("every_s", [0.1, 0.25, 7, 86_400])
def test_points_are_exact_for_any_step(every_s):
    into = core_of(source(AlignRule(every_s=every_s)))
    step_ns = round(every_s * S)
    payloads = [json.dumps({"ts": NOW_S + 1.5 * every_s * k, "temp": 1}).encode() for k in range(9)]
    taken = into.apply(Messages(["plant/a/cycle"] * 9, payloads, [NOW_S * S] * 9))
    times = [t_ns for part in taken.rows for t_ns in part.t_ns.tolist()]
    assert len(times) >= 7
    assert all(t_ns % step_ns == 0 for t_ns in times)


def test_a_value_that_comes_after_a_newer_one_of_its_point_does_not_replace_it():
    into = core_of(source(GRID))
    rows = take(into, [("a", 7, {"temp": 1}), ("a", 5, {"temp": 2, "load": 3}), ("a", 11, {"wear": 4})])
    assert rows == [("a", 10, (1, 3, None))]
