"""The report's plots as SVG that the page styles: every colour is a CSS variable, so they follow light and dark.

matplotlib comes with the extra `report`, and is imported here alone.
"""

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from agent.replay.result import Replay, Timeline, judged_values
from agent.score.early_warning import EarlyWarning
from agent.score.time_unit import Unit

# matplotlib wants real colours; each of these stands for a variable of the page and is replaced by it.
INK, MUTED, RISK, OTHER, WINDOW, GOOD, BAD, LATE, PAPER = (f"#01020{digit}" for digit in range(9))
_VARIABLES = {
    INK: "ink", MUTED: "muted", RISK: "risk", OTHER: "other", WINDOW: "window", GOOD: "good", BAD: "bad", LATE: "late",
    PAPER: "paper",
}  # fmt: skip
_TIMELINE_EDGES = {"left": 0.085, "right": 0.985, "bottom": 0.15, "top": 0.93}  # fixed, so that a grid of them lines up
_PROLOG = re.compile(r"^.*?(?=<svg)|<metadata>.*?</metadata>\s*|<!--.*?-->\s*", re.DOTALL)
_ID = re.compile(r'<g id="[^"]*"')  # groups only: clip paths and markers are referred to
_SIZE = re.compile(r'(<svg[^>]*?) width="[^"]*"| height="[0-9.]+pt"')


def timeline(replay: Replay, life: Timeline, unit: Unit, span_s: float) -> str:
    """What is judged of one device over its last `span_s` up to its failure, or to the record's end without one."""
    end_s = life.t_s[-1] if life.t_fail_s is None else life.t_fail_s
    t = (np.array(life.t_s) - end_s) / unit.size_s
    values, score = np.array(judged_values(replay, life)), replay.early_warning  # [T]
    is_risk, top = replay.head == "risk", 1.0
    if not is_risk:  # it has no upper end: what is above twice the threshold is drawn there
        top = 2 * replay.limit.threshold
        values = np.where(values < 0, np.nan, np.minimum(values / top, 1))
    with _styled(f"timeline {life.device}"):
        figure = Figure(figsize=(3.5, 1.45))
        axes = figure.subplots(gridspec_kw=_TIMELINE_EDGES)
        if life.t_fail_s is not None:
            axes.axvspan(-unit.of(score.h_max_s), -unit.of(score.h_min_s), color=WINDOW, alpha=0.18, linewidth=0)
            axes.axvline(0, color=INK, linewidth=1.5)
        for fault_start_s, fault_end_s in life.faults_s:
            span = (-unit.of(end_s - fault_start_s), -unit.of(end_s - min(fault_end_s, end_s)))
            axes.axvspan(*span, color=LATE, alpha=0.18, linewidth=0)
        for column, horizon_s in enumerate(replay.horizons_s if is_risk else ()):
            if horizon_s != replay.judged_horizon_s:
                axes.plot(t, [risk[column] for risk in life.risk], color=OTHER, linewidth=0.8)
        axes.axhline(replay.limit.threshold / top, color=MUTED, linewidth=0.8, dashes=(4, 3))
        axes.plot(t, values, color=RISK, linewidth=1.6)
        doubtful = t[[quality != "ok" for quality in life.quality]]
        axes.plot(doubtful, np.full(len(doubtful), -0.05), "|", color=LATE, markersize=4, clip_on=False)
        _mark_alerts(axes, life, end_s, replay, unit)
        axes.set_xlim(-unit.of(span_s), unit.of(span_s) * 0.01)
        axes.set_ylim(-0.03, 1.14)
        axes.set_yticks([0, 0.5, 1], [f"{part * top:.3g}" for part in (0, 0.5, 1)])
        axes.locator_params(axis="x", nbins=6)
        return _svg(figure, f"{replay.head.capitalize()} of {life.device} over time, with its alerts")


def leads(model: EarlyWarning, age_only: EarlyWarning, name: str, unit: Unit) -> str:
    """How long before the failure the first true alert came, the missed failures in a bin of their own."""
    edges = np.linspace(0, unit.of(model.h_max_s), 13)
    missed = -1.6 * edges[1]  # centre of that bin
    with _styled("leads"):
        figure, axes = _axes(7.2, 2.5)
        for shift, (score, label, colour) in enumerate(((model, name, RISK), (age_only, "age only", OTHER))):
            true = [unit.of(one.lead_s) for one in score.devices if one.outcome == "detected"]
            counts = np.histogram(true, edges)[0]
            width = edges[1] * 0.42
            left = (edges[:-1] + edges[1:]) / 2 + (shift - 0.5) * width
            axes.bar(left, counts, width, color=colour, label=label)
            axes.bar(
                missed + (shift - 0.5) * width,
                len(score.strict.missed),
                width,
                color=colour,
                hatch="////",
                edgecolor=PAPER,
            )
        ticks = [tick for tick in MaxNLocator(6).tick_values(0, edges[-1]) if tick <= edges[-1]]
        axes.set_xticks([missed, *ticks], ["missed", *(f"{tick:g}" for tick in ticks)])
        axes.set_xlabel(f"{unit.plural} from the first true alert to the failure")
        axes.set_ylabel("failures")
        axes.yaxis.set_major_locator(MaxNLocator(integer=True))
        axes.legend(loc="upper left", bbox_to_anchor=(0.1, 1.08), ncols=2)
        return _svg(figure, "Distribution of lead times")


