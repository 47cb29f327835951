"""Augmentation is for lives that are learnt from, and for nothing else: by the import graph and by what comes out."""

import ast
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.trainer.fleet import fleet, small_config
from trainer.config import Augment, Config, Train
from trainer.data.split import Parts, split
from trainer.fit import train_bundle
from trainer.model.features import Features, features_of, fit_scaling
from trainer.training import augment
from trainer.training.augment import augmented, cut, decompose, warped

ROOT = Path(__file__).parents[3]
CONFIG = small_config(train=Train(epochs=2, batch=4), augment=Augment(smooth_rows=3, join_share=0.5, cut_share=0.5))


def lives(n: int = 4) -> list[Features]:
    scaling = fit_scaling(fleet(n), CONFIG)
    return [features_of(history, scaling, CONFIG.model) for history in fleet(n)]


@pytest.mark.slow
def test_a_history_that_is_scored_can_meet_no_augmentation() -> None:
    """Only the loop takes the functions that vary a life; a teacher knows how short a life may be, and cuts its own."""
    found = {}
    for path in sorted([*ROOT.glob("trainer/**/*.py"), *ROOT.glob("agent/**/*.py"), *ROOT.glob("bench/**/*.py")]):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module == "trainer.training.augment":
                found[str(path.relative_to(ROOT))] = {alias.name for alias in node.names}
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import | ast.ImportFrom) else []
            assert "trainer.training.augment" not in names
            assert not (isinstance(node, ast.ImportFrom) and node.module == "trainer" and "augment" in names)
    augmenting = {"augmented", "decompose", "warped", "started_late", "cut"}
    assert {path for path, names in found.items() if names & augmenting} == {"trainer/training/loop.py"}


def outcome(config: Config, parts: Parts) -> tuple[bytes, bytes, list[float], int, object]:
    bundle, curves, starts = train_bundle(config, parts, "0" * 64)
    manifest = bundle.manifest
    return (
        bundle.model,
        bundle.model_fp32,
        curves.rmse,
        len(starts),
        (manifest.warmup_rows, manifest.judging["risk"].thresholds),
    )


@pytest.mark.slow
def test_validation_calibration_and_graph_know_no_augmented_life(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every function of trainer/training/augment.py blows up on a life that is not learnt from: nothing changes."""
    parts = split(fleet(), CONFIG.split)
    wanted = outcome(CONFIG, parts)
    scaling = fit_scaling(parts.fit, CONFIG)
    fitted = {features_of(history, scaling, CONFIG.model).z.tobytes() for history in parts.fit}
    seen = []

    def guarded(function: Callable[..., object]) -> Callable[..., object]:
        def only_for_fit(life: Features, *arguments: object) -> object:
            assert life.z.tobytes() in fitted
            seen.append(life)
            return function(life, *arguments)

        return only_for_fit

    monkeypatch.setattr("trainer.training.loop.decompose", guarded(augment.decompose))
    assert outcome(CONFIG, parts) == wanted
    assert len(seen) == len(parts.fit)


def test_a_cut_life_keeps_what_is_known_of_its_end() -> None:
    life = lives(1)[0]
    lengths = set()
    for seed in range(200):
        shorter = cut(life, np.random.default_rng(seed))
        n = len(shorter.z)
        lengths.add(n)
        assert shorter.left.tolist() == life.left[:n].tolist()
        assert (shorter.new, shorter.failed) == (life.new, life.failed)
    assert (min(lengths), max(lengths)) == (augment.ROWS_MIN, len(life.z))


def test_noise_is_drawn_from_rows_of_the_same_regime() -> None:
    """Noise of the second regime is a hundred times larger."""
    life = lives(1)[0]
    rows = np.arange(len(life.z))
    groups = np.stack([rows % 3 == 0, rows % 3 != 0], axis=1).astype(np.float32)
    decomposed = decompose(replace(life, groups=groups), 3)
    loud = replace(
        decomposed, residual=np.where(rows % 3 == 0, 0.01, 1.0)[:, None].astype(np.float32) * np.ones((1, 3))
    )
    made = warped(loud, 1.0, 99.0, np.random.default_rng(0))
    noise = np.abs(made.z - decomposed.smooth)[:, 0]
    assert noise[made.groups[:, 0] == 1].max() < 0.02
    assert noise[made.groups[:, 1] == 1].min() > 0.9


def test_a_censored_life_stays_censored_and_lives_as_much_longer_as_it_is_stretched() -> None:
    life = replace(lives(1)[0], failed=False)
    longer = warped(decompose(life, 3), 1.2, 4.0, np.random.default_rng(0))
    assert not longer.failed
    assert longer.left[0] == pytest.approx(1.2 * life.left[0])


@pytest.mark.parametrize(("share", "kind"), [("probability", "z"), ("join_share", "new"), ("cut_share", "left")])
def test_each_kind_comes_as_often_as_it_is_asked_for(share: str, kind: str) -> None:
    decomposed = decompose(lives(1)[0], 3)
    settings = Augment(probability=0, join_share=0).model_copy(update={share: 0.3})
    rng = np.random.default_rng(0)
    changed = sum(augmented(decomposed, settings, 4.0, rng) is not decomposed.features for _ in range(1000))
    assert changed == pytest.approx(300, abs=45), kind
