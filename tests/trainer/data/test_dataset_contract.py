"""What holds for every data set of `DATASETS`, by its example in `tests/data/dataset/NAME/`."""

from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from agent.errors import DataRefused
from trainer.config import Config
from trainer.config_file import read_config
from trainer.data.dataset import DATASETS, histories_of
from trainer.data.history import digest_of

ROOT = Path(__file__).parents[3]
EXAMPLES = ROOT / "tests" / "data" / "dataset"

pytestmark = [pytest.mark.slow, pytest.mark.parametrize("name", DATASETS)]


def example(name: str) -> tuple[Config, Path]:
    """The configuration of the example, and the folder that its files are in."""
    return read_config(EXAMPLES / name / "training.toml"), EXAMPLES / name


def test_it_is_named_as_it_is_listed_and_has_a_section_in_the_docs(name: str) -> None:
    config, _ = example(name)
    assert type(config.data) is DATASETS[name]
    assert type(config.data).model_fields["dataset"].annotation == Literal[name]
    assert f'\n### dataset = "{name}"\n' in (ROOT / "docs" / "data.md").read_text()


def test_histories_are_such_as_a_training_takes(name: str) -> None:
    config, folder = example(name)
    histories = histories_of(config, folder)
    assert len(histories) >= config.split.n_devices
    assert len({history.device for history in histories}) == len(histories)
    for history in histories:
        assert (history.t_s.dtype, history.x.dtype) == (np.float64, np.float32)
        assert history.x.shape == (len(history.t_s), len(config.channels))
        assert (np.diff(history.t_s) > 0).all()
        assert not np.isinf(history.x).any()


def test_it_is_read_to_the_same_bytes_again_and_from_the_configuration_of_a_bundle(name: str) -> None:
    config, folder = example(name)
    kept = Config.model_validate_json(config.model_dump_json())
    assert kept == config
    assert digest_of(histories_of(kept, folder)) == digest_of(histories_of(config, folder))


def test_channels_come_and_are_described_in_the_order_asked_for(name: str) -> None:
    config, folder = example(name)
    names, n_devices = config.channels, config.split.n_devices
    backwards = config.data.read(names[::-1], n_devices, folder)
    for one, other in zip(config.data.read(names, n_devices, folder), backwards, strict=True):
        assert one.x.tobytes() == np.ascontiguousarray(other.x[:, ::-1]).tobytes()
    assert [info.name for info in config.data.channel_info(names[::-1])] == list(names[::-1])


def test_an_unknown_channel_is_refused_by_name(name: str) -> None:
    config, folder = example(name)
    with pytest.raises(DataRefused, match=r"no (channel|column) 'vibes'"):
        config.data.read((*config.channels, "vibes"), config.split.n_devices, folder)


def test_a_test_set_is_of_other_devices_with_the_same_channels(name: str) -> None:
    config, folder = example(name)
    learnt_from = {history.x.tobytes() for history in histories_of(config, folder)}
    for histories in config.data.read_tests(config.channels, folder).values():
        assert histories
        for history in histories:
            assert history.failed
            assert history.x.shape[1] == len(config.channels)
            assert history.x.tobytes() not in learnt_from


def test_a_model_card_finds_its_words(name: str) -> None:
    subject = example(name)[0].data.subject
    words = {field: getattr(subject, field) for field in subject.__slots__}
    assert [field for field, text in words.items() if not text] in ([], ["test_set"])
    assert bool(subject.test_set) == bool(example(name)[0].data.read_tests(example(name)[0].channels, example(name)[1]))
