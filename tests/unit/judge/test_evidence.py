import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.bundle.head_risk import severity_level
from agent.bundle.manifest import JudgePolicy
from agent.judge.evidence import Evidence, JudgeRules
from agent.judge.evidence import judge as judge_values
from agent.words import Quality

POLICY = JudgePolicy(horizon=2, m=2, n=3, clear_ratio=0.8, clear_after_s=3.0, severity_risk=0.5)
OVER, BETWEEN, UNDER = 0.6, 0.45, 0.1  # threshold 0.5, clears under 0.4


def judge(evidence, slots, t_ns, quality, risk, threshold, policy):
    """As a predictor does for the head `risk`."""
    value, level = risk[:, policy.horizon], severity_level(risk, policy, 0.5)
    return judge_values(evidence, slots, t_ns, quality, value, level, threshold, JudgeRules(policy))


def run(risks, qualities=None, policy=POLICY, cadence_s=1):
    """Kinds of events of one device, a letter a row: r raised, u updated, c cleared, . nothing."""
    evidence = Evidence.empty(1)
    kinds = ""
    for index, risk in enumerate(risks):
        row = np.float32([[0.0, 0.0, risk]]) if np.isscalar(risk) else np.float32([risk])
        quality = np.uint8([qualities[index] if qualities else Quality.OK])
        t_ns = np.int64([index * cadence_s * 10**9])
        verdict = judge(evidence, np.int64([0]), t_ns, quality, row, 0.5, policy)
        kinds += "r" if verdict.raised[0] else "u" if verdict.updated[0] else "c" if verdict.cleared[0] else "."
    return kinds


def test_two_of_three_rows_over_the_threshold_raise_once():
    assert run([OVER, OVER, OVER, OVER]) == ".r.."
    assert run([OVER, UNDER, OVER]) == "..r"
    assert run([OVER, UNDER, UNDER, OVER]) == "...."


def test_a_risk_equal_to_the_threshold_is_over_it():
    assert run([0.5, 0.5]) == ".r"


def test_clears_after_three_seconds_under_the_lower_threshold():
    assert run([OVER, OVER, UNDER, UNDER, UNDER, UNDER]) == ".r...c"
    assert run([OVER, OVER, UNDER, UNDER], cadence_s=3) == ".r.c"


def test_between_the_two_thresholds_nothing_clears_and_the_time_starts_anew():
    assert run([OVER, OVER, *[BETWEEN] * 9]) == ".r" + "." * 9
    assert run([OVER, OVER, UNDER, UNDER, BETWEEN, UNDER, UNDER, UNDER, UNDER]) == ".r......c"


def test_after_a_clear_it_takes_m_rows_to_raise_again():
    assert run([OVER, OVER, *[UNDER] * 4, OVER, OVER]) == ".r...c.r"


def test_rows_that_are_not_ok_neither_count_nor_erase_what_was_counted():
    ok, gap = Quality.OK, Quality.GAP
    assert run([OVER, OVER, OVER], [ok, gap, ok]) == "..r"
    assert run([OVER, UNDER, OVER], [ok, gap, ok]) == "..r"
    assert run([OVER, OVER, OVER], [gap, gap, gap]) == "..."


def test_where_rows_were_missed_the_window_starts_empty():
    evidence = Evidence.empty(2)
    for second in range(3):
        if second == 1:
            evidence.lose_history(np.array([False, True]))
        now_ns, ok = np.full(2, second * 10**9), np.full(2, Quality.OK, np.uint8)
        verdict = judge(evidence, np.arange(2), now_ns, ok, np.float32([[0, 0, OVER]] * 2), 0.5, POLICY)
        assert verdict.raised.tolist() == [second == 1, second == 2]


def test_a_row_that_is_not_ok_interrupts_clearing():
    ok, gap = Quality.OK, Quality.GAP
    assert run([OVER, OVER, *[UNDER] * 7], [ok, ok, ok, ok, gap, ok, ok, ok, ok]) == ".r......c"


def test_severity_is_the_shortest_horizon_that_is_more_likely_than_not():
    risk = np.float32([[0.6, 0.7, 0.8], [0.1, 0.7, 0.8], [0.1, 0.2, 0.8], [0.1, 0.2, 0.3]])
    assert severity_level(risk, POLICY, 0.5).tolist() == [3, 2, 1, 0]


