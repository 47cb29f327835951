"""Readings to rows by every rule, against a plain model: in one call, in many, restored between, in another order."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.sources import AlignRule
from tests.unit.align.rows_made import FIELDS, core_of, of_device, plain_rows, source, take

RULES = [
    AlignRule(),
    AlignRule(lateness_s=5),
    AlignRule(max_age_s=4),
    AlignRule(max_age_s=4, lateness_s=5),
    AlignRule(every_s=3),
    AlignRule(every_s=3, max_age_s=7),
    AlignRule(every_s=3, max_age_s=7, quorum=0.6),
    AlignRule(every_s=3, max_age_s=7, quorum=0.6, lateness_s=5),
    AlignRule(every_s=2, max_age_s=300, lateness_s=20),
]
AGES = [(None, None, None), (None, 2.0, None), (0.0, 9.0, None)]
VALUES = st.dictionaries(st.sampled_from(FIELDS), st.sampled_from([1.0, 2.0, 3.0]), min_size=1)
STEPS = [[1, 2, 5], [0, 1, 1, 1, 2, 3, 5, 8, 200, -1, -2, -3, -7], [0, 3, 8, 8, -7, -7, -3]]


@st.composite
def streams(draw):
    """Readings of three devices; their times mostly rise, by steps of their own."""
    readings, at = [], dict.fromkeys("abc", 0)
    steps = st.sampled_from(draw(st.sampled_from(STEPS)))
    for device in draw(st.lists(st.sampled_from("abc"), max_size=60)):
        at[device] += max(draw(steps), -at[device])
        readings.append((device, at[device], draw(VALUES)))
    return readings


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(RULES),
    st.sampled_from(AGES),
    streams(),
    st.lists(st.integers(0, 60), max_size=6),
    st.sampled_from(["", "wear"]),
    st.data(),
)
def test_every_rule_makes_the_rows_of_the_plain_model_however_a_read_is_cut(rule, ages_s, readings, at, event, data):
    """In one call, in some, and in one a reading: rounds and whole calls must be equal, and a snapshot between them.

    A channel may count events: then no value of it is held, and none of it makes a row.
    """
    ages_s = (*ages_s[:2], None) if event else ages_s
    own = source(rule, *ages_s, event=event)
    whole, cut, single = core_of(own), core_of(own), core_of(own)
    at_once = take(whole, readings)
    in_parts, one_by_one = [], []
    for start, end in pairwise([0, *sorted(at), len(readings)]):
        in_parts += take(cut, readings[start:end])
        if data.draw(st.booleans()):
            kept = cut.snapshot()
            cut = core_of(own)
            cut.restore(kept)
            assert cut.snapshot() == kept
    for reading in readings:
        one_by_one += take(single, [reading])
    for device in "abc":
        want = plain_rows(rule, ages_s, readings, device, event)
        assert of_device(one_by_one, device) == want
        assert of_device(at_once, device) == want
        assert of_device(in_parts, device) == want
    assert whole.snapshot() == cut.snapshot() == single.snapshot()
    assert whole.counts == single.counts


@pytest.mark.slow
@settings(max_examples=100, deadline=None)
@given(
    st.sampled_from([rule for rule in RULES if rule.lateness_s]),
    st.lists(st.tuples(st.integers(0, 60), VALUES, st.integers(0, 5)), max_size=40),
)
def test_any_order_of_arrival_within_the_lateness_gives_the_same_rows(rule, drawn):
    """Each reading comes up to the lateness after its time; then one of later makes all of them go on."""
    sorted_by_time = sorted(drawn, key=lambda one: one[0])
    by_arrival = sorted(drawn, key=lambda one: one[0] + one[2])
    last = [("a", 1000, {"temp": 1.0})]
    rows = [
        take(core_of(source(rule)), [*(("a", t_s, values) for t_s, values, _ in order), *last])
        for order in (sorted_by_time, by_arrival)
    ]
    assert rows[0] == rows[1]


@pytest.mark.parametrize("rule", RULES)
def test_the_readings_of_the_neighbours_change_nothing(rule):
    """Law 2: a device alone, and among two that send other times and values between its readings."""
    own = [("a", t_s, {FIELDS[t_s % 3]: float(t_s)}) for t_s in (0, 1, 2, 4, 9, 8, 12, 13, 13, 40, 41, 39, 50)]
    others = [(device, 7 * index % 60, {"wear": 9.0}) for index in range(40) for device in "bc"]
    mixed = [one for index, reading in enumerate(own) for one in (*others[6 * index : 6 * index + 6], reading)]
    assert of_device(take(core_of(source(rule)), mixed), "a") == take(core_of(source(rule)), own)


@pytest.mark.parametrize("rule", RULES)
def test_readings_in_order_after_a_late_one_are_noted_as_if_they_came_one_by_one(rule):
    """What is known of a device's late rows goes on counting in a call that has none."""
    calls = [[("a", t_s, {"temp": 1.0}) for t_s in times] for times in ((0, 50, 1), (60, 70, 80, 90), (100, 110))]
    in_calls, one_by_one = core_of(source(rule)), core_of(source(rule))
    for call in calls:
        take(in_calls, call)
        for reading in call:
            take(one_by_one, [reading])
    assert in_calls.counts["press", "late"] == 1 or rule.lateness_s
    assert in_calls.snapshot() == one_by_one.snapshot()
