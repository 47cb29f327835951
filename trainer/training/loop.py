"""The training loop, and how training works.

**What goes in.** The features of whole recorded lives (`model/features.py`), one device each. Fit lives change the
weights. Validation lives never do; they are measured after each epoch, and with `train.patience` they choose the epoch
that is kept. The devices that the bundle is measured on later are not here at all.

**One epoch.** Each fit life is decomposed once into wear and noise, and every epoch sees another version of it
(`augment.py`), since lives are few. Versions of like length make a batch, padded at their ends. A batch holds whole
lives with carried state, as the agent will run them, never windows: how far the network looks back is learnt, not
chosen. A batch is one chunk of rows, or several with `train.truncate`: then the state goes on from chunk to chunk, and
the error does not go back beyond a chunk. Each chunk is one step: outputs, loss (`loss.py`), gradient clipped by its
norm, optimiser, moving average of the weights. The schedule steps once a batch, so that its length is known beforehand.

**What is kept.** The moving average is validated and deployed, not the last weights, so that no single step decides.
With patience the average of the best epoch is kept, by the mean lead of warnings on the validation lives at the default
budget, since that is what a user gets; without patience the last average is kept.

**Two groups of weights.** The hazards are logits of a linear map of states within +-1, so their weights must grow
large: they have a higher learning rate and no decay. Each group is clipped by its own norm, so that large gradients of
one do not shorten the steps of the other.

**What int8 needs.** In the last `train.rounded_epochs` epochs the products are rounded as int8 rounds them
(`fake_quantized`), so that weights settle where rounding hurts least. Those epochs are float32, whatever
`train.precision` says.

**What may change what.** `Run` (`checkpoint.py`) holds all that the next epoch depends on. The functions here,
`validate` and `resume` change it, nothing else does. A checkpoint is `Run` with torch's random numbers, written after
each whole epoch, so a killed run goes on with the same bits. All chance comes from two generators: `Run.rng`
(augmentation, order of batches) and torch's (weights, dropout, a teacher's cuts), both seeded with `config.seed`. Code
that draws from them in another order changes every weight.

**Why one loop.** Streaming network and teacher are trained by it, and every technique is a switch of `[train]` or a
keyword. A second loop would be a copy that soon differs. docs/results.md says what each switch is worth.
"""

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils import clip_grad_norm_
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from tqdm import tqdm

from agent.errors import ConfigurationRefused, ForewarnError
from trainer.config import Config, Train
from trainer.data.stages import steps
from trainer.graph.fake_quantize import fake_quantized
from trainer.model.cells.cell import dense
from trainer.model.features import Batch, Features, batch_of
from trainer.model.network import Learner, fix_seed
from trainer.training.augment import Decomposed, augmented, decompose
from trainer.training.checkpoint import Checkpoint, Curves, Run, resume, save
from trainer.training.loss import Target, Truth, life_target, loss, target_of
from trainer.training.precision import mixed_precision, with_precision_here
from trainer.training.validation import EarlyStopping, best_epoch, validate

HAZARDS_FASTER = 5.0
"""Learning rate of the hazards, beside that of the other weights."""
EPOCHS_MIN = 8
"""Of long lives, which take many steps each time."""
TAME = "Lower train.learning_rate, or look for absurd readings."

AnyLearner = TypeVar("AnyLearner", bound=Learner)


@dataclass(frozen=True, slots=True)
class Teacher:
    """Draws the estimate of the remaining life to its own.

    estimate  inputs float32 [T, n, I] and real bool [T, n] to remaining life / cap, float32 [T, n]
    share     its weight in what the estimate is drawn to; the truth has the rest
    """

    estimate: Callable[[Tensor, Tensor], Tensor]
    share: float


def train(
    make: Callable[[Config], AnyLearner],
    lives: Sequence[Features],
    validation: Sequence[Features],
    config: Config,
    *,
    teacher: Teacher | None = None,
    early_stopping: EarlyStopping | None = None,
    checkpoint: Checkpoint | None = None,
) -> tuple[AnyLearner, Curves]:
    """Make a network and train it on `lives`; returns it on the CPU, in evaluation mode, with the curves.

    early_stopping  decides when to stop and which epoch is kept, where `train.patience` is set
    checkpoint      file to go on from, where it is there, and to write after each epoch

    Deterministic by `config.seed` on one machine's CPU. Raises ForewarnError when loss or weights are no longer finite,
    for a checkpoint of another run, and for a device that is not there.
    """
    config = config.model_copy(update={"train": with_passes(config.train, lives)})
    settings = config.train
    if settings.device == "cuda" and not torch.cuda.is_available():
        what = f"is cuda, but this torch ({torch.__version__}) finds no CUDA device"
        raise ConfigurationRefused("train.device", what, next_step='Set device = "cpu", or install a torch for CUDA.')
    fix_seed(config.seed, settings.device)
    network = make(config).to(settings.device)
    config = with_precision_here(config, network)
    run = start_run(network, config, len(lives))
    if checkpoint is not None and checkpoint.path.exists():
        resume(run, checkpoint)
        left = f"is of this same training (seed {config.seed}): goes on after epoch {run.epoch} of {settings.epochs}"
        tqdm.write(f"{checkpoint.path}: {left}; --anew starts at the first", file=sys.stderr)
    target = target_of(lives, config)
    decomposed = [decompose(life, config.augment.smooth_rows) for life in lives]
    with steps("epochs", settings.epochs, run.epoch) as step:
        while not is_over(run.curves, settings):
            epoch_loss = train_epoch(run, decomposed, target, config, teacher)
            if broken := not_finite(run, epoch_loss):
                if checkpoint is not None:  # it would come to the same end, and refuse the configuration that is mended
                    checkpoint.path.unlink(missing_ok=True)
                raise ForewarnError(config.name, f"{broken} in epoch {run.epoch + 1}", next_step=TAME)
            validate(run, validation, config, epoch_loss, early_stopping)
            if checkpoint is not None:
                save(run, checkpoint)
            step({"loss": f"{epoch_loss:.4f}", "RMSE": f"{run.curves.rmse[-1]:.2f}"})
    network.load_state_dict(run.best or run.averaged.module.state_dict())
    return network.cpu().eval(), run.curves


