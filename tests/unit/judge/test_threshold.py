import msgspec
import pytest

from agent.judge.threshold import choose, parse_budget
from tests.small_bundle import small_manifest

TABLE = small_manifest().thresholds  # 0.2: 9 false alarms, 0.5: 2, 0.8: none, over 2000 cycles


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
    same = msgspec.structs.replace(TABLE.rows[1], mean_lead_s=30.0)
    table = msgspec.structs.replace(TABLE, rows=(TABLE.rows[0], same, TABLE.rows[2]))
    assert choose(table, parse_budget("1 per 500 cycles", fleet_size=1)).threshold == 0.8


def test_a_lucky_low_threshold_below_one_that_breaks_the_budget_is_not_chosen():
    lucky = msgspec.structs.replace(TABLE.rows[0], false_alarms=0)
    table = msgspec.structs.replace(TABLE, rows=(lucky, TABLE.rows[1], TABLE.rows[2]))
    assert choose(table, parse_budget("1 per 5000 cycles", fleet_size=1)).threshold == 0.8


def test_a_table_that_cannot_keep_the_budget_gives_its_highest_and_says_so():
    noisy = msgspec.structs.replace(TABLE, rows=TABLE.rows[:2])
    chosen = choose(noisy, parse_budget("1 per 1500 cycles", fleet_size=1))
    assert (chosen.threshold, chosen.extrapolated) == (0.5, True)
