"""Scores of a batch -> which devices raise, rise or fall in severity, or clear.

Raise after m of the last n `ok` rows over the threshold; clear under a lower one for a time. While an alert stands its
severity rises at once, and falls after a time, if the plant wants that. An alert that was raised again and again ends
only after a long quiet. What becomes of an alert whose risk is low again, `lifecycle.py` says.

Rows that are not `ok` neither raise nor clear (law 4): they leave the m-of-n window as it is, and they interrupt the
clearing time, since nobody knows what happened meanwhile. Where rows were missed the window starts empty, as after a
restart: the risks before and behind them are not m of n that follow each other.
"""

import math
from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

import msgspec
import numpy as np
import numpy.typing as npt

from agent.bundle.manifest import JudgePolicy
from agent.devices.columns import Columns, column
from agent.judge.lifecycle import (
    LATCHED,
    NORMAL,
    PLAIN,
    RETURNED,
    STATES,
    UNACKNOWLEDGED,
    AlertRules,
    Trigger,
    after_return,
    apply,
    is_in_alarm,
)
from agent.words import SEVERITIES, AlertEvent, Bool, Float32, Int64, Quality, UInt8

NOT_CLEARING = -1
NEVER = -1
RAISES_MAX = 255  # a column of one byte counts no further
Change = Literal["raised", "updated", "returned", "recurred", "cleared"]
CHANGES: tuple[Change, ...] = get_args(Change)


@dataclass(slots=True)
class Evidence(Columns):
    """The judge's memory of each device.

    window             uint32  bit k: was the k-th newest `ok` row over the threshold
    level              uint8   severity level of the newest `ok` row
    alert_state        uint8   life cycle of the device's alert: index into lifecycle.STATES
    severity           uint8   index into SEVERITIES of the standing alert
    sequence           int64   number of the standing alert's newest event
    raised_t_ns        int64   event time of the raise
    raised_epoch       int64   clock epoch of the raise
    clearing_since_ns  int64   event time since which risk is under the clear threshold, NOT_CLEARING for not
    lower_since_ns     int64   event time since which the `ok` rows ask for a lower severity, NEVER for not
    lower_level        uint8   the highest severity level that they asked for since then
    raises             uint8   how often the alert was raised within the chatter window from first_raise_ns on
    first_raise_ns     int64   event time of the first of these raises, NEVER for none
    """

    window: npt.NDArray[np.uint32] = column(np.uint32, 0)
    level: UInt8 = column(np.uint8, 0)
    alert_state: UInt8 = column(np.uint8, NORMAL)
    severity: UInt8 = column(np.uint8, 0)
    sequence: Int64 = column(np.int64, 0)
    raised_t_ns: Int64 = column(np.int64, 0)
    raised_epoch: Int64 = column(np.int64, 0)
    clearing_since_ns: Int64 = column(np.int64, NOT_CLEARING)
    lower_since_ns: Int64 = column(np.int64, NEVER, may_lack=True)
    lower_level: UInt8 = column(np.uint8, 0, may_lack=True)
    raises: UInt8 = column(np.uint8, 0, may_lack=True)
    first_raise_ns: Int64 = column(np.int64, NEVER, may_lack=True)

    def stand(self, slot: int, event: AlertEvent) -> None:
        """An alert stands, of which `event` is the newest one in the alert table."""
        self.alert_state[slot] = STATES.index(event.state)
        self.severity[slot] = SEVERITIES.index(event.severity)
        self.sequence[slot] = event.sequence
        self.raised_t_ns[slot] = event.raised_t_ns
        self.raised_epoch[slot] = event.clock_epoch

    @property
    def standing(self) -> Bool:
        """bool [capacity]: an alert of the device stands."""
        standing: Bool = self.alert_state != NORMAL
        return standing

    def is_standing(self, slot: int) -> bool:
        return bool(self.alert_state[slot] != NORMAL)

    def pull(self, slot: int, trigger: Trigger) -> None:
        """The standing alert takes a step without a score's doing."""
        self.alert_state[slot] = apply(self.alert_state[slot : slot + 1], trigger)[0]
        self.sequence[slot] += 1

    def step(self, slot: int) -> None:
        """Something else is said of the standing alert, which stays in its state."""
        self.sequence[slot] += 1

    def lose_history(self, which: Int64 | Bool) -> None:
        """Rows of these devices may have been missed: slots int64 [b], or bool [capacity]."""
        self.window[which] = 0

    def raised_in(self, slots: Int64, epochs: Int64) -> None:
        """Alerts of these devices were raised in these epochs of their clocks, int64 [b] both."""
        self.raised_epoch[slots] = epochs

    def interrupt_clearing(self, slots: Int64) -> None:
        """The clocks of these devices were set anew: nobody knows how long their risks were low."""
        self.clearing_since_ns[slots] = NOT_CLEARING


