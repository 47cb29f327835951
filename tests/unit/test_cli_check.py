"""`forewarn check`: what would run, or every problem; exit 0 or 2; never a traceback."""

import json
import re
import shutil
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner, Result
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.cli import main
from agent.config.gather import LISTS
from agent.config.key_types import key_types
from agent.config.renamed import RENAMED
from agent.config.settings import Settings
from agent.store import snapshot
from agent.store.disk import StateFolder
from agent.store.outbox import Outbox
from tests.alert_events import event
from tests.configurations import SOURCE, VALID, write_configuration
from tests.streams import core, life, take

ROOT = Path(__file__).parents[2]


def check(path: Path, *options: str, **environ: str) -> Result:
    return CliRunner(env=environ).invoke(main, ["check", str(path), *options])


def test_what_would_run_is_told_in_a_line_for_the_whole_and_one_for_each_source(tmp_path):
    path = write_configuration(tmp_path)
    result = check(path)
    assert result.exit_code == 0
    assert result.stdout.splitlines()[1:] == ["  press: json, device {device}: temp, load, wear; a row a reading"]
    doubt = '"1 per 1000 cycles" is too fine for this bundle: at this threshold 10 of'
    assert result.stderr.startswith(f"doubtful: {path}:6: model[main].budget: {doubt}")
    for words in (
        f"{path}: ok: reads press (plant/+/cycle) from mqtt://localhost:1883",
        "runs small 1.0.0 (",
        'at threshold 0.5 for "1 per 1000 cycles" (extrapolated: at this threshold 10 of the 10 calibration '
        "failures were warned of (as many alarms at random times would warn of 2.8); time in false alarm: 2.0% of at "
        'most 10%; the finest budget that the calibration devices can vouch for is "1 per 660 cycles")',
        "publishes forewarn/gateway-1/ to mqtt://localhost:1883",
    ):
        assert words in result.stdout


def test_many_sources_are_not_all_listed(tmp_path):
    text = VALID + "".join(SOURCE.replace("press", f"p{index}").replace("plant", f"p{index}") for index in range(5))
    assert "p2 (p2/+/cycle), 2 more from" in check(write_configuration(tmp_path, text)).stdout


def test_a_wildcard_by_which_two_machines_become_one_is_doubtful(tmp_path):
    """It is allowed: exit 0, and what would run on standard output."""
    path = write_configuration(tmp_path, VALID + SOURCE.replace("plant/{device}", "plant/+/{device}"))
    result = check(path)
    assert (result.exit_code, result.stdout.count("\n")) == (0, 2)
    line = path.read_text().splitlines().index('topic = "plant/+/{device}/cycle"') + 1
    said = (
        f"doubtful: {path}:{line}: source[press].topic: `+` in 'plant/+/{{device}}/cycle' lets several topics name one"
    )
    assert result.stderr.startswith(said)
    assert [doubt["key"] for doubt in json.loads(check(path, "--json").stdout)["doubts"]] == [
        "source[press].topic",
        "model[main].budget",
    ]


def test_what_the_state_knows_of_a_source_that_is_gone_is_said_beforehand(tmp_path):
    state = tmp_path / "state"
    state.mkdir()
    outbox = Outbox(state / "alerts.db", 100)
    outbox.commit([event("raised", "a", t=5.0), event("raised", "b", t=6.0, device="e2")])
    outbox.close()
    into = core()
    take(into, life("p1", 3))
    snapshot.write(StateFolder(state), into.snapshot())
    path = write_configuration(tmp_path)
    assert "any more" not in check(path).stderr
    result = check(write_configuration(tmp_path, VALID + SOURCE.replace("press", "lathe")))
    assert result.exit_code == 0
    alerts, devices = [line for line in result.stderr.splitlines() if "any more" in line]
    assert "source: no source is named 'press' any more: 2 standing alerts (e1, e2) will end with the cause" in alerts
    assert "'press' any more: its devices keep their states until a row of another source names them" in devices


