"""What a configuration leaves open, the recordings decide, and it is said."""

import numpy as np
import pytest

from tests.trainer.anomaly.test_fit_anomaly import device, plant
from tests.trainer.fleet import NAMES, fleet, small_config
from trainer.anomaly.defaults import with_h_max, with_heads, with_learning
from trainer.config import Anomaly, Config, Judge, Model
from trainer.data.history import History
from trainer.data.split import Split


def test_heads_follow_the_data_where_none_is_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    undecided = small_config(heads=())
    assert with_heads(undecided, fleet(3)).heads == ("risk", "anomaly")
    assert capsys.readouterr().err == ""
    assert with_heads(undecided, [device(1)]).heads == ("anomaly",)
    assert "nothing failed in these recordings" in capsys.readouterr().err
    assert undecided.channels == NAMES


def test_without_h_max_an_alert_counts_again_each_learning_period(capsys: pytest.CaptureFixture[str]) -> None:
    without = plant(judge=Judge(horizon=plant().judge.horizon))
    assert with_h_max(without).anomaly_h_max == 3600
    assert 'counts again each "1h"' in capsys.readouterr().err
    for config in (plant(), without.model_copy(update={"heads": ("risk", "anomaly")})):
        assert with_h_max(config) == config
    assert with_h_max(small_config(heads=("anomaly",), judge=Judge(horizon=plant().judge.horizon))).anomaly.h_max == 0
    assert capsys.readouterr().err == ""


def lives(days: float, *, every_s: float = 60.0) -> list[History]:
    t_s = np.arange(0, days * 86_400, every_s)
    return [History(f"m{number}", t_s, np.zeros((len(t_s), 3), np.float32), None) for number in range(3)]


def open_plant(**sections: object) -> Config:
    return plant(anomaly=Anomaly(), **sections)


def test_without_learning_a_device_is_learnt_for_a_day(capsys: pytest.CaptureFixture[str]) -> None:
    decided = with_learning(open_plant(), lives(20))
    assert (decided.anomaly.learning, decided.learning_rows) == (86_400, 1440)
    assert capsys.readouterr().err.endswith('a device\'s own normal is learnt from "1d"\n')


@pytest.mark.parametrize(
    ("days", "split", "rows"),
    [
        (2, Split(fit=4, calibrate=3, play=2), 960),
        (10, Split(by="time", fit=5, calibrate=3, play=2), 960),
        (0.5, Split(fit=4, calibrate=3, play=2), 400),
    ],
)
def test_and_shorter_recordings_for_a_third_of_each_part(
    capsys: pytest.CaptureFixture[str], days: float, split: Split, rows: int
) -> None:
    """By time, the smallest part has a fifth of each machine: 2 of 10 days."""
    decided = with_learning(open_plant(split=split), lives(days))
    assert decided.learning_rows == rows
    assert (
        "since most lives in the recordings are too short for a day: where day and night differ, record longer"
        in capsys.readouterr().err
    )


@pytest.mark.parametrize(
    "config",
    [
        plant(),
        small_config(heads=("anomaly",)),
        open_plant(model=Model(cadence=3600, dt_max=36_000)),
        open_plant(heads=("risk",)),
    ],
    ids=["said", "cycles", "400 rows are more than a day", "no such head"],
)
def test_else_it_is_as_it_was(capsys: pytest.CaptureFixture[str], config: Config) -> None:
    assert with_learning(config, lives(20)) == config
    assert capsys.readouterr().err == ""
