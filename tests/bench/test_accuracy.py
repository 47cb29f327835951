"""The accuracy bench: its rows are means over seeds, and what is done is not done again."""

import json
from pathlib import Path

from bench.accuracy import TABLES, main, one_run, rows_of
from trainer.config_file import read_config


def run(seed: int, rmse: float) -> dict[str, object]:
    one = {"n_engines": 3, "rmse_capped": rmse, "rmse_raw": 20.0, "nasa_score": 100.0, "nasa_score_raw": 200.0}
    return {"seed": seed, "train_s": 10.0 * seed, "test": {"FD001": {"int8": one, "fp32": {**one, "rmse_capped": 9.0}}}}


def test_a_row_is_the_mean_over_its_seeds() -> None:
    (row,) = rows_of("fd001", [run(1, 9.0), run(2, 10.0), run(3, 11.0)])
    assert (row["set"], row["rmse_capped_mean"], row["rmse_capped_sd"]) == ("FD001 alone", 10.0, 1.0)
    assert (row["seeds"], row["rmse_capped"], row["train_s"]) == ([1, 2, 3], [9.0, 10.0, 11.0], 20.0)
    assert (row["goal"], row["published"]) == (9.7, 10.97)
    (alone,) = rows_of("shared", [run(1, 9.0)])
    assert (alone["set"], alone["rmse_capped_sd"]) == ("FD001", None)


def test_a_run_that_is_done_is_read_and_other_sets_rows_stay(tmp_path: Path) -> None:
    for name in ("fd001", "shared"):
        folder = tmp_path / name / "seed-0"
        folder.mkdir(parents=True)
        (folder / "figures.json").write_text(json.dumps(run(0, 9.5)))
        assert one_run(name, 0, tmp_path / "no data", tmp_path) == run(0, 9.5)
        arguments = ["--sets", name, "--seeds", "0", "--data", str(tmp_path), "--out", str(tmp_path)]
        main([*arguments, "--json", str(tmp_path / "accuracy.json")])
    written = json.loads((tmp_path / "accuracy.json").read_text())
    assert [row["set"] for row in written["rows"]] == ["FD001", "FD001 alone"]


def test_every_table_is_a_shipped_config_that_deals_all_but_the_played_engines() -> None:
    for name, n_engines in (("fd001", 100), ("fd002", 260), ("fd003", 100), ("fd004", 249), ("shared", 709)):
        table = TABLES[name]
        assert table.fit + table.calibrate + table.play == n_engines
        deal = [f"split.fit={table.fit}", f"split.calibrate={table.calibrate}", f"split.play={table.play}"]
        assert read_config(table.config, deal).split.fit == table.fit
