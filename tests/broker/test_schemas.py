"""docs/schemas: real traffic of every kind fits, what is wrong does not; docs/topics.md shows what is real.

The `listener` of every other test in this folder holds all it hears against the schemas, too.
"""

import json
import re

import msgspec
import pytest
from jsonschema import Draft202012Validator

from agent.bundle.manifest import Cadence
from tests.broker.running_agent import ROOT, configuration
from tests.broker.schemas import FOLDER, KINDS, VALIDATORS, faults, kind_of
from tests.broker.test_interventions import forewarn
from tests.bundles import write_small_bundle
from tests.small_bundle import small_manifest
from tests.streams import interleaved, life

INSPECTED = (f"{ROOT}/cmd/intervention/press", b'{"device":"p9","kind":"inspected","t":100}')
LABEL = (
    f"{ROOT}/cmd/label/press",
    b'{"alert":"0f","label":"note","note":"wet","t":"2026-11-28T06:30:00Z","by":"anna"}',
)
SHELVE = (f"{ROOT}/cmd/shelve/press", b'{"device":"p1","for":"8h","by":"anna","note":"wet","ref":"7"}')
TOPICS = (FOLDER.parent / "topics.md").read_text()


@pytest.fixture
def commanded(broker, make_agent):
    """An agent that takes commands."""
    one = make_agent(
        configuration(broker.port) + '[commands]\ninterventions = true\nlabels = true\nalerts = ["shelve"]\n'
    )
    one.go()
    return one


def test_the_schemas_are_schemas_and_closed():
    """Draft 2020-12; every object refuses what it does not name, or says what its values are."""
    for kind in KINDS:
        schema = VALIDATORS[kind].schema
        Draft202012Validator.check_schema(schema)
        objects = [schema]
        while objects:
            one = objects.pop()
            if isinstance(one, dict):
                if one.get("type") == "object":
                    assert "additionalProperties" in one
                objects += one.values()


def test_every_property_is_described():
    """A reader of the schema needs no other page."""
    for kind in KINDS:
        schema = VALIDATORS[kind].schema
        for name, one in schema.get("properties", {}).items():
            described = one if "description" in one else next(iter(one["properties"].values()))
            assert len(described["description"]) > 10, f"{kind}: {name}"


def test_all_kinds_of_real_traffic_fit(commanded):
    """A machine that wears out, is mended and clears, and is inspected; a clean stop. The fixture checks it all."""
    agent = commanded
    agent.feed([*life("p1", 60), SHELVE, *life("p1", 40, start=61, wear_from=1000)])
    known = json.dumps({"alert": agent.events()[0]["alert"], "label": "bad"}).encode()
    agent.feed([INSPECTED, LABEL, (LABEL[0], known)])
    agent.stop()
    agent.listener.wait_for(lambda one: one.payload == b"stopped", "stopped")
    assert {kind_of(one.topic) for one in agent.listener.heard} == set(KINDS)
    assert {event["event"] for event in agent.events()} == {"raised", "updated", "shelved", "cleared"}


def test_the_page_says_what_is_retained_and_at_which_qos(commanded):
    """Every topic that is heard is in the table, and as it is there; the agent says all but commands."""
    agent = commanded
    agent.feed([*life("p1", 60), INSPECTED, LABEL, SHELVE])
    rows = re.findall(r"^\| `forewarn/NODE/(\w+)[^`]*` \| (yes|no) \| (\d) \|", TOPICS, re.MULTILINE)
    held = {kind_of(topic) for topic in agent.broker.retained(f"{ROOT}/#")}
    said = {kind: one.qos for one in agent.listener.heard if "cmd" not in (kind := kind_of(one.topic))}
    assert {(kind, "yes" if kind in held else "no", str(qos)) for kind, qos in said.items()} == set(rows)


def test_a_status_is_there_as_soon_as_the_agent_listens(broker, make_agent):
    """Not only after `status_every`: whoever asks right after the start gets one, and it says `granted`."""
    agent = make_agent(configuration(broker.port).replace('status_every = "100ms"', 'status_every = "1h"'))
    agent.start()
    status = agent.wait_until_it_listens()
    assert status["broker"]["output"]["connected"] is True
    broker.publish_all(life("p1", 30))
    agent.listener.wait_for(lambda one: b'"t":30,' in one.payload, "the last score")
    assert sum(one.topic == f"{ROOT}/status" for one in agent.listener.heard) <= 3, "none without a change"


