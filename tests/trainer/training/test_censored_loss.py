"""What a device that did not fail teaches: how long it lived at least, and not a row more."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.trainer.fleet import fleet, small_config
from trainer.config import Augment, Train
from trainer.data.history import History
from trainer.model.features import features_of, fit_scaling
from trainer.model.heads import Outputs
from trainer.model.network import Network
from trainer.training.loop import train
from trainer.training.loss import Target, Truth, hazard_targets, life_target, loss, target_of
from trainer.training.validation import predict

CONFIG = small_config(train=Train(epochs=40, batch=4, average=0.5), augment=Augment(probability=0, join_share=0))


def test_hazards_of_a_device_that_did_not_fail_count_while_they_were_survived() -> None:
    """Recorded for 3, 5, 8, 10 and 99 seconds more: horizon 5 is survived from 5 on, horizon 10 from 10 on."""
    faulty, exposed = hazard_targets(torch.tensor([3.0, 5.0, 8.0, 10.0, 99.0]), torch.tensor(False), (5.0, 10.0))
    assert not faulty.any()
    assert exposed.tolist() == [[False, False], [True, False], [True, False], [True, True], [True, True]]


def test_loss_of_a_device_that_did_not_fail_is_that_of_what_is_known() -> None:
    """Rows 200 and 50 seconds before the recording ends, cap 100, horizons 10 and 60: life is known of the first only,
    the second hazard too; the first hazard is known of both. Each hazard of 1/2 costs log 2, and rows beyond the cap
    weigh the same among themselves.
    """
    target = Target(cap=100.0, above_weight=0.25, low=0.05, high=0.95, horizons=(10.0, 60.0))
    estimate = torch.tensor([[0.5], [9.0]], requires_grad=True)
    hazard = torch.zeros((2, 1, 2), requires_grad=True)
    left = torch.tensor([[200.0], [50.0]])
    truth = Truth(left, torch.ones_like(left, dtype=torch.bool), torch.tensor([False]), life_target(left, 100.0))
    value = loss(Outputs(estimate, torch.full((2, 1, 2), 0.25), hazard), truth, target)
    interval = 0.05 * 0.75 + 0.95 * 0.25  # truth 1.0 is 0.75 above low and 0.25 above high
    assert value.item() == pytest.approx(0.5**2 + interval + np.log(2), rel=1e-6)
    value.backward()
    assert estimate.grad is not None
    assert hazard.grad is not None
    assert estimate.grad[1].item() == 0
    np.testing.assert_allclose(hazard.grad[:, 0], [[1 / 6, 1 / 6], [1 / 6, 0]], rtol=1e-6)


def test_rows_beyond_the_cap_weigh_their_share_of_the_rows_that_teach() -> None:
    """The last rows of a device that did not fail say nothing of the remaining life, and count for nothing."""
    scaling = fit_scaling(fleet(4), CONFIG)
    some = [features_of(one, scaling, CONFIG.model) for one in fleet(4)]
    some[2:] = [replace(one, failed=False) for one in some[2:]]
    n_above = sum(int((one.left > 40).sum()) for one in some)
    n_below = sum(int((one.left <= 40).sum()) for one in some[:2])
    above = target_of(some, CONFIG).above_weight * n_above
    assert above / (above + n_below) == pytest.approx(CONFIG.train.above_cap_share)


def brier(learnt_from: Sequence[History], held_out: Sequence[History]) -> float:
    """Of the risks of three horizons over the held-out devices, uncalibrated."""
    scaling = fit_scaling(learnt_from, CONFIG)
    fit, kept = ([features_of(one, scaling, CONFIG.model) for one in part] for part in (learnt_from, held_out))
    network, _ = train(Network, fit, kept, CONFIG)
    faults = [one.faults_within(CONFIG.risk.horizons)[0] for one in held_out]
    told = [risk for _, risk in predict(network, kept, CONFIG)]
    return float(np.mean((np.concatenate(told) - np.concatenate(faults)) ** 2))


@pytest.mark.slow
def test_devices_that_did_not_fail_make_the_risk_no_worse_than_leaving_them_out() -> None:
    """Eight engines, four of them recorded until 15 cycles before their failure. Taken for failures they would make
    it much worse.
    """
    engines = fleet(12)
    sound = [replace(one, t_s=one.t_s[:-15], x=one.x[:-15], t_fail=None) for one in engines[4:8]]
    taken_for_failures = [replace(one, t_fail=float(one.t_s[-1])) for one in sound]
    with_them = brier([*engines[:4], *sound], engines[8:])
    assert with_them <= 1.02 * brier(engines[:4], engines[8:])
    assert with_them < 0.8 * brier([*engines[:4], *taken_for_failures], engines[8:])
