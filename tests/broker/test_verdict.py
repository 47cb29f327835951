"""A threshold that warned of nothing recorded: fit, check, run, its status and replay say it in the same words."""

import json
from collections.abc import Callable
from pathlib import Path

import msgspec
from click.testing import CliRunner

from agent.bundle.manifest import ThresholdRow
from agent.cli import main
from agent.judge.threshold import choose, parse_budget, verdict
from tests.broker.running_agent import RunningAgent
from tests.bundles import write_small_bundle
from tests.recorded import worn, write_recorded, write_truth
from tests.small_bundle import small_manifest
from trainer.evaluation.text import budget_as_text

BUDGET = "1 per 1000 cycles"


def test_all_five_say_that_none_was_warned_of_and_which_budget_can_be_vouched_for(
    tmp_path: Path, make_agent: Callable[..., RunningAgent]
) -> None:
    """Six calibration lives of 30 cycles: 180 in all, of which nothing vouches for one alarm in 1000."""
    small = small_manifest()
    rows = (
        ThresholdRow(0.5, 3, 0.04, 6, 20.0, false_alarm_s=9.0),
        ThresholdRow(0.9975, 0, 0.02, 0, 0.0, false_alarm_s=0.0),
    )
    table = msgspec.structs.replace(small.thresholds, exposure_s=180.0, n_devices=6, rows=rows, failures=6)
    manifest = msgspec.structs.replace(small, thresholds=table)
    said = verdict(choose(table, parse_budget(BUDGET, fleet_size=1)))
    assert said.startswith("at this threshold none of the 6 calibration failures was warned of")
    assert said.endswith('the finest budget that the calibration devices can vouch for is "1 per 60 cycles"')

    agent = make_agent()
    bundle = write_small_bundle(agent.folder / "small.fwb", manifest)
    assert said in budget_as_text(manifest)
    checked = CliRunner().invoke(main, ["check", str(agent.file)])
    assert said in checked.stderr
    agent.go()
    assert agent.wait_for_log("threshold_chosen")["calibration"] == said
    (model,) = agent.status()["models"].values()
    assert model["heads"]["risk"]["verdict"] == said
    data = write_recorded(tmp_path / "rows.csv", [worn("p1", 40)])
    truth = write_truth(tmp_path / "truth.csv", {"p1": 40.0})
    places = ["--bundle", bundle, "--data", data, "--truth", truth, "--out", tmp_path / "out", "--no-html"]
    replayed = CliRunner().invoke(main, ["replay", *map(str, places)])
    assert said in replayed.stdout
    assert json.loads((tmp_path / "out" / "replay.json").read_text())["limit"]["verdict"] == said
