"""A teacher that looks ahead, and bundles that learnt from it, on a small made-up fleet."""

import json
import shutil
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from agent.bundle.file import read
from agent.errors import ConfigurationRefused, DataRefused
from tests.trainer.fleet import SMALL_TOML, engine, fleet, small_config, write_cmapss
from trainer.cli import cli
from trainer.config import Config, Distill, Train
from trainer.config_file import read_config
from trainer.distill import distill
from trainer.fit import fit
from trainer.model.features import Features, batch_of, features_of, fit_scaling
from trainer.model.network import Learner, Network, fix_seed
from trainer.training import loop
from trainer.training.loop import train
from trainer.training.teacher import (
    CUTS,
    BidirectionalLstm,
    TrainedTeacher,
    cut_evenly,
    cuts_of,
    estimates_of,
    teacher_config,
)
from trainer.training.validation import predict

pytestmark = pytest.mark.slow

SMALL = Distill(teacher_hidden=12, teacher_epochs=3)
CONFIG = small_config(distill=SMALL, train=Train(epochs=3, batch=4))


def lives(n: int = 8) -> list[Features]:
    histories = [engine(str(index + 1), 50 + 3 * index, seed=index, noise=1.0) for index in range(n)]
    scaling = fit_scaling(histories, CONFIG)
    return [features_of(history, scaling, CONFIG.model) for history in histories]


def batch(n: int = 3) -> tuple[Tensor, Tensor]:
    made = batch_of(lives(n), CONFIG.model)
    return torch.from_numpy(made.inputs), torch.from_numpy(made.real)


def teacher(layers: int = 2) -> BidirectionalLstm:
    fix_seed(0)
    return BidirectionalLstm(CONFIG, SMALL.model_copy(update={"teacher_layers": layers})).eval()


@torch.no_grad()
def test_a_teacher_is_torchs_bidirectional_lstm_over_packed_lives() -> None:
    network, (inputs, real) = teacher(), batch()
    theirs = nn.LSTM(inputs.shape[2], SMALL.teacher_hidden, 2, bidirectional=True)
    for index in range(2):
        for cell, end in ((network.ahead[index], ""), (network.back[index], "_reverse")):
            for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
                getattr(theirs, f"{name}_l{index}{end}").copy_(getattr(cell.fused, f"{name}_l0"))
    packed = pack_padded_sequence(inputs, real.sum(dim=0), enforce_sorted=False)
    wanted = network.heads(pad_packed_sequence(theirs(packed)[0])[0])
    found, _ = network(inputs, real=real)
    torch.testing.assert_close(found.estimate[real], wanted.estimate[real], atol=1e-5, rtol=0)
    torch.testing.assert_close(found.hazard[real], wanted.hazard[real], atol=1e-5, rtol=0)


@torch.no_grad()
@pytest.mark.parametrize("layers", [1, 2])
def test_neither_padding_nor_what_comes_after_a_cut_is_heard(layers: int) -> None:
    network, (inputs, real) = teacher(layers), batch()
    cut = torch.arange(len(inputs))[:, None] < torch.tensor([20, 35, 50])
    for heard in (real, cut):
        told = network(inputs, real=heard)[0].estimate[heard]
        noise = torch.where(heard[..., None], inputs, 1e6 * torch.randn_like(inputs))
        assert torch.equal(network(noise, real=heard)[0].estimate[heard], told)
    assert not torch.equal(network(inputs, real=real)[0].estimate[cut], network(inputs, real=cut)[0].estimate[cut])


@torch.no_grad()
def test_a_row_is_answered_from_what_is_heard_until_the_next_cut() -> None:
    network, (inputs, real) = teacher(), batch()
    torch.manual_seed(7)
    first, *others = cuts_of(real.sum(dim=0))
    told = answered(network, inputs, real)
    begin = torch.zeros_like(first)
    for end in (first, *others):
        for device in range(3):
            rows = slice(int(begin[device]), int(end[device]))
            alone = network(inputs[: rows.stop, device : device + 1])[0].estimate[rows, 0]
            torch.testing.assert_close(told[rows, device], alone.clamp(0, 1), atol=1e-5, rtol=0)
        begin = end
    assert (told[~real] == 0).all()


def answered(network: BidirectionalLstm, inputs: Tensor, real: Tensor) -> Tensor:
    torch.manual_seed(7)
    return estimates_of(network)(inputs, real)


def test_cuts_rise_to_the_end_and_differ_from_visit_to_visit() -> None:
    fix_seed(0)
    rows = torch.tensor([12, 60, 400])
    seen = torch.stack([torch.stack(cuts_of(rows)) for _ in range(200)])  # [visits, cuts, devices]
    assert seen.shape == (200, CUTS + 1, 3)
    assert (seen.diff(dim=1) >= 0).all()
    assert (seen[:, -1] == rows).all()
    assert (seen[..., 0] == 12).all(), "a life that is hardly one is not cut"
    assert seen[..., 1].min() == 20
    inner = seen[:, :-1, 2].flatten()
    assert inner.max() > 390
    assert len(inner.unique()) > 200