def test_a_source_that_is_there_and_that_no_model_reads_any_more_is_said_as_such(tmp_path):
    into = core()
    take(into, life("p1", 3))
    (tmp_path / "state").mkdir()
    snapshot.write(StateFolder(tmp_path / "state"), into.snapshot())
    text = VALID + 'sources = ["lathe"]\n' + SOURCE + SOURCE.replace("press", "lathe").replace("plant", "lathes")
    lines = check(write_configuration(tmp_path, text)).stderr.splitlines()
    assert [line.partition("source: ")[2] for line in lines if "any more" in line] == [
        "no model reads source 'press' any more: its devices keep their states until a row of another source names "
        "them, or they are forgotten"
    ]
    (unread,) = [line for line in lines if "is read by no model" in line]
    assert unread.endswith("source[press]: is read by no model, and not subscribed to: 'main' names other sources")


def test_the_states_of_a_model_that_is_gone_are_said_to_be_lost_beforehand(tmp_path):
    into = core()
    take(into, life("p1", 3))
    (tmp_path / "state").mkdir()
    snapshot.write(StateFolder(tmp_path / "state"), into.snapshot())
    assert "any more" not in check(write_configuration(tmp_path)).stderr
    lines = check(write_configuration(tmp_path, VALID + 'name = "pump"\n' + SOURCE)).stderr.splitlines()
    assert [line.partition("model: ")[2] for line in lines if "any more" in line] == [
        "no model is named 'main' any more: its states are lost, and a model of another name starts without any"
    ]


def test_alerts_of_a_model_that_is_gone_are_said_beforehand(tmp_path):
    (tmp_path / "state").mkdir()
    outbox = Outbox(tmp_path / "state" / "alerts.db", 100)
    raised = event("raised", "a", t=5.0)
    outbox.commit([raised, msgspec.structs.replace(raised, alert="b", model="next")])
    outbox.close()
    result = check(write_configuration(tmp_path))
    assert result.exit_code == 0
    (said,) = [line for line in result.stderr.splitlines() if "any more" in line]
    assert (
        "model: no model is named 'next' any more: 1 standing alert (e1) will end with the cause model_removed" in said
    )


def test_alerts_of_a_model_that_no_longer_reads_their_source_are_said_beforehand(tmp_path):
    (tmp_path / "state").mkdir()
    outbox = Outbox(tmp_path / "state" / "alerts.db", 100)
    outbox.commit([event("raised", "a", t=5.0)])
    outbox.close()
    second = SOURCE.replace('"press"', '"mill"').replace("plant/", "mill/")
    models = '[[model]]\nname = "next"\nbundle = "small.fwb"\nbudget = "1 per 1000 cycles"\n'
    text = VALID.replace("[[model]]", '[[model]]\nsources = ["mill"]') + SOURCE + second + models
    result = check(write_configuration(tmp_path, text))
    assert result.exit_code == 0, result.stderr
    (said,) = [line for line in result.stderr.splitlines() if "any more" in line]
    words = "model 'main' does not read source 'press' any more: 1 standing alert (e1) will end with the cause"
    assert f"model: {words} model_removed" in said


BEFORE = ROOT / "tests" / "data" / "config" / "before"


def test_a_configuration_of_before_is_told_each_new_name_with_its_line(tmp_path):
    """The example of that time; what else is wrong with it is told all the same."""
    text = (BEFORE / "forewarn.toml").read_text()
    path = write_configuration(tmp_path, text)
    result = check(path)
    assert result.exit_code == 2
    lines = result.stderr.splitlines()
    model = text.splitlines().index("[model]") + 1
    for line, words in (
        (model, "model: is called [[model]] now"),
        (text[: text.index("max_devices")].count("\n") + 1, "agent.max_devices: is called agent.devices_max now"),
    ):
        assert f"{path}:{line}: {words}" in lines
    assert any(line.startswith(f"{path}:{model + 1}: model[main].bundle: ") for line in lines)


@pytest.mark.parametrize("old", sorted(RENAMED))
def test_every_key_that_had_another_name_is_told_the_new_one_and_that_is_a_key(tmp_path, old):
    table, _, key = old.partition(".")
    path = write_configuration(tmp_path, f"[{table}]\n{key} = 1\n" if key else f"[{table}]\n")
    new = RENAMED[old]
    assert f"{path}:{2 if key else 1}: {old}: is called {new} now" in check(path).stderr.splitlines()
    assert tuple(new.split(".")) in dict(key_types(Settings)) or new.strip("[]") in LISTS


