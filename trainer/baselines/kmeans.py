"""k-means on lags, a channel for itself, and a consensus over models: what Netdata does on each node.

A channel's last values (differences, smoothed, with so many lags) are a point; two centres are fitted to healthy
points, and the distance of a point to the nearer one is counted in the healthy 99 % quantile of that distance. Several
models are fitted, each to a part of the healthy rows, and the least of their distances counts: all must find the point
strange. The score is the mean over channels, as Netdata's anomaly rate of a node is (Netdata, "Machine learning (ML)
powered anomaly detection", reference of the agent). Differences, smoothing and lags are tuned.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from sklearn.cluster import KMeans

from agent.errors import DataRefused
from trainer.baselines.healthy import healthy
from trainer.baselines.scorer import Baseline, Candidate, Task
from trainer.baselines.standard import Standard, drawn, standard
from trainer.data.history import Float64, History

CENTRES = 2
MODELS = 3
POINTS_MAX = 5_000
"""Healthy points that a model is fitted to."""
UNIT_QUANTILE = 0.99


class Points(NamedTuple):
    """How a channel's values become points: rows between the values of a difference (0 = the values themselves), rows
    of the mean, and how many earlier ones stand beside each.
    """

    diff: int
    smooth: int
    lags: int


SETTINGS = (Points(1, 3, 5), Points(0, 3, 5), Points(0, 5, 10), Points(1, 10, 5), Points(0, 20, 10))
"""The first one is Netdata's."""


@dataclass(frozen=True, slots=True)
class Consensus:
    """centres float64 [models, C, centres, lags + 1]; unit float64 [models, C]."""

    points: Points
    scale: Standard
    centres: Float64
    unit: Float64

    def score(self, history: History) -> Float64:
        """The mean over channels of the least distance; NaN where every channel is missing."""
        points = points_of(self.scale.of(history), self.points)
        total = np.zeros(len(points))
        for channel in range(points.shape[1]):  # one at a time: a long history has many points
            distances = [
                nearest(points[:, channel], centres[channel]) / unit[channel]
                for centres, unit in zip(self.centres, self.unit, strict=True)
            ]
            total += np.minimum.reduce(distances)
        return np.where(self.scale.has_value(history), total / points.shape[1], np.nan)


def candidates(histories: Sequence[History], task: Task) -> Iterator[Candidate]:
    """The models of each setting. Raises DataRefused when no channel varies over the healthy rows."""
    scale = standard(histories, task)
    n_each = max(1, MODELS * POINTS_MAX // len(histories))
    for setting in SETTINGS:
        points = np.concatenate([healthy_points(history, scale, setting, n_each, task) for history in histories])
        if len(points) < MODELS * CENTRES:
            what = f"{len(points)} healthy rows are too few for {MODELS} models"
            raise DataRefused("k-means", what, next_step="Give longer lives, or a lower judge.h_max.")
        fits = [
            [centres_of(part[:, channel], task.seed) for channel in range(part.shape[1])]
            for part in np.array_split(points, MODELS)
        ]
        centres = np.array([[one for one, _ in fit] for fit in fits])
        unit = np.array([[one for _, one in fit] for fit in fits])
        text = f"diff {setting.diff}, smooth {setting.smooth}, lags {setting.lags}"
        yield text, Consensus(setting, scale, centres, unit)


def healthy_points(history: History, scale: Standard, setting: Points, n_max: int, task: Task) -> Float64:
    """float64 [n, C, lags + 1]: at most `n_max` of a history's healthy points."""
    rows = drawn(np.flatnonzero(healthy(history, task)), n_max, task.seed)
    points: Float64 = points_of(scale.of(history), setting)[rows]
    return points


def centres_of(points: Float64, seed: int) -> tuple[Float64, float]:
    """float64 [centres, lags + 1] of one channel's points, and the healthy quantile of the distance to them."""
    model = KMeans(n_clusters=CENTRES, n_init=3, random_state=seed).fit(points)
    quantile = float(np.quantile(nearest(points, model.cluster_centers_), UNIT_QUANTILE))
    return model.cluster_centers_, max(quantile, 1e-3)  # a channel that rests is not infinitely strange when it moves


def nearest(points: Float64, centres: Float64) -> Float64:
    """float64 [T]: the distance of each point [T, lags + 1] to the nearer centre."""
    squares = [((points - centre) ** 2).sum(axis=1) for centre in centres]
    distance: Float64 = np.sqrt(np.minimum.reduce(squares))
    return distance


def points_of(z: Float64, setting: Points) -> Float64:
    """float64 [T, C, lags + 1]: each channel's point at each row; before the first row the channel stood at it."""
    ahead = setting.diff + setting.smooth - 1 + setting.lags
    padded = np.concatenate([np.repeat(z[:1], ahead, axis=0), z])
    if setting.diff:
        padded = padded[setting.diff :] - padded[: -setting.diff]
    means = sliding_window_view(padded, setting.smooth, axis=0).mean(axis=-1)
    return sliding_window_view(means, setting.lags + 1, axis=0)


KMEANS = Baseline(
    candidates,
    score="how far a channel's last values lie from the centres of healthy ones, the least over models, the mean over "
    "channels",
    after="Netdata's anomaly detection",
    tuned="differences, smoothing and lags: " + "; ".join(f"{one.diff}, {one.smooth}, {one.lags}" for one in SETTINGS),
    library="scikit-learn",
    is_seeded=True,
)
