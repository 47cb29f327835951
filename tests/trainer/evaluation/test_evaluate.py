"""What fit says at its end and evaluate prints: beside a constant, and however little there is to measure."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from agent.bundle.file import Bundle, read
from tests.trainer.fleet import NAMES, engine, fleet, small_config, write_cmapss
from tests.trainer.recordings import FAILURES, ROWS, table
from trainer.cli import cli
from trainer.config import Rul, Train
from trainer.data.table import write_table
from trainer.evaluation.evaluate import as_json, evaluate
from trainer.evaluation.text import WORSE, as_text, estimate_as_text
from trainer.fit import fit
from trainer.model.features import features_of, fit_scaling
from trainer.model.network import Network, fix_seed
from trainer.training.validation import predict

pytestmark = pytest.mark.slow

CONFIG = small_config(judge=small_config().judge.model_copy(update={"thresholds": 4}))
LONGER = CONFIG.model_copy(update={"train": Train(epochs=40, batch=4, average=0.5)})


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The folder that `fit` wrote, and the data it came from."""
    folder = tmp_path_factory.mktemp("fleet")
    write_cmapss(folder / "data" / "cmapss", fleet(), [engine(str(n), 60 + n, seed=90 + n) for n in (1, 2, 3)])
    fit(LONGER, folder / "data", folder / "out")
    return folder / "out", folder / "data"


def bundle_of(made: tuple[Path, Path]) -> Bundle:
    return read(made[0] / "small-0.1.0.fwb")


def test_beginnings_that_no_held_out_life_is_long_enough_for_are_left_out_and_said(
    made: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rest is printed, a dash where a stream that is left shows nothing to measure."""
    kept = [one for one in fleet() if one.device in bundle_of(made).manifest.created_from.play_devices]
    longest = max(len(one.t_s) for one in kept)
    monkeypatch.setattr("trainer.evaluation.stream_starts.UNSEEN_ROWS", (10, longest - 1, longest, 500))
    found = evaluate(bundle_of(made), made[1], baselines=False)
    assert [one.unseen_rows for one in found.starts] == [0, 0, 10, longest - 1]
    assert json.loads(as_json(found))["unseen_rows_left_out"] == [longest, 500]
    text = as_text(found)
    assert f"{longest} / 500 rows unseen: left out, no held-out device has more rows" in text
    assert "nan" not in text


def test_evaluate_prints_all_but_the_baselines_that_cannot_be_fitted(tmp_path: Path) -> None:
    """No channel varies before 2 x h_max of the end, as in short processes: age needs no channel."""
    at_rest = np.array([600, 1580, 47], np.float32)
    still = [replace(one, x=np.where(one.t_s[:, None] < one.t_s[-1] - 39, at_rest, one.x)) for one in fleet()]
    config = CONFIG.model_copy(update={"data": table()})
    write_table(still, NAMES, tmp_path / ROWS, tmp_path / FAILURES)
    found = evaluate(read(fit(config, tmp_path, tmp_path / "out")), tmp_path)
    written = json.loads(as_json(found))
    assert list(written["compared"]) == ["lstm", "age"]
    why = "no channel varies until 2 x judge.h_max before the failures, and outside of faults"
    assert written["left_out"] == {"limits": why, "ewma": why}
    assert as_text(found).splitlines()[-2:] == [f"limits is left out: {why}", f"ewma is left out: {why}"]


def test_only_a_fault_of_the_budget_is_told_as_one(made: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = ["evaluate", "--bundle", str(made[0] / "small-0.1.0.fwb"), "--data", str(made[1]), "--no-baselines"]
    refused = CliRunner().invoke(cli, [*arguments, "--budget", "often"]).exception
    assert str(refused).startswith("--budget: 'often' is not \"1 per device per 30d\"")

    def broken(*_: object) -> None:
        raise ValueError("need at least one array to concatenate")

    monkeypatch.setattr("trainer.evaluation.evaluate.figures", broken)
    fault = CliRunner().invoke(cli, arguments).exception
    assert (type(fault), str(fault)) == (ValueError, "need at least one array to concatenate")


def test_a_test_set_without_a_row_within_the_cap_has_no_coverage(made: tuple[Path, Path], tmp_path: Path) -> None:
    config = CONFIG.model_copy(update={"rul": CONFIG.rul.model_copy(update={"cap": 8})})
    found = evaluate(read(fit(config, made[1], tmp_path)), made[1], baselines=False)
    assert found.test["FD001"]["int8"].interval.whole.n_rows == 0
    assert "interval: no row is within the cap" in as_text(found)


def test_the_error_of_the_best_constant_stands_beside_that_of_the_estimate(made: tuple[Path, Path]) -> None:
    """In the report, at the end of fit, in the card and in evaluate; and it is the spread of the truth."""
    bundle = bundle_of(made)
    kept = [one for one in fleet() if one.device in bundle.manifest.created_from.play_devices]
    constant = float(np.std(np.concatenate([np.minimum(one.observed_left(), 40) for one in kept])))
    assert json.loads(bundle.report)["held_out"]["rmse_of_constant_s"] == pytest.approx(constant)
    assert bundle.manifest.metrics["play_rmse_of_constant"] == pytest.approx(constant)
    both = f"RMSE {bundle.manifest.metrics['play_rmse']:.2f} cycles, of the best constant {constant:.2f}"
    assert estimate_as_text(bundle.manifest) == f"remaining life of 3 held-out devices: {both}"
    assert f"truth capped at 40: {both}.\n" in bundle.card
    found = evaluate(bundle, made[1], baselines=False)
    assert json.loads(as_json(found))["held_out"]["int8"]["rmse_of_constant_s"] == pytest.approx(constant)
    lines = as_text(found).splitlines()
    (at,) = (number for number, line in enumerate(lines) if line.startswith("RMSE of the remaining life, cycles"))
    assert f"{constant:.2f}" in lines[at + 1]
    assert WORSE not in "\n".join([bundle.card, *lines])


def test_worse_than_a_constant_is_said_in_plain_words(made: tuple[Path, Path], tmp_path: Path) -> None:
    """A network that has hardly begun to learn, and a cap far above all lives."""
    write_table(fleet(), NAMES, tmp_path / ROWS, tmp_path / FAILURES)
    changes = {"data": table(), "rul": Rul(cap=400), "train": Train(epochs=1, batch=4)}
    config = CONFIG.model_copy(update=changes)
    bundle = read(fit(config, tmp_path, tmp_path / "out"))
    _, worse, next_step = estimate_as_text(bundle.manifest).splitlines()
    assert worse == "The estimate of the remaining life is worse than a constant: do not rely on it."
    assert "more epochs" in next_step
    assert f"\n**{worse}**\n" in bundle.card
    assert worse in as_text(evaluate(bundle, tmp_path, baselines=False)).splitlines()


def test_an_untrained_network_says_about_the_cap() -> None:
    """So a training that was too short says "long", not "at once"."""
    fix_seed(0)
    scaling = fit_scaling(fleet(), CONFIG)
    told = predict(Network(CONFIG), [features_of(one, scaling, CONFIG.model) for one in fleet()], CONFIG)
    assert np.mean(np.concatenate([estimate for estimate, _ in told])) > 0.8 * CONFIG.rul.cap
