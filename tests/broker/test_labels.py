"""People say what became of alerts: by the command, kept through kill -9, exported for the trainer."""

import csv
import json

import pytest

from tests.broker.running_agent import ROOT, configuration
from tests.broker.test_interventions import forewarn
from tests.streams import life

LABELS = "[commands]\nlabels = true\n"


@pytest.fixture
def commanded(broker, make_agent):
    one = make_agent(configuration(broker.port) + LABELS)
    one.go()
    return one


def exported(agent) -> list[dict[str, str]]:
    """The rows of the table that the trainer is given."""
    table = agent.folder / "labels.csv"
    code, _, error = forewarn("alerts", "export", "--config", agent.file, "--labels", table)
    assert code == 0, error
    with table.open(newline="") as file:
        return list(csv.DictReader(file))


def test_an_alert_is_labelled_twice_and_both_are_exported_after_a_kill(commanded):
    """The alert stands as before, its end comes later, and both labels are there once."""
    commanded.feed(life("p1", 60))
    (raised, *_) = commanded.events()
    alert = raised["alert"]
    code, out, error = forewarn(
        "alerts", "label", alert[:12], "bad", "wet, but fine", "--config", commanded.file, "--by", "anna"
    )
    assert (code, out) == (0, f"{alert} bad: press/p1 risk, raised {raised['raised_t']}\n"), error
    assert list(commanded.standing()) == ["press/p1/risk"]
    commanded.expect(1)
    commanded.kill()
    commanded.go()
    said = json.dumps({"alert": alert, "label": "good", "t": "2126-01-01T00:00:00Z"}).encode()
    ok = json.dumps({"alert": alert, "label": "good", "t": "2116-01-01T00:00:00Z", "by": "bo"}).encode()
    topic = f"{ROOT}/cmd/label/press"
    status = commanded.feed([(topic, said), (topic, ok), (topic, ok)])
    assert status["drops"] == {"cmd/label/press": {"impossible_time": 1}}
    rows = exported(commanded)
    assert [(row["label"], row["note"], row["by"]) for row in rows] == [
        ("bad", "wet, but fine", "anna"),
        ("good", "", "bo"),
    ]
    first = rows[0]
    assert (first["alert"], first["device"], first["head"], first["cleared"]) == (alert, "p1", "risk", "")
    assert first["digest"] == raised["bundle"]["digest"]
    code, out, _ = forewarn("alerts", "--state-dir", commanded.folder / "state")
    assert out.rstrip().endswith(f"{alert}  good")
    assert {one["label"] for one in commanded.log("alert_labelled")} >= {"good"}


def test_an_unknown_alert_is_refused_by_the_command_and_by_the_agent(commanded):
    commanded.feed(life("p1", 60))
    alert = commanded.events()[0]["alert"]
    near = alert[:-1] + ("0" if alert[-1] != "0" else "1")
    code, _, error = forewarn("alerts", "label", near, "bad", "--config", commanded.file)
    assert (code, f"the nearest is {alert}, of p1" in error) == (1, True)
    commanded.feed([(f"{ROOT}/cmd/label/press", json.dumps({"alert": near, "label": "bad"}).encode())])
    commanded.listener.wait_for(lambda one: one.topic == f"{ROOT}/label", "the agent says that it does not know")
    answer = next(json.loads(one.payload) for one in commanded.listener.heard if one.topic == f"{ROOT}/label")
    assert (answer["known"], answer["alert"]) == (False, near)
    assert len(commanded.log("label_refused")) == 1
    assert [row["label"] for row in exported(commanded)] == [""]


def test_without_the_setting_the_command_says_so(agent):
    code, _, error = forewarn("alerts", "label", "ab", "bad", "--config", agent.file)
    assert (code, "its agent takes no labels" in error) == (2, True)
