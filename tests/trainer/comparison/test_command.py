"""`forewarn-train compare`: one table, its JSON and two plots, of bundles beside methods."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from agent.errors import ConfigurationRefused
from tests.trainer.fleet import NAMES, SMALL_TOML, engine, fleet, write_cmapss
from tests.trainer.recordings import FAILURES, ROWS
from trainer.cli import cli
from trainer.data.table import write_table

pytestmark = pytest.mark.slow

TABLE_TOML = SMALL_TOML.replace('dataset = "cmapss"\nsubset = "FD001"', f'dataset = "table"\nrows = "{ROWS}"')


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with data, a configuration, and `out` with what it gives with two seeds."""
    folder = tmp_path_factory.mktemp("compare")
    write_cmapss(folder / "cmapss", fleet(), [engine(str(n), 60 + n, seed=90 + n) for n in (1, 2, 3)])
    (folder / "small.toml").write_text(SMALL_TOML)
    done = run(folder, "small.toml", "--seeds", "2", "--methods", "limits,kmeans,age")
    assert done.exit_code == 0, done.output
    return folder


def run(folder: Path, *arguments: str, out: str = "out") -> Result:
    files = [str(folder / one) if one.endswith((".toml", ".fwb")) else one for one in arguments]
    return CliRunner().invoke(cli, ["compare", *files, "--data", str(folder), "--out", str(folder / out)])


def test_a_configuration_is_trained_once_a_seed_and_set_beside_the_methods(made: Path) -> None:
    written = json.loads((made / "out" / "compare.json").read_text())
    rows = {row["method"]: row for row in written["rows"]}
    assert list(rows) == ["lstm", "limits", "kmeans", "age"]
    assert [rows[name]["seeds"] for name in rows] == [2, 1, 2, 1], "what draws nothing is fitted once"
    assert [rows[name]["n_tried"] for name in rows] == [0, 10, 10, 0]
    assert {row["events"] for row in rows.values()} == {3}
    assert rows["lstm"]["over"] in (1.0, None)
    assert {file.name for file in (made / "out").glob("*.png")} == {"lead.png", "rate.png"}
    assert len(list((made / "out").glob("seed-*/small-0.1.0.fwb"))) == 2


def test_the_table_names_budget_devices_and_effort(made: Path) -> None:
    text = (made / "out" / "compare.md").read_text()
    assert text.startswith("## small 0.1.0 beside what needs no network, at 1 per 1000 cycles\n")
    assert "3 devices that nothing was fitted to, failures." in text
    assert [line.split(" | ")[0] for line in text.splitlines() if line.startswith("| ")][2:] == [
        "| lstm",
        "| limits",
        "| kmeans",
        "| age",
    ]


def test_a_bundle_is_compared_as_it_is_and_its_json_printed(made: Path) -> None:
    bundle = "out/seed-1/small-0.1.0.fwb"
    done = run(made, bundle, "--methods", "limits", "--budget", "1 per 100 cycles", "--json", out="other")
    assert [row["method"] for row in json.loads(done.stdout)["rows"]] == ["lstm", "limits"]


def test_a_wrong_name_is_refused_before_anything_is_trained(made: Path) -> None:
    refused = run(made, "small.toml", "--methods", "isolation_forrest", out="none").exception
    assert isinstance(refused, ConfigurationRefused)
    assert "there is no method 'isolation_forrest'" in str(refused)
    assert "Did you mean isolation_forest?" in str(refused)
    assert not (made / "none").exists()


def test_bundles_beside_a_configuration_are_refused(made: Path) -> None:
    refused = run(made, "small.toml", "out/seed-1/small-0.1.0.fwb", out="none").exception
    assert "Give bundles, or one training configuration." in str(refused)


def test_a_method_that_cannot_be_fitted_is_left_out_with_its_reason(tmp_path: Path) -> None:
    """No channel varies before 2 x h_max of the end, as in short processes: age needs no channel."""
    at_rest = np.array([600, 1580, 47], np.float32)
    still = [replace(one, x=np.where(one.t_s[:, None] < one.t_s[-1] - 39, at_rest, one.x)) for one in fleet()]
    write_table(still, NAMES, tmp_path / ROWS, tmp_path / FAILURES)
    (tmp_path / "table.toml").write_text(
        TABLE_TOML.replace('"Ps30"]', f'"Ps30"]\nfailures = "{FAILURES}"\ntime_unit = "cycle"')
    )
    done = run(tmp_path, "table.toml", "--seeds", "1", "--methods", "t2_q,age")
    assert done.exit_code == 0, done.output
    assert "t2_q is left out: no channel varies until 2 x judge.h_max before the failures" in done.stdout
    assert "| age |" in done.stdout
