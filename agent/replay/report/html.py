"""The replay as one HTML file that needs nothing else: figures with their intervals first, then every device.

Everything that comes from data or bundle (device ids, names) is escaped.
"""

import math
from collections.abc import Iterable
from html import escape

from agent.judge.chance import in_words
from agent.replay.report import plot
from agent.replay.report.alarms import alarm_section
from agent.replay.report.faults import fault_section
from agent.replay.report.page_style import page, table
from agent.replay.result import Replay, Timeline, by_head, judged_values
from agent.replay.wording import (
    cut_off_text,
    detection,
    first_seen_text,
    judged_text,
    natural,
    outcome_text,
    why_missed,
)
from agent.score.early_warning import Column, DeviceResult, EarlyWarning, Interval
from agent.score.time_unit import Unit

TIMELINES_MAX = 100
FEW_FAILURES = 100


def render(replay: Replay, unit: Unit) -> str:
    """The page. `unit` is the one that times are told in."""
    name = f"{replay.bundle.name} {replay.bundle.version}"
    views = by_head(replay)
    sections = [_header(replay, name, unit)]
    for head, view in views.items():
        sections += [f"<h1>The head {head}</h1>"] if len(views) > 1 else []
        sections += _of_head(view, name, unit)
    sections += [alarm_section(replay.alarm_load), _what_was_played(replay, unit)]
    return page(f"Replay of {escape(name)}", "\n".join(sections))


def _of_head(replay: Replay, name: str, unit: Unit) -> list[str]:
    """Every figure of one head."""
    return [
        _cards(replay, unit),
        _limits(replay, unit),
        fault_section(replay, unit),
        _comparison(replay, name, unit),
        _timelines(replay, unit),
        "<h2>Lead times</h2><p>How long before the failure the first true alert came.</p>"
        f'<div class="wide">{plot.leads(replay.early_warning, replay.age_only.early_warning, name, unit)}</div>',
        _false_alarms(replay, name, unit),
        _missed(replay, unit),
        _devices(replay, unit),
        _how_it_was_judged(replay, unit),
    ]


def _header(replay: Replay, name: str, unit: Unit) -> str:
    score = replay.early_warning
    way = (
        "through an MQTT broker and a whole agent" if replay.through == "mqtt" else "straight through the agent's core"
    )
    return (
        f"<h1>Would {escape(name)} have warned in time?</h1>"
        f'<p class="muted">{len(replay.devices)} recorded devices ({unit.text(score.exposure_s)} in all, '
        f"{score.failures} failures) played {way}, at a budget of {escape(replay.limit.budget)}. A warning counts when "
        f"it comes {unit.of(score.h_max_s):g} to {unit.text(score.h_min_s)} before the failure.</p>"
    )


def _cards(replay: Replay, unit: Unit) -> str:
    score, age = replay.early_warning, replay.age_only.early_warning
    strict, other = score.strict, age.strict
    cards = (
        ("Failures warned of in time", detection(strict, score.failures), f"95 %: {_percent(strict.detection_rate_95)}",
         detection(other, age.failures)),
        ("Mean lead time", _large(strict.mean_lead_s, unit), f"95 %: {_between(strict.mean_lead_s_95, unit)}",
         _span(other.mean_lead_s, unit)),
        ("Median lead time", _large(strict.median_lead_s, unit), f"95 %: {_between(strict.median_lead_s_95, unit)}",
         _span(other.median_lead_s, unit)),
        (f"False alarms per {unit.exposure}", _number(unit.rate(score.false_alarms_per_s)),
         f"{score.false_alarms} in all, {score.false_alarm_share:.1%} of the time; with 95 % confidence below "
         f"{_number(unit.rate(score.false_alarms_per_s_upper95))}", _number(unit.rate(age.false_alarms_per_s))),
        ("Missed", str(len(strict.missed)), f"of {score.failures} failures", str(len(other.missed))),
        ("Late alerts on", str(len(score.late)), f"within {unit.text(score.h_min_s)} of the failure",
         str(len(age.late))),
    )  # fmt: skip
    return '<div class="cards">' + "".join(
        f'<div class="card"><span>{title}</span><b>{value}</b><span>{interval}</span>'
        f'<span class="beside">age only: {beside}</span></div>'
        for title, value, interval, beside in cards
    ) + "</div>"  # fmt: skip


def _limits(replay: Replay, unit: Unit) -> str:
    score = replay.early_warning
    notes = []
    if 0 < score.failures < FEW_FAILURES:
        notes.append(
            f"<b>{score.failures} failures prove little.</b> With 95 % confidence the true detection rate lies at "
            f"{_percent(score.strict.detection_rate_95)}, the mean lead at "
            f"{_between(score.strict.mean_lead_s_95, unit)}."
        )
    if score.failures == 0:
        notes.append("<b>No recorded failure could be judged</b>, so nothing is said of detection.")
    if replay.limit.extrapolated:
        notes.append(f"<b>The threshold is extrapolated:</b> {escape(replay.limit.verdict, quote=False)}.")
    elif replay.limit.basis == "normal":
        notes.append(f"<b>The threshold is chosen blind:</b> {escape(replay.limit.verdict, quote=False)}.")
    rate = score.false_alarms_per_s_upper95
    if not math.isnan(rate) and rate > replay.limit.rate_per_s:
        notes.append(
            f"The recording does not prove that the budget of {escape(replay.limit.budget)} holds: after "
            f"{score.false_alarms} in {unit.text(score.exposure_s)}, up to {_number(unit.rate(rate))} per "
            f"{unit.exposure} cannot be ruled out."
        )
    if cut_off := cut_off_text(score):
        notes.append(f"{escape(cut_off, quote=False)}.")
    return f'<div class="note">{"<br>".join(notes)}</div>' if notes else ""


