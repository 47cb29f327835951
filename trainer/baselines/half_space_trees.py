"""Half-space trees: how few of the last window's rows fell where this one falls?

S. C. Tan, K. M. Ting and T. F. Liu, "Fast anomaly detection for streaming data", IJCAI 2011. They learn from each row
that they have scored, so each device goes on with its own copy of the trees that the healthy rows have taught. The
window is tuned.
"""

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from river.anomaly import HalfSpaceTrees

from trainer.baselines.scorer import Baseline, Candidate, Task
from trainer.baselines.standard import Standard, drawn, healthy_parts, standard
from trainer.data.history import Float64, History

TREES, HEIGHT = 10, 6
WINDOWS = (250, 100, 500, 1000, 50)
ROWS_MAX = 2_000
"""Healthy rows that teach the trees: two of the longest windows."""
REACH = 5.0
"""Deviations from the level at which the space that the trees part ends."""


@dataclass(frozen=True, slots=True)
class Trees:
    """The trees as the healthy rows left them."""

    scale: Standard
    trees: HalfSpaceTrees

    def score(self, history: History) -> Float64:
        """river's score, 0 to 1; NaN where every channel is missing."""
        trees = copy.deepcopy(self.trees)
        scores = np.empty(len(history.t_s))
        for index, row in enumerate(within(self.scale.of(history))):
            point = dict(enumerate(row))
            scores[index] = trees.score_one(point)
            trees.learn_one(point)
        return np.where(self.scale.has_value(history), scores, np.nan)


def candidates(histories: Sequence[History], task: Task) -> Iterator[Candidate]:
    """The trees of each window. Raises DataRefused when no channel varies over the healthy rows."""
    scale = standard(histories, task)
    rows = within(drawn(np.concatenate(healthy_parts(scale, histories, task, 1.0)), ROWS_MAX, task.seed))
    for window in WINDOWS:
        size = min(window, len(rows))  # trees score nothing until a window is full
        trees = HalfSpaceTrees(n_trees=TREES, height=HEIGHT, window_size=size, seed=task.seed)
        for row in rows:
            trees.learn_one(dict(enumerate(row)))
        yield f"window {window}", Trees(scale, trees)


def within(z: Float64) -> list[list[float]]:
    """The rows with each channel between 0 and 1."""
    parted: list[list[float]] = np.clip(z / (2 * REACH) + 0.5, 0, 1).tolist()
    return parted


HALF_SPACE_TREES = Baseline(
    candidates,
    score="how few of the last window's rows fell where this one falls",
    after="Tan, Ting and Liu, IJCAI 2011",
    tuned=f"the window's rows: {', '.join(map(str, WINDOWS))}",
    library="river",
    is_seeded=True,
)