class Verdict(msgspec.Struct, frozen=True):
    """What a batch does to alerts, bool [b] each, at most one of them a row.

    returned  the risk is low again, and the alert stands until a person has seen it
    recurred  it is high again while the alert still stands
    cleared   the alert has ended
    """

    raised: Bool
    updated: Bool
    returned: Bool
    recurred: Bool
    cleared: Bool

    @property
    def rows(self) -> Int64:
        """Indexes of the rows that change an alert."""
        return (self.raised | self.updated | self.returned | self.recurred | self.cleared).nonzero()[0]

    def change(self, row: int) -> Change:
        """What a row of `rows` does."""
        return next(change for change in CHANGES if getattr(self, change)[row])


class JudgeRules(NamedTuple):
    """The bundle's policy, and what the plant wants; hidden bool [b]: whose alerts are not raised, None: nobody's."""

    policy: JudgePolicy
    alerts: AlertRules = PLAIN
    hidden: Bool | None = None


def judge(
    evidence: Evidence,
    slots: Int64,
    t_ns: Int64,
    quality: UInt8,
    value: Float32,
    level: UInt8,
    threshold: float | Float32,
    rules: JudgeRules,
) -> Verdict:
    """Update the evidence of a batch of distinct devices; element i depends on elements i only (law 2).

    slots int64 [b]; t_ns int64 [b]; quality uint8 [b]; value float32 [b], which is compared with the threshold;
    level uint8 [b], index into SEVERITIES; threshold > 0, one for the whole batch or float32 [b], one a row.
    """
    policy, alerts, hidden = rules
    ok = quality == Quality.OK
    over = ok & (value >= np.asarray(threshold, np.float32))
    state = evidence.alert_state[slots]
    window = evidence.window[slots]
    # One noisy row must not make an alert critical: severity is what the last two `ok` rows agree on.
    level_before = evidence.level[slots]
    evidence.level[slots] = np.where(ok, level, level_before)
    if not np.count_nonzero(over | (state != NORMAL) | (window > 0)):  # nearly always
        evidence.clearing_since_ns[slots] = NOT_CLEARING
        return Verdict(over, over, over, over, over)

    # In float64 and then rounded once, whether one threshold comes or one a row.
    clear_threshold = np.multiply(threshold, policy.clear_ratio, dtype=np.float64).astype(np.float32)
    under = ok & (value < clear_threshold)
    mask = np.uint32((1 << policy.n) - 1)
    window = np.where(ok, ((window << np.uint32(1)) | over) & mask, window)
    is_shown = True if hidden is None else ~hidden
    rises = over & (np.bitwise_count(window) >= policy.m) & is_shown
    raised, recurred = (state == NORMAL) & rises, ((state == RETURNED) | (state == LATCHED)) & rises

    in_alarm = is_in_alarm(state)
    since = evidence.clearing_since_ns[slots]
    since = np.where(in_alarm & under, np.where(since == NOT_CLEARING, t_ns, since), NOT_CLEARING)
    is_low = in_alarm & under & (t_ns - since >= _clear_after_ns(evidence, slots, policy, alerts))
    after = after_return(state, alerts)
    if hidden is not None:  # nobody sees it, so nobody is waited for
        after = np.where(hidden, after_return(state, PLAIN), after)
    cleared, returned = is_low & (after == NORMAL), is_low & (after != NORMAL)
    evidence.window[slots] = np.where(is_low, np.uint32(0), window)
    evidence.clearing_since_ns[slots] = np.where(is_low, NOT_CLEARING, since)

    agreed = np.minimum(level, level_before)
    stays = in_alarm & ok & ~is_low & is_shown
    escalated = stays & (agreed > evidence.severity[slots])
    lowered = _lowered(evidence, slots, t_ns, level, stays & ~escalated, alerts)
    severity = np.where(raised | recurred | escalated, agreed, evidence.severity[slots])
    evidence.severity[slots] = np.where(lowered, evidence.lower_level[slots], severity)
    evidence.lower_since_ns[slots] = np.where(lowered | ~stays, NEVER, evidence.lower_since_ns[slots])

    verdict = Verdict(raised, escalated | lowered, returned, recurred, cleared)
    _take_steps(evidence, slots, t_ns, np.where(is_low, after, state), verdict, escalated)
    if alerts.chatter_raises:
        _count_raises(evidence, slots, t_ns, raised | recurred, alerts)
    return verdict


