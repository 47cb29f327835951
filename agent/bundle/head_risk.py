"""`risk` float32 [b, K]: calibrated P(fault within horizon k). An alert is raised where one of them is high."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from agent.bundle.bounds import HORIZONS_MAX, TIME_S_MAX, rising_faults
from agent.bundle.head import Head, Judged, shortest
from agent.bundle.manifest import JudgePolicy, Manifest
from agent.words import SEVERITIES, BundleLabel, Float32, UInt8


def severity_level(risk: Float32, policy: JudgePolicy, threshold: float) -> UInt8:
    """uint8 [b], index into SEVERITIES: the shorter the horizon whose risk reaches `severity_risk`, the higher.

    risk float32 [b, K]. Shortest horizon: critical; second: major; third: minor; later ones or none: warning.
    """
    reached = risk >= np.float32(policy.severity_risk)  # [b, K]
    if not np.count_nonzero(reached):
        return np.zeros(len(risk), np.uint8)
    first = np.where(reached.any(axis=1), reached.argmax(axis=1), len(SEVERITIES))
    level: UInt8 = np.maximum(len(SEVERITIES) - 1 - first, 0).astype(np.uint8)
    return level


def risk_by_horizon(risk: tuple[float, ...], label: BundleLabel) -> dict[str, float]:
    """Risks by horizon, the shortest first, empty for none; "horizon 1" where the bundle's label names none."""
    names = label.horizons or [f"horizon {number}" for number in range(1, len(risk) + 1)]
    return dict(zip(names, risk, strict=False))


def _members(risk: tuple[float, ...], label: BundleLabel) -> dict[str, Any]:
    return {"risk": {horizon: shortest(value) for horizon, value in risk_by_horizon(risk, label).items()}}


def _faults(manifest: Manifest) -> Iterator[str]:
    given = [manifest.risk is None, manifest.judge is None, manifest.thresholds is None]
    if any(given) != all(given):
        yield "risk, judge and thresholds are there together, or none of them is"
    if manifest.risk is None or manifest.judge is None:
        return
    yield from rising_faults("risk.horizons_s", manifest.risk.horizons_s, HORIZONS_MAX, TIME_S_MAX)
    judge, n_horizons = manifest.judge, len(manifest.risk.horizons_s)
    if not 0 <= judge.horizon < n_horizons:
        yield f"judge.horizon is {judge.horizon}, must be an index into {n_horizons} horizons"


RISK = Head(
    width=lambda manifest: len(manifest.horizons_s),
    faults=_faults,
    members=_members,
    judged=Judged(value=lambda risk, policy: risk[:, policy.horizon], level=severity_level),
)
