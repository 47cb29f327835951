"""`forewarn alerts` lists what stands, from the state directory."""

import json

import msgspec
from click.testing import CliRunner, Result

from agent.cli import main
from agent.store.outbox import Outbox
from tests.alert_events import event


def run(*args: object) -> Result:
    return CliRunner().invoke(main, ["alerts", *map(str, args)])


def test_standing_alerts_are_listed_beside_a_running_agent(tmp_path):
    outbox = Outbox(tmp_path / "alerts.db", 100)
    stands, ended = event("raised", "ab12", t=57.0, device="p7"), event("raised", "cd34", t=5.0, device="p8")
    outbox.commit([stands, ended], [])
    outbox.commit([event("cleared", "cd34", t=9.0, device="p8")], [])
    done = run("--state-dir", tmp_path)
    assert done.exit_code == 0
    assert done.stdout.split() == ["minor", "p7", "risk", "0.10", "0.30", "0.70", "since", "57", "ab12"]
    assert done.stderr == "1 standing\n"
    as_json = run("--state-dir", tmp_path, "--json")
    assert json.loads(as_json.stdout) == [json.loads(msgspec.json.encode(stands))]
    outbox.commit([event("cleared", "ab12", t=60.0, device="p7")], [])  # it was not locked by the reader
    assert json.loads(run("--state-dir", tmp_path, "--json").stdout) == []


def test_a_state_directory_without_a_table_is_named(tmp_path):
    done = run("--state-dir", tmp_path)
    assert done.exit_code == 1
    assert done.stdout == ""
    assert f"{tmp_path / 'alerts.db'}: is not there" in done.stderr
    assert list(tmp_path.iterdir()) == [], "asking makes no file"