def _take_steps(evidence: Evidence, slots: Int64, t_ns: Int64, state: UInt8, verdict: Verdict, escalated: Bool) -> None:
    """What the verdict makes of the alerts, which are in `state` uint8 [b] once those whose risk is low have left."""
    needs_to_be_seen = escalated & (state != UNACKNOWLEDGED)
    triggers: tuple[tuple[Bool, Trigger], ...] = (
        *((verdict.raised, "raise"), (verdict.recurred, "recur")),
        *((verdict.updated & ~needs_to_be_seen, "update"), (needs_to_be_seen, "escalate")),
    )
    for which, trigger in triggers:
        state[which] = apply(state[which], trigger)
    evidence.alert_state[slots] = state
    changed = verdict.updated | verdict.cleared | verdict.returned | verdict.recurred
    evidence.sequence[slots] = np.where(verdict.raised, 1, evidence.sequence[slots] + changed)
    evidence.raised_t_ns[slots] = np.where(verdict.raised, t_ns, evidence.raised_t_ns[slots])


def _lowered(evidence: Evidence, slots: Int64, t_ns: Int64, level: UInt8, stays: Bool, rules: AlertRules) -> Bool:
    """Which alerts, bool [b], fall in severity: to the highest one that their rows have asked for meanwhile."""
    if math.isinf(rules.severity_falls_after_s):
        return np.zeros(len(slots), np.bool_)
    is_lower = stays & (level < evidence.severity[slots])
    since = evidence.lower_since_ns[slots]
    begins = is_lower & (since == NEVER)
    since = np.where(begins, t_ns, np.where(is_lower, since, NEVER))
    evidence.lower_since_ns[slots] = since
    evidence.lower_level[slots] = np.where(begins, level, np.maximum(evidence.lower_level[slots], level))
    lowered: Bool = is_lower & ~begins & (t_ns - since >= round(rules.severity_falls_after_s * 1e9))
    return lowered


def _clear_after_ns(evidence: Evidence, slots: Int64, policy: JudgePolicy, rules: AlertRules) -> int | Int64:
    """How long the risk must be low, of each row or of all."""
    clear_after_ns = round(policy.clear_after_s * 1e9)
    if not rules.chatter_raises:
        return clear_after_ns
    chatters = evidence.raises[slots] >= rules.chatter_raises
    return np.where(chatters, max(clear_after_ns, round(rules.chatter_window_s * 1e9)), clear_after_ns)


def _count_raises(evidence: Evidence, slots: Int64, t_ns: Int64, raised: Bool, rules: AlertRules) -> None:
    first_ns, raises = evidence.first_raise_ns[slots], evidence.raises[slots]
    goes_on = (first_ns != NEVER) & (t_ns - first_ns <= round(rules.chatter_window_s * 1e9))
    more = np.where(goes_on, np.minimum(raises, RAISES_MAX - 1) + np.uint8(1), np.uint8(1))
    evidence.raises[slots] = np.where(raised, more, raises)
    evidence.first_raise_ns[slots] = np.where(raised & ~goes_on, t_ns, first_ns)
