"""How an agent comes up and goes down, seen from the broker and from the shell."""

import json
import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest

from tests.broker.listener import Heard
from tests.broker.running_agent import ROOT, configuration, refusal
from tests.broker.told import events_inline, scores_inline
from tests.configurations import SOURCE, VALID, write_configuration
from tests.streams import interleaved, life

AVAILABLE = f"{ROOT}/available"


def availability(listener) -> list[bytes]:
    return [one.payload for one in listener.heard if one.topic == AVAILABLE and not one.retain]


def test_scores_and_events_are_what_a_core_without_a_broker_says(agent):
    """Law 1: from the same messages come, byte for byte, the same payloads."""
    messages = interleaved(life("p1", 60), life("p2", 60, wear_from=35, seed=1))
    agent.feed(messages)
    for device in ("p1", "p2"):
        assert agent.scores(device) == scores_inline(messages, device)
    said = [one.payload for one in agent.listener.heard if one.topic == f"{ROOT}/event"]
    assert said == events_inline(messages, agent.folder / "small.fwb")
    assert len(said) > 2


@pytest.mark.slow
def test_an_agent_that_starts_before_its_broker_subscribes_when_it_comes(broker, make_agent):
    """It waits, says so in one line, and takes messages as soon as there is a broker."""
    agent = make_agent()
    broker.kill()
    agent.start()
    agent.wait_for_log("broker_not_connected")
    broker.start()
    agent.wait_until_it_listens()
    agent.feed(life("p1", 5))
    assert (len(agent.log("broker_not_connected")), agent.log("broker_lost")) == (1, [])


def test_sigterm_says_stopped_and_leaves_a_snapshot(agent):
    """`stopped` is the last word, the exit code is 0, and the state is on the disk."""
    agent.feed(life("p1", 30))
    assert agent.stop() == 0
    agent.listener.wait_for(lambda one: one == Heard(AVAILABLE, b"stopped", False), "stopped")
    assert availability(agent.listener) == [b"online", b"stopped"]
    assert agent.broker.retained(AVAILABLE) == {AVAILABLE: b"stopped"}
    assert list(agent.state.glob("snapshot-*"))
    assert agent.log_lines()[-1]["event"] == "agent_stopped"


def test_a_restart_goes_on_with_a_gap_and_repeats_no_alert(agent):
    """After a clean stop the next row of a device says `gap`, the one after it does not, and the alert keeps its id."""
    whole = life("p1", 60)
    agent.feed(whole[:45])
    (raised, *_) = agent.events()
    assert agent.stop() == 0
    agent.go()
    agent.feed(whole[45:])
    assert agent.qualities("p1") == ["gap"] + ["ok"] * 14
    assert "raised" not in [event["event"] for event in agent.events()]
    assert agent.standing()["press/p1/risk"]["alert"] == raised["alert"]


def test_scores_after_a_clean_restart_are_those_of_one_that_never_stopped(agent):
    """A clean stop loses no state: apart from the quality, the numbers are the same to the bit."""
    whole = life("p1", 60)
    agent.feed(whole[:30])
    agent.stop()
    agent.go()
    agent.feed(whole[30:])
    values = [{**json.loads(payload), "quality": ""} for payload in agent.scores("p1", all_lives=True)]
    assert values == [{**json.loads(payload), "quality": ""} for payload in scores_inline(whole, "p1")]


def test_an_alert_that_has_ended_does_not_come_back_with_a_restart(agent):
    """Neither on the broker nor in the core: a later fault of the device is a new alert."""
    agent.feed(life("p1", 45) + life("p1", 30, start=46, wear_from=1000))
    ended = agent.events()[-1]
    assert ended["event"] == "cleared"
    assert agent.standing() == {}
    agent.stop()
    agent.go()
    agent.feed(life("p1", 40, start=76, wear_from=80))
    assert agent.events()[0]["event"] == "raised"
    assert agent.events()[0]["alert"] != ended["alert"]
    assert agent.standing()["press/p1/risk"]["alert"] == agent.events()[0]["alert"]


def test_a_stop_sends_what_waits(agent):
    """Stopped while many alerts are being raised: every one that was committed is heard, before `stopped`."""
    lives = [life(f"p{number}", 60, seed=number) for number in range(40)]
    agent.broker.publish_all(interleaved(*lives))
    agent.wait_for_log("alert_raised")
    assert agent.stop() == 0
    agent.listener.wait_for(lambda one: one == Heard(AVAILABLE, b"stopped", False), "stopped")
    logged = [(line["id"], line["event"]) for line in agent.log_lines() if line["event"].startswith("alert_")]
    assert [(event["alert"], f"alert_{event['event']}") for event in agent.events()] == logged
    with closing(sqlite3.connect(agent.state / "alerts.db")) as db:
        assert db.execute("SELECT count(*) FROM due").fetchone() == (0,)


def test_a_burst_at_qos_1_is_taken_whole(agent):
    """More than the broker has under way to us at once: messages are acknowledged, and none is scored twice."""
    lives = [life(f"p{number}", 60, seed=number) for number in range(40)]
    messages = interleaved(*lives)
    agent.feed(messages)
    for number in (0, 39):
        assert agent.scores(f"p{number}") == scores_inline(lives[number], f"p{number}")


