"""The early-warning score against a slow obvious model, and its edges by hand."""

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from agent.score.early_warning import (
    ObservedDevice,
    Spell,
    measure,
    observed_device,
    poisson_upper95,
    spells_of,
    wilson95,
)
from tests.alert_events import event

H_MAX, H_MIN = 60.0, 5.0


def engine(
    *spells: tuple[float, float], device: str = "e1", start: float = 0, end: float = 200, fail: float = 200
) -> ObservedDevice:
    return ObservedDevice(device, start, end, fail, tuple(Spell(raised, cleared) for raised, cleared in spells))


def score(*fleet: ObservedDevice):
    return measure(fleet, h_max_s=H_MAX, h_min_s=H_MIN)


@pytest.mark.parametrize(
    ("raised", "outcome", "lead", "false_alarms", "late"),
    [
        (139, "missed", 0, 1, 0),
        (140, "detected", 60, 0, 0),
        (180, "detected", 20, 0, 0),
        (195, "detected", 5, 0, 0),
        (196, "missed", 0, 0, 1),
        (200, "missed", 0, 0, 1),
    ],
)
def test_window_of_a_true_alert_includes_both_ends(raised, outcome, lead, false_alarms, late):
    result = score(engine((raised, math.inf))).devices[0]
    assert (result.outcome, result.lead_s, result.false_alarms, result.late_alerts) == (
        outcome,
        lead,
        false_alarms,
        late,
    )


def test_early_alert_that_still_stands_is_a_detection_in_the_lenient_column_only():
    result = score(engine((100, math.inf)))
    assert (result.strict.detected, result.strict.mean_lead_s) == (0, 0)
    assert (result.lenient.detected, result.lenient.mean_lead_s) == (1, 60)
    assert result.false_alarms == 1


@pytest.mark.parametrize(
    ("raised", "cleared", "fail", "false_alarms", "stood"),
    [
        (20, 50, 200, 1, 30),
        (20, 80, 200, 1, 60),  # just as long as a warning speaks of
        (20, 81, 200, 2, 61),
        (10, math.inf, 200, 3, 130),  # until the window opens at 140: from there on it is what it should be
        (10, math.inf, math.inf, 4, 190),  # until the recording ends
        (200, math.inf, math.inf, 1, 0),
        (140, math.inf, 200, 0, 0),
    ],
)
def test_a_false_alarm_that_stands_counts_again_for_each_h_max(raised, cleared, fail, false_alarms, stood):
    result = score(engine((raised, cleared), fail=fail))
    assert (result.false_alarms, result.false_alarm_s) == (false_alarms, stood)
    assert result.false_alarm_share == stood / 200


def test_a_false_alarm_that_never_ends_cannot_keep_to_any_budget_by_being_one():
    """Its rate is at least one in h_max of the time that it stands, however long the recording is."""
    found = score(engine((1, math.inf), end=100_000, fail=math.inf))
    assert found.false_alarms_per_s == pytest.approx(1 / H_MAX, rel=1e-3)


@pytest.mark.slow
@settings(deadline=None)
@given(st.floats(0, 1e9), st.floats(1e-3, 1e6), st.integers(1, 50))
def test_rounding_of_times_makes_no_false_alarm_more(start, h_max, n):
    """An alert that stands exactly n times h_max, its times rounded as seconds in float64 are."""
    assume(start * 1e-15 < h_max * 1e-10)
    one = ObservedDevice("p", start, start + 60 * h_max, math.inf, (Spell(start, start + n * h_max),))
    assert measure([one], h_max_s=h_max, h_min_s=0).false_alarms == n


def test_early_alert_that_ended_when_the_window_opened_is_no_detection():
    assert score(engine((100, 140))).lenient.detected == 0
    assert score(engine((100, 140.5))).lenient.detected == 1


def test_lead_counts_from_the_first_true_alert():
    assert score(engine((20, 30), (150, 160), (170, math.inf))).strict.mean_lead_s == 50


def test_every_alert_of_a_device_that_does_not_fail_is_a_false_alarm():
    result = score(engine((20, 30), (199, math.inf), fail=math.inf))
    assert (result.failures, result.false_alarms, result.exposure_s) == (0, 2, 200)
    assert result.devices[0].outcome == "did_not_fail"
    assert math.isnan(result.strict.detection_rate)


def test_a_device_cut_off_before_its_window_closed_counts_only_exposure_and_false_alarms():
    result = score(engine((20, 30), (150, math.inf), end=170))
    assert (result.failures, result.false_alarms, result.exposure_s) == (0, 1, 170)
    assert result.devices[0].outcome == "cut_off"


@pytest.mark.parametrize(("start", "end", "counts"), [(0, 195, 1), (0, 194, 0), (194, 200, 1), (195, 200, 0)])
def test_a_failure_counts_when_a_row_before_and_the_end_of_its_window_were_watched(start, end, counts):
    assert score(engine(start=start, end=end)).failures == counts


def test_exposure_ends_with_the_failure():
    assert score(engine(end=400)).exposure_s == 200


def test_says_how_long_before_the_failure_each_alert_was_raised():
    late = score(engine((100, 120), (198, math.inf)))
    assert late.devices[0].raised_before_s == (100, 2)
    assert late.late == ("e1",)
    assert score(engine((100, 120), fail=math.inf)).devices[0].raised_before_s == ()


def test_an_empty_fleet_has_no_figures_and_no_error():
    result = score()
    assert result.failures == 0
    assert math.isnan(result.false_alarms_per_s)
    assert math.isnan(result.strict.mean_lead_s_95.low)


