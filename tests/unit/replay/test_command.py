"""`forewarn replay` inline, from files to files."""

import json
import re
import sys

import pytest
from click.testing import CliRunner

from agent.errors import BundleRefused, DataRefused, ForewarnError
from agent.replay.command import replay
from tests.bundles import write_small_bundle
from tests.recorded import worn, write_recorded, write_truth


@pytest.fixture
def files(tmp_path):
    recorded = [worn("sound", 60, wear_from=900), worn("worn", 90)]
    return {
        "--bundle": write_small_bundle(tmp_path / "small.fwb"),
        "--data": write_recorded(tmp_path / "data.csv", recorded),
        "--truth": write_truth(tmp_path / "truth.csv", {"sound": None, "worn": 90.0}),
        "--out": tmp_path / "made" / "out",
    }


def run(files, *more: str):
    arguments = [str(part) for pair in files.items() for part in pair]
    return CliRunner().invoke(replay, [*arguments, *more])


def test_writes_json_and_report_and_prints_a_table_with_the_path(files):
    result = run(files)
    assert result.exit_code == 0, result.output
    assert {path.name for path in files["--out"].iterdir()} == {"replay.json", "report.html"}
    assert "small 1.0.0" in result.stdout
    assert "age only, lenient" in result.stdout
    assert result.stdout.splitlines()[-1] == str(files["--out"] / "report.html")
    assert json.loads((files["--out"] / "replay.json").read_text())["through"] == "inline"


def test_the_same_files_give_the_same_bytes(files, tmp_path):
    made = []
    for name in ("first", "second"):
        run(files | {"--out": tmp_path / name})
        made.append([(tmp_path / name / file).read_bytes() for file in ("replay.json", "report.html")])
    assert made[0] == made[1]


def test_json_is_the_file_and_nothing_else(files):
    result = run(files, "--json", "--no-html")
    assert result.stdout_bytes == (files["--out"] / "replay.json").read_bytes()
    assert not (files["--out"] / "report.html").exists()


def test_live_shows_each_warning_beside_the_truth(files):
    result = run(files, "--live", "--no-html")
    risks = r"risk \d+% in 15  \d+% in 30  \d+% in 60"
    line = rf"cycle +(\d+)  worn      raised   \w+ +{risks}  \d+ cycles left \(.*\)  in truth (\d+)"
    found = re.fullmatch(line, result.stderr.splitlines()[0])
    assert found
    assert int(found[1]) + int(found[2]) == 90


def test_budget_moves_the_threshold(files):
    def threshold(budget: str) -> float:
        run(files, "--budget", budget, "--no-html")
        return json.loads((files["--out"] / "replay.json").read_text())["limit"]["threshold"]

    assert threshold("5 per 1000 cycles") < threshold("1 per 1000 cycles")


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (("--budget", "few"), "'few' is not \"1 per device"),
        (("--budget", "1 per device per 30d"), "does not fit a bundle that counts cycles"),
        (("--topic", "rig/row"), "exactly one level must be {device}"),
        (("--topic", "rig/+/{device}"), "holds no wildcard beside {device}"),
        (("--through", "mqtt", "--broker", "localhost"), "'localhost' is not HOST:PORT"),
        (("--through", "mqtt", "--broker", "localhost:70000"), "is not HOST:PORT"),
        (("--through", "kafka"), "'kafka' is not one of 'inline', 'mqtt'"),
    ],
)
def test_wrong_usage_is_exit_code_2(files, more, told):
    result = run(files, *more)
    assert result.exit_code == 2
    assert told in result.stderr.replace("\n", " ")


@pytest.mark.parametrize(
    ("option", "error"), [("--bundle", BundleRefused), ("--data", DataRefused), ("--truth", DataRefused)]
)
def test_a_file_that_is_not_there_is_named(files, option, error):
    result = run(files | {option: "nowhere"})
    assert isinstance(result.exception, error)
    assert str(result.exception).startswith("nowhere: ")


def test_an_output_that_is_a_file_is_named(files, tmp_path):
    (tmp_path / "made").write_text("")
    assert isinstance(run(files).exception, ForewarnError)


def test_without_matplotlib_it_says_what_to_install_before_it_plays(files, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    result = run(files)
    assert isinstance(result.exception, ForewarnError)
    assert "pip install 'forewarn[report]'" in str(result.exception)
    assert run(files, "--no-html").exit_code == 0