def _comparison(replay: Replay, name: str, unit: Unit) -> str:
    age = f"age only, at {unit.text(replay.age_only.age_s)}" if math.isfinite(replay.age_only.age_s) else "age only"
    rows = []
    for title, score in ((name, replay.early_warning), (age, replay.age_only.early_warning)):
        for kind, column in (("strict", score.strict), ("lenient", score.lenient)):
            rows.append(_row(escape(title), kind, column, score, unit))
    by_chance = replay.early_warning.by_chance
    head = (
        "",
        "",
        "in time",
        "95 %",
        f"mean lead, {unit.plural}",
        "95 %",
        "median",
        f"false alarms per {unit.exposure}",
        "time in false alarm",
    )
    return (
        "<h2>Beside a calendar</h2><p>The second detector knows only how old a device is; it warns at the age that "
        "would have kept to the same budget on the devices that the bundle was made from. <i>Lenient</i> also counts "
        f"an alert that was raised too early, but still stood {unit.text(replay.early_warning.h_max_s)} before the "
        f"failure, as a warning from then on; it is a false alarm all the same. {in_words(by_chance).capitalize()} of "
        f"the {replay.early_warning.failures} failures.</p>" + table(head, rows, n_text=2)
    )


def _row(title: str, kind: str, column: Column, score: EarlyWarning, unit: Unit) -> tuple[str, ...]:
    lead = column.mean_lead_s_95
    return (
        title,
        kind,
        detection(column, score.failures),
        _percent(column.detection_rate_95),
        _tenths(column.mean_lead_s, unit),
        f"{_tenths(lead.low, unit)} to {_tenths(lead.high, unit)}",
        _tenths(column.median_lead_s, unit),
        _number(unit.rate(score.false_alarms_per_s)),
        "&ndash;" if math.isnan(score.false_alarm_share) else f"{score.false_alarm_share:.1%}",
    )


def _timelines(replay: Replay, unit: Unit) -> str:
    results = {one.device: one for one in replay.early_warning.devices}
    order = {"missed": 0, "did_not_fail": 1, "cut_off": 2, "detected": 3}

    def place(line: Timeline) -> tuple[int, int, float]:
        result = results[line.device]
        return order[result.outcome], -result.false_alarms, result.lead_s

    shown = sorted(replay.devices, key=place)[:TIMELINES_MAX]
    span_s = max((_span_s(one) for one in shown), default=0.0)
    figures = [
        f"<figure><figcaption>{escape(line.device)} <small>{outcome_text(results[line.device], unit)}</small>"
        f"</figcaption>{plot.timeline(replay, line, unit, span_s)}</figure>"
        for line in shown
    ]
    left_out = len(replay.devices) - len(shown)
    only = f" The first {len(shown)} of {len(replay.devices)} devices." if left_out else ""
    other = '<span class="muted">&#9472; other horizons</span>' if replay.head == "risk" else ""
    return (
        f"<h2>Every device: {replay.head} against the true failure</h2>"
        f"<p>Time runs in {unit.plural} up to the failure at 0 (or the end of the record, where there is no bar). "
        f"Missed failures and false alarms come first.{only}</p>"
        '<div class="key">'
        f'<span class="risk">&#9472; {judged_text(replay, unit)}</span>{other}<span>&#9476; threshold</span>'
        '<span><i class="swatch" style="background:var(--window);opacity:.25"></i>where an alert is true</span>'
        '<span class="good">&#9650; raised in time</span><span class="bad">&#10006; false alarm</span>'
        '<span class="late">&#9670; raised late</span><span class="muted">&#9675; cleared</span>'
        '<span class="late">| row that is not ok (warming up, gap, out of domain)</span></div>'
        f'<div class="grid">{"".join(figures)}</div>'
    )


def _span_s(timeline: Timeline) -> float:
    return (timeline.t_s[-1] if timeline.t_fail_s is None else timeline.t_fail_s) - timeline.t_s[0]


def _false_alarms(replay: Replay, name: str, unit: Unit) -> str:
    limit = replay.limit
    return (
        "<h2>False alarms</h2><p>The dot is what was counted, the bar reaches to its 95 % upper bound. On the "
        f"bundle's calibration devices the threshold of {limit.threshold:.3g} gave "
        f"{_number(unit.rate(limit.calibrated_rate_per_s))} per {unit.exposure}.</p>"
        f'<div class="wide">{plot.false_alarms(replay, name, unit)}</div>'
    )


