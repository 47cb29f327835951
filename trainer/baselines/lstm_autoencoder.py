"""An LSTM autoencoder over windows: how badly are a window's rows rebuilt from what is remembered of them?

P. Malhotra et al., "LSTM-based encoder-decoder for multi-sensor anomaly detection", ICML Workshop 2016. It is fitted to
healthy windows, each of which ends at the row that it scores. The window's length is tuned.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.lib.stride_tricks import sliding_window_view
from torch import Tensor, nn

from trainer.baselines.healthy import healthy
from trainer.baselines.scorer import Baseline, Candidate, Task
from trainer.baselines.standard import Standard, drawn, standard
from trainer.data.history import Float64, History

WINDOWS = (16, 8, 24, 32, 48)
HIDDEN = 16
STEPS = 150
BATCH = 64
WINDOWS_MAX = 20_000
"""Healthy windows that the batches are drawn from."""
SCORED_AT_ONCE = 4_096


class Autoencoder(nn.Module):
    """The encoder's last state is all that the decoder gets, at each row of the window."""

    def __init__(self, n_channels: int) -> None:
        super().__init__()
        self.encoder = nn.LSTM(n_channels, HIDDEN, batch_first=True)
        self.decoder = nn.LSTM(HIDDEN, HIDDEN, batch_first=True)
        self.out = nn.Linear(HIDDEN, n_channels)

    def forward(self, windows: Tensor) -> Tensor:
        """float32 [b, W, C], rebuilt."""
        _, (code, _) = self.encoder(windows)  # [1, b, HIDDEN]
        rebuilt, _ = self.decoder(code[0][:, None].expand(-1, windows.shape[1], -1))
        restored: Tensor = self.out(rebuilt)
        return restored


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """The network over windows of scaled rows."""

    window: int
    scale: Standard
    network: Autoencoder

    @torch.no_grad()
    def score(self, history: History) -> Float64:
        """Mean square by which the window that ends at a row is not rebuilt; NaN where every channel is missing."""
        windows = windows_of(self.scale.of(history), self.window)
        scores = np.empty(len(windows))
        for begin in range(0, len(windows), SCORED_AT_ONCE):
            part = torch.from_numpy(windows[begin : begin + SCORED_AT_ONCE].astype(np.float32))
            error = (self.network(part) - part).square().mean(dim=(1, 2))
            scores[begin : begin + SCORED_AT_ONCE] = error.double().numpy()
        return np.where(self.scale.has_value(history), scores, np.nan)


def candidates(histories: Sequence[History], task: Task) -> Iterator[Candidate]:
    """The network of each window. Raises DataRefused when no channel varies over the healthy rows."""
    scale = standard(histories, task)
    n_each = max(1, WINDOWS_MAX // len(histories))
    for window in WINDOWS:
        parts = []
        for history in histories:
            rows = drawn(np.flatnonzero(healthy(history, task)), n_each, task.seed)
            parts.append(windows_of(scale.of(history), window)[rows].astype(np.float32))
        yield f"window {window}", Rebuilt(window, scale, fit(np.concatenate(parts), task.seed))


def fit(windows: np.ndarray[tuple[int, ...], np.dtype[np.float32]], seed: int) -> Autoencoder:
    """The network after STEPS batches of windows float32 [n, W, C]."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = Autoencoder(windows.shape[2])
        rng = np.random.default_rng(seed)
        optimizer = torch.optim.Adam(network.parameters(), lr=1e-2)
        for _ in range(STEPS):
            batch = torch.from_numpy(windows[rng.integers(len(windows), size=BATCH)])
            loss = (network(batch) - batch).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return network.eval()


def windows_of(z: Float64, window: int) -> Float64:
    """float64 [T, W, C]: the rows that end at each row; before the first row the device stood at it."""
    padded = np.concatenate([np.repeat(z[:1], window - 1, axis=0), z])
    return sliding_window_view(padded, window, axis=0).transpose(0, 2, 1)


LSTM_AUTOENCODER = Baseline(
    candidates,
    score="how badly a window's rows are rebuilt from what the network remembers of them",
    after="Malhotra et al., ICML Workshop 2016",
    tuned=f"the window's rows: {', '.join(map(str, WINDOWS))}",
    library="torch",
    is_seeded=True,
)
