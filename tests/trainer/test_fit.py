"""From files to a bundle and its figures, on a small made-up fleet."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest
from click.testing import CliRunner

from agent.bundle.file import Bundle, read
from agent.bundle.manifest import ThresholdRow, ThresholdTable
from agent.bundle.verify import verify
from agent.errors import DataRefused
from agent.judge.threshold import choose, parse_budget
from agent.score.time_unit import Unit
from agent.step.engine import Engine
from agent.words import Quality
from docs.figures import BLOCKS
from tests.small_bundle import small_manifest
from tests.trainer.fleet import NAMES, engine, fleet, small_config, write_cmapss
from trainer.cli import cli
from trainer.config import Config
from trainer.config_file import read_config
from trainer.data.history import History, failure_time
from trainer.data.split import split
from trainer.data.table import write_table
from trainer.evaluation.evaluate import as_json, evaluate
from trainer.evaluation.playback import fleet_of, play
from trainer.evaluation.text import as_text, budget_as_text
from trainer.evaluation.threshold_sweep import early_warning, rules_of, thresholds_even_in_log_odds
from trainer.evaluation.warmup import brier_after, late_starts, warmup_rows
from trainer.export.calibrate import calibrated
from trainer.export.onnx_graph import export
from trainer.export.streaming import streaming_of
from trainer.fit import fit
from trainer.model.features import features_of, fit_scaling
from trainer.model.network import Network
from trainer.training.loop import train

pytestmark = pytest.mark.slow

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
    verify(bundle.golden, bundle.manifest, Engine(bundle.model, bundle.manifest), bundle.path)
    manifest = bundle.manifest
    assert (manifest.time_unit, manifest.trained_for) == ("cycle", "from_new")
    assert [channel.name for channel in manifest.channels] == list(NAMES)
    assert Config.model_validate_json(manifest.created_from.config) == trained_longer(CONFIG)
    of = manifest.created_from
    assert [len(part) for part in (of.fit_devices, of.calibrate_devices, of.play_devices)] == [8, 3, 3]
    assert manifest.judging["risk"].policy.horizon == 2
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
    for name in ("curves.png", "reliability.png", "metrics.json", "config.json"):
        assert (made[0] / name).stat().st_size > 100


def test_table_is_the_agents_own_alerts(made: tuple[Path, Path]) -> None:
    """A row of the table is what the core raises at that threshold with the bundle's own warm-up and policy."""
    bundle = bundle_of(made)
    table = bundle.manifest.judging["risk"].thresholds
    kept = [history for history in fleet() if history.device in bundle.manifest.created_from.calibrate_devices]
    assert table.exposure_s == sum(len(history.t_s) for history in kept)
    assert (table.n_devices, table.failures) == (3, 3)
    assert [row.threshold for row in table.rows] == thresholds_even_in_log_odds(9)
    for row in table.rows:  # swept over scores that were played once; here each threshold is played by itself
        found = early_warning(
            fleet_of(bundle.manifest, play(bundle, bundle.model, kept, row.threshold), kept), rules_of(bundle.manifest)
        )
        assert (row.false_alarms, row.detected) == (found.false_alarms, found.strict.detected)
        assert row.mean_lead_s == found.strict.mean_lead_s
        assert row.false_alarm_s == found.false_alarm_s
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
    judged = bundle.manifest.judging["risk"].policy.horizon
    assert judged > 0, "shorter horizons are to be left out"
    risk = whole.risk[6:, judged:].astype(np.float64)
    assert found[0].difference.tolist() == ((mine.risk[:, judged:] - risk) ** 2).tolist()
    fault = np.stack([failure_time(kept[0]) - late.t_s <= h for h in bundle.manifest.horizons_s[judged:]], axis=1)
    assert found[0].whole_error.tolist() == ((risk - fault) ** 2).tolist()
    assert found[0].error.tolist() == ((mine.risk[:, judged:].astype(np.float64) - fault) ** 2).tolist()
    late_brier, whole_brier = brier_after(found, bundle.manifest.warmup_rows)
    assert bundle.manifest.metrics["late_start_brier"] == late_brier
    assert bundle.manifest.metrics["whole_stream_brier"] == whole_brier
    assert "Calibrated on 3 other engines, heard as new (docs" in bundle.card
    assert f"{late_brier:.4f} from then on, against {whole_brier:.4f}" in " ".join(bundle.card.split())


def test_graph_is_the_network_trained_on_fit_and_calibrated_on_calibrate_devices(made: tuple[Path, Path]) -> None:
    config = trained_longer(CONFIG)
    parts = split(fleet(), config.split)
    scaling = fit_scaling(parts.fit, config)
    fitted, kept = ([features_of(one, scaling, config.model) for one in part] for part in (parts.fit, parts.calibrate))
    network, _ = train(Network, fitted, kept, config)
    wanted = calibrated(streaming_of(network, scaling, config), network, kept, config)
    assert export(wanted, "int8") == bundle_of(made).model
    assert export(wanted, "fp32") == bundle_of(made).model_fp32


