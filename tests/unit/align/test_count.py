"""Events between rows: each row has the number of those since the row before it (docs/sources.md)."""

import pytest

from agent.core import Core
from agent.core.entries import Messages
from agent.sources import AlignRule, SourceChannel
from tests.unit.align.rows_made import NOW_S, S, core_of, source, take

PLAIN = AlignRule()


def counting(rule=PLAIN, **others):
    """Three channels, of which `wear` counts events."""
    return source(rule, event="wear", **others)


def of_wear(rows):
    return [(t_s, values[2]) for _, t_s, values in rows]


def test_a_row_has_the_events_since_the_row_before_and_a_reading_of_events_alone_makes_none():
    into = core_of(counting())
    rows = take(into, [
        ("a", 0, {"temp": 1}), ("a", 3, {"wear": 1}), ("a", 7, {"wear": 2}),
        ("a", 10, {"temp": 2, "load": 2}), ("a", 20, {"temp": 3, "wear": 1}), ("a", 30, {"temp": 4}),
    ])  # fmt: skip
    assert rows == [
        ("a", 0, (1, None, 0)), ("a", 10, (2, 2, 3)), ("a", 20, (3, None, 1)), ("a", 30, (4, None, 0)),
    ]  # fmt: skip


def test_what_a_row_lacks_beside_its_events_is_doubted_and_events_never_are():
    into = core_of(counting())
    take(into, [("a", 0, {"temp": 1, "load": 1}), ("a", 1, {"wear": 1})])
    assert into.counts[("press", "missing_channel")] == 1, "the second brings events alone, and lacks the others"
    both = core_of(counting(AlignRule(max_age_s=60)))
    take(both, [("a", 0, {"temp": 1, "load": 1}), ("a", 1, {"wear": 1}), ("a", 2, {"temp": 1})])
    assert not both.counts


def test_events_are_not_held_and_do_not_count_for_the_quorum():
    """On a grid of 10 s, with both other channels asked for."""
    into = core_of(counting(AlignRule(every_s=10, max_age_s=60, quorum=1)))
    rows = take(into, [
        ("a", 1, {"temp": 1}), ("a", 2, {"wear": 2}), ("a", 11, {"load": 1}), ("a", 12, {"wear": 1}),
        ("a", 41, {"temp": 2}),
    ])  # fmt: skip
    assert of_wear(rows) == [(20, 3), (30, 0), (40, 0)], "no row at 10 s, where the load is not known yet"


def test_an_event_that_is_told_again_counts_once():
    """A broker delivers a message again: alone, with what the row had, and with a lateness."""
    for rule in (AlignRule(), AlignRule(max_age_s=60), AlignRule(lateness_s=5)):
        into = core_of(counting(rule))
        alarm, row = ("a", 3, {"wear": 1}), ("a", 5, {"temp": 1, "load": 1, "wear": 1})
        rows = take(
            into, [("a", 0, {"temp": 1}), alarm, alarm, row, row, ("a", 9, {"temp": 1}), ("a", 20, {"temp": 1})]
        )
        assert of_wear(rows)[:3] == [(0, 0), (5, 2), (9, 0)], rule


def test_an_event_at_the_time_of_a_row_is_in_it_if_readings_wait_and_else_in_the_next():
    stream = [("a", 0, {"temp": 1}), ("a", 10, {"temp": 2}), ("a", 10, {"wear": 1}), ("a", 20, {"temp": 3})]
    assert of_wear(take(core_of(counting()), stream)) == [(0, 0), (10, 0), (20, 1)]
    waits = core_of(counting(AlignRule(lateness_s=1)))
    assert of_wear(take(waits, [*stream, ("a", 40, {"temp": 3})])) == [(0, 0), (10, 1), (20, 0)]


def test_a_late_event_is_dropped_and_counted():
    into = core_of(counting())
    rows = take(into, [("a", 0, {"temp": 1}), ("a", 10, {"temp": 2}), ("a", 9, {"wear": 1}), ("a", 20, {"temp": 3})])
    assert of_wear(rows)[-1] == (20, 0)
    assert into.counts[("press", "late")] == 1


def test_events_that_wait_for_a_row_are_kept_in_a_snapshot():
    own = counting()
    into, later = core_of(own), core_of(own)
    take(into, [("a", 0, {"temp": 1}), ("a", 1, {"wear": 5})])
    later.restore(into.snapshot())
    assert of_wear(take(later, [("a", 1, {"wear": 5}), ("a", 2, {"temp": 1})])) == [(2, 5)]


def test_a_source_that_reads_nothing_but_events_makes_a_row_of_each():
    """There is no other row that they could be counted in."""
    own = source(AlignRule(), channels=(SourceChannel("wear", event=""),))
    assert take(core_of(own), [("a", 0, {"wear": 1}), ("a", 5, {"wear": 2})]) == [("a", 0, (1,)), ("a", 5, (2,))]


@pytest.mark.parametrize("number", [0.5, -1, 1e30, 70_000])
def test_a_number_that_is_no_count_is_doubted_and_counts_nothing(number):
    into = core_of(counting())
    rows = take(into, [("a", 0, {"temp": 1, "load": 1, "wear": number}), ("b", 0, {"temp": 1, "load": 1, "wear": 2})])
    assert [values[2] for _, _, values in rows] == [0, 2]
    assert into.counts == {("press", "bad_value"): 1}


def test_words_of_one_field_are_channels_of_their_own_and_come_on_another_topic():
    """errorID names the event; a code that no channel has is doubted; a row of the telemetry has them all."""
    telemetry = counting(channels=(SourceChannel("temp"),), width=3)
    words = ("error1", "17")
    events = source(
        AlignRule(),
        name="errors",
        topics=("plant/{device}/error",),
        channels=tuple(SourceChannel("errorID", event=word) for word in words),
        joins="press",
        columns=(1, 2),
    )
    into = core_of(telemetry, events)

    def tell(t_s: float, code: str) -> None:
        payload = f'{{"ts": {NOW_S + t_s}, "errorID": {code}}}'.encode()
        assert not into.apply(Messages(["plant/a/error"], [payload], [NOW_S * S])).rows

    assert take(into, [("a", 0, {"temp": 1})]) == [("a", 0, (1, 0, 0))]
    for t_s, code in (
        (1, '"error1"'),
        (2, '"error1"'),
        (3, "17"),
        (4, '"17"'),
        (5, '"error9"'),
        (6, "18"),
        (7, "null"),
    ):
        tell(t_s, code)
    assert take(into, [("a", 10, {"temp": 1})]) == [("a", 10, (1, 2, 2))]
    assert into.counts == {("errors", "no_channels"): 3}


def test_a_device_with_hostile_events_does_not_move_another():
    hostile = [("h", 0.1 * index, {"wear": 65_536, "temp": 1e38}) for index in range(300)]
    mine = [("a", 0, {"temp": 1}), ("a", 3, {"wear": 1}), ("a", 10, {"temp": 2})]
    both: Core = core_of(counting())
    mixed = take(both, [one for pair in zip(hostile[:3], mine, strict=True) for one in pair] + hostile[3:])
    assert [row for row in mixed if row[0] == "a"] == take(core_of(counting()), mine)
