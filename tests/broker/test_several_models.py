"""Several models in one agent: two on one source, and two on sources of their own."""

import json

import msgspec

from tests.broker.running_agent import ROOT, configuration
from tests.bundles import write_small_bundle
from tests.small_bundle import small_manifest
from tests.streams import life

SHADOW = '[[model]]\nname = "shadow"\nbundle = "next.fwb"\n'
PUMP = '[[source]]\nname = "pump"\ntopic = "pumps/{device}"\nqos = 1\ntime = { field = "cycle", unit = "cycle" }\n'
PUMPS_MODEL = '[[model]]\nname = "pumps"\nbundle = "pumps.fwb"\nsources = ["pump"]\n'


def scores(agent, topic: str) -> list[dict[str, object]]:
    return [json.loads(one.payload) for one in agent.listener.heard if one.topic == f"{ROOT}/score/{topic}"]


def test_two_models_on_one_source_score_and_warn_side_by_side(broker, make_agent):
    """The first says what it says alone; the shadow's topics and alerts are its own, and end when it is taken out."""
    alone = configuration(broker.port)
    agent = make_agent(alone + SHADOW)
    later = msgspec.structs.replace(small_manifest(), version="2.0.0")
    write_small_bundle(agent.folder / "next.fwb", later)
    agent.go()
    status = agent.feed(life("p1", 60))
    assert [(name, model["version"]) for name, model in status["models"].items()] == [
        ("main", "1.0.0"),
        ("shadow", "2.0.0"),
    ]
    main, shadow = scores(agent, "press/p1"), scores(agent, "press/p1/shadow")
    assert len(main) == len(shadow) == 60
    assert [one | {"model": "main"} for one in shadow] == main
    standing = agent.standing()
    assert {topic: alert["bundle"]["version"] for topic, alert in standing.items()} == {
        "press/p1/risk": "1.0.0",
        "press/p1/shadow/risk": "2.0.0",
    }
    assert standing["press/p1/risk"]["alert"] != standing["press/p1/shadow/risk"]["alert"]
    assert agent.stop() == 0

    agent.file.write_text(alone)
    agent.go()
    agent.feed(life("p1", 3, start=61))
    assert [*agent.standing()] == ["press/p1/risk"]
    (ended,) = [event for event in agent.events() if event["event"] == "cleared"]
    assert (ended["model"], ended["cause"]) == ("shadow", "model_removed")


def test_two_models_on_sources_of_their_own_do_not_score_each_others_devices(broker, make_agent):
    """Machines of two kinds, with channels of different names, and devices of one name."""
    small = small_manifest()
    text = configuration(broker.port).replace("[[model]]", '[[model]]\nsources = ["press"]')
    agent = make_agent(text + PUMP + PUMPS_MODEL)
    names = ("flow", "load", "leak")
    channels = tuple(msgspec.structs.replace(old, name=name) for old, name in zip(small.channels, names, strict=True))
    write_small_bundle(agent.folder / "pumps.fwb", msgspec.structs.replace(small, name="pumps", channels=channels))
    agent.go()
    press = life("p1", 40)
    pumps = [
        ("pumps/p1", json.dumps({"cycle": row["cycle"], "flow": row["temp"], "load": row["load"], "leak": row["wear"]}))
        for row in (json.loads(payload) for _, payload in press)
    ]
    status = agent.feed([*press, *((topic, payload.encode()) for topic, payload in pumps)])
    assert status["drops"] == {}
    assert len(scores(agent, "press/p1")) == len(scores(agent, "pump/p1/pumps")) == 40
    assert scores(agent, "press/p1/pumps") == scores(agent, "pump/p1") == []
    keys = ("t_ns", "quality", "risk", "rul")
    of_press, of_pumps = scores(agent, "press/p1"), scores(agent, "pump/p1/pumps")
    assert [[one[key] for key in keys] for one in of_press] == [[one[key] for key in keys] for one in of_pumps]