def test_refuses_a_window_upside_down_and_a_device_twice():
    with pytest.raises(ValueError, match="below h_max_s"):
        measure([], h_max_s=5, h_min_s=5)
    with pytest.raises(ValueError, match="twice"):
        score(engine(), engine())


def test_events_become_spells_and_watching_begins_a_cadence_before_the_first_row():
    events = [
        event("raised", "a", t=59),
        event("updated", "a", t=60),
        event("cleared", "a", t=115),
        event("raised", "b", t=124),
    ]
    found = observed_device("e1", np.arange(1.0, 131.0), 1.0, 130.0, spells_of(events))
    assert found == ObservedDevice("e1", 0.0, 130.0, 130.0, (Spell(59.0, 115.0), Spell(124.0)))


def test_an_alert_that_was_forgotten_ends():
    events = [event("raised", "a", t=5), event("cleared", "a", t=9, cause="forgotten")]
    assert spells_of(events) == (Spell(5.0, 9.0),)


# Against a slow obvious model -----------------------------------------------------------------------------------

TIME = st.integers(0, 120).map(float)
SPELL = st.tuples(TIME, st.one_of(TIME, st.just(math.inf)))
DEVICE = st.tuples(st.lists(SPELL, max_size=4), st.integers(30, 120), st.integers(0, 40), st.booleans())


@pytest.mark.slow
@settings(deadline=None)
@given(st.lists(DEVICE, max_size=6))
def test_agrees_with_counting_cycle_by_cycle(drawn):
    """The model walks over whole cycles and asks of each what an operator would see."""
    h_max, h_min = 30, 4
    fleet = []
    for index, (spells, life, beyond, fails) in enumerate(drawn):
        ordered = sorted({raised: max(raised, cleared) for raised, cleared in spells}.items())
        listed = tuple(Spell(raised, cleared) for raised, cleared in ordered if raised <= life)
        fail = float(life + beyond) if fails else math.inf
        fleet.append(ObservedDevice(str(index), 0.0, float(life), fail, listed))
    got = measure(fleet, h_max_s=h_max, h_min_s=h_min)

    alarm_time = 0
    exposure = failures = alarms = detected = lenient_detected = 0
    leads, lenient_leads = [], []
    for one in fleet:
        exposure += sum(1 for cycle in range(1, 200) if cycle <= one.end_s and cycle <= one.t_fail_s)
        raises = {spell.raised_s for spell in one.spells}
        for spell in one.spells:
            if spell.raised_s < one.t_fail_s - h_max:
                over = min(spell.cleared_s, one.t_fail_s - h_max, one.end_s)
                stands = [cycle for cycle in range(200) if spell.raised_s <= cycle < over]
                alarms += max(1, len(stands[::h_max]))
                alarm_time += len(stands)
        window = [cycle for cycle in range(200) if h_min <= one.t_fail_s - cycle <= h_max]
        if one.t_fail_s == math.inf or not window or max(window) > one.end_s or max(window) <= 0:
            continue
        failures += 1
        hits = [one.t_fail_s - cycle for cycle in window if cycle in raises]
        lead = max(hits, default=0)
        stood = any(s.raised_s < one.t_fail_s - h_max < s.cleared_s for s in one.spells)
        leads.append(lead)
        lenient_leads.append(h_max if stood else lead)
        detected += bool(hits)
        lenient_detected += bool(hits) or stood
    assert (got.exposure_s, got.failures, got.false_alarms) == (exposure, failures, alarms)
    assert got.false_alarm_s == alarm_time
    assert (got.strict.detected, got.lenient.detected) == (detected, lenient_detected)
    if failures:
        assert got.strict.mean_lead_s == pytest.approx(sum(leads) / failures)
        assert got.lenient.mean_lead_s == pytest.approx(sum(lenient_leads) / failures)
        assert got.strict.median_lead_s == sorted(leads)[failures // 2] or failures % 2 == 0
        assert got.strict.mean_lead_s_95.low <= got.strict.mean_lead_s <= got.strict.mean_lead_s_95.high


# The intervals --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("count", "bound"), [(0, 2.995732), (1, 4.743865), (2, 6.295794), (4, 9.153519), (10, 16.962219), (100, 118.079273)]
)
def test_poisson_bound_is_the_tables(count, bound):
    """Half the chi-square quantile of 0.95 at 2 (count + 1) degrees of freedom."""
    assert poisson_upper95(count) == pytest.approx(bound, abs=2e-5)


@settings(deadline=None)
@given(st.integers(0, 5000))
def test_poisson_bound_lies_above_the_count_and_rises(count):
    assert count < poisson_upper95(count) < poisson_upper95(count + 1)


@pytest.mark.parametrize(
    ("hits", "n", "low", "high"), [(18, 20, 0.698966, 0.972134), (20, 20, 0.838875, 1.0), (0, 10, 0.0, 0.277533)]
)
def test_wilson_interval_is_the_tables(hits, n, low, high):
    found = wilson95(hits, n)
    assert (found.low, found.high) == pytest.approx((low, high), abs=2e-6)


def test_wilson_interval_ends_at_0_and_1_exactly():
    assert {(wilson95(0, n).low, wilson95(n, n).high) for n in range(1, 200)} == {(0.0, 1.0)}


def test_bootstrap_interval_is_the_same_every_time():
    fleet = [engine((150 + i, math.inf), device=str(i)) for i in range(9)]
    assert score(*fleet) == score(*fleet)
    assert score(*fleet).strict.mean_lead_s_95.low < 46 < score(*fleet).strict.mean_lead_s_95.high
