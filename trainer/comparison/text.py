"""A comparison as Markdown and as JSON."""

import math

import msgspec

from agent.score.early_warning import Interval
from trainer.comparison.compare import Comparison
from trainer.comparison.figures import MethodFigures

EVENTS = {"failures": "failures", "intervals": "fault intervals", "normal": "nothing to warn of"}


def as_markdown(comparison: Comparison) -> str:
    """The table, what was left out, and how it was made."""
    unit = comparison.unit
    head = (
        "method",
        "detected",
        "95 %",
        f"mean lead, {unit.plural}",
        "95 %",
        "median",
        f"false alarms per {unit.exposure}",
        "asked",
        "in false alarm",
        "bundle over it",
        "95 %",
        "tried",
        "seeds",
    )
    lines = [head, ("---", *["---:"] * (len(head) - 1)), *(row_of(one, comparison) for one in comparison.rows)]
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    title = f"## {comparison.name} beside what needs no network, at {comparison.budget.text}"
    about = (
        f"{comparison.n_devices} devices that nothing was fitted to, {EVENTS[comparison.basis]}. Every method is "
        "fitted, tuned and given its threshold on the devices of the bundle's fit and calibration, and "
        "judged by its judge. Intervals are over devices drawn anew; figures are means over the seeds."
    )
    left_out = [f"{name} is left out: {why}" for name, why in comparison.left_out.items()]
    return "\n\n".join([title, about, table, *left_out])


def row_of(figures: MethodFigures, comparison: Comparison) -> tuple[str, ...]:
    unit = comparison.unit
    return (
        figures.method,
        f"{figures.detected:.4g} of {figures.events}",
        span(figures.detection_rate_95, 100, "%"),
        number(unit.of(figures.mean_lead_s)),
        span(figures.mean_lead_s_95, 1 / unit.size_s),
        number(unit.of(figures.median_lead_s)),
        number(unit.rate(figures.false_alarms_per_s), ".3g"),
        number(unit.rate(comparison.budget.rate_per_s), ".3g"),
        number(100 * figures.false_alarm_share) + "%",
        number(figures.over, ".2f"),
        span(figures.over_95, 1, digits=2),
        f"{figures.n_tried}" if figures.n_tried else "-",
        f"{figures.seeds}",
    )


def number(value: float, form: str = ".1f") -> str:
    return "-" if math.isnan(value) else f"{value:{form}}"


def span(interval: Interval, factor: float, sign: str = "", *, digits: int | None = None) -> str:
    if math.isnan(interval.low):
        return "-"
    places = digits if digits is not None else 0 if factor == 100 else 1
    return f"{interval.low * factor:.{places}f}{sign} to {interval.high * factor:.{places}f}{sign}"


def as_json(comparison: Comparison) -> bytes:
    """The figures under stable names; times are seconds, or cycles where the bundle counts cycles."""
    content = {
        "bundle": comparison.name,
        "budget": comparison.budget.text,
        "asked_per_s": comparison.budget.rate_per_s,
        "basis": comparison.basis,
        "devices": comparison.n_devices,
        "rows": comparison.rows,
        "left_out": comparison.left_out,
    }
    return msgspec.json.format(msgspec.json.encode(content)) + b"\n"
