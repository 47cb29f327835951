"""Rows of normal running: what a method without labels is fitted to."""

from collections.abc import Sequence

import numpy as np

from agent.errors import DataRefused
from agent.words import Bool
from trainer.baselines.scorer import Task
from trainer.data.history import Float64, History, normal_rows


def healthy(history: History, task: Task) -> Bool:
    """bool [T]: rows of normal running."""
    return normal_rows(history, task.h_max_s)


def healthy_rows(histories: Sequence[History], task: Task) -> Float64:
    """float64 [n, F]: the healthy rows of all histories. Raises DataRefused when no channel varies over them."""
    rows = np.concatenate([history.x[healthy(history, task)] for history in histories]).astype(np.float64)
    if not (np.fmax.reduce(rows, axis=0, initial=-np.inf) > np.fmin.reduce(rows, axis=0, initial=np.inf)).any():
        what = "no channel varies until 2 x judge.h_max before the failures, and outside of faults"
        raise DataRefused("baselines", what, next_step="Give channels that vary, longer lives, or a lower judge.h_max.")
    return rows
