"""Values far from a channel's others: which are asked about. Those that are refused are in test_bad_data.py."""

from pathlib import Path

import numpy as np
import pytest

from trainer.data.history import Float64
from trainer.data.table import Table, read_table


def told_of(folder: Path, capsys: pytest.CaptureFixture[str], speed: Float64) -> str:
    """What is said of a table of one machine with these values in its lines from 2 on."""
    lines = [f"p1,{cycle},{value:.6f}" for cycle, value in enumerate(speed.tolist())]
    (folder / "speed.csv").write_text("\n".join(["device,t,speed", *lines]) + "\n")
    one = {"rows": "speed.csv", "channels": ["speed"], "time_unit": "cycle"}
    read_table(Table.model_validate({"dataset": "table", **one}), ["speed"], folder)
    return capsys.readouterr().err


@pytest.mark.parametrize("every", [20, 50])
def test_values_too_many_to_be_refused_are_asked_about(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], every: int
) -> None:
    """A converter at its end, in a row of twenty or of fifty."""
    speed = np.random.default_rng(0).normal(size=2000)
    speed[7::every] = 65535
    said = told_of(tmp_path, capsys, speed)
    assert said.startswith(
        "speed.csv line 9: column 'speed' of device 'p1' is 65535, but half of all values lie within 0."
    )
    assert f"; {2000 // every} values ({1 / every:.1%}) are as far off, with none between. Where it means" in said
    assert said.endswith('"no value": data.missing = [65535]\n')


SOUND = {
    "noise": lambda rng: rng.normal(size=2000),
    "heavy tails": lambda rng: rng.standard_t(2, size=2000),
    "seldom on, from a standstill": lambda rng: np.where(rng.random(2000) < 0.05, 50 + rng.normal(size=2000), 0.0),
    "two levels, often": lambda rng: rng.normal(size=2000) + 1000 * (rng.random(2000) < 0.3),
    "bursts": lambda rng: rng.lognormal(sigma=2, size=2000),
    "of one value but once": lambda rng: np.r_[np.zeros(1999), 1],
}


@pytest.mark.parametrize("make", SOUND.values(), ids=SOUND)
def test_sound_values_are_not_asked_about(tmp_path: Path, capsys: pytest.CaptureFixture[str], make) -> None:  # type: ignore[no-untyped-def]
    assert told_of(tmp_path, capsys, make(np.random.default_rng(1))) == ""