def test_a_teacher_is_trained_on_lives_that_end_anywhere() -> None:
    settings = Train(truncate=9, rounded_epochs=1).model_copy(update={"patience": 2})
    config = teacher_config(CONFIG.model_copy(update={"train": settings}), SMALL)
    assert config.augment.cut_share == 1
    assert (config.train.epochs, config.train.truncate, config.train.rounded_epochs, config.train.patience) == (
        (3, 0, 0, 0)
    )
    some = lives()
    lengths = [len(short.z) / len(whole.z) for short, whole in zip(cut_evenly(some), some, strict=True)]
    assert lengths[2:] == sorted(lengths[2:])
    assert len(cut_evenly(some)[0].z) == 20, "as many rows as any life keeps"
    assert 0.8 < lengths[-1] < 1


def test_looking_ahead_beats_a_causal_network_of_the_same_size_in_the_middle_of_cut_lives() -> None:
    """Wear under much noise, both trained alike on lives that end anywhere. Ten unseen lives, cut at 70 %: the teacher
    errs less on rows that it hears ten more of.
    """
    settings = Train(batch=4, average=0.9)
    config = teacher_config(small_config(train=settings), Distill(teacher_epochs=40))
    fit, unseen = lives(24)[:14], lives(24)[14:]
    shortened = [replace(life, **until(life, round(0.7 * len(life.z)))) for life in unseen]

    def wrong(network: Learner) -> float:
        told = predict(network, shortened, config)
        middle = slice(10, -10)
        off = [
            (one - np.minimum(life.left, config.rul.cap))[middle]
            for (one, _), life in zip(told, shortened, strict=True)
        ]
        return float(np.sqrt(np.mean(np.concatenate(off) ** 2)))

    small = Distill(teacher_hidden=8)
    both, _ = train(lambda of: BidirectionalLstm(of, small), fit, shortened, config)
    wide = config.model_copy(update={"model": config.model.model_copy(update={"hidden": 12, "layers": 1})})
    causal, _ = train(Network, fit, shortened, wide)
    assert both.n_weights == pytest.approx(causal.n_weights, rel=0.2)
    assert wrong(both) < 0.9 * wrong(causal)


def until(life: Features, row: int) -> dict[str, np.ndarray]:
    return {"z": life.z[:row], "age": life.age[:row], "left": life.left[:row], "groups": life.groups[:row]}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The folder that `distill` wrote, and the data it came from."""
    folder = tmp_path_factory.mktemp("fleet")
    write_cmapss(folder / "data" / "cmapss", fleet(), [engine("1", 60, seed=91)])
    distill(CONFIG, folder / "data", folder / "out")
    return folder / "out", folder / "data"


NAME = "small-0.1.0.fwb"


def test_a_distilled_bundle_says_so_and_holds_no_teacher(made: tuple[Path, Path]) -> None:
    bundle = read(made[0] / NAME)
    assert Config.model_validate_json(bundle.manifest.created_from.config).distill == SMALL
    told = json.loads(bundle.report)["distilled"]
    assert told["student_weights"] == Network(CONFIG).n_weights
    assert told["teacher_weights"] == BidirectionalLstm(CONFIG, SMALL).n_weights
    assert 0 < told["teacher_watched_rmse"] < 40
    assert "teacher.pt" not in zipfile.ZipFile(made[0] / NAME).namelist()
    assert sorted(path.suffix for path in made[0].iterdir() if path.suffix in (".pt", ".new")) == [".pt"]


def test_the_teacher_draws_the_student(made: tuple[Path, Path], tmp_path: Path) -> None:
    weighed = CONFIG.model_copy(update={"distill": SMALL.model_copy(update={"share": 0.3})})
    assert TrainedTeacher(teacher(), "", 0.0).for_loop(weighed).share == 0.3
    alone = fit(CONFIG.model_copy(update={"distill": None}), made[1], tmp_path)
    assert json.loads(read(alone).report)["distilled"] is None
    assert read(alone).model != read(made[0] / NAME).model


def test_distilling_is_the_same_to_the_byte_by_seed_and_after_a_kill(
    made: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed in the teacher's second epoch, and then in the student's."""
    save, saved = loop.save, []

    def save_and_die(*arguments: object) -> None:
        save(*arguments)  # type: ignore[arg-type]
        saved.append(arguments[1].path)
        if len(saved) in (2, 5):
            raise KeyboardInterrupt

    monkeypatch.setattr(loop, "save", save_and_die)
    for kept in ("teacher-checkpoint.pt", "checkpoint.pt"):
        with pytest.raises(KeyboardInterrupt):
            distill(CONFIG, made[1], tmp_path)
        assert (tmp_path / kept).exists()
    assert distill(CONFIG, made[1], tmp_path).read_bytes() == (made[0] / NAME).read_bytes()
    assert [path.name for path in saved] == ["teacher-checkpoint.pt"] * 3 + ["checkpoint.pt"] * 3


