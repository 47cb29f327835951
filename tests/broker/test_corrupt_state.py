"""State files that are not what was written are set aside by name, said, and the agent runs."""

import json
import sqlite3
import subprocess
import sys
from contextlib import closing

import msgspec
import pytest

from tests.bundles import write_small_bundle
from tests.small_bundle import small_manifest
from tests.streams import life


def flip(path, place: float):
    data = bytearray(path.read_bytes())
    data[int(len(data) * place)] ^= 0x10
    path.write_bytes(data)


def truncate(path, place: float):
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * place)])


def aside(agent, name: str) -> list[str]:
    return [path.name for path in agent.state.glob(f"{name}*.corrupt-*")]


@pytest.mark.parametrize(
    ("spoil", "place"),
    [
        (flip, 0.97),
        pytest.param(truncate, 0.5, marks=pytest.mark.long),
        pytest.param(truncate, 0.0, marks=pytest.mark.long),
    ],
)
def test_a_corrupt_snapshot_is_set_aside_and_the_older_one_restored(agent, spoil, place):
    """The alert that stands comes from the table either way; the agent says which file it could not use."""
    whole = life("p1", 60)
    agent.feed(whole[:20])
    agent.wait_for_snapshots(1)
    agent.feed(whole[20:45])
    agent.stop()
    older, newest = sorted(agent.state.glob("snapshot-*"))
    before = agent.standing()
    spoil(newest, place)
    agent.go()
    (line,) = agent.log("snapshot_set_aside")
    assert aside(agent, newest.name) == [line["kept"].rpartition("/")[2]]
    assert agent.log("state_restored")[-1]["snapshot"] == older.name
    agent.feed(whole[45:])
    assert agent.qualities("p1")[0] == "gap"
    assert agent.standing()["press/p1/risk"]["alert"] == before["press/p1/risk"]["alert"]
    assert agent.stop() == 0


def test_without_any_good_snapshot_devices_start_anew_and_alerts_stand(agent):
    """Both snapshots are spoilt: the state is gone, the alert table is not."""
    whole = life("p1", 60)
    agent.feed(whole[:20])
    agent.wait_for_snapshots(1)
    agent.feed(whole[20:45])
    agent.stop()
    before = agent.standing()
    for path in agent.state.glob("snapshot-*"):
        flip(path, 0.7)
    agent.go()
    assert len(agent.log("snapshot_set_aside")) == 2
    assert agent.standing() == before
    agent.feed(whole[45:])
    assert agent.qualities("p1")[:3] == ["gap", "warming_up", "ok"]
    assert "raised" not in [event["event"] for event in agent.events()]


@pytest.mark.parametrize(
    ("spoil", "place"),
    [
        (truncate, 0.5),
        pytest.param(flip, 0.0, marks=pytest.mark.long),
        pytest.param(truncate, 0.001, marks=pytest.mark.long),
    ],
)
def test_a_corrupt_alert_table_is_set_aside_and_the_agent_runs(agent, spoil, place):
    """What stood is not known any more: it leaves the broker, and a fault that still shows is raised again."""
    whole = life("p1", 60)
    agent.feed(whole[:45])
    agent.stop()
    spoil(agent.state / "alerts.db", place)
    agent.go()
    (line,) = agent.log("alert_table_set_aside")
    assert line["why"]
    assert aside(agent, "alerts.db") == [line["kept"].rpartition("/")[2]]
    agent.feed(whole[45:])
    assert agent.events()[0]["event"] == "raised"
    assert list(agent.standing()) == ["press/p1/risk"]
    assert agent.stop() == 0


@pytest.mark.parametrize("bit", [0x80, 0x02], ids=["no UTF-8", "another source"])
def test_a_bit_that_flips_in_an_alert_costs_the_table_and_not_the_agent(agent, bit):
    """SQLite finds nothing wrong with it. `check` and `alerts` say what is wrong, and do not touch it."""
    agent.feed(life("p1", 60))
    assert agent.stop() == 0
    table = agent.state / "alerts.db"
    with closing(sqlite3.connect(table)) as db, db:
        event = bytearray(db.execute("SELECT event FROM alert").fetchone()[0])
        event[event.index(b"press")] ^= bit
        db.execute("UPDATE alert SET event = ?", (bytes(event),))
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    for arguments in (["alerts", "--state-dir", str(agent.state)], ["check", str(agent.file)]):
        command = [sys.executable, "-m", "agent.cli", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert "Traceback" not in done.stderr
        assert "the alert of 'press', 'p1', 'risk' is broken" in done.stdout + done.stderr
    agent.go()
    (line,) = agent.log("alert_table_set_aside")
    assert line["why"].startswith("the alert of 'press', 'p1', 'risk' is broken")
    assert aside(agent, "alerts.db") == [line["kept"].rpartition("/")[2]]
    agent.feed(life("p1", 15, start=61))
    assert agent.stop() == 0


@pytest.mark.parametrize("lose", [lambda path: path.unlink(), lambda path: path.write_bytes(b"")])
def test_an_alert_table_that_is_gone_or_emptied_is_said(agent, lose):
    """SQLite takes both for a new database; the snapshot knows that there was an alert."""
    whole = life("p1", 60)
    agent.feed(whole[:45])
    agent.stop()
    lose(agent.state / "alerts.db")
    agent.go()
    (line,) = agent.log("alert_table_lost")
    assert "1 standing alerts" in line["why"]
    agent.feed(whole[45:])
    assert agent.events()[0]["event"] == "raised"
    agent.stop()
    agent.go()
    assert len(agent.log("alert_table_lost")) == 1


def test_a_snapshot_of_another_bundle_gives_no_state_to_the_model(agent):
    """A state belongs to the model that made it; what is known of the devices' clocks does not."""
    agent.feed(life("p1", 10))
    agent.stop()
    bundle = agent.folder / "small.fwb"
    bundle.unlink()
    write_small_bundle(bundle, msgspec.structs.replace(small_manifest(), version="1.0.1"))
    agent.go()
    (line,) = agent.log("model_state_lost")
    assert line["model"] == "main"
    assert "bundle" in line["why"]
    agent.feed(life("p1", 3, start=11))
    assert json.loads(agent.scores("p1")[0])["quality"] in ("gap", "warming_up")


def test_files_that_a_crash_left_half_written_are_no_snapshots(agent):
    """The temporary name is never read, and does not disturb the next snapshot."""
    agent.feed(life("p1", 10))
    agent.stop()
    (newest,) = agent.state.glob("snapshot-*")
    newest.with_name("snapshot-000000000002.new").write_bytes(newest.read_bytes()[:100])
    agent.go()
    assert agent.log("snapshot_set_aside") == []
    agent.feed(life("p1", 3, start=11))
    assert agent.qualities("p1") == ["gap", "ok", "ok"]
    assert agent.stop() == 0


def test_a_snapshot_that_cannot_be_written_is_said_and_tried_again(agent):
    """Something is in its way: the stream goes on, and once the way is free there is a snapshot."""
    obstacle = agent.state / "snapshot-000000000001.new"
    (obstacle / "x").mkdir(parents=True)
    agent.feed(life("p1", 10))
    agent.wait_for_log("snapshot_failed")
    agent.feed(life("p1", 10, start=11))
    assert agent.qualities("p1")[2:] == ["ok"] * 18
    (obstacle / "x").rmdir()
    obstacle.rmdir()
    agent.wait_for_snapshots(1)
    assert agent.stop() == 0
