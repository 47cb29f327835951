"""Results in words: what report, terminal and live view say alike."""

import math
import re
from datetime import UTC, datetime

from agent.bundle.manifest import Manifest
from agent.replay.result import Replay
from agent.score.early_warning import Column, DeviceResult, EarlyWarning
from agent.score.time_unit import Unit
from agent.words import AlertEvent


def natural(device: str) -> list[tuple[int, str]]:
    """Sort key that puts p9 before p10."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", device)]


def detection(column: Column, failures: int) -> str:
    """ "19 of 20"."""
    return f"{column.detected} of {failures}"


def outcome_text(one: DeviceResult, unit: Unit) -> str:
    """ "warned 48 cycles before", "missed", with the false alarms."""
    told = {
        "detected": f"warned {unit.text(one.lead_s)} before" if math.isfinite(one.lead_s) else "",
        "missed": "missed",
        "did_not_fail": "did not fail",
        "cut_off": "cut off",
    }[one.outcome]
    alarms = f", {one.false_alarms} false alarm{'s' if one.false_alarms > 1 else ''}" if one.false_alarms else ""
    return told + alarms


def first_seen_text(replay: Replay) -> str:
    """What was known of the devices."""
    return {
        "new": "devices heard from their first row on, as new",
        "unknown": "devices of unknown age when they are first heard",
    }[replay.first_seen]


def why_missed(one: DeviceResult, found: EarlyWarning, unit: Unit) -> str:
    """Why no alert on a missed failure was true."""
    early = [before for before in one.raised_before_s if before > found.h_max_s]
    late = [before for before in one.raised_before_s if before < found.h_min_s]
    told = []
    if early:
        stood = "and still stood when it became due" if one.lenient_detected else "and ended before it was due"
        told.append(f"raised too early, {unit.text(early[-1])} before, {stood}")
    if late:
        told.append(f"raised too late, {unit.text(late[0])} before")
    return "; ".join(told) or "never raised"


def warning(event: AlertEvent, manifest: Manifest, t_fail_s: float | None, unit: Unit) -> str:
    """One line for the live view: when, who, how bad, how sure, how long still, and how long it really was."""
    told = [_when(event.t_ns, manifest), f"{event.device:<8}", f"{event.severity:<8}"]
    if event.risk:
        risks = zip(event.risk, manifest.risk.horizons_s, strict=True)
        each = ", ".join(f"{risk:.0%} in {unit.of(horizon_s):g}" for risk, horizon_s in risks)
        told.append(f"risk {each} {unit.plural}")
    if event.rul and manifest.rul:
        quantiles = manifest.rul.quantiles
        middle = min(range(len(quantiles)), key=lambda index: abs(quantiles[index] - 0.5))
        low, high = unit.of(event.rul[0]), unit.of(event.rul[-1])
        told.append(f"{unit.text(round(unit.of(event.rul[middle])) * unit.size_s)} left ({low:.0f} to {high:.0f})")
    left_s = None if t_fail_s is None else t_fail_s - event.t_ns / 1e9
    told.append("in truth it did not fail" if left_s is None else f"in truth {unit.of(left_s):.0f}")
    return "  ".join(told)


def _when(t_ns: int, manifest: Manifest) -> str:
    if manifest.time_unit == "cycle":
        return f"cycle {t_ns / 1e9:>5g}"
    return f"{datetime.fromtimestamp(t_ns / 1e9, UTC):%Y-%m-%d %H:%M}"


def summary(replay: Replay, unit: Unit) -> str:
    """The table at the end of a replay."""
    alarms = ("false alarms", "in false alarm", "late")
    head = ("", "in time", "95 %", f"mean lead, {unit.plural}", "95 %", "median", *alarms)
    name = f"{replay.bundle.name} {replay.bundle.version}"
    rows = [head]
    for title, found in ((name, replay.early_warning), ("age only", replay.age_only.early_warning)):
        for kind, column in (("", found.strict), (", lenient", found.lenient)):
            rate, lead = column.detection_rate_95, column.mean_lead_s_95
            rows.append(
                (
                    title + kind,
                    detection(column, found.failures),
                    f"{rate.low:.0%} to {rate.high:.0%}",
                    f"{unit.of(column.mean_lead_s):.1f}",
                    f"{unit.of(lead.low):.1f} to {unit.of(lead.high):.1f}",
                    f"{unit.of(column.median_lead_s):.1f}",
                    f"{found.false_alarms} in {unit.text(found.exposure_s)}",
                    f"{found.false_alarm_share:.1%}",
                    str(len(found.late)),
                )
            )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join([first.ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(rest, widths[1:], strict=True))])
        for first, *rest in rows
    ]
    limit = replay.limit
    marked = " (extrapolated)" if limit.extrapolated else ""
    heard = f", {first_seen_text(replay)}" if replay.first_seen == "new" else ""
    lines.append(f"budget {limit.budget}{marked}, threshold {limit.threshold:.4f}{heard}")
    lines.append(limit.verdict)
    return "\n".join(lines)
