"""A training that is killed goes on with the same bits; what is no whole checkpoint of it is refused and left alone."""

import os
import random
import shutil
import signal
from collections.abc import Callable, Iterator, Sequence
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest
import torch
from torch import Tensor

from agent.errors import DataRefused
from agent.words import Float32
from tests.trainer.fleet import engine, fleet, small_config, write_cmapss
from trainer.config import Augment, Config, Model, Train
from trainer.fit import fit
from trainer.model.features import Features, features_of, fit_scaling
from trainer.model.network import Network
from trainer.training.checkpoint import Checkpoint, Curves, training_keys
from trainer.training.loop import Teacher, train

pytestmark = pytest.mark.slow

CONFIG = small_config(
    model=Model(hidden=4),
    train=Train(epochs=6, batch=4, average=0.8),
    augment=Augment(smooth_rows=3, join_share=0.5, cut_share=0.5),
    judge=small_config().judge.model_copy(update={"thresholds": 2}),
)
PATIENT = CONFIG.model_copy(update={"train": CONFIG.train.model_copy(update={"patience": 2})})
ROOT = Path(__file__).parents[3]
BATCHES = 2
REHEARSED = 1
"""Fit writes a bundle first, to see that it could."""
MADE_OF = {"data": "d1", "configuration": "c1"}


def lives() -> list[Features]:
    histories = fleet(8)
    scaling = fit_scaling(histories, CONFIG)
    return [features_of(history, scaling, CONFIG.model) for history in histories]


class Interrupted:
    """A teacher that says half a life, until a batch in which the user presses Ctrl-C."""

    def __init__(self, batches: int) -> None:
        self.batches = batches

    def __call__(self, inputs: Tensor, real: Tensor) -> Tensor:
        if self.batches == 0:
            raise KeyboardInterrupt
        self.batches -= 1
        return torch.full(real.shape, 0.5)


class Course:
    """Mean leads of the epochs, whatever the risks: the first of the largest is the third."""

    def __init__(self) -> None:
        self.coming = [1.0, 2.0, 5.0, 4.0, 3.0, 6.0]

    def __call__(self, risks: Sequence[Float32]) -> float:
        return self.coming.pop(0)


def learn(config: Config, checkpoint: Path | None, course: Course, batches: int = -1) -> tuple[list[bytes], Curves]:
    """Weights and curves of a run that is interrupted after so many batches, -1 = never."""
    network, curves = train(
        Network,
        lives()[:6],
        lives()[6:],
        config,
        teacher=Teacher(Interrupted(batches), share=0.8),
        early_stopping=course,
        checkpoint=checkpoint and Checkpoint(checkpoint, MADE_OF),
    )
    return bits(network), curves


def bits(network: Network) -> list[bytes]:
    return [weight.detach().numpy().tobytes() for weight in network.parameters()]


@pytest.mark.parametrize("config", [CONFIG, PATIENT], ids=["to the end", "patience"])
def test_an_interrupted_run_goes_on_with_the_same_bits(config: Config, tmp_path: Path) -> None:
    """Twice, in the middle of an epoch; the best epoch may lie before an interruption."""
    whole = learn(config, None, Course())
    course, checkpoint = Course(), tmp_path / "checkpoint.pt"
    for batches in (2 * BATCHES + 1, 2 * BATCHES + 1):
        with pytest.raises(KeyboardInterrupt):
            learn(config, checkpoint, course, batches)
    assert len(course.coming) == (2 if config is PATIENT else 6)
    assert learn(config, checkpoint, course) == whole
    assert len(whole[1].loss) == (5 if config is PATIENT else 6)
    assert learn(config, checkpoint, course) == whole, "and a whole one only says again what it learnt"


def test_it_says_after_which_epoch_it_goes_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    checkpoint = tmp_path / "checkpoint.pt"
    with pytest.raises(KeyboardInterrupt):
        learn(CONFIG, checkpoint, Course(), 4 * BATCHES)
    assert capsys.readouterr().err == ""
    learn(CONFIG, checkpoint, Course())
    said = "is of this same training (seed 0): goes on after epoch 4 of 6; --anew starts at the first"
    assert capsys.readouterr().err == f"{checkpoint}: {said}\n"