def test_problems_go_to_stderr_and_exit_with_2(tmp_path):
    path = write_configuration(tmp_path, "[agent]\nnod = 1\n")
    result = check(path)
    assert (result.exit_code, result.stdout) == (2, "")
    assert f"{path}:2: agent.nod: there is no such key; the nearest is node\n" in result.stderr
    assert len(result.stderr.splitlines()) == 2


def test_json_has_problems_or_what_would_run(tmp_path):
    good = check(write_configuration(tmp_path), "--json")
    found = json.loads(good.stdout)
    assert (good.exit_code, found["problems"]) == (0, [])
    (model,) = found["would_run"]["models"]
    assert (model["name"], model["bundle"], model["reads"]) == ("main", "small", ["press"])
    judge = model["heads"]["risk"]
    assert (judge["extrapolated"], judge["finest_budget"]) == (True, "1 per 660 cycles")
    assert (judge["warned_of"], judge["failures"], judge["alarm_share"]) == (10, 10, 0.02)
    assert judge["verdict"] in check(write_configuration(tmp_path)).stdout
    bad = check(write_configuration(tmp_path, "[agent]\nnod = 1\n"), "--json")
    found = json.loads(bad.stdout)
    assert (bad.exit_code, found["would_run"]) == (2, None)
    assert {"file": str(tmp_path / "forewarn.toml"), "line": 2, "key": "agent.nod",
            "what": "there is no such key; the nearest is node"} in found["problems"]  # fmt: skip


def test_help_shows_an_example_first():
    for arguments in (["--help"], ["check", "--help"]):
        lines = [line.strip() for line in CliRunner().invoke(main, arguments).stdout.splitlines() if line.strip()]
        assert any(line.startswith("forewarn check /etc/forewarn") for line in lines[1:3])


@pytest.mark.slow
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.binary(max_size=80) | st.text("[]{}=\"'.#\n abc1-", max_size=60).map(str.encode))
def test_no_file_content_gives_a_traceback(tmp_path, content):
    path = write_configuration(tmp_path)
    path.write_bytes(content)
    result = check(path)
    assert result.exit_code == 2
    assert isinstance(result.exception, SystemExit)
    assert result.stderr.startswith(str(path))


EXAMPLE = (ROOT / "configs" / "forewarn.example.toml").read_text().replace("../build/demo/cmapss-fd001/bundle", "small")


def uncommented(text: str) -> str:
    return re.sub(r"^# (?=\[?[a-z_]+(\]| = ))", "", text, flags=re.MULTILINE)


def test_the_example_is_accepted_when_its_bundle_is_there(tmp_path):
    result = check(write_configuration(tmp_path, EXAMPLE), FOREWARN_AGENT__STATE_DIR=str(tmp_path))
    assert (result.exit_code, result.stderr.count("doubtful: ")) == (0, 1), "of the budget, for the small bundle"


def test_the_example_says_everything_commented_out_rightly(tmp_path):
    """Each commented-out key is one that there is, with a value that it may have."""
    path = write_configuration(tmp_path, uncommented(EXAMPLE))
    (tmp_path / "mqtt-password").write_text("x")
    (tmp_path / "mqtt-password").chmod(0o600)
    lines = check(path).stderr.splitlines()
    assert len(lines) == 1
    assert "the bundle has no channel 'T24'" in lines[0]


def test_the_example_of_a_service_says_everything_commented_out_rightly(tmp_path):
    """With the bundle that it is written for, and the password where systemd puts it."""
    path = write_configuration(tmp_path, uncommented((ROOT / "configs" / "service.example.toml").read_text()))
    assert "\npassword_file" in path.read_text()
    assert "\nchannels" in path.read_text()
    shutil.copy(ROOT / "tests" / "data" / "pumps" / "pumps-0.1.0.fwb", tmp_path / "bundle.fwb")
    (tmp_path / "broker-password").write_text("x")
    (tmp_path / "broker-password").chmod(0o400)
    result = check(path, FOREWARN_AGENT__STATE_DIR=str(tmp_path), CREDENTIALS_DIRECTORY=str(tmp_path))
    assert (result.exit_code, result.stderr) == (0, "")