def test_severity_rises_only_when_two_rows_agree_and_never_falls():
    minor, critical = (0.1, 0.2, 0.8), (0.6, 0.7, 0.8)
    assert run([minor, minor, critical, minor, critical, critical, minor, minor]) == ".r...u.."


def reference(rows, threshold, policy):
    """The rule in words, row by row, over plain lists."""
    window, standing, since, events = [], False, None, []
    for t_s, ok, risk in rows:
        if ok:
            window = [*window, risk >= threshold][-policy.n :]
        if standing:
            if ok and risk < threshold * policy.clear_ratio:
                since = t_s if since is None else since
                if t_s - since >= policy.clear_after_s:
                    standing, since, window = False, None, []
                    events.append((t_s, "c"))
            else:
                since = None
        elif ok and risk >= threshold and sum(window) >= policy.m:
            standing, since = True, None
            events.append((t_s, "r"))
    return events


@pytest.mark.slow
@settings(max_examples=150)
@given(
    st.lists(
        st.tuples(st.integers(1, 4), st.booleans(), st.sampled_from([0.0, 0.3, 0.39, 0.41, 0.5, 0.9])), max_size=60
    ),
    st.integers(1, 4),
    st.integers(0, 3),
)
def test_raises_and_clears_are_those_of_the_rule_in_words(steps, m, extra):
    policy = msgspec.structs.replace(POLICY, m=m, n=m + extra)
    evidence, rows, events, t_s = Evidence.empty(3), [], [], 0
    for wait_s, ok, risk in steps:
        t_s += wait_s
        rows.append((t_s, ok, np.float32(risk)))
        quality = np.uint8([Quality.OK if ok else Quality.GAP])
        row = np.float32([[0, 0, risk]])
        verdict = judge(evidence, np.int64([1]), np.int64([t_s * 10**9]), quality, row, 0.5, policy)
        events += [(t_s, "r")] * int(verdict.raised[0]) + [(t_s, "c")] * int(verdict.cleared[0])
    assert events == reference(rows, np.float32(0.5), policy)
    assert not evidence.window[[0, 2]].any()


THRESHOLDS = (0.2, 0.4, 0.64, 0.8)
CLEAR = tuple(float(np.float32(0.8 * float(np.float32(one)))) for one in THRESHOLDS)
"""In float32 alone each of these products rounds to another number: such a row would clear too soon."""
RISKS = st.sampled_from([*CLEAR, *THRESHOLDS, 0.0, 0.9, 0.9, np.nan]) | st.floats(0, 1, width=32)


@pytest.mark.slow
@settings(max_examples=100)
@given(st.lists(st.tuples(RISKS, st.booleans()), min_size=1, max_size=40), st.permutations(THRESHOLDS))
def test_a_threshold_a_row_judges_as_each_threshold_alone(steps, thresholds):
    """Judge one stream at 4 thresholds side by side, and at each by itself; compare every column's bytes."""
    policy, n = msgspec.structs.replace(POLICY, clear_after_s=0.0), len(thresholds)
    together, alone = Evidence.empty(n), [Evidence.empty(1) for _ in thresholds]
    for second, (risk, is_ok) in enumerate(steps):
        quality = np.uint8([Quality.OK if is_ok and not np.isnan(risk) else Quality.GAP])
        t_ns, row = np.int64([second * 10**9]), np.float32([[0, 0, risk]])
        batch = (np.arange(n), t_ns.repeat(n), quality.repeat(n), row.repeat(n, axis=0))
        verdict = judge(together, *batch, np.float32(thresholds), policy)
        for index, threshold in enumerate(thresholds):
            one = judge(alone[index], np.int64([0]), t_ns, quality, row, float(np.float32(threshold)), policy)
            for name in ("raised", "updated", "cleared"):
                assert getattr(verdict, name)[index] == getattr(one, name)[0], (name, second, threshold)
    for name, column in together.arrays(n).items():
        assert column.tobytes() == b"".join(one.arrays(1)[name].tobytes() for one in alone), name