def test_a_teacher_is_used_again_by_another_recipe(made: tuple[Path, Path], tmp_path: Path) -> None:
    other = CONFIG.model_copy(update={"seed": 5, "train": CONFIG.train.model_copy(update={"dropout": 0.3})})
    path = distill(other, made[1], tmp_path, made[0] / "teacher.pt")
    mine, theirs = (json.loads(read(one).report)["distilled"] for one in (path, made[0] / NAME))
    assert mine == theirs
    assert not (tmp_path / "teacher.pt").exists()
    what = r"is of another training: seed is 0 there, 5 here; train.dropout .*\n  Give it as --teacher .* --anew"
    with pytest.raises(DataRefused, match=what):
        distill(other, made[1], made[0])


def test_anew_trains_another_teacher_but_keeps_one_that_is_given(made: tuple[Path, Path], tmp_path: Path) -> None:
    shutil.copytree(made[0], tmp_path / "out")
    mine, before = tmp_path / "out" / "teacher.pt", (made[0] / "teacher.pt").read_bytes()
    other = CONFIG.model_copy(update={"seed": 5})
    distill(other, made[1], tmp_path / "out", mine, anew=True)
    assert mine.read_bytes() == before
    distill(other, made[1], tmp_path / "out", anew=True)
    assert mine.read_bytes() != before


@pytest.mark.parametrize(
    "changed",
    [
        {"distill": Distill(teacher_hidden=13)},
        {"model": CONFIG.model.model_copy(update={"age_unit": 100.0})},
        {"split": CONFIG.split.model_copy(update={"seed": 1})},
    ],
)
def test_anothers_teacher_is_refused(made: tuple[Path, Path], tmp_path: Path, changed: dict[str, object]) -> None:
    with pytest.raises(DataRefused, match="is another's teacher: the fitted devices"):
        distill(CONFIG.model_copy(update=changed), made[1], tmp_path, made[0] / "teacher.pt")


def test_what_is_no_teacher_is_refused(made: tuple[Path, Path], tmp_path: Path) -> None:
    broken = tmp_path / "teacher.pt"
    whole = (made[0] / "teacher.pt").read_bytes()
    for content, what in (
        (whole[:-100], "is torn or was changed"),
        (whole[:-100] + b"?" + whole[-99:], "is torn or was changed"),
        (whole.replace(b"forewarn teacher", b"forewarn checkpoint", 1), "is no teacher of forewarn-train"),
    ):
        broken.write_bytes(content)
        with pytest.raises(DataRefused, match=what):
            distill(CONFIG, made[1], tmp_path / "out", broken)
        assert broken.read_bytes() == content


def test_a_section_and_its_command_belong_together(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationRefused, match=r"\[distill\] asks for a teacher\n  Use `forewarn-train distill`"):
        fit(CONFIG, tmp_path, tmp_path)
    with pytest.raises(ConfigurationRefused, match=r"no \[distill\] in the configuration"):
        distill(CONFIG.model_copy(update={"distill": None}), tmp_path, tmp_path)


def test_the_command_distils(made: tuple[Path, Path], tmp_path: Path) -> None:
    config = tmp_path / "small.toml"
    config.write_text(TOML)
    arguments = ["distill", str(config), "--out", str(tmp_path / "out"), "--data", str(made[1]), "--seed", "3"]
    done = CliRunner().invoke(cli, arguments, catch_exceptions=False)
    assert done.stdout == f"{tmp_path / 'out' / NAME}\n"
    assert "remaining life of 3 held-out devices: RMSE " in done.stderr
    of = read(tmp_path / "out" / NAME).manifest.created_from
    assert (of.seed, Config.model_validate_json(of.config).distill) == (3, Distill(teacher_hidden=8, teacher_epochs=1))


def test_a_misspelt_key_of_the_section_is_named(tmp_path: Path) -> None:
    (tmp_path / "small.toml").write_text(TOML.replace("teacher_epochs", "teacher_epoch"))
    with pytest.raises(ConfigurationRefused, match=r"distill\.teacher_epoch: unknown key; did you mean teacher_epochs"):
        read_config(tmp_path / "small.toml")


TOML = (
    SMALL_TOML.replace("epochs = 2", "epochs = 1")
    + """
[distill]
teacher_hidden = 8
teacher_epochs = 1
"""
)