def false_alarms(replay: Replay, name: str, unit: Unit) -> str:
    """False alarms per exposure of model and calendar with their 95 % upper bounds, beside the budget."""
    rows = (("age only", replay.age_only.early_warning, OTHER), (name, replay.early_warning, RISK))
    budget = unit.rate(replay.limit.rate_per_s)
    with _styled("false alarms"):
        figure, axes = _axes(7.2, 1.5)
        for place, (_, score, colour) in enumerate(rows):
            rate, upper = unit.rate(score.false_alarms_per_s), unit.rate(score.false_alarms_per_s_upper95)
            axes.plot([0, upper], [place, place], color=colour, linewidth=3, alpha=0.45, solid_capstyle="butt")
            axes.plot([upper, upper], [place - 0.14, place + 0.14], color=colour, linewidth=2)
            axes.plot(rate, place, "o", color=colour, markersize=8, clip_on=False, zorder=3)
        axes.axvline(budget, color=INK, linewidth=1, dashes=(4, 3))
        axes.text(budget, 1.62, "budget", ha="center", va="bottom")
        axes.set_yticks(range(len(rows)), [label for label, _, _ in rows])
        axes.set_ylim(-0.5, 1.6)
        axes.set_xlim(left=0)
        axes.set_xlabel(f"false alarms per {unit.exposure}")
        return _svg(figure, "False alarms per exposure")


def _mark_alerts(axes: Axes, life: Timeline, end_s: float, replay: Replay, unit: Unit) -> None:
    """Along the top: a triangle raises a true alert, a cross a false one, a diamond a late one; a ring clears."""
    score = replay.early_warning
    for event in life.events:
        if event.head != replay.head:
            continue
        before_s = end_s - event.t_ns / 1e9
        at = -unit.of(before_s)
        if event.kind == "cleared":
            axes.plot(at, 1.07, "o", color=MUTED, markersize=5, markerfacecolor="none", clip_on=False)
        if event.kind != "raised":
            continue
        raised_s = event.t_ns / 1e9
        if any(start_s - score.h_max_s <= raised_s < fault_end_s for start_s, fault_end_s in life.faults_s):
            mark, colour = "^", GOOD
        elif life.t_fail_s is None or before_s > score.h_max_s:
            mark, colour = "X", BAD
        else:
            mark, colour = ("^", GOOD) if before_s >= score.h_min_s else ("D", LATE)
        axes.plot([at, at], [0, 1.0], color=colour, linewidth=1)
        axes.plot(at, 1.07, mark, color=colour, markersize=7, markeredgewidth=0, clip_on=False)


@contextmanager
def _styled(salt: str) -> Iterator[None]:
    """matplotlib's settings for one plot; `salt` keeps the ids of plots on one page apart, and the same every time."""
    with matplotlib.rc_context():
        matplotlib.rc("svg", fonttype="none", hashsalt=salt)
        matplotlib.rc("text", parse_math=False, color=INK)
        matplotlib.rc("font", family="sans-serif", size=8.5)
        matplotlib.rc("axes", edgecolor=MUTED, labelcolor=INK, linewidth=0.7)
        matplotlib.rc("axes.spines", top=False, right=False)
        matplotlib.rc("xtick", color=MUTED, labelcolor=INK)
        matplotlib.rc("ytick", color=MUTED, labelcolor=INK)
        matplotlib.rc("path", simplify_threshold=0.3)
        matplotlib.rc("legend", frameon=False)
        yield


def _axes(width_inch: float, height_inch: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width_inch, height_inch), layout="constrained")
    return figure, figure.subplots()


def _svg(figure: Figure, label: str) -> str:
    """The figure as an element of the page that scales with its width."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    text = _ID.sub("<g", _PROLOG.sub("", buffer.getvalue()))
    for colour, variable in _VARIABLES.items():
        text = text.replace(colour, f"var(--{variable})")
    return _SIZE.sub(r"\1", text, count=2).replace("<svg", f'<svg role="img" aria-label="{escape(label)}"', 1)
