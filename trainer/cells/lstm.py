"""The LSTM cell, its equation in the open. Training runs the same weights through the fused `nn.LSTM`."""

from typing import Literal

import torch
from torch import Tensor, nn


def lstm_step(x: Tensor, state: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """One LSTM step with forget gate (Gers, Schmidhuber and Cummins, Neural Computation 12, 2000).

    x float32 [b, F]; state float32 [b, 2H], h then c; weight [F + H, 4H] and bias [4H] in gate order i, f, g, o.
    Returns the new state, float32 [b, 2H].
    """
    h, c = state.chunk(2, dim=1)  # each [b, H]
    i, f, g, o = (torch.cat((x, h), dim=1) @ weight + bias).chunk(4, dim=1)  # each [b, H]
    c = f.sigmoid() * c + i.sigmoid() * g.tanh()
    return torch.cat((o.sigmoid() * c.tanh(), c), dim=1)


def weights_of(lstm: nn.LSTM, layer: int) -> tuple[Tensor, Tensor]:
    """Weight [F + H, 4H] and bias [4H] of one layer, as `lstm_step` takes them; copies."""
    from_input, from_state, b_input, b_state = (
        getattr(lstm, f"{name}_l{layer}").detach() for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    )
    return torch.cat((from_input, from_state), dim=1).T.contiguous(), b_input + b_state


def initialise(lstm: nn.LSTM, biases: Literal["forget_one", "chrono"], chrono_max: float) -> None:
    """Xavier input weights, orthogonal recurrent ones, and gate biases, in place.

    `forget_one`: forget bias 1 (Jozefowicz, Zaremba and Sutskever, ICML 2015), the others 0.
    `chrono`: forget bias log U(1, chrono_max - 1), input bias its negative (Tallec and Ollivier, ICLR 2018), so that
    units start with memories between one and `chrono_max` rows.
    """
    width = lstm.hidden_size
    for layer in range(lstm.num_layers):
        for gate in range(4):
            rows = slice(gate * width, (gate + 1) * width)
            nn.init.xavier_uniform_(getattr(lstm, f"weight_ih_l{layer}").data[rows])
            nn.init.orthogonal_(getattr(lstm, f"weight_hh_l{layer}").data[rows])
        bias = getattr(lstm, f"bias_ih_l{layer}").data.zero_()
        getattr(lstm, f"bias_hh_l{layer}").data.zero_()
        i, f = slice(0, width), slice(width, 2 * width)
        if biases == "forget_one":
            bias[f] = 1.0
        else:
            bias[f] = torch.empty(width).uniform_(1.0, chrono_max - 1).log_()
            bias[i] = -bias[f]
