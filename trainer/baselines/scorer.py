"""The protocol of a baseline: the task that it gets, and the scorer that it returns."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from agent.errors import DataRefused
from agent.words import Bool
from trainer.data.history import Float64, History

HEALTHY_WINDOWS = 2
"""A row is healthy when the failure is more than so many times h_max away: longer than any alert could be true."""


class Scorer(Protocol):
    """A fitted method. The higher the score, the nearer the fault."""

    def score(self, history: History) -> Float64:
        """float64 [T], at least 0; row t comes from rows up to t only. NaN where they say nothing."""
        ...


@dataclass(frozen=True, slots=True)
class Task:
    """What a method may know beside the histories it is fitted to.

    every_s              time between rows
    h_max_s              an alert earlier than this before the fault is false
    mean_lead_at_budget  seconds, over those histories: what a method tunes its own parameters by
    """

    every_s: float
    h_max_s: float
    mean_lead_at_budget: Callable[[Scorer], float]


def healthy(history: History, task: Task) -> Bool:
    """bool [T]: rows of normal running; the end of a recording without a failure might be the eve of one."""
    mask: Bool = history.observed_left() > HEALTHY_WINDOWS * task.h_max_s
    return mask


def healthy_rows(histories: Sequence[History], task: Task) -> Float64:
    """float64 [n, F]: the healthy rows of all histories. Raises DataRefused when no channel varies over them."""
    rows = np.concatenate([history.x[healthy(history, task)] for history in histories]).astype(np.float64)
    if not (np.fmax.reduce(rows, axis=0, initial=-np.inf) > np.fmin.reduce(rows, axis=0, initial=np.inf)).any():
        what = f"no channel varies until {HEALTHY_WINDOWS} x judge.h_max before the failures or ends"
        raise DataRefused("baselines", what, next_step="Give channels that vary, longer lives, or a lower judge.h_max.")
    return rows
