"""Scores of a batch -> which devices raise, rise in severity, or clear.

Raise after m of the last n `ok` rows over the threshold; clear under a lower one for a time; severity only rises
while an alert stands. Rows that are not `ok` neither raise nor clear (law 4): they leave the m-of-n window as it is,
and they interrupt the clearing time, since nobody knows what happened meanwhile.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from agent.bundle.manifest import JudgePolicy
from agent.devices.columns import Columns, column
from agent.words import SEVERITIES, Bool, Float32, Int64, Quality, UInt8

NOT_CLEARING = -1


@dataclass(slots=True)
class Evidence(Columns):
    """The judge's memory of each device.

    window             uint32  bit k: was the k-th newest `ok` row over the threshold
    level              uint8   severity level of the newest `ok` row
    standing           bool    an alert stands
    severity           uint8   index into SEVERITIES of the standing alert
    sequence           int64   number of the standing alert's newest event
    raised_t_ns        int64   event time of the raise
    raised_epoch       int64   clock epoch of the raise
    clearing_since_ns  int64   event time since which risk is under the clear threshold, NOT_CLEARING for not
    """

    window: npt.NDArray[np.uint32] = column(np.uint32, 0)
    level: UInt8 = column(np.uint8, 0)
    standing: Bool = column(np.bool_, False)
    severity: UInt8 = column(np.uint8, 0)
    sequence: Int64 = column(np.int64, 0)
    raised_t_ns: Int64 = column(np.int64, 0)
    raised_epoch: Int64 = column(np.int64, 0)
    clearing_since_ns: Int64 = column(np.int64, NOT_CLEARING)

    def forget(self) -> None:
        """Start every device's window, timers and alerts anew (the alert table knows which alerts stand)."""
        for name, _, empty in self.layout():
            getattr(self, name)[:] = empty


@dataclass(frozen=True, slots=True)
class Verdict:
    """Which rows of a batch raise, update and clear: bool [b] each, at most one of them a row."""

    raised: Bool
    updated: Bool
    cleared: Bool

    @property
    def rows(self) -> Int64:
        """Indexes of the rows that change an alert."""
        return (self.raised | self.updated | self.cleared).nonzero()[0]


def severity_level(risk: Float32, policy: JudgePolicy) -> UInt8:
    """uint8 [b], index into SEVERITIES: the shorter the horizon whose risk reaches `severity_risk`, the higher.

    risk float32 [b, K]. Shortest horizon: critical; second: major; third: minor; later ones or none: warning.
    """
    reached = risk >= np.float32(policy.severity_risk)  # [b, K]
    if not np.count_nonzero(reached):
        return np.zeros(len(risk), np.uint8)
    first = np.where(reached.any(axis=1), reached.argmax(axis=1), len(SEVERITIES))
    level: UInt8 = np.maximum(len(SEVERITIES) - 1 - first, 0).astype(np.uint8)
    return level


def judge(
    evidence: Evidence,
    slots: Int64,
    t_ns: Int64,
    quality: UInt8,
    risk: Float32,
    threshold: float | Float32,
    policy: JudgePolicy,
) -> Verdict:
    """Update the evidence of a batch of distinct devices; element i depends on elements i only (law 2).

    slots int64 [b]; t_ns int64 [b]; quality uint8 [b]; risk float32 [b, K]; threshold > 0, one for the whole batch or
    float32 [b], one a row.
    """
    ok = quality == Quality.OK
    alert_risk = risk[:, policy.horizon]
    over = ok & (alert_risk >= np.asarray(threshold, np.float32))
    standing = evidence.standing[slots]
    window = evidence.window[slots]
    # One noisy row must not make an alert critical: severity is what the last two `ok` rows agree on.
    level = severity_level(risk, policy)
    level_before = evidence.level[slots]
    evidence.level[slots] = np.where(ok, level, level_before)
    if not np.count_nonzero(over | standing | (window > 0)):  # nearly always
        evidence.clearing_since_ns[slots] = NOT_CLEARING
        return Verdict(over, over, over)

    # In float64 and then rounded once, whether one threshold comes or one a row.
    clear_threshold = np.multiply(threshold, policy.clear_ratio, dtype=np.float64).astype(np.float32)
    under = ok & (alert_risk < clear_threshold)
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
    evidence.standing[slots] = (standing | raised) & ~cleared
    evidence.severity[slots] = np.where(raised | updated, agreed, evidence.severity[slots])
    evidence.sequence[slots] = np.where(raised, 1, evidence.sequence[slots] + (updated | cleared))
    evidence.raised_t_ns[slots] = np.where(raised, t_ns, evidence.raised_t_ns[slots])
    evidence.clearing_since_ns[slots] = np.where(cleared, NOT_CLEARING, since)
    return Verdict(raised, updated, cleared)
