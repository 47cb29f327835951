"""The benches of single techniques (ablation, init_steps, distill), on a small made-up fleet."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from bench import ablation, distill, init_steps
from bench.ablation import Blind, Switch, rmse_of_late_starts, switches
from bench.distill import TeacherSoFar
from bench.folds import Row, folds, rows_of_runs
from bench.init_steps import compared, epochs_to, mark
from bench.result import append, rows_in
from tests.trainer.fleet import SMALL_TOML, fleet, small_config, write_cmapss
from trainer.config import Distill, Grouping
from trainer.model.features import Features, batch_of, features_of, fit_scaling, n_inputs
from trainer.model.network import Network, fix_seed
from trainer.training.teacher import BidirectionalLstm

CONFIG = small_config()


def lives(n: int = 5) -> list[Features]:
    scaling = fit_scaling(fleet(n), CONFIG)
    return [features_of(history, scaling, CONFIG.model) for history in fleet(n)]


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A config, and FOREWARN_DATA with its engines."""
    write_cmapss(tmp_path / "data" / "cmapss", fleet(), fleet(2))
    monkeypatch.setenv("FOREWARN_DATA", str(tmp_path / "data"))
    (tmp_path / "small.toml").write_text(SMALL_TOML)
    return tmp_path / "small.toml"


def test_rows_are_added_to_those_of_earlier_runs(tmp_path: Path) -> None:
    path = tmp_path / "new" / "x.json"
    assert rows_in(path) == rows_in(None) == []
    append(path, "x", {"a": 1})
    append(path, "x", {"a": 2}, {"a": 3})
    append(None, "x", {"a": 4})
    assert rows_in(path) == [{"a": 1}, {"a": 2}, {"a": 3}]
    assert json.loads(path.read_text())["bench"] == "x"


@pytest.mark.slow
def test_a_run_that_is_in_the_file_is_not_done_again(tmp_path: Path) -> None:
    """Nor one that another process has put there meanwhile; without a file every run is done once a call."""
    done: list[int] = []

    def run(seed: int) -> tuple[Row, Callable[[], list[Row]]]:
        def measure() -> list[Row]:
            done.append(seed)
            append(path, "x", {"seed": 2, "rmse": 9.0})  # the other process
            return [{"rmse": float(seed)}]

        return {"seed": seed}, measure

    path = tmp_path / "x.json"
    assert rows_of_runs(path, "x", map(run, (0, 1))) == rows_in(path)
    assert rows_of_runs(path, "x", map(run, (1, 2, 3)))[-1] == {"seed": 3, "rmse": 3.0}
    assert done == [0, 1, 3]
    assert rows_of_runs(None, "x", map(run, (1, 1))) == [{"seed": 1, "rmse": 1.0}]


def test_what_is_unread_changes_no_answer() -> None:
    config = small_config(regimes=Grouping(by=("setting_1",), count=3), types=Grouping(by=("part",), count=2))
    inputs = torch.randn(6, 2, n_inputs(config))  # 3 channels, 6 means, age, new, 3 regimes, 2 types
    columns = {"age": [9], "new": [10], "regime": [11, 12, 13], "type": [14, 15]}
    for name, mine in columns.items():
        network = Blind(config, [name]).eval()
        other = inputs.clone()
        other[..., mine] += 1
        assert torch.equal(network(inputs)[0].estimate, network(other)[0].estimate)
        for column in set(range(16)) - set(mine):
            other = inputs.clone()
            other[..., column] += 1
            assert not torch.equal(network(inputs)[0].estimate, network(other)[0].estimate)


def test_switches_that_change_nothing_are_left_out() -> None:
    found = switches(CONFIG)
    assert found["default"] == Switch()
    assert not found.keys() & {"init_forget_one", "cell_lstm", "regime_unread", "type_unread", "regime_scaling_off"}
    with_regimes = switches(small_config(regimes=Grouping(by=("setting_1", "setting_3"), count=3)))
    wanted = "data.channels=['T24', 'T30', 'Ps30', 'setting_1']"
    assert with_regimes["regime_scaling_off"] == Switch((wanted, "regimes.by=[]"))


def test_first_rows_are_cut_off_and_late_rows_count() -> None:
    """A network that always says 0: its error is the truth itself."""
    network = Network(CONFIG)
    with torch.no_grad():
        network.heads.estimate.weight.zero_()
        network.heads.estimate.bias.zero_()
    (life,) = lives(1)
    longer = replace(life, left=life.left + 90)
    assert rmse_of_late_starts(network, [life], CONFIG, 25) == pytest.approx(
        np.sqrt(np.mean(np.minimum(life.left[25:], 40) ** 2))
    )
    assert rmse_of_late_starts(network, [longer], CONFIG, 25) == 40.0  # the rows with 90 to 100 left, capped
    assert rmse_of_late_starts(network, [replace(life, new=True, failed=False), life], CONFIG, 25) < 40


