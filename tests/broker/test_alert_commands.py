"""People handle alerts over a real broker: by the command, by a plain message, through kill -9."""

import json

import pytest

from tests.broker.running_agent import ROOT, configuration
from tests.broker.test_interventions import forewarn
from tests.streams import life, message

ALLOWED = '[commands]\nalerts = ["acknowledge", "shelve", "unshelve", "suppress"]\n[alerts]\nacknowledge = "required"\n'


@pytest.fixture(params=["snapshot", "journal"])
def commanded(request, broker, make_agent):
    one = make_agent(configuration(broker.port, durability=request.param) + ALLOWED)
    one.go()
    return one


def answers(agent):
    return [json.loads(one.payload) for one in agent.listener.heard if one.topic == f"{ROOT}/handled"]


def retained(agent, key="press/p1/risk"):
    return agent.standing()[key]


def test_an_alert_is_acknowledged_and_shelved_and_is_so_after_a_kill(commanded):
    commanded.feed(life("p1", 60))
    alert = commanded.events()[0]["alert"]
    code, out, error = forewarn("alerts", "acknowledge", alert[:10], "--config", commanded.file, "--by", "anna")
    assert (code, out) == (0, f"acknowledge press/p1 done: {alert}\n"), error
    commanded.kill()
    commanded.go()
    code, out, _ = forewarn("alerts", "acknowledge", alert[:10], "--config", commanded.file)
    assert (code, "needless" in out, "it is acknowledged" in out) == (0, True, True)
    code, out, error = forewarn("alerts", "shelve", alert, "--for", "8h", "--note", "wet", "--config", commanded.file)
    assert (code, out.startswith("shelve press/p1 done until ")) == (0, True), error
    commanded.kill()
    commanded.go()
    commanded.feed([message("p1", 61, wear=3.0)])
    assert (retained(commanded)["alert"], retained(commanded)["state"]) == (alert, "shelved")
    kinds = [
        (event["event"], event["state"], event.get("by", ""))
        for event in commanded.events(all_lives=True)
        if "at" in event
    ]
    assert kinds == [("acknowledged", "acknowledged", "anna"), ("shelved", "shelved", kinds[-1][2])]
    assert forewarn("alerts", "unshelve", alert, "--config", commanded.file)[0] == 0
    assert commanded.events()[-1]["event"] == "shown"


def test_what_is_not_allowed_and_what_is_not_there_is_said(commanded):
    commanded.feed(life("p1", 60))
    alert = commanded.events()[0]["alert"]
    code, _, error = forewarn("alerts", "reset", alert, "--config", commanded.file)
    assert (code, "its agent does not take 'reset'" in error) == (2, True)
    code, _, error = forewarn("alerts", "shelve", alert, "--for", "90d", "--config", commanded.file)
    assert (code, "shelve_max" in error) == (1, True)
    commanded.feed(
        [
            (f"{ROOT}/cmd/acknowledge/press", json.dumps({"device": "p1", "alert": "0" * 32, "ref": "x"}).encode()),
            (f"{ROOT}/cmd/shelve/press", json.dumps({"device": "p1"}).encode()),
            (f"{ROOT}/cmd/reset/press", json.dumps({"device": "p1"}).encode()),
        ]
    )
    commanded.listener.wait_for(lambda one: b'"ref":"x"' in one.payload, "the agent answers")
    assert [one["outcome"] for one in answers(commanded) if one.get("ref") == "x"] == ["unknown"]
    assert commanded.status()["drops"] == {"cmd/alert/press": {"wrong_type": 1}}


def test_an_alert_that_needs_acknowledgement_stands_until_somebody_gives_it(commanded):
    commanded.feed(life("p1", 60))
    commanded.feed([message("p1", 61 + cycle) for cycle in range(40)])
    assert commanded.events()[-1]["state"] == "returned_unacknowledged"
    assert list(commanded.standing()) == ["press/p1/risk"]
    alert = commanded.events()[0]["alert"]
    assert forewarn("alerts", "acknowledge", alert, "--config", commanded.file)[0] == 0
    commanded.listener.wait_for(lambda one: b'"cleared"' in one.payload, "the alert ends")
    assert commanded.standing() == {}
