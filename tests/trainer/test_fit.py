"""From files to a bundle and its figures, on a small made-up fleet."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch
from click.testing import CliRunner

from agent.bundle import golden
from agent.bundle.file import Bundle, read
from agent.bundle.manifest import RiskHead, RulHead
from agent.errors import DataRefused
from agent.replay.play import PlayedDevice
from agent.step.engine import Engine
from agent.words import Quality
from tests.small_bundle import small_manifest
from tests.trainer.fleet import NAMES, engine, fleet, small_config, write_cmapss
from trainer.calibrate import platt, stretch
from trainer.cli import cli
from trainer.config import Config, read_config
from trainer.data.history import History, failure_time
from trainer.evaluate import as_json, as_text, evaluate, last_rows
from trainer.fit import fit
from trainer.held_out import figures
from trainer.played import early_warning, play
from trainer.thresholds import thresholds
from trainer.warmup import LateStart, brier_after, late_starts, warmup_rows

CONFIG = small_config()
SHIPPED = Path(__file__).parents[2] / "configs/train/cmapss-fd001.toml"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The folder that `fit` wrote, and the data it came from."""
    folder = tmp_path_factory.mktemp("fleet")
    write_cmapss(folder / "data" / "cmapss", fleet(), [engine(str(n), 60 + n, seed=90 + n) for n in (1, 2, 3)])
    path = fit(trained_longer(CONFIG), folder / "data", folder / "out")
    assert path == folder / "out" / "small-0.1.0.fwb"
    return folder / "out", folder / "data"


def trained_longer(config: Config) -> Config:
    return config.model_copy(update={"train": config.train.model_copy(update={"epochs": 40, "average": 0.5})})


def bundle_of(made: tuple[Path, Path]) -> Bundle:
    return read(made[0] / "small-0.1.0.fwb")


def test_bundle_is_whole_and_computes_what_it_promises(made: tuple[Path, Path]) -> None:
    bundle = bundle_of(made)
    golden.verify(bundle, Engine(bundle.model, bundle.manifest))
    manifest = bundle.manifest
    assert (manifest.time_unit, manifest.trained_for) == ("cycle", "from_new")
    assert [channel.name for channel in manifest.channels] == list(NAMES)
    assert Config.model_validate_json(manifest.created_from.config) == trained_longer(CONFIG)
    of = manifest.created_from
    assert [len(part) for part in (of.fit_devices, of.calibrate_devices, of.play_devices)] == [8, 3, 3]
    assert manifest.judge.horizon == 2
    assert np.isnan(bundle.golden.x).any()
    assert np.isinf(bundle.golden.x).any()


def test_range_of_a_channel_is_that_of_the_fit_devices(made: tuple[Path, Path]) -> None:
    manifest = bundle_of(made).manifest
    by_device = {history.device: history for history in fleet()}
    rows = np.concatenate([by_device[device].x for device in manifest.created_from.fit_devices])
    assert [channel.low for channel in manifest.channels] == rows.min(axis=0).tolist()
    assert [channel.high for channel in manifest.channels] == rows.max(axis=0).tolist()
    lived = [
        by_device[device].t_fail
        for device in (*manifest.created_from.fit_devices, *manifest.created_from.calibrate_devices)
    ]
    assert list(manifest.lives_s) == lived


def test_fit_is_the_same_to_the_byte_by_seed(made: tuple[Path, Path], tmp_path: Path) -> None:
    again = fit(trained_longer(CONFIG), made[1], tmp_path)
    assert again.read_bytes() == (made[0] / "small-0.1.0.fwb").read_bytes()


def test_played_devices_are_written_as_recorded_data(made: tuple[Path, Path]) -> None:
    kept = bundle_of(made).manifest.created_from.play_devices
    rows = list(csv.DictReader((made[0] / "play.csv").open()))
    assert list(rows[0]) == ["device", "t", *NAMES]
    by_device = {history.device: history for history in fleet()}
    for device in kept:
        mine = [row for row in rows if row["device"] == device]
        x = np.array([[np.float32(row[name]) for name in NAMES] for row in mine], np.float32)
        assert x.tobytes() == by_device[device].x.tobytes()
        assert [float(row["t"]) for row in mine] == by_device[device].t_s.tolist()
    truth = {row["device"]: float(row["t_fail"]) for row in csv.DictReader((made[0] / "truth.csv").open())}
    assert truth == {device: by_device[device].t_fail for device in kept}
    for name in ("curves.png", "metrics.json", "config.json"):
        assert (made[0] / name).stat().st_size > 100


