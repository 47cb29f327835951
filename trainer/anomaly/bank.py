"""The charts of the `anomaly` head before anything is chosen, and what a plant has without it.

The default bank was fixed on part of the public recordings (bench/unlabelled.py) and on plants of other seeds than
those that are reported (bench/plants.py). It serves a machine that nobody knows yet: jumps that stay and slow wear
(charts with a long memory), bursts (the row itself against its smoothing, and against what the net expected of it a few
rows before). Where events are counted, a level that an event confirms takes the place of the level: the greatest of
both would have the level's false alarms back.
"""

from collections.abc import Sequence

from agent.words import Bool
from trainer.anomaly.charts import ChartSpec
from trainer.config import Config

EWMA = ChartSpec("level", 0, 0.1, "max")
SMOOTHING = ChartSpec("smoothing", 0, 1.0, "mean")
LIMITS = ChartSpec("level", 0, 1.0, "max")
EVENT_RATE, EVENT_ROWS = 0.1, 24
FAST_RATE = 0.5
"""A chart is fast from this rate on."""
MEMORIES_MIN = 1.5
"""Rows of a smoothed level hang together over 2 / rate: an own mean of one is no surer than the chart."""


def default_bank(ahead: int, *, has_events: bool) -> tuple[ChartSpec, ...]:
    """One bank for all; its forecasts look `ahead`."""
    return (
        ChartSpec("event", EVENT_ROWS, EVENT_RATE, "max") if has_events else EWMA,
        ChartSpec("forecast", ahead, 0.1, "max"),
        ChartSpec("forecast", ahead, 0.25, "mean"),
        ChartSpec("forecast", ahead, 1.0, "mean"),
        SMOOTHING,
    )


def asked_bank(config: Config, events: Bool) -> tuple[ChartSpec, ...]:
    """What the configuration asks for."""
    asked = tuple(ChartSpec(one.residual, one.ahead, one.rate, one.mix) for one in config.anomaly.charts)
    return asked or default_bank(config.anomaly.ahead, has_events=bool(events.any()))


def lasting(bank: Sequence[ChartSpec], learning_rows: int) -> tuple[ChartSpec, ...]:
    """The bank without levels that remember too much of the learning; all of it where nothing else is in it."""
    kept = tuple(one for one in bank if one.residual != "level" or learning_rows * one.rate / 2 >= MEMORIES_MIN)
    return kept or tuple(bank)


def sets_of(bank: Sequence[ChartSpec]) -> dict[str, tuple[ChartSpec, ...]]:
    """By name, what labelled machines choose from: the bank, its slow charts and its fast ones, where it has such, and
    what a plant has without the head.
    """
    sets = {
        "the whole bank": tuple(bank),
        "its slow charts": tuple(one for one in bank if one.rate < FAST_RATE),
        "its fast charts": tuple(one for one in bank if one.rate >= FAST_RATE),
        "limits": (LIMITS,),
        "EWMA": (EWMA,),
        "smoothing": (SMOOTHING,),
    }
    return {name: charts for name, charts in sets.items() if charts}
