"""A second sink in a whole agent: the one that docs/sinks.md shows, in a file of its own and by one line in SINKS."""

import ast
import json
from pathlib import Path

from tests import toy_sink
from tests.broker.running_agent import RunningAgent
from tests.streams import life


def told(agent: RunningAgent) -> list[dict[str, object]]:
    path = agent.state / toy_sink.FILE
    return [json.loads(line) for line in path.read_text().splitlines()]


def begin(agent: RunningAgent, folder: Path) -> None:
    agent.start(PYTHONPATH=str(folder))
    agent.wait_until_it_listens()


def test_a_sink_that_fails_costs_mqtt_nothing_and_has_every_event_after_kill_9_and_restart(make_agent, tmp_path):
    """Its file cannot be opened at first. What it is then told is what MQTT was told, in the same order."""
    site = tmp_path / "site"  # a folder of its own: beside it lies `agent/state`, which is no package
    site.mkdir()
    toy_sink.write_site(site)
    agent = make_agent()
    broken = agent.state / toy_sink.FILE
    broken.mkdir(parents=True)
    begin(agent, site)
    agent.feed(life("p1", 60))
    agent.wait_for_log("sink_failed")
    assert {event["event"] for event in agent.events()} >= {"raised"}
    agent.kill()
    broken.rmdir()
    begin(agent, site)
    agent.feed(life("p1", 40, start=61, wear_from=1000))
    assert agent.stop() == 0
    events = list({(one["alert"], one["sequence"]): one for one in agent.events(all_lives=True)}.values())
    assert events[-1]["event"] == "cleared"
    assert told(agent) == events


def test_adding_it_took_one_file_and_one_line_and_two_doors_of_the_agent(tmp_path):
    """Beside its tests and its section in the documentation: a sink needs to know of nothing else."""
    toy_sink.write_site(tmp_path)
    sink, line = (tmp_path / "lines.py", tmp_path / "sitecustomize.py")
    assert sorted(tmp_path.iterdir()) == [sink, line]
    assert line.read_text().count("SINKS[") == 1
    names = {node.module for node in ast.walk(ast.parse(sink.read_text())) if isinstance(node, ast.ImportFrom)}
    assert names == {"agent.publish.message", "agent.publish.sinks"}
