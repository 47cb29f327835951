"""`anomaly` float32 [b, 1]: how far a device is from its own normal, in units that normal time seldom exceeds.

The greatest of the manifest's charts, each over its own scale, so it is squared: twice the deviation is four times the
value. While the model learns a device's normal, or its forecasts begin again after a gap, it is negative: minus the
rows that are still to come before it says anything.
"""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from agent.bundle.bounds import CHARTS_MAX, FORECAST_ROWS_MAX, WARMUP_ROWS_MAX
from agent.bundle.head import Head, Judged, shortest
from agent.bundle.manifest import Chart, JudgePolicy, Manifest
from agent.words import Bool, BundleLabel, Float32, UInt8

STEP = 4.0
"""A severity is higher from so many times the threshold on than the one below it: at twice the deviation."""


def severity_level(anomaly: Float32, policy: JudgePolicy, threshold: float) -> UInt8:
    """uint8 [b], index into SEVERITIES: minor from 4 times the threshold on, major from 16, critical from 64."""
    steps = np.array([STEP, STEP**2, STEP**3]) * threshold
    level: UInt8 = np.searchsorted(steps.astype(np.float32), anomaly[:, 0], side="right").astype(np.uint8)
    return level


def is_ready(anomaly: Float32) -> Bool:
    """bool [b]: it says something, and does not learn any more."""
    ready: Bool = anomaly[:, 0] >= 0
    return ready


def _members(anomaly: tuple[float, ...], label: BundleLabel) -> dict[str, Any]:
    if not anomaly:
        return {}
    value = anomaly[0]
    return {"anomaly": shortest(value)} if value >= 0 else {"learning_rows": math.ceil(-value)}


def _faults(manifest: Manifest) -> Iterator[str]:
    head = manifest.anomaly
    if head is None:
        return
    if not 1 <= len(head.charts) <= CHARTS_MAX:
        yield f"anomaly.charts has {len(head.charts)} charts, must be 1 to {CHARTS_MAX}"
    for number, chart in enumerate(head.charts):
        yield from (f"anomaly.charts[{number}].{what}" for what in _chart_faults(chart))
    if any(chart.residual == "event" for chart in head.charts) and not any(one.event for one in manifest.channels):
        yield "anomaly.charts has one of events, but no channel counts events"
    if not 1 <= head.learning_rows <= WARMUP_ROWS_MAX:
        yield f"anomaly.learning_rows is {head.learning_rows}, must be 1 to {WARMUP_ROWS_MAX}"
    if head.policy.horizon != 0:
        yield f"anomaly.policy.horizon is {head.policy.horizon}, must be 0: it has none"


def _chart_faults(chart: Chart) -> Iterator[str]:
    low, high = (1, FORECAST_ROWS_MAX) if chart.residual in ("forecast", "event") else (0, 0)
    if not low <= chart.ahead <= high:
        yield f"ahead is {chart.ahead}, must be {low} to {high} for {chart.residual!r}"
    if not 0 < chart.rate <= 1:
        yield f"rate is {chart.rate}, must be above 0 and at most 1"
    if not 0 < chart.scale < math.inf:
        yield f"scale is {chart.scale}, must be above 0 and finite"
    if not 0 <= chart.share <= 1:
        yield f"share is {chart.share}, must be 0 to 1"


ANOMALY = Head(
    width=lambda manifest: 0 if manifest.anomaly is None else 1,
    faults=_faults,
    members=_members,
    judged=Judged(value=lambda anomaly, policy: anomaly[:, 0], level=severity_level, is_ready=is_ready),
)
