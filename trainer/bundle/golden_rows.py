"""Golden rows of a bundle: what its model computes here, for the agent to compute again."""

from collections.abc import Sequence

import numpy as np

from agent.bundle import onnx_graph
from agent.bundle.file import Bundle
from agent.bundle.golden import Golden, concatenated
from agent.bundle.verify import rows_max
from agent.step.engine import Engine
from trainer.data.history import History

GOLDEN_DEVICES = 4
GOLDEN_EVERY = 12
GOLDEN_OF_MAX = 3000
"""Rows of a device from its first on, of which they are: each is computed alone."""
GOLDEN_BYTES = 8 * 2**20
"""Of states and rows together, about: half of what a bundle may hold of them."""


def golden(bundle: Bundle, histories: Sequence[History]) -> Golden:
    """Every `GOLDEN_EVERY`-th row of a few devices; every fourth of them holds missing and hostile values.

    Of long lives, wide states or a large model fewer, so that a gateway can compute them again within its bounds.
    """
    engine = Engine(bundle.model, bundle.manifest)
    kept: list[Golden] = []
    chosen_of = [history.only(slice(GOLDEN_OF_MAX)) for history in histories[:GOLDEN_DEVICES]]
    n_rows = sum(len(history.t_s) for history in chosen_of)
    row_bytes = 4 * (2 * bundle.manifest.state_size + bundle.manifest.n_channels)
    every = max(GOLDEN_EVERY, -(-n_rows * row_bytes // GOLDEN_BYTES))
    for history in chosen_of:
        state = np.zeros((1, bundle.manifest.state_size), np.float32)
        for row in range(len(history.t_s)):
            x = history.x[row : row + 1].copy()
            dt = np.array([history.t_s[row] - history.t_s[max(row - 1, 0)]], np.float32)
            if row % (4 * every) == 3 * every:
                x[0, ::4], x[0, 1::4], x[0, 2::4] = np.nan, np.inf, -1e30
            after, outputs = engine.run(x, dt, state)
            if row % every == 0:
                kept.append(Golden(x, dt, state, after, outputs))
            state = after
    n_kept = min(len(kept), rows_max(onnx_graph.check(bundle.model, bundle.manifest), bundle.manifest))
    chosen = [kept[index] for index in np.linspace(0, len(kept) - 1, n_kept).round().astype(int)]
    return concatenated(chosen)