def test_kill_9_leaves_the_last_will(agent):
    """Whoever watches `available` learns of a killed agent from the broker."""
    agent.kill()
    assert availability(agent.listener) == [b"online", b"offline"]
    assert agent.broker.retained(AVAILABLE) == {AVAILABLE: b"offline"}


def test_a_foreign_retained_alert_is_removed_at_the_start(broker, make_agent):
    """What the alert table does not hold does not stand on the broker either; others' topics are left alone."""
    agent = make_agent()
    foreign = events_inline(life("x", 60), agent.folder / "small.fwb")[0]
    broker.publish(f"{ROOT}/alert/x/risk", foreign, retain=True)
    broker.publish("forewarn/gateway-2/alert/x/risk", foreign, retain=True)
    agent.go()
    agent.listener.wait_for(lambda one: one == Heard(f"{ROOT}/alert/x/risk", b"", False), "its removal")
    assert list(broker.retained("forewarn/+/alert/#")) == ["forewarn/gateway-2/alert/x/risk"]


def test_a_device_id_cannot_leave_its_level_of_the_topic(agent):
    """Everything but A-Z a-z 0-9 _ . - ~ is percent-escaped, in the score's topic and in the alert's."""
    device = "50% ü$"
    agent.feed(life(device, 60))
    escaped = "50%25%20%C3%BC%24"
    assert len(agent.scores(escaped)) == 60
    assert agent.standing()[f"press/{escaped}/risk"]["device"] == device


def test_a_second_agent_on_the_same_state_is_refused(agent):
    """Exit 1, and the pid of the one that holds the state directory; it holds it no longer than it lives."""
    code, said = refusal(agent.file)
    assert code == 1
    assert f"{agent.state}: another agent uses it (pid {agent.process.pid})" in said
    assert "Traceback" not in said
    agent.feed(life("p1", 3))
    agent.kill()
    agent.go()


BROKEN = """
[agent]
nod = "x"
status_every = "10"
[broker]
port = 99999
[[model]]
bundle = "small.fwb"
budget = "some"
[[source]]
name = "press"
topic = "plant/cycle"
"""


def test_every_problem_of_a_configuration_is_listed(tmp_path):
    """Exit 2, each problem with file and key, no traceback."""
    file = write_configuration(tmp_path, BROKEN)
    code, said = refusal(file)
    assert code == 2
    for key in ("agent.nod", "agent.status_every", "broker.port", "model[main].budget", "source"):
        assert any(f"{file}:" in line and key in line for line in said.splitlines()), f"{key} in {said}"
    assert "Traceback" not in said


def flipped(bundle: bytes) -> bytes:
    middle = len(bundle) // 2
    return bundle[:middle] + bytes([bundle[middle] ^ 1]) + bundle[middle + 1 :]


@pytest.mark.parametrize(
    "broken", [lambda _: b"", lambda whole: whole[:-30], flipped], ids=["empty", "truncated", "a_bit_flipped"]
)
def test_a_broken_bundle_is_a_problem_of_the_configuration(tmp_path, broken):
    """Exit 2, with the key and the name of the bundle, no traceback."""
    file = write_configuration(tmp_path, VALID + SOURCE)
    bundle = tmp_path / "small.fwb"
    bundle.write_bytes(broken(bundle.read_bytes()))
    assert_refused_for_its_bundle(file)


def test_a_missing_bundle_is_a_problem_of_the_configuration(tmp_path):
    """The same when there is none."""
    file = write_configuration(tmp_path, VALID + SOURCE)
    (tmp_path / "small.fwb").unlink()
    assert_refused_for_its_bundle(file)


def assert_refused_for_its_bundle(file):
    code, said = refusal(file)
    assert code == 2
    assert f"{file}:" in said
    assert "model[main].bundle" in said
    assert "small.fwb" in said
    assert "Traceback" not in said


def test_a_configuration_that_is_not_there_is_named(tmp_path):
    """Exit 2, and the path."""
    code, said = refusal(tmp_path / "absent.toml")
    assert code == 2
    assert "absent.toml" in said
    assert "Traceback" not in said


def test_a_state_directory_that_cannot_be_used_is_named(broker, tmp_path):
    """A file in its place: exit 2 and the key."""
    (tmp_path / "state").write_text("")
    code, said = refusal(write_configuration(tmp_path, configuration(broker.port)))
    assert code == 2
    assert "agent.state_dir" in said
    assert "Traceback" not in said


def test_whatever_names_check_accepts_an_agent_runs_with(make_agent, broker):
    """Odd ones, as far as a broker takes them: in the client's name, the prefix, the topic and the payload's fields."""
    named = SOURCE.replace("plant/", "ä b//+/").replace('time = { field = "cycle"', 'time = { field = "z\'\\u007f"')
    text = configuration(broker.port).replace(SOURCE, f'{named}channels = {{ temp = \'""\', load = "é\\u2028" }}\n')
    text = text.replace("[broker]", '[broker]\nclient_id = "ü {1}"\nusername = "ö"')
    agent = make_agent(text)
    command = [sys.executable, "-m", "agent.cli", "check", str(agent.file)]
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0
    agent.go()
    rows = [{"z'\x7f": cycle, "": 0.1, "é\u2028": 0.2, "wear": 0.3} for cycle in range(1, 6)]
    agent.feed([("ä b//x/p1/cycle", json.dumps(row).encode()) for row in rows])
    assert agent.qualities("p1")[-1] == "ok"
