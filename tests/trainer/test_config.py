"""The training TOML: the shipped one is valid, and every mistake is named at once."""

import re
from pathlib import Path

import pytest

from agent.errors import ConfigurationRefused
from trainer.config import Config
from trainer.config_file import read_config

SHIPPED = Path(__file__).parents[2] / "configs/train/cmapss-fd001.toml"
PUMPS = SHIPPED.with_name("pumps.toml")


def test_shipped_config_is_the_recipe() -> None:
    config = read_config(SHIPPED)
    assert (config.split.fit, config.split.calibrate, config.split.play) == (70, 10, 20)
    assert (config.model.layers, config.model.hidden, len(config.data.channels)) == (2, 64, 14)
    assert config.train.clip_norm == 1.0


def test_every_problem_is_named_at_once_with_the_nearest_key(tmp_path: Path) -> None:
    text = SHIPPED.read_text().replace("epochs =", "epoch =").replace("fit = 70", "fit = 0").replace("m = 2", "m = 4")
    path = tmp_path / "broken.toml"
    path.write_text(text)
    with pytest.raises(ConfigurationRefused) as refused:
        read_config(path)
    for part in (str(path), "train.epoch: unknown key; did you mean epochs?", "split.fit:", "m (4) is above n (3)"):
        assert part in str(refused.value)
    assert refused.value.exit_code == 2


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ("horizons = [15, 30, 60]", "horizons = [15, 60, 30]", "must be positive and rise"),
        ('version = "', 'version = "v', "version: must be three numbers with points, such as 0.1.0"),
        ("version =", "edition =", "version: is missing"),
        ("horizon = 30", "horizon = 31", "none of risk.horizons"),
        ("h_min = 5", "h_min = 60", "must be below h_max"),
        ("[model]", "[modle]", "modle: unknown key; did you mean model"),
        ('subset = "FD001"', 'subset = "FD005"', "data.subset: must be 'FD001', 'FD002', 'FD003' or 'FD004'"),
        ('subset = "FD001"', 'subset = "FD001"\nchanels = 3', "data.chanels: unknown key; did you mean channels"),
        ('dataset = "cmapss"', 'dataset = "pumps"', "data.subset: unknown key"),
        ('dataset = "cmapss"', 'dataset = "fans"', "data: dataset must be one of cmapss, pumps, table"),
        (
            "epochs =",
            'precision = "fp16"\nepochs =',
            'train: precision fp16 needs device = "cuda"; on the CPU there is bf16',
        ),
        ("epochs =", "patience = 9\nrounded_epochs = 5\nepochs =", "with patience the last epochs may never come"),
        (
            "cap = 125",
            'cap = "125"',
            "rul.cap: must be a number without quotes (cycles, or seconds) or a text such",
        ),
    ],
)
def test_a_contradiction_is_refused(tmp_path: Path, old: str, new: str, what: str) -> None:
    path = tmp_path / "broken.toml"
    assert old in SHIPPED.read_text()
    path.write_text(SHIPPED.read_text().replace(old, new, 1))
    with pytest.raises(ConfigurationRefused) as refused:
        read_config(path)
    assert what in str(refused.value)


def test_times_are_numbers_or_texts_with_a_unit() -> None:
    config = read_config(PUMPS)
    assert (config.model.cadence, config.rul.cap, config.judge.h_max) == (3600, 432_000, 432_000)
    assert config.risk.horizons == (86_400, 172_800, 345_600)
    assert Config.model_validate_json(config.model_dump_json()) == config


def test_no_clipping_is_inf_and_stays_so_in_a_bundle(tmp_path: Path) -> None:
    path = tmp_path / "free.toml"
    path.write_text(SHIPPED.read_text().replace("epochs =", "clip_norm = inf\nepochs ="))
    config = read_config(path)
    assert config.train.clip_norm == float("inf")
    assert Config.model_validate_json(config.model_dump_json()) == config


@pytest.mark.parametrize("content", [b"name = ", b"\xff\xfe"])
def test_what_is_not_toml_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "broken.toml"
    path.write_bytes(content)
    with pytest.raises(ConfigurationRefused, match="is not TOML"):
        read_config(path)
    with pytest.raises(ConfigurationRefused, match="No such file"):
        read_config(tmp_path / "absent.toml")


@pytest.mark.parametrize("path", sorted(SHIPPED.parent.glob("*.toml")), ids=lambda path: path.stem)
def test_shipped_configs_are_read(path: Path) -> None:
    config = read_config(path)
    assert config.name == {"table": "my-pumps"}.get(path.stem, path.stem)


def test_a_change_replaces_a_key_of_the_file() -> None:
    changes = ["split.fit=9", 'train.init = "torch"', "train.init=torch", "regimes.by=['setting_1']", "seed=4"]
    config = read_config(SHIPPED, changes)
    assert (config.split.fit, config.train.init, config.regimes.by, config.seed) == (9, "torch", ("setting_1",), 4)
    assert config.split.play == read_config(SHIPPED).split.play


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ("train.epochs", "--set: 'train.epochs' has no value"),
        ("train.epoch=5", "train.epoch: unknown key; did you mean epochs?"),
        ("seed.of=5", "--set: seed.of: seed is no table"),
        ("train.epochs=many", "train.epochs: "),
    ],
)
def test_a_change_that_cannot_be_is_refused(change: str, what: str) -> None:
    with pytest.raises(ConfigurationRefused, match=re.escape(what)):
        read_config(SHIPPED, [change])


def test_a_card_names_every_part_of_the_set_and_warns_of_no_other_by_name() -> None:
    about = read_config(SHIPPED.with_name("cmapss-shared.toml")).data.subject
    assert "FD001, FD002, FD003, FD004" in about.source
    assert "FD0" not in about.not_for
