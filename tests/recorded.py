"""A builder of recorded histories for the small bundle."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from agent.replay.recorded import Recorded
from tests.small_bundle import CHANNELS


def worn(
    device: str, n: int, *, start: int = 1, wear_from: int = 20, seed: int = 0, missing: Sequence[int] = ()
) -> Recorded:
    """n cycles of a device whose wear grows from its `wear_from`-th row on; `load` is missing in rows `missing`."""
    x = np.random.default_rng(seed).normal(0, 0.05, (n, 3)).astype(np.float32)
    x[:, 2] += np.maximum(0, np.arange(n) - wear_from) / 20
    x[list(missing), 1] = np.nan
    return Recorded(device, (start + np.arange(n)) * 10**9, x)


def write_recorded(path: Path, recorded: Sequence[Recorded]) -> Path:
    lines = [f"device,t,{','.join(CHANNELS)}\n"]
    for one in recorded:
        for t, row in zip(one.t_s, one.x, strict=True):
            lines.append(f"{one.device},{t:g},{','.join('' if np.isnan(v) else str(v) for v in row)}\n")
    path.write_text("".join(lines))
    return path


def write_truth(path: Path, truth: dict[str, float | None]) -> Path:
    lines = [f"{device},{'' if t_fail is None else f'{t_fail:g}'}\n" for device, t_fail in truth.items()]
    path.write_text("device,t_fail\n" + "".join(lines))
    return path