def test_golden_rows_know_their_time(made: tuple[Path, Path]) -> None:
    rows = bundle_of(made).golden
    first = ~rows.state.any(axis=1)
    assert first.sum() == 3
    assert (rows.dt == np.where(first, 0, 1)).all()


def test_a_missing_value_is_recorded_as_an_empty_cell(tmp_path: Path) -> None:
    history = History("7", np.array([1.0]), np.array([[np.nan, 2.5]], np.float32), None)
    write_table([history], ("a", "b"), tmp_path / "play.csv", tmp_path / "truth.csv")
    assert (tmp_path / "play.csv").read_text() == "device,t,a,b\n7,1,,2.5\n"
    assert (tmp_path / "truth.csv").read_text() == "device,t_fail\n7,\n"


def test_seed_and_epochs_of_the_command_line_win(made: tuple[Path, Path], tmp_path: Path) -> None:
    toml = """
        name = "small"
        version = "0.1.0"
        data = {dataset = "cmapss", subset = "FD001", channels = ["T24", "T30", "Ps30"]}
        split = {fit = 8, calibrate = 3, play = 3}
        model = {hidden = 8}
        judge = {thresholds = 3}
    """
    path = tmp_path / "small.toml"
    path.write_text(toml)
    arguments = ["fit", str(path), "--data", str(made[1]), "--out", str(tmp_path), "--seed", "3", "--epochs", "1"]
    done = CliRunner().invoke(cli, arguments)
    assert done.exception is None
    assert done.stdout == f"{tmp_path / 'small-0.1.0.fwb'}\n"
    assert "remaining life of 3 held-out devices: RMSE " in done.stderr
    assert 'budget "1 per 1000 cycles": threshold 0.' in done.stderr
    of = read(tmp_path / "small-0.1.0.fwb").manifest.created_from
    assert of.seed == 3
    assert Config.model_validate_json(of.config).train.epochs == 1


def test_evaluate_reads_the_test_set_and_the_play_devices(made: tuple[Path, Path]) -> None:
    bundle = bundle_of(made)
    found = evaluate(bundle, made[1])
    written = json.loads(as_json(found))
    test = written["test"]["FD001"]
    for key in ("rmse_capped", "rmse_raw", "nasa_score"):
        assert np.isfinite(test["int8"][key])
    assert written["bytes"] == {"int8": len(bundle.model), "fp32": len(bundle.model_fp32)}
    assert test["int8"]["n_engines"] == 3
    assert test["fp32"]["rmse_capped"] == pytest.approx(test["int8"]["rmse_capped"], abs=0.2)
    assert test["fp32"]["rmse_capped"] != test["int8"]["rmse_capped"]
    assert {one["device"] for one in written["early_warning"]["devices"]} == set(
        bundle.manifest.created_from.play_devices
    )
    assert written["early_warning"]["age_only"]["early_warning"]["failures"] == 3
    text = as_text(found)
    for part in (
        "RMSE, true life capped",
        f"{found.test['FD001']['int8'].rmse_capped:.3f}",
        "age only",
        "1 per 1000 cycles",
    ):
        assert part in text


def test_evaluate_sets_the_baselines_beside_the_bundle(made: tuple[Path, Path]) -> None:
    found = evaluate(bundle_of(made), made[1], "1 per 200 cycles")
    written = json.loads(as_json(found))
    assert list(written["compared"]) == ["lstm", "limits", "ewma", "age"]
    for one in written["compared"].values():
        assert list(one) == [
            "threshold", "calibrated_rate_per_s", "extrapolated", "warned_of", "failures", "early_warning"
        ]  # fmt: skip
        assert one["early_warning"]["failures"] == 3
    lstm = written["compared"]["lstm"]
    assert lstm["threshold"] == written["early_warning"]["limit"]["threshold"]
    assert lstm["early_warning"]["strict"] == written["early_warning"]["strict"]
    assert written["left_out"] == {}
    last = [line.split()[0] for line in as_text(found).splitlines()[-4:]]
    assert last == ["lstm", "limits", "ewma", "age"]


def test_there_is_one_rival_of_age_in_replay_and_evaluation(made: tuple[Path, Path]) -> None:
    """Its age is chosen once, from the lives in the manifest, and what it warns of is told alike."""
    for budget in ("1 per 1000 cycles", "1 per 40 cycles"):
        found = evaluate(bundle_of(made), made[1], budget)
        age, of_replay = found.compared["age"], found.replay["int8"].age_only
        assert (age.chosen.threshold, age.early_warning) == (of_replay.age_s, of_replay.early_warning)
        assert age.early_warning.strict.detected > 0


def test_fit_says_what_its_threshold_is_worth_and_which_budget_it_can_vouch_for(made: tuple[Path, Path]) -> None:
    """Three calibration engines of 50 to 90 cycles are too few for one false alarm in 1,000 cycles."""
    manifest = bundle_of(made).manifest
    default, finest, advice = budget_as_text(manifest).splitlines()
    budget = choose(manifest.judging["risk"].thresholds, parse_budget("1 per 1000 cycles", fleet_size=0)).finest_budget
    assert parse_budget(budget, fleet_size=0).rate_per_s == pytest.approx(
        3 / manifest.judging["risk"].thresholds.exposure_s, rel=0.1
    )
    assert default.startswith('budget "1 per 1000 cycles": threshold 0.')
    assert "of the 3 calibration failures w" in default
    assert default.endswith(f'can vouch for is "{budget}"')
    assert finest.startswith(f'budget "{budget}": threshold 0.')
    assert "extrapolated" not in finest
    assert advice == f'Set budget = "{budget}" in the agent, or train on more devices.'


