"""The clip of a projection: the fused layer is used only where it computes the same."""

import numpy as np
import torch
from torch import nn

from tests.trainer.model.cells.projection.equation import equation
from tests.trainer.model.cells.started import started
from trainer.model.cells.projection import Projection

I, H, ROWS, DEVICES = 3, 6, 40, 4  # noqa: E741


def test_projections_by_the_equation_reach_the_clip_and_do_not() -> None:
    rng = np.random.default_rng(0)
    shapes = {part: tuple(value.shape) for part, value in Projection(I, H).named_parameters()}
    weights = {part: rng.normal(size=shape) for part, shape in shapes.items()}
    clipped = np.abs(equation(weights, rng.normal(size=(ROWS, DEVICES, I)), H)) == 1
    assert 0.01 < clipped.mean() < 0.5


def test_a_projection_without_clip_is_that_of_torch() -> None:
    torch.manual_seed(0)
    made = Projection(I, H)
    theirs = nn.LSTM(I, H, proj_size=H // 2)
    theirs.load_state_dict(made.fused.state_dict())
    xs, state = torch.randn(ROWS, DEVICES, I), torch.zeros(DEVICES, made.size)
    wanted, _ = theirs(xs)
    for x, row in zip(xs, wanted, strict=True):
        output, state = made.step(x, state)
        torch.testing.assert_close(output, row, atol=1e-6, rtol=0)


def test_a_fused_pass_is_used_only_where_it_is_the_same() -> None:
    """A projection that reaches the clip goes row by row, and the state says so too."""
    torch.manual_seed(0)
    made = Projection(I, H).double()
    with torch.no_grad():
        made.fused.weight_hr_l0.mul_(20.0)
    xs, state = torch.randn(ROWS, DEVICES, I, dtype=torch.float64), torch.zeros(DEVICES, made.size, dtype=torch.float64)
    outputs, last = made(xs, state)
    assert outputs.abs().max() == 1
    for x, wanted in zip(xs, outputs, strict=True):
        output, state = made.step(x, state)
        torch.testing.assert_close(output, wanted, atol=1e-12, rtol=0)
    torch.testing.assert_close(last, state, atol=1e-12, rtol=0)


def test_a_projection_starts_orthogonal() -> None:
    project = started(Projection(4, 16), "chrono")["fused.weight_hr_l0"]
    torch.testing.assert_close(project @ project.T, torch.eye(8), atol=1e-5, rtol=0)
