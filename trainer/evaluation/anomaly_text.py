"""Charts, and what the net adds to them, in words: for the end of `fit` and for the model card."""

from collections.abc import Sequence

from agent.bundle.manifest import Chart, Manifest, ThresholdTable
from agent.judge.threshold import choose, default_budget, parse_budget, verdict
from trainer.data.plural import plural


def anomaly_as_text(manifest: Manifest) -> str:
    """What `fit` says at its end: the charts and what each adds, and what the default budget comes to."""
    head = manifest.anomaly
    assert head is not None
    learning = f"a device's own normal is learnt from its first {head.learning_rows} rows"
    lines = [f"anomaly: {learning}; its charts, and how often each leads in calibration rows over the threshold:"]
    lines += [f"  {chart_as_text(chart)}: {chart.share:.0%}" for chart in head.charts]
    lines.append(net_as_text(head.charts))
    table, default = head.thresholds, default_budget(manifest.time_unit)
    lines.append(budget_line(table, default))
    chosen = choose(table, parse_budget(default, fleet_size=0))
    if chosen.extrapolated:
        finest = budget_line(table, chosen.finest_budget, is_next=True)
        lines += [finest, f'Set budget = "{chosen.finest_budget}" in the agent, or record for longer or more devices.']
    return "\n".join(lines)


def budget_line(table: ThresholdTable, budget: str, *, is_next: bool = False) -> str:
    """The threshold that the budget chooses, and what is known of it; is_next as in `verdict`."""
    chosen = choose(table, parse_budget(budget, fleet_size=0))
    return f'budget "{budget}": threshold {chosen.threshold:.4g}; {verdict(chosen, is_next=is_next)}'


def chart_as_text(chart: Chart) -> str:
    of = {
        "level": "level against the own mean",
        "smoothing": "row against its exponential smoothing",
        "forecast": f"row against the net's forecast of {plural(chart.ahead, 'row')} before",
        "event": f"level, confirmed by an event in the last {plural(chart.ahead, 'row')}",
    }[chart.residual]
    smoothed = "not smoothed" if chart.rate == 1 else f"smoothed by {chart.rate:g}"
    mixed = "greatest channel" if chart.mix == "max" else "mean of the channels"
    return f"{of}, {smoothed}, {mixed}"


def net_as_text(charts: Sequence[Chart]) -> str:
    """What the net adds, in a sentence."""
    forecasts = [chart for chart in charts if chart.residual == "forecast"]
    if not forecasts:
        return "There is no net in this bundle: the charts alone judge."
    share = sum(chart.share for chart in forecasts)
    return f"The net leads in {share:.0%} of the highest rows; in the rest charts do without it."
