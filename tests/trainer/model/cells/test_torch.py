"""Cells that torch has as well: one step of ours is one of torch's."""

import pytest
import torch
from torch import nn

from trainer.model.cells import CELLS

I, H, DEVICES = 3, 6, 4  # noqa: E741


@pytest.mark.parametrize(
    ("name", "peer"), [("rnn", nn.RNNCell), ("gru", nn.GRUCell), ("lstm", nn.LSTMCell)], ids=["rnn", "gru", "lstm"]
)
def test_one_step_is_that_of_torch(name: str, peer: type[nn.RNNCellBase]) -> None:
    torch.manual_seed(0)
    made, theirs = CELLS[name](I, H), peer(I, H)
    state = torch.rand(DEVICES, made.size)
    theirs.load_state_dict(
        {part.removeprefix("fused.").removesuffix("_l0"): w for part, w in made.state_dict().items()}
    )
    x = torch.randn(DEVICES, I)
    _, output = made.step(x, state)
    wanted = torch.cat(theirs(x, state.chunk(2, dim=1)), dim=1) if name == "lstm" else theirs(x, state)
    torch.testing.assert_close(output, wanted, atol=1e-6, rtol=0)
