"""Never behind what the plant has (T13): a few whole lives, and the shipped charts beside limits at the same budget."""

from pathlib import Path

import numpy as np
import pytest

from agent.bundle.file import read
from agent.judge.threshold import choose, parse_budget
from tests.trainer.fleet import small_config
from tests.trainer.recordings import table
from trainer.config import Anomaly, Config, Model
from trainer.data.history import History
from trainer.data.split import Parts, Split
from trainer.evaluation.compare import MethodResult, bundle_result, rival_result
from trainer.evaluation.playback import play
from trainer.fit import make_folder, train_and_write

WORN_ROWS = 150
CHANNELS = ("c0", "c1", "c2", "c3")
SEED = 1
ERRORS = 2.0
"""Standard errors of the mean difference, over machines, that chance explains."""


def life(number: int, kind: str) -> History:
    """Noise that hangs together over rows and channels, at a level and spread of the machine's own; at the end two
    channels run away slowly, or stand three deviations off.
    """
    rng = np.random.default_rng((SEED, number))
    n_rows = int(rng.integers(900, 1200))
    x = rng.normal(size=(n_rows, 4)) @ (np.eye(4) + 0.4 * np.random.default_rng(SEED).normal(size=(4, 4)))
    for row in range(1, n_rows):
        x[row] = 0.6 * x[row - 1] + 0.8 * x[row]
    since, channel = np.arange(WORN_ROWS), int(rng.integers(4))
    pair = [channel, (channel + 1) % 4]
    off = 5 * since / WORN_ROWS if kind == "wear" else np.where(since < 30, 0.0, 3.0)
    x[-WORN_ROWS:, pair] += off[:, None] * x.std(axis=0)[pair]
    x = x * np.exp(0.3 * rng.normal(size=4)) + 2 * rng.normal(size=4)
    return History(f"m{number:02}", np.arange(1.0, n_rows + 1), x.astype(np.float32), float(n_rows))


def plant() -> Config:
    return small_config(
        heads=("anomaly",),
        data=table(channels=CHANNELS),
        split=Split(fit=4, calibrate=4, play=8),
        model=Model(cadence=1, dt_max=20),
        judge=small_config().judge.model_copy(update={"h_max": float(WORN_ROWS), "h_min": 1.0}),
        anomaly=Anomaly(learning=150, ahead=8, hidden=8, steps=60, batch=8),
    )


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["wear", "steps"])
def test_the_shipped_charts_are_not_behind_limits_at_the_same_budget(kind: str, tmp_path: Path) -> None:
    """Eight lives teach, eight others are played.

    Both detect all 8; the mean lead is 90 rows and 74 with 2 false alarms and 7 (wear), 110 and 113 with 2 and 13.
    """
    lives = [life(number, kind) for number in range(16)]
    parts = Parts(tuple(lives[:4]), tuple(lives[4:8]), tuple(lives[8:]))
    make_folder(tmp_path / "out")
    bundle = read(train_and_write(plant(), parts, "0" * 64, tmp_path / "out"))
    budget = parse_budget("1 per 1000 cycles", fleet_size=0)
    assert bundle.manifest.anomaly is not None
    chosen = choose(bundle.manifest.anomaly.thresholds, budget)
    played = play(bundle, bundle.model, parts.play, chosen.threshold)
    ours = bundle_result(bundle.manifest, chosen, played, parts.play, "anomaly")
    tuning = (*parts.fit, *parts.calibrate)
    limits = rival_result("limits", bundle.manifest, tuning, parts.play, budget, "anomaly")
    assert limits.early_warning.strict.detected >= 4, "a plant that limits see nothing of would hold nothing"
    assert ours.early_warning.strict.detected >= limits.early_warning.strict.detected - 1
    ahead = leads(ours) - leads(limits)
    assert ahead.mean() >= -ERRORS * ahead.std(ddof=1) / len(ahead) ** 0.5
    assert ours.early_warning.false_alarms_per_s <= 2 * budget.rate_per_s


def leads(result: MethodResult) -> np.ndarray:
    return np.array([one.lead_s for one in result.early_warning.devices])