def test_table_is_the_agents_own_alerts(made: tuple[Path, Path]) -> None:
    """A row of the table is what the core raises at that threshold with the bundle's own warm-up and policy."""
    bundle = bundle_of(made)
    table = bundle.manifest.thresholds
    kept = [history for history in fleet() if history.device in bundle.manifest.created_from.calibrate_devices]
    assert table.exposure_s == sum(len(history.t_s) for history in kept)
    assert table.n_devices == 3
    assert [row.threshold for row in table.rows] == thresholds(9)
    for row in table.rows[::3]:
        found = early_warning(bundle, play(bundle, bundle.model, kept, row.threshold), kept)
        assert (row.false_alarms, row.detected) == (found.false_alarms, found.strict.detected)
        assert row.mean_lead_s == found.strict.mean_lead_s
        assert row.rate_upper95_per_s == found.false_alarms_per_s_upper95
    assert max(row.detected for row in table.rows) > 0


def test_no_alert_while_warming_up(made: tuple[Path, Path]) -> None:
    bundle = bundle_of(made)
    eager = replace(bundle, manifest=msgspec.structs.replace(bundle.manifest, warmup_rows=30))
    told = play(eager, bundle.model, fleet()[:3], 0.001)
    assert all(one.quality[:29].tolist() == [Quality.WARMING_UP] * 29 for one in told)
    events = [event for one in told for event in one.events]
    assert events
    assert min(event.t_ns for event in events) >= 30 * 10**9


def test_warm_up_is_measured_against_the_whole_stream(made: tuple[Path, Path]) -> None:
    bundle = bundle_of(made)
    kept = [history for history in fleet() if history.device in bundle.manifest.created_from.calibrate_devices]
    found = late_starts(bundle, kept)
    assert len(found) == sum(len(range(6, len(history.t_s), 6)) for history in kept)
    assert bundle.manifest.warmup_rows == warmup_rows(found)
    late = replace(kept[0], t_s=kept[0].t_s[6:], x=kept[0].x[6:])
    mine, whole = play(bundle, bundle.model, [late], 1.0)[0], play(bundle, bundle.model, kept[:1], 1.0)[0]
    judged = bundle.manifest.judge.horizon
    assert judged > 0, "shorter horizons are to be left out"
    risk = whole.risk[6:, judged:].astype(np.float64)
    assert found[0].difference.tolist() == ((mine.risk[:, judged:] - risk) ** 2).tolist()
    fault = np.stack([failure_time(kept[0]) - late.t_s <= h for h in bundle.manifest.risk.horizons_s[judged:]], axis=1)
    assert found[0].whole_error.tolist() == ((risk - fault) ** 2).tolist()
    assert found[0].error.tolist() == ((mine.risk[:, judged:].astype(np.float64) - fault) ** 2).tolist()
    late_brier, whole_brier = brier_after(found, bundle.manifest.warmup_rows)
    assert bundle.manifest.metrics["late_start_brier"] == late_brier
    assert bundle.manifest.metrics["whole_stream_brier"] == whole_brier
    assert f"{late_brier:.4f} from then on, against {whole_brier:.4f}" in " ".join(bundle.card.split())


PARTS = ("difference", "error", "whole_error")


def late_start(difference: list[float]) -> LateStart:
    """A late start beside a whole stream whose squared error is 1 at every row."""
    n = len(difference)
    return LateStart(np.array([difference]).T, np.full((n, 1), 7.0), np.ones((n, 1)))


def test_what_a_late_start_loses_is_counted_from_the_end_of_its_warm_up() -> None:
    own, whole = np.array([9.0, 9.0, 2.0, 4.0]), np.array([8.0, 8.0, 1.0, 3.0])
    start = LateStart(np.zeros((4, 2)), np.stack([own, np.zeros(4)], axis=1), np.stack([whole, np.zeros(4)], axis=1))
    assert brier_after([start], 3) == (3.0, 2.0)


