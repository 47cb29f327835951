"""The section of a report that says how many alarms a person would have had to answer."""

import math

from agent.replay.report.page_style import table
from agent.score.alarm_load import FLOOD_BEGINS, FLOOD_ENDS, AlarmLoad, AlarmLoads


def alarm_section(loads: AlarmLoads | None) -> str:
    """ "" where times are cycles: nobody knows how many alarms of several devices came at once."""
    if loads is None:
        return ""
    rows = [
        ("each alert is an alarm", *_figures(loads.single)),
        (f"flood_raises = {FLOOD_BEGINS}: those of a flood are one", *_figures(loads.grouped)),
    ]
    heads = ("", "alarms", "a day", "most in 10 minutes", "minutes in floods", "of all time")
    return (
        "<h2>Alarm load</h2><p>Of all devices and heads together, after EEMUA 191 and ISA-18.2: one person can answer "
        f"about one alarm in ten minutes. More than {FLOOD_BEGINS} are a flood, until fewer than {FLOOD_ENDS} come.</p>"
        f"{table(heads, rows, n_text=1)}"
    )


def _figures(load: AlarmLoad) -> tuple[str, ...]:
    share = "&ndash;" if math.isnan(load.flood_share) else f"{load.flood_share:.2%}"
    per_day = "&ndash;" if math.isnan(load.per_day) else f"{load.per_day:.3g}"
    return str(load.alarms), per_day, str(load.most_in_10_min), f"{load.flood_s / 60:.0f}", share
