"""A slot that holds nothing yet."""

import torch

from trainer.model.cells.attention import SLOTS, Attention

I, H = 3, 6  # noqa: E741


def test_an_attention_with_one_past_row_looks_at_that_row() -> None:
    """An empty slot weighs nothing at all, however little the filled one is asked for."""
    made = Attention(I, H).double()
    with torch.no_grad():
        made.query.bias.fill_(-1e6)
        made.fused.bias_ih_l0.fill_(3.0)
    x = torch.ones(1, I, dtype=torch.float64)
    output, state = made.step(x, torch.zeros(1, made.size, dtype=torch.float64))
    h = state[:, :H]
    wanted = (torch.cat((h, h), dim=1) @ made.out.weight.T + made.out.bias).tanh()
    torch.testing.assert_close(output, wanted, atol=1e-12, rtol=0)
    assert state[0, -1] == 1
    assert not state[:, H : SLOTS * H].any()
