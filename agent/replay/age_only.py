"""A detector that knows only a device's age: what a calendar would have done at the same price in false alarms.

It stands beside every figure of a model. It raises once, at age A, and never clears.
"""

import math
from collections.abc import Sequence
from dataclasses import replace

from agent.replay.measure import Spell, Watched


def choose_age(lives_s: Sequence[float], *, h_max_s: float, rate_per_s: float) -> float:
    """The lowest age at which raising gives at most `rate_per_s` false alarms on devices that lived `lives_s` > 0.

    Raising at age A is a false alarm on every device that lives longer than A + h_max_s; those devices are the ones
    the model was fitted and calibrated on, so the calendar knows as much of lives as the model does.
    """
    if not lives_s:
        return math.inf  # knows no life, so it never warns
    exposure_s = sum(lives_s)
    candidates = sorted({0.0, *(max(life_s - h_max_s, 0.0) for life_s in lives_s)})
    for age_s in candidates:
        if sum(life_s > age_s + h_max_s for life_s in lives_s) / exposure_s <= rate_per_s:
            return age_s
    return candidates[-1]


def warned_by_age(fleet: Sequence[Watched], age_s: float) -> list[Watched]:
    """The same devices as if warned at age `age_s`, counted from the begin of their watch."""
    warned = []
    for one in fleet:
        raised_s = one.start_s + age_s
        warned.append(replace(one, spells=(Spell(raised_s),) if raised_s <= min(one.end_s, one.t_fail_s) else ()))
    return warned