@pytest.mark.slow
def test_ablation_keeps_what_is_done_and_tells_differences(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = config.parent / "a.json"
    arguments = [str(config), "--folds", "1", "--json", str(path), "--set", "train.epochs=1", "--only"]
    ablation.main([*arguments, "early_stopping_20"])
    ablation.main([*arguments, "early_stopping_20", "age_unread"])
    told = capsys.readouterr()
    rows = rows_in(path)
    assert [(row["switch"], row["fold"], row["seed"]) for row in rows] == [
        ("default", 1, 0), ("early_stopping_20", 1, 0), ("age_unread", 1, 0),
    ]  # fmt: skip
    assert told.err.count("default:") == 1
    assert rows[1]["whole"] == rows[0]["whole"], "one epoch is the best of one"
    assert rows[2]["whole"] != rows[0]["whole"]
    off = f"{rows[2]['whole'] - rows[0]['whole']:+.2f}"
    assert f"| age_unread | 1 | {rows[2]['whole']:.2f} | {off} ({off} to {off}) |" in told.out
    ablation.main([*arguments, "age_unread", "--set", "train.epochs=2"])
    assert len(rows_in(path)) == 5, "another recipe is another run"


def test_differences_are_those_of_the_same_fold_and_seed() -> None:
    def row(switch: str, fold: int, whole: float, **more: float) -> dict[str, object]:
        return {"set": "x", "switch": switch, "fold": fold, "seed": 0, "whole": whole, "train_s": 10.0 * whole} | more

    rows = [
        row("default", 0, 10.0, lead=40.0),
        row("default", 1, 20.0),
        row("off", 0, 13.0, lead=38.0),
        row("off", 1, 21.0),
        row("off", 2, 99.0),
    ]
    lines = ablation.tables(rows).splitlines()
    assert lines[-2:] == [
        "| default | 2 | 15.00 | 15.00 |  |  |  | 40.00 | 1.00 |",
        "| off | 2 | 17.00 | +2.00 (+1.00 to +3.00) |  |  |  | -2.00 (-2.00 to -2.00) | 1.18 |",
    ]


def test_an_unknown_switch_is_refused(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        ablation.main([str(config), "--only", "magic"])
    assert "no switch 'magic'; there are default, init_torch" in capsys.readouterr().err


def test_the_mark_is_torchs_own_at_two_thirds_and_counted_is_the_first_epoch_as_good() -> None:
    curve = [9.0, 8.0, 5.0, 6.0, 4.0, 3.0]
    assert mark(curve) == 6.0
    assert [epochs_to(6.0, curve), epochs_to(3.0, curve), epochs_to(1.0, curve)] == [3, 6, 6]
    rows = [
        {"fold": 0, "seed": seed, "init": start, "rmse": rmse}
        for seed in (0, 1)
        for start, rmse in (("torch", curve), ("forget_one", [6.0] * 6), ("chrono", [7.0] * 6))
    ]
    assert compared(rows[:5]) == [
        {"fold": 0, "seed": 0, "mark": 6.0, "epochs": {"torch": 3, "forget_one": 1, "chrono": 6}}
    ]


@pytest.mark.slow
def test_init_steps_goes_on_where_it_was(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = config.parent / "i.json"
    arguments = [str(config), "--epochs", "2", "--json", str(path), "--seeds"]
    init_steps.main([*arguments, "0"])
    init_steps.main([*arguments, "0", "1"])
    assert [(row["seed"], row["init"]) for row in rows_in(path)] == [
        (seed, start) for seed in (0, 1) for start in ("torch", "forget_one", "chrono")
    ]
    assert all(len(row["rmse"]) == 2 for row in rows_in(path))
    assert json.loads(path.read_text())["ratios"].keys() == {"forget_one_over_torch", "chrono_over_torch"}
    assert "| median |" in capsys.readouterr().out


def test_a_teacher_as_a_method_reads_no_later_row() -> None:
    config = small_config(distill=Distill(teacher_hidden=6))
    fix_seed(0)
    network = BidirectionalLstm(config, config.distill).eval()
    (history,) = fleet(1)
    scaling = fit_scaling([history], config)
    scorer = TeacherSoFar(network, scaling, config)
    left, risk = scorer.predict(history)
    assert left.shape == (50,)
    assert scorer.score(history).tolist() == risk[:, 2].astype(float).tolist()
    for row in (0, 31, 32, 49):
        begun = replace(history, x=history.x[: row + 1], t_s=history.t_s[: row + 1])
        alone = batch_of([features_of(begun, scaling, config.model)], config.model)
        with torch.no_grad():
            told = network(torch.from_numpy(alone.inputs))[0].estimate[-1, 0].clamp(0, 1) * 40
        assert left[row] == pytest.approx(told.item(), abs=1e-3)


@pytest.mark.slow
def test_distilling_is_told_beside_a_student_alone_and_the_teacher(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = config.parent / "d.json"
    small = ["--set", "train.epochs=2", "--set", "distill.teacher_epochs=1", "--teacher-hidden", "16"]
    arguments = [str(config), "--json", str(path), "--budget", "1 per 100 cycles", "--seeds", "0", *small]
    distill.main(arguments)
    alone, taught, teacher = rows_in(path)
    assert (alone["method"], taught["method"], teacher["method"]) == distill.METHODS
    assert alone["weights"] == taught["weights"] < teacher["weights"]
    assert alone["rmse_s"] != taught["rmse_s"]
    n_rows = sum(len(one.t_s) for one in folds(fleet(), 5, 0, 3 / 11)[0].play)
    assert {row["exposure_s"] for row in rows_in(path)} == {n_rows}
    ratios = json.loads(path.read_text())["ratios"]
    assert ratios["rmse_taught_over_alone"]["median"] == taught["rmse_s"] / alone["rmse_s"]
    assert ratios["weights_taught_over_teacher"]["median"] < 1
    distill.main(arguments)
    assert len(rows_in(path)) == 3
    assert "| taught / teacher |" in capsys.readouterr().out
