"""The bench of methods, on a small made-up fleet, and its ratios on made-up rows."""

import json
from pathlib import Path

import pytest

from bench import compare
from bench.compare import STATISTICAL, UNLABELLED_METHODS, best_of, leads_of, main, ratios_of, recall_ratios
from tests.trainer.fleet import SMALL_TOML, engine, fleet, write_cmapss


def row(method: str, seed: int, lead_s: float, first_seen: str = "new") -> dict[str, object]:
    return {"set": "pumps", "seed": seed, "method": method, "first_seen": first_seen, "mean_lead_s": lead_s}


ROWS = [
    *(row("lstm", seed, 40.0) for seed in (0, 1)),
    *(row("ewma", seed, lead_s) for seed, lead_s in ((0, 10.0), (1, 40.0))),
    *(row("limits", seed, 20.0) for seed in (0, 1)),
    *(row("isolation_forest", seed, 32.0) for seed in (0, 1)),
    *(row("boosting", seed, 32.0) for seed in (0, 1)),
    *(row("age", seed, 39.0) for seed in (0, 1)),
    {"set": "pumps", "seed": 0, "method": "kmeans", "first_seen": "new", "left_out": "too few rows"},
    row("lstm", 0, 30.0, "unknown"),
]


def test_the_best_of_some_methods_has_the_longest_mean_lead_over_the_seeds() -> None:
    leads = leads_of(ROWS, "pumps", "new")
    assert (best_of(leads, STATISTICAL), best_of(leads, UNLABELLED_METHODS)) == ("ewma", "isolation_forest")
    assert best_of(leads_of(ROWS, "pumps", "unknown"), STATISTICAL) == ""


def test_a_ratio_is_of_one_seed() -> None:
    ratios = ratios_of(ROWS, ["pumps"])
    assert ratios["lead_over_best_statistical_pumps_new"] == {"median": 2.5, "min": 1.0, "max": 4.0}
    assert ratios["lead_over_boosting_pumps_new"]["median"] == 1.25
    assert ratios["lead_over_best_unlabelled_pumps_new"]["median"] == 1.25
    assert ratios["lead_over_boosting_pumps_unknown"]["median"] is None


def test_recall_is_set_beside_the_forest_at_an_equal_real_rate() -> None:
    rows = [
        {"set": "asd", "seed": 0, "method": name, "detected_at_equal": detected}
        for name, detected in (("lstm", 30.0), ("isolation_forest", 20.0), ("t2_q", 24.0))
    ]
    ratios = recall_ratios(rows, ["asd"])
    assert ratios["anomaly_recall_over_isolation_forest_asd"]["median"] == 1.5
    assert ratios["anomaly_recall_over_t2_q_asd"]["median"] == 1.25


@pytest.mark.slow
def test_each_seed_is_done_once_and_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "small.toml").write_text(SMALL_TOML)
    write_cmapss(tmp_path / "cmapss", fleet(), [engine(str(n), 60 + n, seed=90 + n) for n in (1, 2, 3)])
    monkeypatch.setattr(compare, "SETS", {"small": tmp_path / "small.toml"})
    out = tmp_path / "compare.json"
    arguments = ["--data", str(tmp_path), "--json", str(out), "--seeds", "0", "--epochs", "1", "--sets", "small"]
    main([*arguments, "--methods", "limits", "boosting", "age"])
    written = json.loads(out.read_text())
    kinds = [(one["first_seen"], one["method"]) for one in written["rows"]]
    assert sorted(kinds) == sorted(
        (first_seen, name) for first_seen in ("new", "unknown") for name in ("lstm", "limits", "boosting", "age")
    )
    assert "lead_over_boosting_small_new" in written["ratios"]
    first = capsys.readouterr()
    assert "| small, new |" in first.out
    main([*arguments, "--methods", "limits", "boosting", "age"])
    again = capsys.readouterr()
    assert "trained" not in again.err
    assert again.out == first.out