def test_warm_up_ends_when_the_difference_now_and_later_is_within_the_error() -> None:
    assert warmup_rows([late_start([1.0] * 40)]) == 1
    assert warmup_rows([late_start([5.0] * 20 + [0.0] * 40)]) == 19, "two rows of 5 among the ten ahead average 1"
    assert warmup_rows([late_start([5.0] * 30 + [0.0] * 400)]) == 29, (
        "a long calm end does not outweigh what comes next"
    )
    assert warmup_rows([late_start([0.0] * 10 + [5.0] * 30 + [0.0] * 10)]) == 39, "nor does a quiet moment"
    assert warmup_rows([late_start([5.0] * 25)]) == 25
    calm = late_start([0.0] * 60)
    both = [np.hstack([getattr(calm, name), getattr(late_start([5.0] * 20 + [0.0] * 40), name)]) for name in PARTS]
    assert warmup_rows([LateStart(*both)]) == 19, "a calm horizon does not vouch for the others"


def test_platt_finds_the_scale_and_offset_that_made_the_labels() -> None:
    rng = np.random.default_rng(0)
    logits = torch.from_numpy(rng.normal(scale=3, size=(20_000, 1)).astype(np.float32))
    truth = torch.sigmoid(0.5 * logits - 1)
    faulty = (torch.from_numpy(rng.random((20_000, 1))) < truth).float()
    exposed = torch.ones_like(faulty, dtype=torch.bool)
    faulty[:10_000], exposed[:10_000] = 1 - faulty[:10_000], False
    scale, offset = platt(logits, faulty, exposed)
    assert scale[0] == pytest.approx(0.5, abs=0.03)
    assert offset[0] == pytest.approx(-1.0, abs=0.06)


def test_stretch_covers_its_share_and_never_turns_the_interval_over() -> None:
    score = torch.linspace(0, 2, 201)
    assert stretch(score, 0.95) == pytest.approx(1.9)
    assert stretch(-score, 0.5) == 0.01


def test_interval_holds_its_share_of_the_calibration_rows(made: tuple[Path, Path]) -> None:
    """fp32, since that is what the factors were fitted on: a twentieth of the rows lies beyond each side."""
    bundle = bundle_of(made)
    kept = [history for history in fleet() if history.device in bundle.manifest.created_from.calibrate_devices]
    found = figures(play(bundle, bundle.model_fp32, kept, 1.0), kept, bundle.manifest)
    assert found.interval_coverage == pytest.approx(0.9, abs=0.02)


def told(risk: np.ndarray, rul: np.ndarray) -> PlayedDevice:
    n = len(risk)
    return PlayedDevice("1", np.arange(n), np.zeros(n, np.uint8), risk, rul, ())


def test_figures_count_rows_as_defined() -> None:
    history = History("1", np.arange(1.0, 5.0), np.zeros((4, 1), np.float32), 5.0)  # 4, 3, 2, 1 left
    risk = np.array([[0, 0.5], [0, 0.5], [0.5, 1], [1, 1]], np.float32)
    rul = np.array([[1, 2, 3], [1, 3, 4], [3, 4, 5], [0, 1, 2]], np.float32)
    manifest = msgspec.structs.replace(
        small_manifest(), risk=RiskHead(horizons_s=(2.0, 3.0)), rul=RulHead(quantiles=(0.05, 0.5, 0.95), cap_s=3.0)
    )
    found = figures([told(risk, rul)], [history], manifest)
    assert found.rmse_s == pytest.approx(np.sqrt((1 + 0 + 4 + 0) / 4))
    assert found.interval_coverage == pytest.approx(2 / 3)
    assert found.interval_width_s == pytest.approx(7 / 3)
    assert [one.base_rate for one in found.horizons] == [0.5, 0.75]
    assert [one.brier for one in found.horizons] == pytest.approx([0.25 / 4, (0.25 + 0.25) / 4])
    assert found.horizons[0].brier_of_base_rate == 0.25