def test_a_checkpoint_that_an_older_forewarn_wrote_is_gone_on_from(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Schema 1, written after three epochs of six, the second the best of them so far."""
    path = tmp_path / "checkpoint.pt"
    shutil.copyfile(ROOT / "tests/data/checkpoint/schema-1.pt", path)
    config = CONFIG.model_copy(update={"train": CONFIG.train.model_copy(update={"patience": 3})})
    leads = iter([1.0, 1.0])
    _, curves = train(
        Network,
        lives()[:6],
        lives()[6:],
        config,
        early_stopping=lambda _: next(leads),
        checkpoint=Checkpoint(path, {"data": "d1"}),
    )
    assert "goes on after epoch 3 of 6" in capsys.readouterr().err
    assert curves.mean_lead == [1.0, 5.0, 2.0, 1.0, 1.0]
    assert len(curves.loss) == len(curves.rmse) == 5, "out of patience"
    assert curves.loss[0] == 1.1468941569328308, "the file's own"


def in_the_middle(content: bytes, byte: bytes) -> bytes:
    return content[: len(content) // 2] + byte + content[len(content) // 2 + 1 :]


@pytest.mark.parametrize(
    ("broken", "what"),
    [
        (lambda whole: b"", "is no checkpoint of forewarn-train"),
        (lambda whole: b"hello", "is no checkpoint of forewarn-train"),
        (lambda whole: whole[whole.index(b"PK") :], "is no checkpoint of forewarn-train"),
        (lambda whole: whole[: len(whole) // 2], "is torn or was changed"),
        (lambda whole: whole[:-1], "is torn or was changed"),
        (lambda whole: in_the_middle(whole, b"?"), "is torn or was changed"),
        (
            lambda whole: whole.replace(b"checkpoint 1", b"checkpoint 2", 1),
            "is of schema 2, this forewarn reads 1",
        ),
        (lambda whole: whole.replace(b"c1", b"c2", 1), "is torn or was changed"),
    ],
)
def test_what_is_no_whole_checkpoint_is_refused_and_left(
    broken: Callable[[bytes], bytes], what: str, tmp_path: Path
) -> None:
    checkpoint = tmp_path / "checkpoint.pt"
    learn(CONFIG.model_copy(update={"train": Train(epochs=1)}), checkpoint, Course())
    checkpoint.write_bytes(broken(checkpoint.read_bytes()))
    before = checkpoint.read_bytes()
    with pytest.raises(DataRefused, match=rf"{checkpoint}: {what}(.|\n)+Give --anew to train from the first epoch"):
        learn(CONFIG, checkpoint, Course())
    assert checkpoint.read_bytes() == before


@pytest.mark.parametrize(
    ("made_of", "what"),
    [
        ({"data": "d2", "configuration": "c1"}, "data is d1 there, d2 here\n  Give --anew .* or another --out"),
        ({"data": "d2", "configuration": "c2"}, "data is d1 there, d2 here; configuration is c1 there, c2 here\n"),
        (MADE_OF | {"version": "2"}, "version is not set there, 2 here"),
        ({"data": "d" * 99, "configuration": "c1"}, "data differs\n"),
        ({"data": "d1"}, "configuration is c1 there, not set here"),
        (MADE_OF | {f"key {n}": "1" for n in range(8)}, "key 0 .*; key 4 is not set there, 1 here; and 3 more\n"),
    ],
)
def test_the_checkpoint_of_another_training_is_refused_by_what_differs(
    made_of: dict[str, str], what: str, tmp_path: Path
) -> None:
    checkpoint = tmp_path / "checkpoint.pt"
    learn(CONFIG.model_copy(update={"train": Train(epochs=1)}), checkpoint, Course())
    with pytest.raises(DataRefused, match=f"is of another training, left after epoch 1: {what}"):
        train(Network, lives(), lives(), CONFIG, checkpoint=Checkpoint(checkpoint, made_of))
    assert checkpoint.exists()


def test_a_folder_in_its_place_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataRefused, match="cannot be read: Is a directory"):
        train(Network, lives(), lives(), CONFIG, checkpoint=Checkpoint(tmp_path))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    write_cmapss(folder / "cmapss", fleet(), [engine("1", 61, seed=91)])
    return folder


@pytest.fixture
def fits() -> Iterator[Callable[..., BaseProcess]]:
    """Starts a function in a process that has torch already; none of them outlives the test."""
    context, started = get_context("forkserver"), []
    context.set_forkserver_preload([__name__])

    def start(function: Callable[..., object], *arguments: object) -> BaseProcess:
        started.append(context.Process(target=function, args=arguments))
        started[-1].start()
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.join()


def fit_and_die_while_it_writes(config: Config, data: Path, out: Path, nth: int) -> None:
    """`kill -9` between the last byte of the nth checkpoint that is written and its taking the place of the last."""
    fsync, left = os.fsync, [2 * (REHEARSED + nth) - 1]  # a file and its folder each

    def fsync_or_die(descriptor: int) -> None:
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        fsync(descriptor)

    os.fsync = fsync_or_die
    fit(config, data, out)


def test_fit_that_is_killed_gives_the_bundle_of_one_that_was_not(
    fits: Callable[..., BaseProcess], data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Real processes, `kill -9`: at instants drawn at random and right while a checkpoint is written."""
    config = CONFIG.model_copy(update={"train": CONFIG.train.model_copy(update={"epochs": 16})})
    whole, out, instant = fit(config, data, tmp_path / "whole"), tmp_path / "killed", random.Random(0)
    checkpoint, part = out / "checkpoint.pt", out / "checkpoint.pt.new"
    killed = fits(fit_and_die_while_it_writes, config, data, out, 3)
    killed.join(60)
    assert (killed.exitcode, checkpoint.exists(), part.exists()) == (-signal.SIGKILL, True, True)
    part.write_bytes(part.read_bytes()[:1000])  # a power cut may leave less of it
    for _ in range(3):
        process = fits(fit, config, data, out)
        process.join(instant.uniform(0.0, 1.0))
        process.kill()
        process.join()
    assert checkpoint.exists()
    bundle = fit(config, data, out)
    assert "goes on after epoch" in capsys.readouterr().err
    assert bundle.read_bytes() == whole.read_bytes()
    assert sorted(path.name for path in out.iterdir()) == sorted(path.name for path in whole.parent.iterdir())
    assert not any("checkpoint" in path.name for path in out.iterdir()), "done is done"


def killed(config: Config, data: Path, out: Path, fits: Callable[..., BaseProcess]) -> Path:
    """The checkpoint that a fit left which was killed while it wrote its third."""
    process = fits(fit_and_die_while_it_writes, config, data, out, 3)
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    return out / "checkpoint.pt"


def with_key(config: Config, section: str, **keys: object) -> Config:
    return config.model_copy(update={section: getattr(config, section).model_copy(update=keys)})


def test_a_retry_by_another_configuration_names_the_keys_and_both_ways_out(
    fits: Callable[..., BaseProcess], data: Path, tmp_path: Path
) -> None:
    checkpoint = killed(CONFIG, data, tmp_path / "out", fits)
    other = with_key(with_key(CONFIG, "rul", cap=30.0), "train", dropout=0.2).model_copy(update={"seed": 7})
    with pytest.raises(DataRefused) as refused:
        fit(other, data, tmp_path / "out")
    assert refused.value.where == checkpoint
    assert refused.value.what == (
        "is of another training, left after epoch 2: seed is 0 there, 7 here; train.dropout is 0.1 there, 0.2 here; "
        "rul.cap is 40.0 there, 30.0 here"
    )
    assert refused.value.next_step.startswith("Give --anew")
    assert checkpoint.exists()
    bundle = fit(other, data, tmp_path / "out", anew=True)
    assert bundle.read_bytes() == fit(other, data, tmp_path / "elsewhere").read_bytes()


def test_what_counts_only_after_the_training_may_change_between_a_kill_and_the_retry(
    fits: Callable[..., BaseProcess], data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The judge's rules, which a training without patience never asks, and the bundle's name."""
    killed(CONFIG, data, tmp_path / "out", fits)
    other = with_key(CONFIG, "judge", h_min=1.0).model_copy(update={"name": "other"})
    bundle = fit(other, data, tmp_path / "out")
    assert "goes on after epoch 2 of 6" in capsys.readouterr().err
    assert bundle.read_bytes() == fit(other, data, tmp_path / "whole").read_bytes()


def test_patience_asks_the_judge_so_its_rules_are_part_of_the_training() -> None:
    assert not any(name.startswith("judge") for name in training_keys(CONFIG))
    assert "judge.h_min" in training_keys(PATIENT)
