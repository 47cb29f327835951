import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.bundle.manifest import ThresholdRow, ThresholdTable
from agent.judge.threshold import choose, finest_budget, parse_budget, verdict, vouched_for
from tests.small_bundle import small_manifest

TABLE = small_manifest().judging["risk"].thresholds  # 0.2: 9 false alarms, 0.5: 2, 0.8: none, over 2000 cycles


@pytest.mark.parametrize(
    ("text", "rate_per_s"),
    [
        ("1 per 1000 cycles", 1e-3),
        ("2 per cycle", 2.0),
        ("1 per device per 30d", 1 / (30 * 86_400)),
        ("1 per device per day", 1 / 86_400),
        ("6 per day", 6 / 86_400 / 100),
        ("0.5 per 8 hours", 0.5 / (8 * 3600) / 100),
    ],
)
def test_a_budget_is_a_rate_of_one_device(text, rate_per_s):
    assert parse_budget(text, fleet_size=100).rate_per_s == pytest.approx(rate_per_s)


@pytest.mark.parametrize("text", ["", "often", "1 per", "1 per 1000 parsecs", "per day", "-1 per day", "1 per device"])
def test_what_is_not_a_budget_is_refused_with_the_three_forms(text):
    with pytest.raises(ValueError, match=r"1 per device per 30d.*1 per 1000 cycles.*6 per day"):
        parse_budget(text, fleet_size=1)


def test_a_fleet_budget_needs_the_size_of_the_fleet():
    with pytest.raises(ValueError, match=r"model\.fleet_size"):
        parse_budget("6 per day", fleet_size=0)
    assert parse_budget("1 per device per day", fleet_size=0).rate_per_s == pytest.approx(1 / 86_400)


@pytest.mark.parametrize("text", ["0 per day", "1 per 0 days"])
def test_a_budget_of_nothing_is_refused(text):
    with pytest.raises(ValueError, match="allows no false alarm"):
        parse_budget(text, fleet_size=1)


@pytest.mark.parametrize(
    ("budget", "threshold", "extrapolated"),
    [
        ("1 per 100 cycles", 0.2, False),
        ("1 per 500 cycles", 0.5, False),
        ("1 per 1000 cycles", 0.5, True),
        ("1 per 5000 cycles", 0.8, True),
    ],
)
def test_the_threshold_with_the_longest_lead_within_the_budget_is_chosen(budget, threshold, extrapolated):
    """3 / exposure is 1 per 667 cycles: anything finer is extrapolated."""
    chosen = choose(TABLE, parse_budget(budget, fleet_size=1))
    assert (chosen.threshold, chosen.extrapolated) == (threshold, extrapolated)


def test_a_lower_threshold_that_cries_too_early_is_not_chosen_though_the_budget_allows_it():
    """At 0.5 two of ten devices are warned too early and count as missed, so the mean lead is shorter than at 0.8."""
    early = msgspec.structs.replace(TABLE.rows[1], mean_lead_s=25.0)
    table = msgspec.structs.replace(TABLE, rows=(TABLE.rows[0], early, TABLE.rows[2]))
    assert choose(table, parse_budget("1 per 500 cycles", fleet_size=1)).threshold == 0.8


def test_of_equal_leads_the_lowest_threshold_wins_where_the_budget_is_vouched_for():
    same = msgspec.structs.replace(TABLE.rows[1], mean_lead_s=TABLE.rows[2].mean_lead_s)
    table = msgspec.structs.replace(TABLE, rows=(TABLE.rows[0], same, TABLE.rows[2]))
    chosen = choose(table, parse_budget("1 per 500 cycles", fleet_size=1))
    assert (chosen.threshold, chosen.extrapolated) == (0.5, False)
    quiet = msgspec.structs.replace(same, false_alarms=0)
    table = msgspec.structs.replace(TABLE, rows=(TABLE.rows[0], quiet, TABLE.rows[2]))
    finer = choose(table, parse_budget("1 per 5000 cycles", fleet_size=1))
    assert (finer.threshold, finer.extrapolated) == (0.8, True), "nobody knows how often the lower one would cry"


def test_nothing_is_compared_at_a_budget_that_nobody_can_vouch_for():
    asked = parse_budget("1 per 5000 cycles", fleet_size=1)
    assert vouched_for(asked, TABLE).rate_per_s == pytest.approx(3 / TABLE.exposure_s)
    coarse = parse_budget("1 per 10 cycles", fleet_size=1)
    assert vouched_for(coarse, TABLE, TABLE) == coarse


