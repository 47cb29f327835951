"""A bundle whose network learnt from a larger one: read, split, train or take a teacher, then fit as always."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from agent.errors import ConfigurationRefused, DataRefused
from trainer.bundle.assemble import code_version
from trainer.config import Config, Distill
from trainer.data.history import digest_of
from trainer.data.split import Parts
from trainer.fit import CHECKPOINT, has_risk, make_folder, prepare, train_and_write
from trainer.model.features import batch_of, features_of, fit_scaling
from trainer.training import torch_file
from trainer.training.checkpoint import Checkpoint, differences, training_keys
from trainer.training.loop import train
from trainer.training.teacher import BidirectionalLstm, TrainedTeacher, cut_evenly, estimates_of, teacher_config
from trainer.training.validation import rmse_over_rows

ANOTHER = "Leave --teacher out to train one, or give another --out."
TEACHER, TEACHER_CHECKPOINT = "teacher.pt", "teacher-checkpoint.pt"


def distill(config: Config, data: Path | None, out: Path, teacher: Path | None = None, *, anew: bool = False) -> Path:
    """Train a teacher into `out`/teacher.pt, unless one is given or there already, and a bundle that it teaches.

    Returns the bundle's path. Raises ForewarnError. A run that was killed goes on where it was, unless it is to begin
    `anew`.
    """
    if config.distill is None:
        what = "no [distill] in the configuration"
        raise ConfigurationRefused(config.name, what, next_step="Add the section; its keys have defaults.")
    settings = config.distill
    config = config.model_copy(update={"heads": config.heads or ("risk",)})
    config, parts, data_sha256 = prepare(config, data)
    if not has_risk(config):
        what = "[distill] teaches the risk, and heads has none"
        raise ConfigurationRefused(config.name, what, next_step="Use `forewarn-train fit`, or record failures.")
    make_folder(out)
    if anew:
        (out / CHECKPOINT).unlink(missing_ok=True)
    if anew and teacher is None:
        (out / TEACHER).unlink(missing_ok=True)
        (out / TEACHER_CHECKPOINT).unlink(missing_ok=True)
    if teacher is None:
        trained = own_teacher(config, settings, parts, out)
    else:
        trained = read_teacher(teacher, config, settings, parts)
    return train_and_write(config, parts, data_sha256, out, trained)


def own_teacher(config: Config, settings: Distill, parts: Parts, out: Path) -> TrainedTeacher:
    """The teacher of this very run, trained if it is not there yet."""
    path = out / TEACHER
    made_of = {
        "version of forewarn": code_version(),
        "fitted devices": digest_of(parts.fit)[:16],
        **training_keys(teacher_config(config, settings)),
    }
    if path.exists():
        return read_teacher(path, config, settings, parts, made_of)
    checkpoint = Checkpoint(out / TEACHER_CHECKPOINT, made_of)
    teacher = train_teacher(config, settings, parts, checkpoint)
    content = {  # names of the file's schema
        "made_of": made_of,
        "hears": inputs_key(config, settings, parts),
        "watched_rmse": teacher.validation_rmse,
        "weights": teacher.network.state_dict(),
    }
    torch_file.write(path, "teacher", content)
    checkpoint.path.unlink(missing_ok=True)
    return teacher


def train_teacher(
    config: Config, settings: Distill, parts: Parts, checkpoint: Checkpoint | None = None
) -> TrainedTeacher:
    """Train it on `parts.fit`, validated on `parts.calibrate`. A training that was killed goes on from `checkpoint`."""
    scaling = fit_scaling(parts.fit, config)
    lives, validation = (
        [features_of(history, scaling, config.model) for history in part] for part in (parts.fit, parts.calibrate)
    )
    network, _ = train(
        lambda of: BidirectionalLstm(of, settings),
        lives,
        cut_evenly(validation),
        teacher_config(config, settings),
        checkpoint=checkpoint,
    )
    batch = batch_of(validation, config.model)
    shares = estimates_of(network)(torch.from_numpy(batch.inputs), torch.from_numpy(batch.real))
    estimates = (shares * config.rul.cap).numpy()
    by_life = [estimates[: len(life.z), column] for column, life in enumerate(validation)]
    return TrainedTeacher(network, digest_of_weights(network.state_dict()), rmse_over_rows(by_life, validation, config))


def read_teacher(
    path: Path, config: Config, settings: Distill, parts: Parts, made_of: Mapping[str, str] | None = None
) -> TrainedTeacher:
    """A teacher of the same devices and inputs; of the very same training where `made_of` says which.

    Raises DataRefused.
    """
    content = torch_file.read(path, "teacher", ANOTHER)
    if content["hears"] != inputs_key(config, settings, parts):
        what = "is another's teacher: the fitted devices, what a row is made of, or its size differ"
        raise DataRefused(path, what, next_step=ANOTHER)
    if made_of and (other := differences(content["made_of"], made_of)):
        next_step = f"Give it as --teacher {path} to use it all the same, or give --anew to train another."
        raise DataRefused(path, f"is of another training: {'; '.join(other)}", next_step=next_step)
    network = BidirectionalLstm(config, settings)
    network.load_state_dict(content["weights"])
    return TrainedTeacher(network.eval(), digest_of_weights(content["weights"]), content["watched_rmse"])


def inputs_key(config: Config, settings: Distill, parts: Parts) -> str:
    """What a teacher and its students must have alike: the fitted devices, what a row is made of, and its size."""
    model = config.model.model_dump_json(include={"clip_sigma", "mean_rates", "reads_means", "age_unit", "cadence"})
    of = (config.data, config.regimes, config.types, config.risk, config.rul)
    size = f"{settings.teacher_layers}x{settings.teacher_hidden}"
    return " ".join((digest_of(parts.fit), size, model, *(section.model_dump_json() for section in of)))


def digest_of_weights(weights: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256()
    for name, values in weights.items():
        digest.update(name.encode() + b"\0" + values.numpy().tobytes())
    return digest.hexdigest()
