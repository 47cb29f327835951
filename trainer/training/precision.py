"""Products in a narrow type, where this machine has them.

Whether a processor has them is tried, on the network that is to be trained: oneDNN has no bf16 LSTM without AVX-512
(bf16 products by other means take 15 times as long as float32 ones), and other cells do without it.
"""

import contextlib
import sys

import torch
from tqdm import tqdm

from trainer.config import Config, Train
from trainer.model.features import n_inputs
from trainer.model.network import Learner

NARROW = {"bf16": torch.bfloat16, "fp16": torch.float16}


def mixed_precision(settings: Train) -> contextlib.AbstractContextManager[object]:
    """Products in the narrow type, weights and loss in float32 (Micikevicius et al., ICLR 2018)."""
    if settings.precision == "fp32":
        return contextlib.nullcontext()
    return torch.autocast(settings.device, dtype=NARROW[settings.precision])


def with_precision_here(config: Config, network: Learner) -> Config:
    """The configuration with the precision that this machine can train `network` with: its own, or fp32.

    Writes a line to standard error where it is fp32 instead.
    """
    settings = config.train
    why = _refusal(settings, network, n_inputs(config))
    if not why:
        return config
    tqdm.write(
        f"{config.name}: train.precision: this processor cannot train with {settings.precision} ({why}); "
        "products are float32",
        file=sys.stderr,
    )
    return config.model_copy(update={"train": settings.model_copy(update={"precision": "fp32"})})


def _refusal(settings: Train, network: Learner, width: int) -> str:
    """Why two rows of two devices cannot be learnt from in the precision of `settings`, "" when they can.

    Draws no random number and leaves weights and gradients as they were.
    """
    if settings.precision == "fp32":
        return ""
    was_training = network.training
    network.eval()  # no dropout
    try:
        with mixed_precision(settings):
            outputs, _ = network(torch.zeros(2, 2, width, device=settings.device))
        outputs.estimate.float().sum().backward()
    except RuntimeError as error:
        return str(error).partition(".")[0]
    finally:
        network.train(was_training)
        network.zero_grad()
    return ""