def test_a_lucky_low_threshold_below_one_that_breaks_the_budget_is_not_chosen():
    lucky = msgspec.structs.replace(TABLE.rows[0], false_alarms=0)
    table = msgspec.structs.replace(TABLE, rows=(lucky, TABLE.rows[1], TABLE.rows[2]))
    assert choose(table, parse_budget("1 per 5000 cycles", fleet_size=1)).threshold == 0.8


def test_a_table_that_cannot_keep_the_budget_gives_its_highest_and_says_so():
    noisy = msgspec.structs.replace(TABLE, rows=TABLE.rows[:2])
    chosen = choose(noisy, parse_budget("1 per 1500 cycles", fleet_size=1))
    assert (chosen.threshold, chosen.extrapolated) == (0.5, True)


HOUR = 3600.0


def short_lives(**changes: object) -> ThresholdTable:
    """Six calibration devices that lived three hours each: at 0.6 four are warned of, with one false alarm."""
    rows = (
        ThresholdRow(0.2, 5, 1e-3, 6, 2 * HOUR, false_alarm_s=1800.0),
        ThresholdRow(0.6, 1, 1e-4, 4, 1.5 * HOUR, false_alarm_s=324.0),
        ThresholdRow(0.9975, 0, 5e-5, 0, 0.0, false_alarm_s=0.0),
    )
    return msgspec.structs.replace(ThresholdTable(2.5 * HOUR, 600.0, 18 * HOUR, 6, rows, failures=6), **changes)


def said(table: ThresholdTable, budget: str) -> str:
    return verdict(choose(table, parse_budget(budget, fleet_size=1)))


def test_a_threshold_that_would_have_warned_of_nothing_says_so_and_what_can_be_vouched_for():
    table = short_lives()
    assert said(table, "1 per device per 30d") == (
        "at this threshold none of the 6 calibration failures was warned of; time in false alarm: 0.0% of at most 10%; "
        'the finest budget that the calibration devices can vouch for is "1 per device per 6h"'
    )
    assert said(table, "1 per device per 6h") == (
        "at this threshold 4 of the 6 calibration failures were warned of (as many alarms at random times would warn "
        "of 2.9); time in false alarm: 0.5% of at most 10%"
    )


def test_one_failure_that_was_warned_of_was():
    rows = (short_lives().rows[0], msgspec.structs.replace(short_lives().rows[1], detected=1))
    assert "threshold 1 of the 6 calibration failures was warned of" in said(short_lives(rows=rows), "1 per 6h")


def test_an_older_bundle_says_what_was_not_measured():
    rows = tuple(msgspec.structs.replace(row, false_alarm_s=None) for row in short_lives().rows)
    older = short_lives(rows=rows, failures=None)
    assert said(older, "1 per device per 6h") == (
        "at this threshold 4 of the calibration failures were warned of, and this older bundle does not say how many "
        "there were; time in false alarm: not measured in this older bundle"
    )
    assert choose(older, parse_budget("1 per 6h", fleet_size=1)).threshold == 0.6, "chosen as it always was"


def test_without_a_failure_nothing_is_known_of_warnings():
    unfailed = short_lives(rows=(ThresholdRow(0.5, 0, 0.0, 0, 0.0, 0.0),), failures=0)
    assert "nothing is known of what is warned of, since no calibration device failed" in said(unfailed, "1 per 6h")


def test_one_alarm_that_never_ends_is_not_within_the_budget_by_being_one():
    """The table counts it once for each h_max that it stood: 7 here, where 3 are allowed."""
    stood = msgspec.structs.replace(short_lives().rows[1], false_alarms=7, false_alarm_s=16.5 * HOUR)
    table = short_lives(rows=(short_lives().rows[0], stood, short_lives().rows[2]))
    assert choose(table, parse_budget("1 per device per 6h", fleet_size=1)).threshold == 0.9975


@pytest.mark.parametrize(("share", "threshold"), [(1.0, 0.2), (0.1, 0.6), (0.01, 0.9975)])
def test_a_few_alarms_that_stand_for_long_are_not_within_the_bound_on_time(share, threshold):
    """At 0.2 they stand for 18 % of the time, at 0.6 for 2 %; the budget allows the count at each."""
    stood_s = (0.18 * 18 * HOUR, 0.02 * 18 * HOUR, 0.0)
    rows = tuple(
        msgspec.structs.replace(row, false_alarms=0, false_alarm_s=one)
        for row, one in zip(short_lives().rows, stood_s, strict=True)
    )
    chosen = choose(short_lives(rows=rows), parse_budget("1 per device per 6h", fleet_size=0), share)
    assert (chosen.threshold, chosen.stands_too_long) == (threshold, False)


