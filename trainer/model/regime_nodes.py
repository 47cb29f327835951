"""Nodes that bound a reading, and that say which operating regime a row belongs to."""

from trainer.graph.builder import GraphBuilder, Linear
from trainer.model.regimes import Groups

X_MAX = 1e30
"""Larger readings count as this, before they are scaled and clipped."""


def group(builder: GraphBuilder, groups: Groups, settings: str, last: str) -> tuple[str, str]:
    """One-hot [b, G] of the nearest centre, and the settings [b, S] within +-1, the last ones where missing."""
    u = builder.affine(bounded(builder, settings), groups.scale, groups.offset)
    u = builder.op("Clip", u, builder.scalar(-1.0), builder.scalar(1.0))
    u = builder.op("Where", builder.op("IsNaN", settings), last, u)
    distance = builder.linear(u, Linear(-2 * groups.centres.T.copy(), (groups.centres**2).sum(axis=1)))
    least = builder.op("Min", *builder.split(distance, [1] * len(groups.centres)))
    is_nearest = builder.op("LessOrEqual", distance, least)
    return builder.op("Where", is_nearest, builder.constant(1.0), builder.constant(0.0)), u


def bounded(builder: GraphBuilder, x: str) -> str:
    return builder.op("Clip", x, builder.scalar(-X_MAX), builder.scalar(X_MAX))
