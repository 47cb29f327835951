"""The life of one alert against an independent model in words: rows, hiding and what people do, in any order."""

import math

import msgspec
import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from agent.bundle.manifest import JudgePolicy
from agent.judge.evidence import Evidence, JudgeRules, judge
from agent.judge.lifecycle import STATES, TRANSITIONS, AlertRules, may_pull
from agent.words import Quality

THRESHOLD, CLEAR = 0.5, 0.4
POLICY = JudgePolicy(horizon=2, m=2, n=3, clear_ratio=0.8, clear_after_s=3.0, severity_risk=0.5)
RULES = st.builds(
    AlertRules,
    needs_acknowledgement=st.booleans(),
    latches=st.booleans(),
    severity_falls_after_s=st.sampled_from([math.inf, 4.0]),
    chatter_raises=st.sampled_from([0, 2]),
    chatter_window_s=st.just(20.0),
)


class Model:
    """What a plant engineer would write down; it knows nothing of columns."""

    def __init__(self, rules):
        self.rules = rules
        self.state, self.severity, self.window, self.levels = "normal", 0, [], [0]
        self.low_since = self.less_since = None
        self.less_level, self.raises = 0, []

    def row(self, t_s, risk, level, *, is_ok, is_hidden):
        """What the row does, "" for nothing."""
        if not is_ok:
            self.low_since = self.less_since = None
            return ""
        self.window = [*self.window, risk >= THRESHOLD][-POLICY.n :]
        before, self.levels = self.levels[-1], [level]
        rises = risk >= THRESHOLD and sum(self.window) >= POLICY.m and not is_hidden
        in_alarm = self.state in ("unacknowledged", "acknowledged")
        if not in_alarm:
            self.low_since = self.less_since = None
            if not rises:
                return ""
            what = "raised" if self.state == "normal" else "recurred"
            self.state, self.severity = "unacknowledged", min(level, before)
            self._count(t_s)
            return what
        self.low_since = (t_s if self.low_since is None else self.low_since) if risk < CLEAR else None
        if self.low_since is not None and t_s - self.low_since >= self._clear_after_s():
            self.window, self.low_since, self.less_since = [], None, None
            self.state = self._after_return(is_hidden)
            return "cleared" if self.state == "normal" else "returned"
        return "" if is_hidden and not self._forget_less() else self._severity(t_s, level, before)

    def _severity(self, t_s, level, before):
        if min(level, before) > self.severity:
            self.severity, self.state, self.less_since = min(level, before), "unacknowledged", None
            return "updated"
        if level >= self.severity or math.isinf(self.rules.severity_falls_after_s):
            self.less_since = None
            return ""
        if self.less_since is None:
            self.less_since, self.less_level = t_s, level
            return ""
        self.less_level = max(self.less_level, level)
        if t_s - self.less_since < self.rules.severity_falls_after_s:
            return ""
        self.severity, self.less_since = self.less_level, None
        return "updated"

    def _forget_less(self):
        self.less_since = None
        return False

    def _after_return(self, is_hidden):
        if is_hidden:
            return "normal"
        if self.rules.latches:
            return "latched"
        waits = self.rules.needs_acknowledgement and self.state == "unacknowledged"
        return "returned_unacknowledged" if waits else "normal"

    def _clear_after_s(self):
        chatters = self.rules.chatter_raises and len(self.raises) >= self.rules.chatter_raises
        return max(POLICY.clear_after_s, self.rules.chatter_window_s) if chatters else POLICY.clear_after_s

    def _count(self, t_s):
        if self.raises and t_s - self.raises[0] > self.rules.chatter_window_s:
            self.raises = []
        self.raises.append(t_s)


