"""The payloads of tests/data/hostile through a real broker: each counts what it is and touches no healthy device."""

import json
from collections import Counter

from agent.core import Bounds
from agent.sources import Source
from tests.broker.running_agent import configuration
from tests.broker.told import scores_inline
from tests.hostile import DEVICE, FOLDERS, cases_of, source_of
from tests.streams import interleaved, life

COUNTED = [folder for folder in FOLDERS if source_of(folder).time_unit == "cycle" and folder != "topics"]


def as_toml(source: Source) -> str:
    tags = ", ".join(f"{name} = {json.dumps(path)}" for name, path in source.tags)
    readings = f"payload = {{ readings = {json.dumps(source.payload.readings)} }}" if source.payload.readings else ""
    return f"""
[[source]]
name = "{source.name}"
topic = {json.dumps(source.topics[0])}
codec = "{source.codec}"
compression = "{source.compression}"
device = {json.dumps(source.device)}
tags = {{ {tags} }}
time = {{ field = "cycle", unit = "cycle" }}
{readings}
"""


def test_hostile_payloads_are_counted_and_a_healthy_device_is_as_alone(broker, make_agent):
    """A source a format, all of one model, on the connection of the healthy device."""
    agent = make_agent(configuration(broker.port) + "".join(as_toml(source_of(folder)) for folder in COUNTED))
    agent.go()
    largest = Bounds().payload_bytes_max  # the broker itself keeps back what is longer
    cases = [case for folder in COUNTED for case in cases_of(folder) if len(case.payload) <= largest]
    healthy = life("p1", 60)
    messages = [
        (f"{case.topic}{number}" if case.topic.endswith(DEVICE) else case.topic, case.payload)
        for number, case in enumerate(cases)
    ]
    status = agent.feed(interleaved(healthy, messages))
    expected: dict[str, Counter[str]] = {}
    for case in cases:
        if case.counts:
            expected.setdefault(case.folder, Counter()).update(case.counts)
    assert status["drops"] == expected
    assert agent.scores("p1") == scores_inline(healthy, "p1")
