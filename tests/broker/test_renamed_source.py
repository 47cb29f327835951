"""A source under another name: its devices go on, its standing alerts end with the cause, nothing stays retained."""

from tests.broker.running_agent import configuration
from tests.streams import life

OLD, NEW = 'name = "press"', 'name = "lathe"'


def test_a_renamed_source_goes_on_and_leaves_no_alert_behind(broker, make_agent):
    text = configuration(broker.port)
    agent = make_agent(text)
    agent.go()
    agent.feed([*life("p1", 60), *life("p2", 60, wear_from=1000)])
    (raised, *_) = agent.events()
    assert [*agent.standing()] == ["press/p1/risk"]
    assert agent.stop() == 0

    agent.file.write_text(text.replace(OLD, NEW))
    agent.go()
    status = agent.feed(life("p2", 5, start=61, wear_from=1000))
    assert agent.standing() == {}
    (ended,) = agent.events()
    assert (ended["event"], ended["cause"], ended["alert"]) == ("cleared", "source_removed", raised["alert"])
    assert ended["sequence"] > raised["sequence"]
    assert status["drops"] == {}
    assert agent.log("alert_cleared")[0]["why"] == "its source was removed, or no model reads it any more"

    agent.feed(life("p1", 9, start=61))
    (again,) = [event for event in agent.events() if event["event"] == "raised"]
    assert (again["source"], again["device"]) == ("lathe", "p1")
    assert again["alert"] != raised["alert"]
    assert [*agent.standing()] == ["lathe/p1/risk"]


def test_only_an_agent_that_was_stopped_trusts_its_state(broker, make_agent):
    """Rows are missed while it is away: after a stop they are one `gap`, after a kill the state warms up."""
    agent = make_agent(configuration(broker.port))
    agent.go()
    agent.feed(life("p1", 10))
    assert agent.stop() == 0
    agent.go()
    agent.feed(life("p1", 4, start=15))
    assert agent.log("state_restored")[-1]["stopped_in_order"] is True
    agent.wait_for_snapshots(2)
    agent.kill()
    agent.go()
    agent.feed(life("p1", 4, start=25))
    assert agent.log("state_restored")[-1]["stopped_in_order"] is False
    qualities = [agent.qualities("p1")]
    assert qualities == [["gap", "warming_up", "ok", "ok"]]