class Alert(RuleBasedStateMachine):
    """One device in the middle of three, whose neighbours must not move."""

    @initialize(rules=RULES)
    def begin(self, rules):
        self.rules, self.model, self.evidence = rules, Model(rules), Evidence.empty(3)
        self.t_s, self.is_hidden, self.sequence = 0, False, 0

    @rule(
        wait_s=st.integers(1, 9),
        risk=st.sampled_from([0.0, 0.39, 0.45, 0.5, 0.9]),
        level=st.integers(0, 3),
        is_ok=st.sampled_from([True, True, True, False]),
    )
    def row(self, wait_s, risk, level, is_ok):
        self.t_s += wait_s
        quality = np.uint8([Quality.OK if is_ok else Quality.GAP])
        of_row = (np.int64([self.t_s * 10**9]), quality, np.float32([risk]), np.uint8([level]))
        hidden = np.array([True]) if self.is_hidden else None
        verdict = judge(self.evidence, np.int64([1]), *of_row, THRESHOLD, JudgeRules(POLICY, self.rules, hidden))
        expected = self.model.row(self.t_s, np.float32(risk), level, is_ok=is_ok, is_hidden=self.is_hidden)
        assert [verdict.change(row) for row in verdict.rows.tolist()] == [expected] * bool(expected)
        self._say(expected)

    def _say(self, what):
        if what:
            self.sequence = 1 if what == "raised" else self.sequence + 1

    @rule()
    def hide_or_show(self):
        if self.is_hidden and self.model.state != "normal":
            self._pull("show")
            self.model.state = "unacknowledged" if self.model.state == "acknowledged" else self.model.state
        self.is_hidden = not self.is_hidden

    @precondition(lambda self: self.model.state in ("unacknowledged", "returned_unacknowledged"))
    @rule()
    def acknowledge(self):
        self._pull("acknowledge")
        self.model.state = "acknowledged" if self.model.state == "unacknowledged" else "normal"

    @precondition(lambda self: self.model.state == "latched")
    @rule()
    def reset(self):
        self._pull("reset")
        self.model.state = "normal"

    @precondition(lambda self: self.model.state != "normal")
    @rule()
    def repair(self):
        self._pull("end")
        self.model.state = "normal"

    def _pull(self, trigger):
        assert may_pull(self.model.state, trigger)
        self.evidence.pull(1, trigger)
        self.sequence += 1

    @invariant()
    def they_agree(self):
        if not hasattr(self, "model"):
            return
        assert STATES[self.evidence.alert_state[1]] == self.model.state
        if self.model.state != "normal":
            assert (int(self.evidence.severity[1]), int(self.evidence.sequence[1])) == (
                self.model.severity,
                self.sequence,
            )
        assert not self.evidence.alert_state[[0, 2]].any()
        assert not self.evidence.window[[0, 2]].any()


TestAlert = pytest.mark.slow(Alert.TestCase)
TestAlert.settings = settings(max_examples=200, stateful_step_count=60, deadline=None)


def test_no_state_leads_on_by_what_makes_no_sense_in_it():
    """Nobody can acknowledge what is normal, reset what still shows, or raise what stands."""
    impossible = [("normal", "acknowledge"), ("acknowledged", "acknowledge"), ("unacknowledged", "reset")]
    assert not any(may_pull(*one) for one in [*impossible, *((state, "raise") for state in STATES[1:])])
    assert all(TRANSITIONS[state, "end"] == "normal" for state in STATES), "what ends a device ends every alert"


def test_chatter_stays_one_alert_until_it_is_quiet():
    """Raised, low, raised, low: without the rule an alert every few rows, with it one that ends after the window."""
    kinds = {}
    for rules in (AlertRules(), AlertRules(chatter_raises=2, chatter_window_s=20.0)):
        evidence = Evidence.empty(1)
        policy = msgspec.structs.replace(POLICY, m=1, n=1, clear_after_s=0.0)
        kinds[rules.chatter_raises] = ""
        for second in range(40):
            risk = 0.9 if second < 12 and second % 2 == 0 else 0.0
            of_row = (np.int64([second * 10**9]), np.uint8([Quality.OK]), np.float32([risk]), np.uint8([0]))
            verdict = judge(evidence, np.int64([0]), *of_row, THRESHOLD, JudgeRules(policy, rules))
            kinds[rules.chatter_raises] += "".join(verdict.change(row)[0] for row in verdict.rows.tolist())
    assert kinds == {0: "rc" * 6, 2: "rcrc"}
