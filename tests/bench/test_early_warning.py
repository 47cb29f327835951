"""The early-warning bench, on a small made-up fleet."""

import json
from pathlib import Path

import numpy as np
import pytest

from agent.score.early_warning import EarlyWarning, ObservedDevice, Spell, measure
from bench import early_warning
from bench.early_warning import METHODS, ahead, main, ratios_of
from bench.folds import folds
from tests.trainer.fleet import SMALL_TOML, fleet, write_cmapss
from trainer.evaluation.compare import RIVALS, MethodResult


def test_each_device_is_played_once_by_a_model_that_never_saw_it() -> None:
    dealt = folds(fleet(14), 4, seed=0, calibrate_share=0.25)
    played = [history.device for parts in dealt for history in parts.play]
    assert sorted(played) == sorted(history.device for history in fleet(14))
    for parts in dealt:
        names = [{history.device for history in part} for part in (parts.fit, parts.calibrate, parts.play)]
        assert sum(map(len, names)) == len(set.union(*names)) == 14
        assert len(parts.calibrate) == round((14 - len(parts.play)) / 4)
    assert len({history.device for parts in dealt for history in parts.calibrate}) > 6, "not always the same ones"


def test_folds_come_from_the_seed_alone() -> None:
    def names(histories: list, seed: int) -> list[list[str]]:
        return [
            [history.device for history in (*parts.fit, *parts.calibrate, *parts.play)]
            for parts in folds(histories, 3, seed, 0.25)
        ]

    assert names(fleet(14), 0) == names(fleet(14)[::-1], 0)
    assert names(fleet(14), 0) != names(fleet(14), 1)


def test_too_few_devices_for_the_folds_are_refused() -> None:
    with pytest.raises(ValueError, match="3 devices are too few for 4 folds"):
        folds(fleet(3), 4, 0, 0.25)


def found(leads_s: list[float | None]) -> EarlyWarning:
    """One device a lead, each failing at 100; None is a miss."""
    engines = [
        ObservedDevice(str(number), 0.0, 100.0, 100.0, () if lead is None else (Spell(100.0 - lead),))
        for number, lead in enumerate(leads_s)
    ]
    alive = ObservedDevice("alive", 0.0, 100.0, np.inf, ())
    return measure([*engines, alive], h_max_s=60, h_min_s=5)


def test_differences_are_paired_by_device_and_a_miss_is_a_lead_of_zero() -> None:
    lead = ahead(found([50, 40, 30, None]), found([40, 30, None, 10]))
    assert lead.mean_lead_s == (10 + 10 + 30 - 10) / 4
    assert lead.detection_rate == 0.0
    assert lead.mean_lead_s_95.low < 10 < lead.mean_lead_s_95.high
    same = ahead(found([50, 40, 30]), found([40, 30, 20]))
    assert (same.mean_lead_s_95.low, same.mean_lead_s_95.high) == (10, 10), "what all devices share leaves no doubt"


def test_a_fold_in_which_a_baseline_warned_of_nothing_gives_no_ratio() -> None:
    def fold(lstm: float, others: float | None) -> dict[str, MethodResult]:
        leads = {"lstm": lstm, **dict.fromkeys(RIVALS, others)}
        return {name: MethodResult(None, (), found([lead])) for name, lead in leads.items()}  # type: ignore[arg-type]

    ratios = ratios_of("x", [fold(30, 20), fold(30, None), fold(50, 20)])
    assert ratios["x_lead_over_age"] == {"median": 2.0, "min": 1.5, "max": 2.5}
    assert ratios["x_detection_over_age"] == {"median": 1.0, "min": 1.0, "max": 1.0}
    assert ratios_of("x", [fold(30, None)])["x_lead_over_ewma"] == {"median": None, "min": None, "max": None}


@pytest.mark.slow
def test_the_bench_tells_every_method_and_writes_it_down(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two small trainings of two epochs."""
    (tmp_path / "small.toml").write_text(SMALL_TOML)
    write_cmapss(tmp_path / "data" / "cmapss", fleet(), fleet(2))
    monkeypatch.setitem(early_warning.SETS, "small", tmp_path / "small.toml")
    path = tmp_path / "out" / "early_warning.json"
    arguments = ["--sets", "small", "--folds", "2", "--epochs", "1", "--data", str(tmp_path / "data")]
    main([*arguments, "--budget", "1 per 100 cycles", "--json", str(path)])
    told = capsys.readouterr()
    written = json.loads(path.read_text())
    assert written["bench"] == "early_warning"
    assert [row["method"] for row in written["rows"]] == list(METHODS)
    for row in written["rows"]:
        assert (row["set"], row["budget"], row["devices"], row["failures"]) == ("small", "1 per 100 cycles", 14, 14)
        assert row["exposure_s"] == sum(len(history.t_s) for history in fleet())
        assert (row["lstm_ahead"] is None) == (row["method"] == "lstm")
    assert len(written["ratios"]) == 2 * len(RIVALS)
    assert "## small: 14 devices in 2 folds, 1 per 100 cycles" in told.out
    assert sum(line.startswith(f"| {name} ") for name in METHODS for line in told.out.splitlines()) == 7
    assert "small, fold 2 of 2" in told.err


def test_an_unknown_set_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["--sets", "fd001,fans"])
    assert "no set 'fans'; there are fd001, pumps" in capsys.readouterr().err
