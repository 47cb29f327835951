"""Results in words: what report, terminal and live view say alike."""

import math
import re
from datetime import UTC, datetime

from agent.bundle.heads import HEADS
from agent.bundle.manifest import Manifest
from agent.judge.chance import in_words
from agent.replay.result import Replay, by_head
from agent.score.early_warning import Column, DeviceResult, EarlyWarning
from agent.score.fault_intervals import FaultDetection
from agent.score.time_unit import Unit
from agent.words import AlertEvent


def natural(device: str) -> list[tuple[int, str]]:
    """Sort key that puts p9 before p10."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", device)]


def detection(column: Column, failures: int) -> str:
    """ "19 of 20"."""
    return f"{column.detected} of {failures}"


def outcome_text(result: DeviceResult, unit: Unit) -> str:
    """ "warned 48 cycles before", "missed", with the false alarms."""
    outcome = {
        "detected": f"warned {unit.text(result.lead_s)} before" if math.isfinite(result.lead_s) else "",
        "missed": "missed",
        "did_not_fail": "did not fail",
        "cut_off": "cut off",
    }[result.outcome]
    n = result.false_alarms
    return outcome + (f", {n} false alarm{'s' if n > 1 else ''}" if n else "")


def first_seen_text(replay: Replay) -> str:
    """What was known of the devices."""
    return {
        "new": "devices heard from their first row on, as new",
        "unknown": "devices of unknown age when they are first heard",
    }[replay.first_seen]


def judged_text(replay: Replay, unit: Unit) -> str:
    """What is compared with the threshold."""
    if replay.head == "anomaly":
        return "distance from a device's own normal"
    return f"risk of a failure within {unit.text(replay.judged_horizon_s)}"


def why_missed(result: DeviceResult, score: EarlyWarning, unit: Unit) -> str:
    """Why no alert on a missed failure was true."""
    early = [before for before in result.raised_before_s if before > score.h_max_s]
    late = [before for before in result.raised_before_s if before < score.h_min_s]
    reasons = []
    if early:
        stood = "and still stood when it became due" if result.lenient_detected else "and ended before it was due"
        reasons.append(f"raised too early, {unit.text(early[-1])} before, {stood}")
    if late:
        reasons.append(f"raised too late, {unit.text(late[0])} before")
    return "; ".join(reasons) or "never raised"


def warning(event: AlertEvent, manifest: Manifest, t_fail_s: float | None, unit: Unit) -> str:
    """One line for the live view: when, who, how bad, how sure, how long still, and how long it really was."""
    parts = [_when(event.t_ns, manifest), f"{event.device:<8}", f"{event.severity:<8}"]
    risk, rul = event.outputs.get("risk"), event.outputs.get("rul")
    if risk:
        risks = zip(risk, manifest.horizons_s, strict=True)
        each = ", ".join(f"{value:.0%} in {unit.of(horizon_s):g}" for value, horizon_s in risks)
        parts.append(f"risk {each} {unit.plural}")
    if rul and manifest.rul:
        quantiles = manifest.rul.quantiles
        middle = min(range(len(quantiles)), key=lambda index: abs(quantiles[index] - 0.5))
        low, high = unit.of(rul[0]), unit.of(rul[-1])
        parts.append(f"{unit.text(round(unit.of(rul[middle])) * unit.size_s)} left ({low:.0f} to {high:.0f})")
    for name in ("anomaly", "contribution"):
        members = HEADS[name].members(event.outputs.get(name, ()), event.bundle)
        if "anomaly" in members:
            parts.append(f"anomaly {members['anomaly']:.3g}")
        if "contribution" in members:
            parts.append("by " + ", ".join(f"{one['channel']} {one['share']:.0%}" for one in members["contribution"]))
    left_s = None if t_fail_s is None else t_fail_s - event.t_ns / 1e9
    parts.append("in truth it did not fail" if left_s is None else f"in truth {unit.of(left_s):.0f}")
    return "  ".join(parts)


def _when(t_ns: int, manifest: Manifest) -> str:
    if manifest.time_unit == "cycle":
        return f"cycle {t_ns / 1e9:>5g}"
    return f"{datetime.fromtimestamp(t_ns / 1e9, UTC):%Y-%m-%d %H:%M}"


def faults_text(faults: FaultDetection, unit: Unit) -> str:
    """What became of the labelled fault intervals, in a sentence."""
    rate, strict = faults.strict.detection_rate_95, faults.strict
    if not faults.faults:
        return "no labelled fault could be judged"
    detected = f"told of {strict.detected} of {faults.faults} labelled faults (95 %: {rate.low:.0%} to {rate.high:.0%})"
    if strict.detected:
        mean, median = (delay_text(one, unit) for one in (strict.mean_delay_s, strict.median_delay_s))
        detected += f", {mean} on average, {median} in the median ({in_words(faults.by_chance)})"
    alarms = f"{faults.false_alarms} false alarms in {unit.text(faults.exposure_s)} of normal time"
    return f"{detected}; {alarms}"


def faults_of_device(replay: Replay, device: str) -> str:
    """ "told of 2 of 3 labelled faults", "" for a device without one that counts."""
    of = replay.fault_intervals.intervals if replay.fault_intervals else ()
    counted = [one for one in of if one.device == device and one.outcome != "cut_off"]
    n_told = sum(one.outcome == "detected" for one in counted)
    return f"told of {n_told} of {len(counted)} labelled faults" if counted else ""


def delay_text(delay_s: float, unit: Unit) -> str:
    """ "12.5 min after the start", "3 cycles before it"."""
    return f"{unit.text(abs(delay_s))} {'after' if delay_s >= 0 else 'before'} the start"


def summary(replay: Replay, unit: Unit) -> str:
    """What a replay ends with: a table and what the threshold was chosen from, for each head that is judged."""
    views = by_head(replay)
    parts = [_of_head(one, unit) for one in views.values()]
    if len(views) > 1:
        parts = [f"{head}\n{text}" for head, text in zip(views, parts, strict=True)]
    if cut_off := cut_off_text(replay.early_warning):
        parts.append(cut_off)
    if n_stopped := replay.rows_by_quality["stopped"]:
        what = f"{n_stopped:,} of {replay.rows:,} rows are of machines that stand or have just started"
        parts.append(f"{what}: they are left out, and their time is no exposure")
    return "\n\n".join(parts)


def _of_head(replay: Replay, unit: Unit) -> str:
    parts = [_limit_text(replay)]
    if replay.fault_intervals is not None:
        parts.insert(0, faults_text(replay.fault_intervals, unit))
    if replay.early_warning.failures:
        parts.insert(0, _table_text(replay, unit))
    elif replay.fault_intervals is None:
        parts.insert(0, without_failures_text(replay.early_warning, unit))
    return "\n".join(parts)


def cut_off_text(score: EarlyWarning) -> str:
    """Which failures are not judged, "" where all are: a wrong date looks like a recording that ends too early."""
    cut_off = [one.device for one in score.devices if one.outcome == "cut_off"]
    if not cut_off:
        return ""
    names = ", ".join(cut_off[:5]) + (", ..." if len(cut_off) > 5 else "")
    return f"{len(cut_off)} device(s) were cut off before their failure came near and count for exposure only: {names}"


def without_failures_text(score: EarlyWarning, unit: Unit) -> str:
    """How often it alarmed where nothing is known to have failed: a table of leads would be empty."""
    told = f"{score.false_alarms} in {unit.text(score.exposure_s)}, {score.false_alarm_share:.1%} of that in alarm"
    return f"no failure is known, so every alert counts as false: {told}"


def _limit_text(replay: Replay) -> str:
    limit = replay.limit
    marked = " (extrapolated)" if limit.extrapolated else ""
    age = f", {first_seen_text(replay)}" if replay.first_seen == "new" else ""
    return f"budget {limit.budget}{marked}, threshold {limit.threshold:.4f}{age}\n{limit.verdict}"


def _table_text(replay: Replay, unit: Unit) -> str:
    alarms = ("false alarms", "in false alarm", "late")
    head = ("", "in time", "95 %", f"mean lead, {unit.plural}", "95 %", "median", *alarms)
    name = f"{replay.bundle.name} {replay.bundle.version}"
    rows = [head]
    for title, score in ((name, replay.early_warning), ("age only", replay.age_only.early_warning)):
        for kind, column in (("", score.strict), (", lenient", score.lenient)):
            rate, lead = column.detection_rate_95, column.mean_lead_s_95
            rows.append(
                (
                    title + kind,
                    detection(column, score.failures),
                    f"{rate.low:.0%} to {rate.high:.0%}",
                    f"{unit.of(column.mean_lead_s):.1f}",
                    f"{unit.of(lead.low):.1f} to {unit.of(lead.high):.1f}",
                    f"{unit.of(column.median_lead_s):.1f}",
                    f"{score.false_alarms} in {unit.text(score.exposure_s)}",
                    f"{score.false_alarm_share:.1%}",
                    str(len(score.late)),
                )
            )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join([first.ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(rest, widths[1:], strict=True))])
        for first, *rest in rows
    ]
    lines += [in_words(replay.early_warning.by_chance)] if replay.early_warning.strict.detected else []
    return "\n".join(lines)
