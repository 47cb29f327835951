"""`forewarn replay` inline, from files to files."""

import json
import re
import sys
import time

import pytest
from click.testing import CliRunner

from agent.errors import BundleRefused, DataRefused, ForewarnError
from agent.replay.command import replay
from agent.replay.require import FIGURES
from tests.bundles import write_small_bundle
from tests.recorded import worn, write_recorded, write_truth

pytestmark = pytest.mark.slow


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


def test_where_nothing_failed_the_alerts_are_counted_and_no_lead_is_shown(files):
    """A recording without labels is what a new user has."""
    del files["--truth"]
    result = run(files)
    assert result.exit_code == 0, result.output
    assert re.match(r"no failure is known, so every alert counts as false: \d+ in \d+ cycles, \d", result.stdout)
    assert "nan" not in result.stdout


def test_a_failure_that_the_recording_does_not_reach_is_told(files, tmp_path):
    """It is in no figure of the table, and a wrong date looks the same."""
    write_truth(tmp_path / "truth.csv", {"sound": 300.0, "worn": 90.0})
    result = run(files)
    assert "1 device(s) were cut off before their failure came near and count for exposure only: sound" in result.stdout
    assert "were cut off before their failure came near" in (files["--out"] / "report.html").read_text()


def test_devices_heard_from_their_first_row_as_new_do_not_warm_up_and_all_outputs_say_so(files, tmp_path):
    def told(*more: str) -> tuple[dict, str, str, str]:
        result = run(files, "--junit", str(tmp_path / "junit.xml"), *more)
        assert result.exit_code == 0, result.output
        page = (files["--out"] / "report.html").read_text()
        found = json.loads((files["--out"] / "replay.json").read_text())
        return found, page, result.stdout, (tmp_path / "junit.xml").read_text()

    unknown, new = told(), told("--first-seen", "new")
    assert [found["first_seen"] for found, *_ in (unknown, new)] == ["unknown", "new"]
    assert [found["rows_by_quality"]["warming_up"] for found, *_ in (unknown, new)] == [4, 0]
    assert new[0]["devices"][0]["risk"][0] < unknown[0]["devices"][0]["risk"][0]
    in_words = "devices heard from their first row on, as new"
    assert [in_words in text for text in (*unknown[1:3], *new[1:3])] == [False, False, True, True]
    assert 'name="first_seen" value="new"' in new[3]


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
    risks = r"risk \d+% in 15, \d+% in 30, \d+% in 60 cycles"
    line = rf"cycle +(\d+)  worn      \w+ +{risks}  \d+ cycles left \(.*\)  in truth (\d+)"
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
        (("--topic", "rig/row"), "one level must be {device}"),
        (("--topic", "rig/+/{device}"), "holds no wildcard beside {device}"),
        (("--require", "recall>=0.9"), "is no figure of a replay; there are detection,"),
        (("--require", "mean_lead>=2d"), "'2d' in 'mean_lead>=2d' is not a number"),
        (("--speed", "0"), "'0' is neither max nor a number above 0"),
        (("--speed", "-1"), "is neither max nor a number above 0"),
        (("--speed", "inf"), "is neither max nor a number above 0"),
        (("--speed", "nan"), "is neither max nor a number above 0"),
        (("--speed", "fast"), "is neither max nor a number above 0"),
        (("--live-max", "0"), "0 is not in the range x>=1"),
        (("--through", "mqtt", "--broker", "localhost"), "'localhost' is not HOST:PORT"),
        (("--through", "mqtt", "--broker", "localhost:70000"), "is not HOST:PORT"),
        (("--through", "kafka"), "'kafka' is not one of 'inline', 'mqtt'"),
    ],
)
def test_wrong_usage_is_exit_code_2(files, more, told):
    result = run(files, *more)
    assert result.exit_code == 2
    assert told in result.stderr.replace("\n", " ")


def test_a_requirement_that_is_not_met_is_exit_code_1_and_everything_is_written(files):
    result = run(
        files, "--require", "detection>=0.9", "--require", "mean_lead > 50", "--junit", str(files["--out"] / "r.xml")
    )
    assert (result.exit_code, result.exception.code) == (1, 1)
    assert result.stdout.splitlines()[-2:] == [
        "met    detection >= 0.9: 1 (1 of 1)",
        f"FAILED mean_lead > 50: {90 - warned_at(files)} cycles",
    ]
    assert {path.name for path in files["--out"].iterdir()} == {"replay.json", "report.html", "r.xml"}
    assert 'tests="2" failures="1"' in (files["--out"] / "r.xml").read_text()


def test_requirements_that_are_met_are_exit_code_0(files, tmp_path):
    result = run(files, "--no-html", "--require", "late==0", "--junit", str(tmp_path / "new" / "r.xml"))
    assert result.exit_code == 0
    assert 'tests="1" failures="0"' in (tmp_path / "new" / "r.xml").read_text()


