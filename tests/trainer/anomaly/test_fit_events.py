"""Events through a whole `fit`: an error code confirms a level, and neither alone is worth an alert.

As the machines of a well-known set behave: measurements are noise around a level, error codes come now and then for no
reason, and before a failure a level moves and a code comes.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from agent.bundle.file import Bundle, read
from agent.replay.inline import PlayedDevice
from trainer.cli import cli
from trainer.data.history import Float64, History
from trainer.evaluation.playback import play

pytestmark = pytest.mark.slow

HOUR = 3600.0
N_ROWS, N_MACHINES, ROWS_A_CODE = 600, 10, 80
CHANNELS = ("volt", "rotate", "error1", "error3")
MOVED = 450
TOML = """
name = "plant"
version = "0.1.0"
heads = ["anomaly"]
[data]
dataset = "table"
rows = "rows.csv"
channels = ["volt", "rotate", "error1", "error3"]
[data.events]
file = "errors.csv"
kind = "errorID"
kinds = ["error1", "error3"]
[split]
fit = 4
calibrate = 5
play = 1
[model]
cadence = "1h"
dt_max = "10h"
[judge]
h_max = "1d"
h_min = "1h"
[anomaly]
learning = "100h"
steps = 10
batch = 8
hidden = 8
"""


def measured(number: int) -> Float64:
    return np.array([170.0, 450.0]) + np.random.default_rng(number).normal(size=(N_ROWS, 2)) * [15.0, 50.0]


def write_plant(folder: Path) -> None:
    """Rows each hour, and a log of codes that come about each 80 hours for no reason."""
    rows, errors = ["device,t,volt,rotate"], ["device,t,errorID"]
    for number in range(N_MACHINES):
        rng = np.random.default_rng(100 + number)
        rows += [f"m{number},{HOUR * row:g},{v:.3f},{r:.3f}" for row, (v, r) in enumerate(measured(number).tolist())]
        at = np.flatnonzero(rng.random(N_ROWS) < 1 / ROWS_A_CODE)
        errors += [f"m{number},{HOUR * row - 600:g},error{rng.choice([1, 3])}" for row in at.tolist() if row]
    (folder / "rows.csv").write_text("\n".join(rows) + "\n")
    (folder / "errors.csv").write_text("\n".join(errors) + "\n")
    (folder / "plant.toml").write_text(TOML)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    folder = tmp_path_factory.mktemp("plant")
    write_plant(folder)
    done = CliRunner().invoke(cli, ["fit", str(folder / "plant.toml"), "--out", str(folder / "out")])
    assert done.exception is None, done.output
    return read(folder / "out" / "plant-0.1.0.fwb")


def test_the_event_chart_is_shipped_and_contributes(bundle: Bundle) -> None:
    assert bundle.manifest.anomaly is not None
    assert [channel.event for channel in bundle.manifest.channels] == [False, False, True, True]
    share = {chart.residual: chart.share for chart in bundle.manifest.anomaly.charts}
    assert "level" not in share, "an alert of a level alone would be there all the same"
    assert share["event"] > 0.9, "of noise around a level nothing can be foreseen"


def machine(*spoil: Callable[[Float64], None]) -> History:
    x = np.hstack([measured(77), np.zeros((N_ROWS, 2))])
    for one in spoil:
        one(x)
    return History("p", HOUR * np.arange(N_ROWS), x.astype(np.float32), None)


def moves(x: Float64) -> None:
    """By 0.8 of its deviations, for two days."""
    x[MOVED : MOVED + 48, 0] += 0.8 * 15


def tells(x: Float64) -> None:
    x[MOVED + 30, 3] = 1


def judged(bundle: Bundle, history: History) -> PlayedDevice:
    """At the highest score of the machines that calibrate, in some 2,500 hours of theirs."""
    assert bundle.manifest.anomaly is not None
    (one,) = play(bundle, bundle.model, [history], bundle.manifest.anomaly.thresholds.rows[-1].threshold)
    return one


def test_a_code_that_a_level_confirms_is_an_alert_and_neither_alone_is(bundle: Bundle) -> None:
    for spoil in ((), (moves,), (tells,)):
        assert judged(bundle, machine(*spoil)).events == ()
    both = judged(bundle, machine(moves, tells))
    raised = [event for event in both.events if event.kind == "raised"]
    assert [round(event.t_ns / 1e9 / HOUR) for event in raised] == [MOVED + 30], "in the row that has the code"
    share = dict(zip(CHANNELS, raised[0].outputs["contribution"], strict=True))
    assert share["error1"] == 0
    assert share["error3"] > 0.1
    assert share["volt"] > share["rotate"]
    assert sum(share.values()) == pytest.approx(1)
