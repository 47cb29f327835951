"""The report's section on labelled fault intervals: what was told of, how soon, and what was not."""

import math
from html import escape

from agent.replay.report.page_style import table
from agent.replay.result import Replay
from agent.replay.wording import delay_text, faults_text, natural
from agent.score.time_unit import Unit

FAULTS_MAX = 500


def fault_section(replay: Replay, unit: Unit) -> str:
    """Figures and a line a fault, the missed ones first; "" where nobody gave any."""
    faults = replay.fault_intervals
    if faults is None:
        return ""
    order = {"missed": 0, "standing": 1, "cut_off": 2, "detected": 3}
    shown = sorted(faults.intervals, key=lambda one: (order[one.outcome], natural(one.device), one.start_s))
    ends_s = {one.device: one.t_s[-1] for one in replay.devices}
    rows = [
        (
            escape(fault.device),
            fault.outcome.replace("_", " "),
            f"{unit.text(ends_s[fault.device] - fault.start_s)} before the record's end",
            unit.text(fault.end_s - fault.start_s),
            "&ndash;" if math.isnan(fault.delay_s) else delay_text(fault.delay_s, unit),
        )
        for fault in shown[:FAULTS_MAX]
    ]
    only = f" The first {FAULTS_MAX} of {len(shown)}." if len(shown) > FAULTS_MAX else ""
    return (
        f"<h2>Labelled faults</h2><p>{faults_text(faults, unit)}. An alert tells of a fault from "
        f"{unit.text(faults.early_s)} before its start to its end; <i>standing</i> is a fault that began under a false "
        f"alarm, so that nobody was told anew.{only}</p>"
        + table(("device", "outcome", "began", "length", "first alert"), rows, n_text=3)
    )
