"""Columns of scores: none, concatenated, in another order."""

from collections.abc import Sequence

import numpy as np

from agent.bundle.heads import widths
from agent.bundle.manifest import Manifest
from agent.devices.rows import Rows
from agent.words import Int64, Scores, UInt8

_COLUMNS = ("entry", "source", "device", "t_ns", "quality")


def no_scores(model: str, manifest: Manifest) -> Scores:
    """Zero rows with the widths of the manifest's heads."""
    return Scores(
        model=model,
        entry=np.empty(0, np.int64),
        source=np.empty(0, np.int64),
        device=np.empty(0, np.object_),
        t_ns=np.empty(0, np.int64),
        quality=np.empty(0, np.uint8),
        outputs={name: np.empty((0, width), np.float32) for name, width in widths(manifest).items()},
    )


def unstepped(nothing: Scores, rows: Rows, quality: UInt8) -> Scores:
    """Scores of rows that a model left out, NaN for each number; quality uint8 [b]; `nothing` has none of its rows."""
    outputs = {name: np.full((len(rows), of.shape[1]), np.nan, np.float32) for name, of in nothing.outputs.items()}
    return Scores(nothing.model, rows.entry, rows.source, rows.device, rows.t_ns, quality, outputs)


def concatenated(parts: Sequence[Scores]) -> Scores:
    """The rows of all parts, at least one, of one model, part after part."""
    if len(parts) == 1:
        return parts[0]
    columns = {name: np.concatenate([getattr(part, name) for part in parts]) for name in _COLUMNS}
    outputs = {name: np.concatenate([part.outputs[name] for part in parts]) for name in parts[0].outputs}
    return Scores(model=parts[0].model, outputs=outputs, **columns)


def selected(scores: Scores, rows: Int64) -> Scores:
    """The given rows, in the given order."""
    outputs = {name: output[rows] for name, output in scores.outputs.items()}
    columns = {name: getattr(scores, name)[rows] for name in _COLUMNS}
    return Scores(model=scores.model, outputs=outputs, **columns)
