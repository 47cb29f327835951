"""Somebody works on a machine: told by a command, kept through kill -9, and the machine is as new to the bit."""

import csv
import io
import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from tests.broker.listener import TIMEOUT_S
from tests.broker.running_agent import ROOT, configuration
from tests.streams import SOURCE, core, life, take

COMMANDS = "[commands]\ninterventions = true\n"


def forewarn(*arguments: object) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of a command."""
    command = [sys.executable, "-m", "agent.cli", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    return done.returncode, done.stdout, done.stderr


def kept(agent) -> list[list[str]]:
    """The rows of the table that the trainer is given."""
    code, out, _ = forewarn("interventions", "--csv", "--config", agent.file)
    assert code == 0
    header, *rows = csv.reader(io.StringIO(out))
    assert header == ["device", "t", "kind", "source", "note"]
    return rows


def numbers(scores: list[bytes]) -> list[tuple[str, list[float]]]:
    return [(score["quality"], score["risk"] + score["rul"]) for score in map(json.loads, scores)]


@pytest.fixture
def commanded(broker, make_agent):
    one = make_agent(configuration(broker.port) + COMMANDS)
    one.go()
    return one


def test_a_command_ends_the_alert_and_the_machine_is_as_new_to_the_bit(commanded):
    """The scores after it are those of a machine whose first row begins its life; a restart keeps the label."""
    commanded.feed(life("p1", 60))
    assert list(commanded.standing()) == ["press/p1/risk"]
    code, out, error = forewarn(
        "intervene", "p1", "repaired", "--config", commanded.file, "--at", "60", "--note", "bearing, ring"
    )
    assert (code, out) == (0, "press/p1 repaired at 60\n"), error
    commanded.expect(1)
    ended = commanded.events()[-1]
    assert (ended["event"], ended["cause"], ended["device"]) == ("cleared", "repaired", "p1")
    status = commanded.feed(life("p1", 30))
    assert (status["interventions"], status["alerts"], status["drops"]) == (1, {"standing": 0, "hidden": 0}, {})
    after = numbers(commanded.scores("p1"))[-30:]
    (said,) = commanded.log("intervention_applied")
    assert (said["alerts_ended"], said["kind"], said["is_known"]) == (1, "repaired", True)
    commanded.stop()
    assert kept(commanded) == [["p1", "60", "repaired", "press", "bearing, ring"]]

    (born,) = take(core(replace(SOURCE, first_seen="new")), life("p1", 30)).scores
    assert [quality for quality, _ in after] == ["ok"] * 30
    risk = np.array([values for _, values in after], np.float32)
    assert risk.tobytes() == np.hstack([born.outputs["risk"], born.outputs["rul"]]).tobytes()


def test_after_kill_9_the_repaired_machine_is_not_worn_again_and_the_label_is_there_once(commanded):
    """The snapshot is of the worn machine; the table knows that it was replaced after it."""
    commanded.feed(life("p1", 60))
    commanded.wait_for_snapshots(1)
    commanded.broker.publish_all([(f"{ROOT}/cmd/intervention/press", b'{"device":"p1","kind":"replaced","t":60}')])
    commanded.listener.wait_for(lambda one: one.topic == f"{ROOT}/intervention", "the agent says that it knows")
    commanded.kill()
    assert kept(commanded) == [["p1", "60", "replaced", "press", ""]]
    commanded.go()
    commanded.feed(life("p1", 30))
    assert commanded.standing() == {}
    risk = [numbers_of[0] for _, numbers_of in numbers(commanded.scores("p1"))]
    assert max(risk) < 0.05, "a worn one that goes on has far more"
    assert kept(commanded) == [["p1", "60", "replaced", "press", ""]]


def test_what_nobody_has_heard_of_is_kept_and_a_bad_command_is_counted(commanded):
    topic = f"{ROOT}/cmd/intervention/press"
    good = b'{"device":"p9","kind":"inspected","t":7,"note":"found well"}'
    status = commanded.feed([(topic, good), (topic, good), (topic, b'{"device":"p9","kind":"inspected"}')])
    assert status["drops"] == {"cmd/press": {"no_time": 1}}
    assert kept(commanded) == [["p9", "7", "inspected", "press", "found well"]]
    assert commanded.log("intervention_applied")[0]["is_known"] is False


def test_without_the_setting_nobody_listens_and_the_command_says_so(agent, broker, make_agent):
    code, _, error = forewarn("intervene", "p1", "repaired", "--config", agent.file, "--at", "1")
    assert (code, "its agent takes no interventions by command" in error) == (2, True)
    file = agent.folder / "commands.toml"
    file.write_text(configuration(broker.port) + COMMANDS)
    code, _, error = forewarn("intervene", "p1", "repaired", "--config", file, "--at", "1")
    assert (code, "no agent has confirmed it within 5 s" in error) == (1, True)
    assert agent.status()["interventions"] == 0


def test_a_maintenance_system_tells_of_machines_whose_telemetry_another_one_sends(broker, make_agent):
    """A source without channels, on a topic of its own: JSON here, with words in the system's own tongue."""
    work = """
[[source]]
name = "work"
joins = "press"
topic = "sap/orders/{device}"
[source.time]
unit = "cycle"
field = "at"
[source.interventions]
field = "order.type"
words = { Instandsetzung = "repaired", Tausch = "replaced" }
"""
    one = make_agent(configuration(broker.port) + work)
    one.go()
    one.feed(life("p1", 60))
    status = one.feed(
        [
            ("sap/orders/p1", json.dumps({"at": 60, "order": {"type": "Schmieren"}}).encode()),
            ("sap/orders/p1", json.dumps({"at": 61, "order": {"type": "Tausch"}}).encode()),
        ]
    )
    assert status["drops"] == {"work": {"no_channels": 1}}
    assert [event["cause"] for event in one.events()][-1] == "replaced"
    assert one.standing() == {}
    (said,) = one.log("reading_dropped")
    assert said["detail"].startswith("'Schmieren' is no word of `interventions`")
    assert kept(one) == [["p1", "61", "replaced", "press", ""]]