def test_alarms_that_stand_too_long_at_every_threshold_are_said():
    rows = tuple(msgspec.structs.replace(row, false_alarm_s=9 * HOUR) for row in short_lives().rows)
    chosen = choose(short_lives(rows=rows), parse_budget("1 per device per 6h", fleet_size=0))
    assert (chosen.threshold, chosen.stands_too_long) == (0.9975, True)
    assert "time in false alarm: 50.0% of at most 10%, and longer at every lower threshold" in verdict(chosen)


def normal_time() -> ThresholdTable:
    """Nobody knows of a fault: raises count, and no lead is known."""
    rows = tuple(msgspec.structs.replace(row, detected=0, mean_lead_s=0.0) for row in short_lives().rows)
    return short_lives(rows=rows, failures=0, basis="normal")


@pytest.mark.parametrize(("hours", "threshold"), [(3, 0.2), (6, 0.6), (720, 0.9975)])
def test_from_normal_time_alone_the_lowest_threshold_within_the_budget_is_chosen(hours, threshold):
    assert choose(normal_time(), parse_budget(f"1 per device per {hours}h", fleet_size=0)).threshold == threshold


def test_from_normal_time_alone_nothing_is_known_of_warnings():
    chosen = choose(normal_time(), parse_budget("1 per device per 30d", fleet_size=0))
    assert verdict(chosen) == (
        "this threshold is chosen from normal time alone: nothing is known of what it warns of; "
        "time in false alarm: 0.0% of at most 10%; "
        'the finest budget that the calibration devices can vouch for is "1 per device per 6h"'
    )
    assert not chosen.warns_of_nothing, "nobody knows"
    assert verdict(chosen, is_next=True).startswith("time in false alarm: 0.0%"), "it was said of the one before"
    of_failures = choose(short_lives(), parse_budget("1 per device per 6h", fleet_size=0))
    assert verdict(of_failures, is_next=True) == verdict(of_failures), "another threshold warned of others"


def test_fault_intervals_are_named_as_such():
    words = "at this threshold 4 of the 6 labelled fault intervals were warned of"
    assert words in said(short_lives(basis="intervals"), "1 per device per 6h")


@pytest.mark.parametrize(
    ("period", "time_unit", "text"),
    [
        (666.7, "cycle", "1 per 660 cycles"),
        (1000, "cycle", "1 per 1000 cycles"),
        (59.9, "cycle", "1 per 59 cycles"),
        (1.5, "cycle", "1 per cycle"),
        (0.4, "cycle", "3 per cycle"),
        (6 * HOUR, "s", "1 per device per 6h"),
        (4.7 * 24 * HOUR, "s", "1 per device per 4d"),
        (1.9 * 24 * HOUR, "s", "1 per device per 45h"),
        (376.0 * 24 * HOUR, "s", "1 per device per 370d"),
        (150.0, "s", "1 per device per 2min"),
        (100.0, "s", "1 per device per 100s"),
        (0.21, "s", "5 per device per s"),
    ],
)
def test_the_finest_budget_is_said_in_round_words(period, time_unit, text):
    assert finest_budget(1 / period, time_unit) == text


@given(st.floats(1e-9, 1e10), st.integers(0, 10**6), st.sampled_from(["s", "cycle"]))
def test_the_finest_budget_reads_back_and_is_vouched_for(exposure_s, false_alarms, time_unit):
    """Whatever the table: at that budget nothing is extrapolated, and it allows at most twice what could be."""
    row = ThresholdRow(0.5, false_alarms, 0.0, 0, 0.0)
    table = ThresholdTable(2.0, 1.0, exposure_s, 1, (row,))
    text = choose(table, parse_budget("1 per cycle" if time_unit == "cycle" else "1 per device per s", fleet_size=0))
    budget = parse_budget(text.finest_budget, fleet_size=0)
    assert budget.time_unit == time_unit
    assert not choose(table, budget).extrapolated
    rate = max(3, false_alarms) / exposure_s
    assert rate * (1 - 1e-9) <= budget.rate_per_s <= 2 * rate
    if rate < 1e-2:
        finer = parse_budget(f"1 per {2 / budget.rate_per_s:.3f} cycles", fleet_size=0)
        assert choose(table, finer).extrapolated, "it is the finest, but for rounding"
