"""Regimes and types: found among the fit devices, the nearest one for each row, each scaled by itself."""

from dataclasses import replace

import numpy as np
import pytest

from agent.errors import DataRefused
from agent.words import Float32
from tests.trainer.fleet import NAMES, fleet, small_config
from trainer.config import Grouping
from trainer.data.history import History
from trainer.model.features import batch_of, features_of, fit_scaling, n_inputs
from trainer.model.regimes import Groups, fit_groups, one_hot

CENTRES = np.float32([[0, 0.0, 100], [10, 0.25, 100], [42, 0.84, 100], [25, 0.62, 60]])
BY = ("setting_1", "setting_2", "setting_3")
CONFIG = small_config(regimes=Grouping(by=BY, count=4), types=Grouping(by=("part",), count=2))


def settings(n: int, seed: int = 0) -> tuple[Float32, np.ndarray]:
    """n rows about the four centres, and which one each is about."""
    rng = np.random.default_rng(seed)
    which = rng.integers(4, size=n)
    return (CENTRES[which] + rng.normal(0, [0.002, 0.0003, 0], (n, 3))).astype(np.float32), which


def flying(history: History, seed: int) -> History:
    """The engine in changing regimes: a regime moves every channel by far more than wear does."""
    said, which = settings(len(history.x), seed)
    level = np.float32([[1, 1, 1], [0.9, 0.95, 0.8], [0.8, 0.9, 0.4], [0.85, 0.9, 0.6]])[which]
    part = np.full((len(history.x), 1), 1 + seed % 2, np.float32)
    return replace(history, x=np.concatenate((history.x * level, said, part), axis=1))


FLYING = [flying(history, seed) for seed, history in enumerate(fleet(6))]


def test_every_regime_is_found_and_every_row_is_in_its_own() -> None:
    said, which = settings(400)
    groups = fit_groups(said, CONFIG.regimes)
    one = one_hot(groups, said)
    assert one.sum(axis=1).tolist() == [1.0] * 400
    assert len({tuple(pair) for pair in zip(which, one.argmax(axis=1), strict=True)}) == 4
    again = fit_groups(said[::-1], CONFIG.regimes)
    np.testing.assert_allclose(again.centres, groups.centres, atol=1e-6)


def test_a_missing_setting_is_the_devices_last_one() -> None:
    groups = fit_groups(settings(400)[0], CONFIG.regimes)
    rows = np.repeat(CENTRES[2:], 3, axis=0)
    rows[1], rows[2, 0], rows[4] = np.nan, np.nan, np.nan
    assert (
        one_hot(groups, rows).argmax(axis=1).tolist()
        == one_hot(groups, np.repeat(CENTRES[2:], 3, axis=0)).argmax(axis=1).tolist()
    )
    assert one_hot(groups, rows[1:2]).sum() == 1, "before the first one it is the mean"


def test_settings_that_do_not_differ_enough_are_refused_by_name() -> None:
    with pytest.raises(DataRefused, match=r"setting_2, setting_3: .* show 2 different settings, 4 .*\n.*= 2"):
        fit_groups(CENTRES[[0, 1, 0, 1]], CONFIG.regimes)
    with pytest.raises(DataRefused, match="no row of the fit devices has all of them"):
        fit_groups(np.full((3, 3), np.nan, np.float32), CONFIG.regimes)


def test_each_regime_is_scaled_by_itself() -> None:
    """What is left of a channel after scaling is wear and noise, whatever the regime."""
    scaling = fit_scaling(FLYING, CONFIG)
    lives = [features_of(history, scaling, CONFIG.model) for history in FLYING]
    z, groups = (np.concatenate([getattr(life, name) for life in lives]) for name in ("z", "groups"))
    for regime in range(4):
        mine = z[groups[:, regime] == 1]
        np.testing.assert_allclose(mine.mean(axis=0), 0, atol=0.05)
        np.testing.assert_allclose(mine.std(axis=0), 1, atol=0.05)
    assert groups[:, 4:].sum(axis=1).tolist() == [1.0] * len(z), "and every engine has a type"
    assert batch_of(lives, CONFIG.model).inputs.shape[2] == n_inputs(CONFIG) == 3 * 3 + 2 + 4 + 2


def test_a_channel_that_one_regime_holds_still_is_silent_there() -> None:
    still = []
    for history in FLYING:
        x = history.x.copy()
        x[x[:, 5] < 70, 1] = 3.0  # setting_3 is 60 in one regime
        still.append(replace(history, x=x))
    scaling = fit_scaling(still, CONFIG)
    silent = np.flatnonzero(scaling.scale[:, 1] == 0)
    assert len(silent) == 1
    life = features_of(still[0], scaling, CONFIG.model)
    assert (life.z[life.groups[:, silent[0]] == 1, 1] == 0).all()
    all_still = [replace(one, x=np.where(np.arange(7) == 1, np.float32(3), one.x)) for one in FLYING]
    with pytest.raises(DataRefused, match=f"channel '{NAMES[1]}' takes at most two values .* in most of their regimes"):
        fit_scaling(all_still, CONFIG)


def test_groups_is_plain_constants() -> None:
    groups = fit_groups(settings(50)[0], CONFIG.regimes)
    assert isinstance(groups, Groups)
    assert {array.dtype for array in (groups.scale, groups.offset, groups.centres)} == {np.dtype(np.float32)}
