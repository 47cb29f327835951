"""Scores of a batch -> which devices raise, rise in severity, or clear.

Raise after m of the last n `ok` rows over the threshold; clear under a lower one for a time; severity only rises
while an alert stands. Rows that are not `ok` neither raise nor clear (law 4): they leave the m-of-n window as it is,
and they interrupt the clearing time, since nobody knows what happened meanwhile. Where rows were missed the window
starts empty, as after a restart: the risks before and behind them are not m of n that follow each other.
"""

from dataclasses import dataclass

import msgspec
import numpy as np
import numpy.typing as npt

from agent.bundle.manifest import JudgePolicy
from agent.devices.columns import Columns, column
from agent.judge.lifecycle import NORMAL, STATES, Trigger, apply
from agent.words import SEVERITIES, AlertEvent, Bool, Float32, Int64, Quality, UInt8

NOT_CLEARING = -1


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
    """

    window: npt.NDArray[np.uint32] = column(np.uint32, 0)
    level: UInt8 = column(np.uint8, 0)
    alert_state: UInt8 = column(np.uint8, NORMAL)
    severity: UInt8 = column(np.uint8, 0)
    sequence: Int64 = column(np.int64, 0)
    raised_t_ns: Int64 = column(np.int64, 0)
    raised_epoch: Int64 = column(np.int64, 0)
    clearing_since_ns: Int64 = column(np.int64, NOT_CLEARING)

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

    def end(self, slot: int) -> None:
        """The standing alert ends without a score's doing."""
        self.alert_state[slot] = apply(self.alert_state[slot : slot + 1], "end")[0]
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
    """Which rows of a batch raise, update and clear: bool [b] each, at most one of them a row."""

    raised: Bool
    updated: Bool
    cleared: Bool

    @property
    def rows(self) -> Int64:
        """Indexes of the rows that change an alert."""
        return (self.raised | self.updated | self.cleared).nonzero()[0]


def judge(
    evidence: Evidence,
    slots: Int64,
    t_ns: Int64,
    quality: UInt8,
    value: Float32,
    level: UInt8,
    threshold: float | Float32,
    policy: JudgePolicy,
) -> Verdict:
    """Update the evidence of a batch of distinct devices; element i depends on elements i only (law 2).

    slots int64 [b]; t_ns int64 [b]; quality uint8 [b]; value float32 [b], which is compared with the threshold;
    level uint8 [b], index into SEVERITIES; threshold > 0, one for the whole batch or float32 [b], one a row.
    """
    ok = quality == Quality.OK
    over = ok & (value >= np.asarray(threshold, np.float32))
    state = evidence.alert_state[slots]
    standing = state != NORMAL
    window = evidence.window[slots]
    # One noisy row must not make an alert critical: severity is what the last two `ok` rows agree on.
    level_before = evidence.level[slots]
    evidence.level[slots] = np.where(ok, level, level_before)
    if not np.count_nonzero(over | standing | (window > 0)):  # nearly always
        evidence.clearing_since_ns[slots] = NOT_CLEARING
        return Verdict(over, over, over)

    # In float64 and then rounded once, whether one threshold comes or one a row.
    clear_threshold = np.multiply(threshold, policy.clear_ratio, dtype=np.float64).astype(np.float32)
    under = ok & (value < clear_threshold)
    mask = np.uint32((1 << policy.n) - 1)
    window = np.where(ok, ((window << np.uint32(1)) | over) & mask, window)
    raised = ~standing & over & (np.bitwise_count(window) >= policy.m)

    since = evidence.clearing_since_ns[slots]
    since = np.where(standing & under, np.where(since == NOT_CLEARING, t_ns, since), NOT_CLEARING)
    clear_after_ns = round(policy.clear_after_s * 1e9)
    cleared = standing & under & (t_ns - since >= clear_after_ns)

    agreed = np.minimum(level, level_before)
    updated = standing & ok & ~cleared & (agreed > evidence.severity[slots])

    evidence.window[slots] = np.where(cleared, np.uint32(0), window)
    triggers: tuple[tuple[Bool, Trigger], ...] = ((raised, "raise"), (updated, "update"), (cleared, "clear"))
    for which, trigger in triggers:
        state[which] = apply(state[which], trigger)
    evidence.alert_state[slots] = state
    evidence.severity[slots] = np.where(raised | updated, agreed, evidence.severity[slots])
    evidence.sequence[slots] = np.where(raised, 1, evidence.sequence[slots] + (updated | cleared))
    evidence.raised_t_ns[slots] = np.where(raised, t_ns, evidence.raised_t_ns[slots])
    evidence.clearing_since_ns[slots] = np.where(cleared, NOT_CLEARING, since)
    return Verdict(raised, updated, cleared)