def test_with_json_requirements_are_told_on_standard_error(files):
    result = run(files, "--json", "--no-html", "--require", "late>0")
    assert result.exit_code == 1
    assert result.stdout_bytes == (files["--out"] / "replay.json").read_bytes()
    assert result.stderr == "FAILED late > 0: 0\n"


def test_help_names_all_that_may_be_required(files):
    told = run(files, "--help").output
    assert all(f"  {name} " in told for name in FIGURES)


def test_live_prints_a_screenful_and_then_a_count(files):
    """Of raises alone, not of what becomes of the alerts."""
    devices = ("a", "b", "c", "d")
    write_recorded(files["--data"], [worn(device, 90) for device in devices])
    write_truth(files["--truth"], dict.fromkeys(devices, 90.0))
    every = run(files, "--live", "--no-html").stderr.splitlines()
    assert [line.split()[2] for line in every] == list(devices)
    some = run(files, "--live", "--no-html", "--live-max", "2").stderr.splitlines()
    assert some == [*every[:2], f"... and {len(every) - 2} more; replay.json has them all"]
    assert run(files, "--live", "--no-html", "--live-max", str(len(every))).stderr.splitlines() == every


def test_played_slowly_it_finds_the_same(files, tmp_path):
    """60 and 90 rows, one a cycle, at 300 cycles a second: 0.3 s."""
    begin_s = time.monotonic()
    run(files | {"--out": tmp_path / "slow"}, "--no-html", "--speed", "300")
    assert time.monotonic() - begin_s > 89 / 300
    run(files, "--no-html")
    assert (tmp_path / "slow" / "replay.json").read_bytes() == (files["--out"] / "replay.json").read_bytes()


def warned_at(files) -> int:
    found = json.loads((files["--out"] / "replay.json").read_text())
    return round(next(one for one in found["devices"] if one["device"] == "worn")["events"][0]["t_ns"] / 1e9)


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


def test_labelled_faults_alone_are_a_truth(files, tmp_path):
    """`worn` is not normal from cycle 41 on, and nobody says that it failed."""
    (tmp_path / "faults.csv").write_text("device,start,end\nworn,41,\n")
    without = {name: value for name, value in files.items() if name != "--truth"}
    result = run(without | {"--faults": tmp_path / "faults.csv"}, "--require", "fault_detection==1", "--no-html")
    assert result.exit_code == 0, result.output
    assert "told of 1 of 1 labelled faults" in result.stdout
    found = json.loads((files["--out"] / "replay.json").read_text())
    assert [one["outcome"] for one in found["fault_intervals"]["intervals"]] == ["detected"]
    assert [one["faults_s"] for one in found["devices"]] == [[], [[41.0, 91.0]]]


def test_the_bound_of_time_in_alarm_and_a_budget_of_one_head_reach_the_threshold(files):
    result = run(files, "--time-in-alarm-max", "0.001", "--no-html")
    found = json.loads((files["--out"] / "replay.json").read_text())
    assert found["limit"]["time_in_alarm_max"] == 0.001
    assert result.exit_code == 0, result.output
    refused = run(files, "--anomaly-budget", "1 per 1000 cycles")
    assert refused.exit_code == 2
    assert "Invalid value for --anomaly-budget: the bundle has no head anomaly" in refused.stderr


def test_each_life_of_a_machine_is_a_device_of_the_replay(files, tmp_path):
    """Two failures and a repair of one machine, from options and from the configuration of a training."""
    recorded = [worn("worn", 200, wear_from=900)]
    write_recorded(files["--data"], recorded)
    files["--truth"].write_text("device,t_fail\nworn,50\nworn,90\n")
    (tmp_path / "repairs.csv").write_text("device,t\nworn,150\n")
    lives = [("worn", 50.0, 50), ("worn~2", 90.0, 40), ("worn~3", None, 59), ("worn~4", None, 51)]

    def played(*more: str) -> list[tuple[str, float | None, int]]:
        result = run(files, "--no-html", *more)
        assert result.exit_code == 0, result.output
        assert "failures and repairs cut 1 machine(s) into 4 lives" in result.stderr
        found = json.loads((files["--out"] / "replay.json").read_text())["devices"]
        return [(one["device"], one["t_fail_s"], len(one["t_s"])) for one in found]

    assert played("--maintenance", str(tmp_path / "repairs.csv")) == lives
    (tmp_path / "train.toml").write_text(
        '[data]\ndataset = "table"\nrows = "data.csv"\ntime_unit = "cycle"\nchannels = ["temp", "load", "wear"]\n'
        'failures = "truth.csv"\nmaintenance = "repairs.csv"\n'
    )
    del files["--data"], files["--truth"]
    assert played("--config", str(tmp_path / "train.toml")) == lives