def test_last_rows_are_scored_as_the_data_set_defines() -> None:
    """NASA score of answers 13 too early and 10 too late: twice e - 1. The truth counts as at most the cap."""
    histories = [
        History(str(left), np.array([1.0, 2.0]), np.zeros((2, 1), np.float32), 2.0 + left) for left in (50, 60, 150)
    ]
    answers = [37.0, 70.0, 125.0]
    rows = [np.array([[0, 9, 9], [0, answer, 125]], np.float32) for answer in answers]
    found = last_rows([told(np.zeros((2, 1), np.float32), rul) for rul in rows], histories, 125.0)
    assert found.n_engines == 3
    assert found.rmse_capped == pytest.approx(np.sqrt((13**2 + 10**2) / 3))
    assert found.rmse_raw == pytest.approx(np.sqrt((13**2 + 10**2 + 25**2) / 3))
    assert found.nasa_score == pytest.approx(2 * (np.e - 1))
    assert found.nasa_score_raw == pytest.approx(2 * (np.e - 1) + np.exp(25 / 13) - 1)


def test_evaluate_reads_the_test_set_and_the_play_devices(made: tuple[Path, Path]) -> None:
    bundle = bundle_of(made)
    found = evaluate(bundle, made[1])
    written = json.loads(as_json(found))
    for key in ("rmse_capped", "rmse_raw", "nasa_score"):
        assert np.isfinite(written[key])
    assert written["bytes"] == {"int8": len(bundle.model), "fp32": len(bundle.model_fp32)}
    assert written["n_engines"] == 3
    assert written["fp32"]["rmse_capped"] == pytest.approx(written["rmse_capped"], rel=0.1)
    assert written["fp32"]["rmse_capped"] != written["rmse_capped"]
    assert {one["device"] for one in written["early_warning"]["devices"]} == set(
        bundle.manifest.created_from.play_devices
    )
    assert written["early_warning"]["age_only"]["early_warning"]["failures"] == 3
    text = as_text(found)
    for part in ("RMSE, true life capped", f"{found.test['int8'].rmse_capped:.3f}", "age only", "1 per 1000 cycles"):
        assert part in text


def test_early_warning_of_evaluate_is_that_of_its_alerts(made: tuple[Path, Path]) -> None:
    bundle = bundle_of(made)
    found = evaluate(bundle, made[1], "1 per 50 cycles")
    kept = [history for history in fleet() if history.device in bundle.manifest.created_from.play_devices]
    played = play(bundle, bundle.model, kept, found.replay["int8"].limit.threshold)
    assert found.replay["int8"].early_warning == early_warning(bundle, played, kept)


def test_evaluate_refuses_other_data(made: tuple[Path, Path], tmp_path: Path) -> None:
    other = fleet()
    other[3] = replace(other[3], x=other[3].x + np.float32(0.01))
    write_cmapss(tmp_path, other, other[:3])
    with pytest.raises(DataRefused, match=r"is not the data that small 0\.1\.0 was made from"):
        evaluate(bundle_of(made), tmp_path)


def test_commands_show_an_example_and_name_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FOREWARN_DATA", raising=False)
    runner = CliRunner()
    for command in ([], ["fit"], ["evaluate"]):
        shown = runner.invoke(cli, [*command, "--help"])
        assert shown.exit_code == 0
        assert "Example: forewarn-train" in shown.output
    path = tmp_path / "c.toml"
    path.write_text('name = "x"\nversion = "1.0.0"\n[data]\ndataset = "cmapss"\nsubset = "FD001"\nchannels = ["T24"]\n')
    refused = runner.invoke(cli, ["fit", str(path), "--out", str(tmp_path)]).exception
    assert "FOREWARN_DATA: is not set" in str(refused)
    absent = runner.invoke(cli, ["evaluate", "--bundle", "no.fwb", "--data", str(tmp_path)]).exception
    assert "there is no such file" in str(absent)


def test_fd001_is_learnt_and_its_bundle_holds(cmapss: Path, tmp_path: Path) -> None:
    """Twelve epochs of the shipped recipe on the real engines: no accuracy to speak of, but every step of the way."""
    config = read_config(SHIPPED)
    short = config.model_copy(
        update={
            "train": config.train.model_copy(update={"epochs": 12, "average": 0.5}),
            "judge": config.judge.model_copy(update={"thresholds": 5}),
        }
    )
    bundle = read(fit(short, cmapss, tmp_path))
    golden.verify(bundle, Engine(bundle.model, bundle.manifest))
    assert len(bundle.model) <= 0.30 * len(bundle.model_fp32)
    assert bundle.manifest.metrics["play_rmse"] < 43, "a constant does as well"
    assert len(bundle.manifest.created_from.play_devices) == 20