def with_passes(settings: Train, lives: Sequence[Features]) -> Train:
    """The settings with as many epochs as these lives need: it is steps that teach, and a long life has a step a chunk.

    So where the longest life is cut into n chunks an n-th of the epochs is done, but no fewer than `EPOCHS_MIN`.
    """
    n_chunks = -(-max(len(life.z) for life in lives) // settings.truncate) if settings.truncate else 1
    epochs = max(settings.epochs // n_chunks, min(settings.epochs, EPOCHS_MIN))
    return settings.model_copy(update={"epochs": epochs, "rounded_epochs": min(settings.rounded_epochs, epochs)})


def start_run(network: Learner, config: Config, n_lives: int) -> Run:
    """A run before its first epoch."""
    settings = config.train
    decay = get_ema_multi_avg_fn(settings.average)  # type: ignore[no-untyped-call]
    life, hazards = network.parameter_groups()
    rates = [settings.learning_rate, HAZARDS_FASTER * settings.learning_rate]
    groups = [{"params": life, "weight_decay": settings.weight_decay}, {"params": hazards, "weight_decay": 0.0}]
    optimiser = torch.optim.AdamW(groups)
    steps = -(-n_lives // settings.batch) * settings.epochs
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rates, total_steps=steps)
    averaged = AveragedModel(network, multi_avg_fn=decay)
    scaler = torch.amp.GradScaler(settings.device, enabled=settings.precision == "fp16")
    return Run(network, averaged, optimiser, schedule, scaler, np.random.default_rng(config.seed), Curves(), {})


def is_over(curves: Curves, settings: Train) -> bool:
    """All epochs are done, or too many since the best one."""
    done = len(curves.loss)
    return done >= settings.epochs or 0 < settings.patience < done - best_epoch(curves)


def train_epoch(
    run: Run, lives: Sequence[Decomposed], target: Target, config: Config, teacher: Teacher | None
) -> float:
    """Learn from every life once, in a new version of it. Returns the mean loss of the steps."""
    settings, losses = config.train, []
    is_quantized = run.epoch >= settings.epochs - settings.rounded_epochs
    run.network.train()
    versions = [augmented(life, config.augment, config.model.clip_sigma, run.rng) for life in lives]
    for batch in batches_of(versions, config, run.rng):
        states: list[Tensor] = []
        for inputs, truth in chunks_of(batch, config, teacher):
            carried = [state.detach() for state in states]
            if is_quantized:
                outputs, states = run.network(inputs, carried, fake_quantized, truth.real)
            else:
                with mixed_precision(settings):
                    outputs, states = run.network(inputs, carried, dense, truth.real)
            value = loss(outputs.in_float32(), truth, target)
            descend(run, value, settings.clip_norm)
            losses.append(value.item())
        run.schedule.step()
    return float(np.mean(losses))


def batches_of(lives: Sequence[Features], config: Config, rng: np.random.Generator) -> list[Batch]:
    """Lives of like length together, batches in random order."""
    ordered = sorted(lives, key=lambda life: len(life.z))
    size = config.train.batch
    starts = rng.permutation(np.arange(0, len(ordered), size))
    return [batch_of(ordered[start : start + size], config.model) for start in starts]


def chunks_of(batch: Batch, config: Config, teacher: Teacher | None = None) -> Iterator[tuple[Tensor, Truth]]:
    """A batch in runs of rows over which errors travel back, in order (Williams and Peng, Neural Comput. 2, 1990).

    The teacher is asked once for the whole batch, since it looks ahead.
    """
    device, length = config.train.device, config.train.truncate
    left, real, failed = (torch.from_numpy(array).to(device) for array in (batch.left, batch.real, batch.failed))
    estimate = life_target(left, config.rul.cap)
    if teacher is not None:
        inputs = torch.from_numpy(batch.inputs).to(device)
        estimate = teacher.share * teacher.estimate(inputs, real) + (1 - teacher.share) * estimate
    for rows, chunk in zip(batch.rows(length), batch.chunks(length), strict=True):
        yield torch.from_numpy(chunk).to(device), Truth(left[rows], real[rows], failed, estimate[rows])


def descend(run: Run, value: Tensor, clip_norm: float) -> None:
    """One step against the gradient, clipped by its norm (Pascanu, Mikolov and Bengio, ICML 2013)."""
    run.optimiser.zero_grad()
    run.scaler.scale(value).backward()  # type: ignore[no-untyped-call]
    run.scaler.unscale_(run.optimiser)
    for weights in run.network.parameter_groups():
        clip_grad_norm_(weights, clip_norm)
    run.scaler.step(run.optimiser)
    run.scaler.update()
    run.averaged.update_parameters(run.network)


def not_finite(run: Run, epoch_loss: float) -> str:
    """What is no longer a finite number after an epoch, "" for nothing."""
    if not np.isfinite(epoch_loss):
        return f"the loss is {epoch_loss}"
    weights = [*run.network.parameters(), *run.averaged.parameters()]
    return "" if all(bool(weight.isfinite().all()) for weight in weights) else "a weight is no longer finite"
