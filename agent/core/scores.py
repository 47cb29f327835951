"""Columns of scores: none, concatenated, in another order."""

from collections.abc import Sequence
from dataclasses import fields

import numpy as np

from agent.bundle.manifest import Manifest
from agent.words import Int64, Scores

_COLUMNS = [one.name for one in fields(Scores) if one.name != "model"]


def no_scores(model: str, manifest: Manifest) -> Scores:
    """Zero rows with the widths of the manifest's heads."""
    n_quantiles = len(manifest.rul.quantiles) if manifest.rul else 0
    return Scores(
        model=model,
        entry=np.empty(0, np.int64),
        source=np.empty(0, np.int64),
        device=np.empty(0, np.object_),
        t_ns=np.empty(0, np.int64),
        quality=np.empty(0, np.uint8),
        risk=np.empty((0, len(manifest.risk.horizons_s)), np.float32),
        rul=np.empty((0, n_quantiles), np.float32),
    )


def concatenated(parts: Sequence[Scores]) -> Scores:
    """The rows of all parts, at least one, of one model, part after part."""
    if len(parts) == 1:
        return parts[0]
    return Scores(parts[0].model, *(np.concatenate([getattr(part, one) for part in parts]) for one in _COLUMNS))


def selected(scores: Scores, rows: Int64) -> Scores:
    """The given rows, in the given order."""
    return Scores(scores.model, *(getattr(scores, one)[rows] for one in _COLUMNS))