def test_six_short_lives_at_the_default_budget_say_what_the_guide_shows() -> None:
    """None of their failures reaches the threshold that is left, and no budget that they vouch for is as fine."""
    rows = (ThresholdRow(0.6, 1, 1e-4, 4, 5400.0, 324.0), ThresholdRow(0.9975, 0, 5e-5, 0, 0.0, 0.0))
    table = ThresholdTable(9000.0, 600.0, 6 * 3 * 3600.0, 6, rows, failures=6)
    lines = budget_as_text(msgspec.structs.replace(small_manifest(), time_unit="s", thresholds=table)).splitlines()
    assert lines[0] in (Path(__file__).parents[2] / "docs/guide.md").read_text().splitlines()
    assert lines[1].startswith(
        'budget "1 per device per 6h": threshold 0.6000, mean lead 1.5 hours; at this threshold 4 of'
    )
    assert lines[2] == 'Set budget = "1 per device per 6h" in the agent, or train on more devices.'
    hopeless = msgspec.structs.replace(table, rows=rows[1:])
    assert budget_as_text(msgspec.structs.replace(small_manifest(), time_unit="s", thresholds=hopeless)).endswith(
        "\nTrain on more devices."
    )


def test_evaluate_goes_without_a_test_set(made: tuple[Path, Path]) -> None:
    found = replace(evaluate(bundle_of(made), made[1]), test={})
    assert json.loads(as_json(found))["test"] == {}
    assert as_text(found).startswith("small 0.1.0: all rows of 3 held-out devices")


def test_evaluate_speaks_in_the_bundles_unit(made: tuple[Path, Path]) -> None:
    found = replace(evaluate(bundle_of(made), made[1]), unit=Unit("hour", 3600.0, "30 device-days", 30 * 86_400.0))
    lead_h = found.compared["lstm"].early_warning.strict.mean_lead_s / 3600
    text = as_text(found)
    assert "mean lead, hours" in text
    assert f"{lead_h:.1f}" in text.splitlines()[-4]
    limit = found.replay["int8"].limit
    assert "cycles" not in text.replace(limit.verdict, "").replace(limit.budget, "")
    of_readme = BLOCKS["readme_demo"].text().split("broker:")[0].splitlines()
    headings = [line.split() for line in of_readme if line.startswith("  ")]
    assert len(headings) == 3
    assert all(heading in [line.split() for line in text.splitlines()] for heading in headings), (
        "run `python -m docs.record`"
    )
    for label in ("interval holds the truth", "Brier, ", "bytes of the model", "whole, new ", "lstm ", "age "):
        assert any(line.startswith(label) for line in of_readme)
        assert any(line.startswith(label) for line in text.splitlines())


def test_early_warning_of_evaluate_is_that_of_its_alerts(made: tuple[Path, Path]) -> None:
    bundle = bundle_of(made)
    found = evaluate(bundle, made[1], "1 per 50 cycles")
    kept = [history for history in fleet() if history.device in bundle.manifest.created_from.play_devices]
    played = play(bundle, bundle.model, kept, found.replay["int8"].limit.threshold)
    assert found.replay["int8"].early_warning == early_warning(
        fleet_of(bundle.manifest, played, kept), rules_of(bundle.manifest)
    )


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
    verify(bundle.golden, bundle.manifest, Engine(bundle.model, bundle.manifest), bundle.path)
    assert len(bundle.model) <= 0.30 * len(bundle.model_fp32)
    assert bundle.manifest.metrics["play_rmse"] < 43, "a constant does as well"
    assert len(bundle.manifest.created_from.play_devices) == 20


def test_evaluate_says_how_streams_fare_however_they_begin(
    made: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trainer.evaluation.stream_starts.UNSEEN_ROWS", (10, 60))
    bundle = bundle_of(made)
    found = evaluate(bundle, made[1], "1 per 100 cycles", baselines=False)
    ways = [(one.first_seen, one.unseen_rows) for one in found.starts]
    assert ways == [("new", 0), ("unknown", 0), ("unknown", 10), ("unknown", 60)]
    new, unknown, late, _ = found.starts
    assert new.rmse_s == unknown.rmse_s, "a bundle of new devices alone takes every device for one"
    assert new.early_warning != unknown.early_warning, "but one that its source calls new does not warm up"
    assert new.n_rows == unknown.n_rows == late.n_rows == 3 * 33, "rows from 32 cycles before the failure on"
    assert unknown.early_warning == found.replay["int8"].early_warning
    assert list(found.compared) == ["lstm"]
    assert "10 rows unseen" in as_text(found)