def _missed(replay: Replay, unit: Unit) -> str:
    score = replay.early_warning
    missed = [one for one in _by_name(score) if one.outcome == "missed"]
    if not missed:
        return "<h2>Missed failures</h2><p>None.</p>" if score.failures else ""
    timelines = {one.device: one for one in replay.devices}
    rows = [
        (escape(one.device), why_missed(one, score, unit), *_in_window(timelines[one.device], replay)) for one in missed
    ]
    head = ("device", "why", "rows in the window", "of them ok", f"highest {replay.head} of an ok row")
    return "<h2>Missed failures</h2>" + table(head, rows, n_text=2)


def _in_window(timeline: Timeline, replay: Replay) -> tuple[str, str, str]:
    """Rows of a missed device where an alert would have been true, those that may raise, and their highest value."""
    assert timeline.t_fail_s is not None  # it was missed, so it failed
    values, score = judged_values(replay, timeline), replay.early_warning
    opens_s, closes_s = timeline.t_fail_s - score.h_max_s, timeline.t_fail_s - score.h_min_s
    rows = [row for row, t_s in enumerate(timeline.t_s) if opens_s <= t_s <= closes_s]
    judged = [values[row] for row in rows if timeline.quality[row] == "ok"]
    return str(len(rows)), str(len(judged)), _number(max(judged, default=math.nan))


def _devices(replay: Replay, unit: Unit) -> str:
    ages = {one.device: one for one in replay.age_only.early_warning.devices}
    rows = [_device_row(one, ages[one.device], unit) for one in _by_name(replay.early_warning)]
    head = ("device", "outcome", f"life, {unit.plural}", "lead", "lenient", "false alarms", "late", "age only: lead")
    return "<h2>Device by device</h2>" + table(head, rows, n_text=2)


def _by_name(score: EarlyWarning) -> list[DeviceResult]:
    return sorted(score.devices, key=lambda one: natural(one.device))


def _device_row(result: DeviceResult, by_age: DeviceResult, unit: Unit) -> tuple[str, ...]:
    return (
        escape(result.device),
        result.outcome.replace("_", " "),
        _tenths(result.exposure_s, unit),
        _tenths(result.lead_s, unit),
        _tenths(result.lenient_lead_s, unit),
        str(result.false_alarms),
        str(result.late_alerts),
        _tenths(by_age.lead_s, unit),
    )


def _what_was_played(replay: Replay, unit: Unit) -> str:
    bundle = replay.bundle
    trained = "devices watched from new" if bundle.trained_for == "from_new" else "devices joined at any age"
    exact = "exact: equal to the bit for any batch" if bundle.numerics == "exact" else "within the bundle's tolerance"
    quality = ", ".join(f"{count} {name}" for name, count in replay.rows_by_quality.items() if count)
    pairs = (
        ("bundle", f"{escape(bundle.name)} {escape(bundle.version)}, trained for {trained}"),
        ("digest", f"<code>{escape(bundle.digest)}</code>"),
        ("numerics", exact),
        ("streams", first_seen_text(replay)),
        ("rows", f"{replay.rows} ({quality.replace('_', ' ')})"),
    )
    return "<h2>What was played</h2>" + _pairs(pairs)


def _how_it_was_judged(replay: Replay, unit: Unit) -> str:
    limit = replay.limit
    marked = ", extrapolated" if limit.extrapolated else ""
    pairs = (
        ("calibration", escape(limit.verdict, quote=False)),
        ("budget", f"{escape(limit.budget)} = {_number(unit.rate(limit.rate_per_s))} per {unit.exposure}{marked}"),
        ("threshold", f"{limit.threshold:.6g} on the {judged_text(replay, unit)}"),
    )
    return "<h2>How it was judged</h2>" + _pairs(pairs)


def _pairs(pairs: Iterable[tuple[str, str]]) -> str:
    return "<dl>" + "".join(f"<dt>{k}</dt><dd>{v}</dd>" for k, v in pairs) + "</dl>"


def _number(value: float) -> str:
    """Two decimals, or two digits where they would show nothing."""
    if math.isnan(value):
        return "&ndash;"
    return f"{value:.2f}".rstrip("0").rstrip(".") if value == 0 or value >= 0.1 else f"{value:.2g}"


def _tenths(span_s: float, unit: Unit) -> str:
    return "&ndash;" if math.isnan(span_s) else f"{unit.of(span_s):.1f}".removesuffix(".0")


def _large(span_s: float, unit: Unit) -> str:
    return f"{_tenths(span_s, unit)} <small>{unit.plural}</small>"


def _span(span_s: float, unit: Unit) -> str:
    return "&ndash;" if math.isnan(span_s) else unit.text(span_s)


def _between(interval: Interval, unit: Unit) -> str:
    return f"{_tenths(interval.low, unit)} to {_span(interval.high, unit)}"


def _percent(interval: Interval) -> str:
    if math.isnan(interval.low):
        return "&ndash;"
    return f"{interval.low * 100:.0f} to {interval.high * 100:.0f} %"
