"""What evaluate prints of a bundle of `anomaly` alone, and of one of both heads."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from agent.bundle.file import read
from agent.errors import ConfigurationRefused
from agent.table.lives.logs import Faults
from tests.small_bundle import small_manifest
from tests.trainer.fleet import NAMES, fleet, small_config
from tests.trainer.recordings import FAILURES, ROWS, table
from trainer.config import Anomaly, Config
from trainer.data.table import write_table
from trainer.evaluation.budget import budget_of
from trainer.evaluation.evaluate import as_json, evaluate
from trainer.evaluation.text import as_text
from trainer.fit import fit

pytestmark = pytest.mark.slow

KEYS = Anomaly(learning=6, ahead=2, hidden=8, steps=5, batch=4, h_max=10)


def config(*heads: str) -> Config:
    judge = small_config().judge.model_copy(update={"thresholds": 4})
    return small_config(heads=heads, data=table(), anomaly=KEYS, judge=judge)


def test_of_a_bundle_without_risk_the_alerts_and_what_their_threshold_was_chosen_from(tmp_path: Path) -> None:
    """Nothing failed: there is no remaining life, no calendar, and nothing a baseline's threshold could come from."""
    lives = [replace(one, t_fail=None) for one in fleet()]
    write_table(lives, NAMES, tmp_path / ROWS, tmp_path / FAILURES)
    bundle = read(fit(config("anomaly"), tmp_path, tmp_path / "out"))
    found = evaluate(bundle, tmp_path)
    written, text = json.loads(as_json(found)), as_text(found)
    assert (written["test"], written["held_out"], written["beginnings"]) == ({}, {}, [])
    limit = written["early_warning"]["limit"]
    assert (written["early_warning"]["head"], limit["basis"]) == ("anomaly", "normal")
    assert limit["verdict"] in text
    assert "chosen from normal time alone: nothing is known of what it warns of" in text
    assert list(written["compared"]) == ["lstm"]
    assert written["left_out"].keys() == {"limits", "ewma", "age"}
    exposure_s = sum(len(one.t_s) - 6 for one in lives if one.device in bundle.manifest.created_from.play_devices)
    assert written["early_warning"]["exposure_s"] == exposure_s, "not the time in which it learns"


def test_of_both_heads_each_has_its_threshold_and_its_alerts(tmp_path: Path) -> None:
    write_table(fleet(), NAMES, tmp_path / ROWS, tmp_path / FAILURES)
    bundle = read(fit(config("risk", "anomaly"), tmp_path, tmp_path / "out"))
    found = evaluate(bundle, tmp_path, baselines=False)
    written, text = json.loads(as_json(found)), as_text(found)
    assert written["early_warning"]["head"] == "risk"
    assert written["other_heads"]["anomaly"]["limit"]["basis"] == "failures"
    assert list(written["compared"]) == ["lstm", "anomaly"]
    for head in (written["early_warning"], written["other_heads"]["anomaly"]):
        assert head["limit"]["verdict"] in text
        assert head["failures"] > 0
    assert "early warning by anomaly on the same devices" in text
    alone = evaluate(read(fit(config("risk"), tmp_path, tmp_path / "alone")), tmp_path, baselines=False)
    assert json.loads(as_json(alone))["early_warning"] == written["early_warning"], "no alert of the other is counted"


def test_a_budget_that_counts_another_time_is_refused() -> None:
    with pytest.raises(ConfigurationRefused, match=r"does not fit a bundle that counts cycles.*\n.*1 per 1000 cycles"):
        budget_of("1 per device per 30d", small_manifest(), n_devices=3)
    with pytest.raises(ConfigurationRefused, match='is not "1 per device per 30d"'):
        budget_of("seldom", small_manifest(), n_devices=3)


def test_labelled_faults_are_what_the_alerts_are_held_against(tmp_path: Path) -> None:
    """A jump that stays is labelled in half of the machines; none failed."""
    lives = []
    for number, one in enumerate(fleet()):
        x = np.random.default_rng(number).normal([600, 1580, 47], [0.3, 1.5, 0.1], (120, 3)).astype(np.float32)
        t_s = np.arange(1.0, 121.0)
        x[80:, 1] += 30 * (number % 2)
        faults = np.array([[81.0, 121.0]][: number % 2]).reshape(-1, 2)
        lives.append(replace(one, t_s=t_s, x=x, t_fail=None, t_ns=np.empty(0, np.int64), faults=faults))
    write_table(lives, NAMES, tmp_path / ROWS, tmp_path / FAILURES, tmp_path / "faults.csv")
    logged = {"data": table(faults=Faults(file="faults.csv")), "anomaly": KEYS.model_copy(update={"learning": 40.0})}
    keys = config("anomaly").model_copy(update=logged)
    bundle = read(fit(keys, tmp_path, tmp_path / "out"))
    found = evaluate(bundle, tmp_path, "1 per 60 cycles", baselines=False)  # two lives can vouch for no finer one
    written = json.loads(as_json(found))
    of_faults = written["early_warning"]["fault_intervals"]
    assert written["early_warning"]["limit"]["basis"] == "intervals"
    n_told = of_faults["strict"]["detected"]
    assert 1 <= n_told <= of_faults["faults"]
    assert f"told of {n_told} of {of_faults['faults']} labelled faults" in as_text(found)
