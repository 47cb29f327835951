"""Where failures are known and no head is named, `fit` trains both and keeps the one that warned longer ahead."""

from pathlib import Path

import numpy as np
import pytest

from agent.bundle.file import read
from tests.trainer.fleet import engine, fleet, small_config, write_cmapss
from tests.trainer.recordings import table
from trainer.anomaly.defaults import with_heads
from trainer.config import Anomaly, ChartKeys, Config, Model, Train
from trainer.data.history import History
from trainer.data.split import Parts
from trainer.fit import fit, prepare, train_both_and_write

ROWS, SINCE = 300, 15


def jump(number: int) -> History:
    """Noise, of which one channel steps some rows before the end: a network of two epochs cannot know of it."""
    x = np.random.default_rng(number).normal(size=(ROWS, 3))
    x[-SINCE:, 0] += 12.0
    t_s = np.arange(1.0, ROWS + 1)
    return History(f"m{number}", t_s, x.astype(np.float32), float(ROWS))


def config_of(**sections: object) -> Config:
    anomaly = Anomaly(learning=60.0, hidden=8, steps=20, batch=8)
    return small_config(
        heads=("risk", "anomaly"), data=table(time_unit="s"), model=Model(hidden=8, cadence=1, dt_max=10)
    ).model_copy(update={"anomaly": anomaly, **sections})


@pytest.mark.slow
def test_the_charts_are_kept_where_too_few_failures_taught_the_risk(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    parts = Parts(*(tuple(map(jump, numbers)) for numbers in ((0, 1, 2), (3, 4, 5), (6, 7))))
    bundle = read(train_both_and_write(config_of(), parts, "0" * 64, tmp_path))
    assert (bundle.manifest.risk, [*bundle.manifest.judging]) == (None, ["anomaly"])
    assert "keeps the head anomaly; mean lead on the 3 calibration failures at" in capsys.readouterr().err
    assert "; keeps the head anomaly; mean lead on the 3 calibration failures at" in bundle.card
    assert not (tmp_path / "checkpoint.pt").exists()


@pytest.mark.slow
def test_the_risk_is_kept_where_charts_are_no_earlier(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lives = [engine(str(number), 150 + number, seed=number, noise=0.05) for number in range(14)]
    parts = Parts(tuple(lives[:8]), tuple(lives[8:11]), tuple(lives[11:]))
    blind = Anomaly(learning=60.0, charts=(ChartKeys(residual="smoothing", rate=1.0, mix="mean"),))
    config = config_of(anomaly=blind, train=Train(epochs=150, batch=4))
    bundle = read(train_both_and_write(config, parts, "0" * 64, tmp_path))
    assert (bundle.manifest.anomaly, [*bundle.manifest.judging]) == (None, ["risk"])
    assert "keeps the head risk;" in capsys.readouterr().err
    assert (tmp_path / "curves.png").exists()


@pytest.mark.slow
def test_lives_too_short_to_learn_a_normal_have_the_risk_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_cmapss(tmp_path / "cmapss", fleet(), fleet())
    config, _, _ = prepare(small_config(heads=()), tmp_path)
    assert config.heads == ("risk",)
    assert "small: trains the head risk alone; for anomaly, " in capsys.readouterr().err
    bundle = read(fit(small_config(heads=()), tmp_path, tmp_path / "out"))
    assert [*bundle.manifest.judging] == ["risk"]


@pytest.mark.slow
def test_too_few_failures_for_each_part_have_the_anomaly_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [
        f"m{number},{60 * row},{x:.4f}"
        for number in range(8)
        for row, x in enumerate(np.random.default_rng(number).normal(size=900))
    ]
    (tmp_path / "rows.csv").write_text("device,t,x\n" + "\n".join(lines) + "\n")
    (tmp_path / "failures.csv").write_text(f"device,t_fail\nm1,{60 * 899}\n")
    data = {"dataset": "table", "rows": "rows.csv", "failures": "failures.csv", "channels": ["x"]}
    config = Config.model_validate(
        {
            "name": "few",
            "version": "0.1.0",
            "data": data,
            "split": {"fit": 3, "calibrate": 3, "play": 2},
            "model": {"cadence": 60, "dt_max": 600},
        }
    )
    assert prepare(config, tmp_path)[0].heads == ("anomaly",)
    assert "few: trains the head anomaly alone; for risk, no device of the " in capsys.readouterr().err


def test_named_heads_stay_and_both_are_tried_only_where_something_failed() -> None:
    assert with_heads(small_config(heads=("anomaly",)), fleet()).heads == ("anomaly",)
    assert with_heads(small_config(heads=()), fleet()).heads == ("risk", "anomaly")
