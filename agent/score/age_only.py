"""A detector that knows only a device's age: what a calendar would have done at the same price in false alarms.

It stands beside every figure of a model: there is one such rival, and one way to choose its age, in replay, evaluation
and bench. It raises once, at the age that `choose_age` gives, and stands for h_max, the time that a warning speaks of.
"""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from agent.judge.threshold import Budget, Candidate, Chosen, chosen_of
from agent.score.early_warning import ObservedDevice, Spell


def choose_age(
    lives_s: Sequence[float], unfailed_s: Sequence[float], budget: Budget, *, h_max_s: float, h_min_s: float
) -> Chosen:
    """The age that would have warned the longest ahead within the budget, chosen as a bundle's threshold is.

    lives_s     > 0, of the devices that failed; of the devices that the bundle was fitted and calibrated on, so that
                the calendar knows as much of lives as the model does
    unfailed_s  > 0, how long the others were observed

    `threshold` is the age in seconds; infinite, it never warns. Only ages at which a life's window opens, or just above
    the age that a device reached without failing, can be best: in between, leads shrink and no false alarm goes. Its
    alarms end by themselves after h_max, so that the budget alone bounds their time.
    """
    lives, observed = np.array(lives_s, np.float64), np.array(unfailed_s, np.float64)
    exposure_s = math.fsum((*lives_s, *unfailed_s)) or h_max_s  # of no device at all any will do: it never warns
    n_failures = int((lives > h_min_s).sum())
    opens_s, outlived_s = np.maximum(lives - h_max_s, 0.0), np.nextafter(observed, np.inf)
    candidates = []
    for age_s in np.unique((0.0, *opens_s, *outlived_s, np.inf)).tolist():
        lead_s = lives - age_s
        in_time = (lead_s >= h_min_s) & (lead_s <= h_max_s)
        stood_s = np.concatenate([lead_s[lead_s > h_max_s] - h_max_s, observed[observed >= age_s] - age_s])
        candidates.append(
            Candidate(
                threshold=age_s,
                false_alarms=len(stood_s),
                detected=int(in_time.sum()),
                mean_lead_s=float(lead_s[in_time].sum()) / max(n_failures, 1),
                false_alarm_s=float(np.minimum(stood_s, h_max_s).sum()),
            )
        )
    return chosen_of(candidates, exposure_s, n_failures, budget, time_in_alarm_max=1.0, of_equals="highest")


def warned_by_age(
    fleet: Sequence[ObservedDevice], age_s: float, h_max_s: float, born_s: Sequence[float] | None = None
) -> list[ObservedDevice]:
    """The same devices as if warned for `h_max_s` at age `age_s`.

    born_s  when the age of each began; None for the begin of their observation, which is later where a model first
            learns a device
    """
    warned = []
    for device, began_s in zip(fleet, born_s or [one.start_s for one in fleet], strict=True):
        raised_s = began_s + age_s
        is_reached = raised_s <= min(device.end_s, device.t_fail_s)
        warned.append(replace(device, spells=(Spell(raised_s, raised_s + h_max_s),) if is_reached else ()))
    return warned