def test_traffic_in_clock_time_fits(broker, make_agent):
    """Times are ISO 8601 then, and horizons have units."""
    text = configuration(broker.port).replace('unit = "cycle"', 'unit = "s"').replace("small.fwb", "clock.fwb")
    agent = make_agent(text.replace("[[model]]", '[[model]]\nbudget = "1 per device per 30d"'))
    manifest = msgspec.structs.replace(small_manifest(), time_unit="s", cadence=Cadence(every_s=1.0, dt_max_s=20.0))
    write_small_bundle(agent.folder / "clock.fwb", manifest)
    agent.go()
    agent.feed(life("p1", 60, start=1_600_000_000, wear_from=1_600_000_020))
    (raised, *_) = agent.events()
    assert raised["t"].startswith("2020-09-13T12:27:")
    assert list(raised["risk"]) == ["15 s", "30 s", "1 min"]


def test_the_end_of_a_silent_device_fits(broker, make_agent):
    """Its alert ends with the cause `forgotten`: no risk, no time to fault, and nothing is retained."""
    silence = '[agent]\nstale_after = "1s"\nforget_after = "2s"'
    agent = make_agent(configuration(broker.port).replace("[agent]", silence))
    agent.go()
    agent.feed(life("p1", 60))
    before = agent.standing()["press/p1/risk"]
    agent.listener.wait_for(lambda one: one.topic == f"{ROOT}/alert/press/p1/risk" and one.payload == b"", "its end")
    ended = agent.events()[-1]
    assert (ended["alert"], ended["event"], ended["cause"], ended["risk"]) == (
        before["alert"],
        "cleared",
        "forgotten",
        {},
    )
    assert "time_to_fault" not in ended
    statuses = [json.loads(one.payload) for one in agent.listener.heard if kind_of(one.topic) == "status"]
    assert any(status["devices"]["stale"] == 1 for status in statuses)
    status = agent.feed(life("p2", 1))
    assert status["drops"] == {"press": {"forgotten": 1}}
    assert sum(status["devices"].values()) == 1


def test_of_500_devices_that_raise_at_once_people_hear_ten_times_and_machines_all(broker, make_agent):
    """Fewer than the more than ten in ten minutes that EEMUA 191 and ISA-18.2 call a flood."""
    agent = make_agent(configuration(broker.port) + "[alerts]\nflood_raises = 10\n")
    agent.go()
    agent.feed(interleaved(*(life(f"p{number}", 60) for number in range(500))))
    events = agent.events()
    raises = [event for event in events if event["event"] == "raised"]
    assert {event["device"] for event in raises} == {"", *(f"p{number}" for number in range(500))}
    heard = [event["head"] for event in raises if "group" not in event]
    assert heard == [*["risk"] * 9, "flood"]
    standing = agent.standing()
    assert len(standing) == 501
    updates = [event for event in events if event["head"] == "flood" and event["event"] == "updated"]
    assert len(updates) <= 6, "each has twice as many as the one before"
    assert standing["press/flood"]["alert"] == raises[9]["alert"]
    listed = forewarn("alerts", "--config", agent.file)[1].splitlines()
    assert ["flood of " in line for line in listed].count(True) == 1


def examples() -> dict[str, str]:
    """Topic -> payload of the blocks in docs/topics.md."""
    return dict(re.findall(r"^`(forewarn/[^`]+)`.*?\n```\w*\n(.*?)\n```$", TOPICS, re.MULTILINE | re.DOTALL))


def test_the_examples_of_the_page_fit():
    """One of each kind, each valid."""
    found = examples()
    assert {kind_of(topic) for topic in found} == set(KINDS)
    for topic, payload in found.items():
        assert topic.startswith(f"{ROOT}/")
        assert faults(topic, payload.encode()) == []


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        ("status", {"more": 1}),
        ("status", {"taken": -1}),
        ("status", {"time": "yesterday"}),
        ("status", {"drops": {"press": {"no_such_reason": 1}}}),
        ("status", {"broker": {}}),
        ("event", {"alert": "X"}),
        ("event", {"sequence": 0}),
        ("event", {"event": "raised", "sequence": 2}),
        ("event", {"event": "updated"}),
        ("event", {"cause": "risk"}),
        ("event", {"risk": {"soon": 0.5}}),
        ("event", {"severity": "bad"}),
        ("event", {"entry": 5}),
        ("alert", {"event": "cleared"}),
        ("alert", {"state": "normal"}),
        ("score", {"quality": "fine"}),
        ("score", {"risk": [1.5]}),
        ("score", {"t": "2020-01-01T00:00:00"}),
    ],
)
def test_what_is_wrong_does_not_fit(kind, change):
    """One thing changed in an example of the page."""
    topic, payload = next((topic, payload) for topic, payload in examples().items() if kind_of(topic) == kind)
    assert faults(topic, json.dumps({**json.loads(payload), **change}).encode()) != []
