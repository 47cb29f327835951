"""A bundle whose network learnt from a larger one: read, split, train or take a teacher, then fit as always."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import torch
from torch import Tensor

from agent.errors import ConfigurationRefused, DataRefused
from trainer.config import Config, Distill
from trainer.data.digest import digest_of
from trainer.data.split import Parts
from trainer.fit import CHECKPOINT, code_version, make_folder, ready, written
from trainer.model.features import batch_of, fit_scaling, live
from trainer.training import torch_file
from trainer.training.checkpoint import differences, learning_of
from trainer.training.loop import Beside, learn
from trainer.training.teacher import BothWays, Lesson, ended, teachers, teaching
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
    parts, data_sha256 = ready(config, data)
    make_folder(out)
    if anew:
        (out / CHECKPOINT).unlink(missing_ok=True)
    if anew and teacher is None:
        (out / TEACHER).unlink(missing_ok=True)
        (out / TEACHER_CHECKPOINT).unlink(missing_ok=True)
    if teacher is None:
        lesson = own_teacher(config, config.distill, parts, out)
    else:
        lesson = read_teacher(teacher, config, config.distill, parts)
    return written(config, parts, data_sha256, out, lesson)


def own_teacher(config: Config, settings: Distill, parts: Parts, out: Path) -> Lesson:
    """The teacher of this very run, trained if it is not there yet."""
    path, checkpoint = out / TEACHER, out / TEACHER_CHECKPOINT
    made_of = {
        "version of forewarn": code_version(),
        "fitted devices": digest_of(parts.fit)[:16],
        **learning_of(teachers(config, settings)),
    }
    if path.exists():
        return read_teacher(path, config, settings, parts, made_of)
    lesson = trained_teacher(config, settings, parts, checkpoint, made_of)
    content = {
        "made_of": made_of,
        "hears": hears(config, settings, parts),
        "watched_rmse": lesson.watched_rmse,
        "weights": lesson.network.state_dict(),
    }
    torch_file.write(path, "teacher", content)
    checkpoint.unlink(missing_ok=True)
    return lesson


def trained_teacher(
    config: Config,
    settings: Distill,
    parts: Parts,
    checkpoint: Path | None = None,
    made_of: Mapping[str, str] = MappingProxyType({}),
) -> Lesson:
    """Train it on `parts.fit`; `parts.calibrate` is looked at. A training that was killed goes on from `checkpoint`."""
    scaling = fit_scaling(parts.fit, config)
    lives, watched = ([live(one, scaling, config.model) for one in part] for part in (parts.fit, parts.calibrate))
    beside = Beside(checkpoint=checkpoint, made_of=made_of)
    learning = teachers(config, settings)
    network, _ = learn(lambda of: BothWays(of, settings), lives, ended(watched), learning, config.seed, beside)
    batch = batch_of(watched, config.model)
    share = teaching(network)(torch.from_numpy(batch.inputs), torch.from_numpy(batch.real))
    told = (share * config.rul.cap).numpy()
    rmse = rmse_over_rows([told[: len(life.z), one] for one, life in enumerate(watched)], watched, config)
    return Lesson(network, digest_of_weights(network.state_dict()), rmse)


def read_teacher(
    path: Path, config: Config, settings: Distill, parts: Parts, made_of: Mapping[str, str] = MappingProxyType({})
) -> Lesson:
    """A teacher of the same devices and inputs; of the very same training where `made_of` says which.

    Raises DataRefused.
    """
    content = torch_file.read(path, "teacher", ANOTHER)
    if content["hears"] != hears(config, settings, parts):
        what = "is another's teacher: the fitted devices, what a row is made of, or its size differ"
        raise DataRefused(path, what, next_step=ANOTHER)
    if made_of and (other := differences(content["made_of"], made_of)):
        next_step = f"Give it as --teacher {path} to use it all the same, or give --anew to train another."
        raise DataRefused(path, f"is of another training: {'; '.join(other)}", next_step=next_step)
    network = BothWays(config, settings)
    network.load_state_dict(content["weights"])
    return Lesson(network.eval(), digest_of_weights(content["weights"]), content["watched_rmse"])


def hears(config: Config, settings: Distill, parts: Parts) -> str:
    """What a teacher and those it teaches must have alike."""
    model = config.model.model_dump_json(include={"clip_sigma", "mean_rates", "age_unit", "cadence"})
    of = (config.data, config.regimes, config.types, config.risk, config.rul)
    size = f"{settings.teacher_layers}x{settings.teacher_hidden}"
    return " ".join((digest_of(parts.fit), size, model, *(section.model_dump_json() for section in of)))


def digest_of_weights(weights: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256()
    for name, values in weights.items():
        digest.update(name.encode() + b"\0" + values.numpy().tobytes())
    return digest.hexdigest()
