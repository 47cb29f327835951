"""Long histories: a chunk of rows at a time, and the same as all rows at once."""

import tracemalloc

import numpy as np
import pytest
import torch

from tests.trainer.fleet import fleet, small_config
from trainer.config import Train
from trainer.evaluation.warmup import FOLLOWED_ROWS, STARTS_EVERY, STARTS_OF_LONG, first_rows, start_at
from trainer.model.features import Features, batch_of, features_of, fit_scaling
from trainer.model.network import Network, fix_seed
from trainer.training.augment import WHOLE_ROWS, decompose, smoothed, smoother
from trainer.training.loop import EPOCHS_MIN, with_passes
from trainer.training.validation import outputs_of

CONFIG = small_config()


def life(n_rows: int, n_channels: int = 3) -> Features:
    z = np.random.default_rng(0).normal(size=(n_rows, n_channels)).astype(np.float32).cumsum(axis=0)
    row = np.arange(n_rows, dtype=np.float32)
    return Features(z / np.abs(z).max(), row + 1, n_rows - row, np.ones((n_rows, 0), np.float32))


def test_chunks_of_a_batch_are_its_inputs_to_the_bit() -> None:
    """Running means go on from chunk to chunk."""
    histories = fleet(3)
    scaling = fit_scaling(histories, CONFIG)
    batch = batch_of([features_of(one, scaling, CONFIG.model) for one in histories], CONFIG.model)
    for length in (1, 7, 50, 10_000):
        chunks = list(batch.chunks(length))
        assert len(chunks) == len(batch.rows(length)) == -(-len(batch.z) // length)
        assert np.concatenate(chunks).tobytes() == batch.inputs.tobytes()


def test_outputs_of_chunks_are_those_of_the_whole() -> None:
    fix_seed(0)
    network, batch = Network(CONFIG), batch_of([life(40), life(90)], CONFIG.model)
    whole, cut = outputs_of(network, batch, 0), outputs_of(network, batch, 13)
    for name in ("estimate", "spread", "hazard"):
        torch.testing.assert_close(getattr(cut, name), getattr(whole, name), atol=1e-6, rtol=0)


@pytest.mark.slow
def test_the_smooth_of_a_long_life_is_that_of_all_its_rows() -> None:
    """Beyond WHOLE_ROWS it looks at the rows around a row alone; what is left out has no weight."""
    z = life(2 * WHOLE_ROWS + 77).z
    whole = smoother(0, len(z), len(z), 6.0) @ z
    np.testing.assert_allclose(smoothed(z, 6.0), whole, atol=1e-9)
    short = z[:WHOLE_ROWS]
    assert smoothed(short, 6.0).tobytes() == (smoother(0, WHOLE_ROWS, WHOLE_ROWS, 6.0) @ short).tobytes()


def test_memory_of_a_decomposition_grows_with_the_rows() -> None:
    """60,000 rows of 3 channels: a matrix of rows by rows would take 29 GB."""
    of = life(60_000)
    tracemalloc.start()
    decompose(of, 6.0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 60e6


def test_long_lives_are_learnt_from_fewer_times() -> None:
    """As many steps, not as many epochs; never fewer than EPOCHS_MIN, or than were asked for."""
    settings = Train(epochs=150, truncate=100)
    assert with_passes(settings, [life(100)]).epochs == 150
    assert with_passes(settings, [life(30), life(500)]).epochs == 30
    assert with_passes(settings, [life(5000)]).epochs == EPOCHS_MIN
    assert with_passes(settings.model_copy(update={"epochs": 3}), [life(5000)]).epochs == 3
    assert with_passes(settings.model_copy(update={"truncate": 0}), [life(5000)]).epochs == 150


def test_late_starts_of_a_long_life_are_few_and_short() -> None:
    assert list(first_rows(20)) == [6, 12, 18]
    assert len(first_rows(FOLLOWED_ROWS)) == (FOLLOWED_ROWS - 1) // STARTS_EVERY
    assert len(first_rows(50 * FOLLOWED_ROWS)) in (STARTS_OF_LONG - 1, STARTS_OF_LONG)


def test_a_late_start_keeps_the_steps_of_time() -> None:
    history = fleet(1)[0]
    late = start_at(history, 7, "late")
    assert late.t_ns[0] == history.t_ns[0]
    assert np.diff(late.t_ns).tolist() == np.diff(history.t_ns[7:]).tolist()
    assert late.x.tobytes() == history.x[7:].tobytes()
