"""The undisturbed twin: a core in the test's own process that takes the same messages, once each and in order.

The small model's risk is a leaky mean of all rows before, so that the sequence of a device's risks tells a row that is
missing, doubled or out of order. It does not depend on time; so it tells that of a stream without times too, whose
rows have the time at which they arrived.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import msgspec

from agent.bundle.manifest import Cadence
from agent.publish.message import score_messages
from agent.publish.topic import Topics
from tests.broker.running_agent import ROOT, Json, RunningAgent
from tests.broker.told import events_inline
from tests.bundles import write_small_bundle
from tests.small_bundle import small_manifest
from tests.streams import SOURCE, Message, core, take

ARRIVAL = msgspec.structs.replace(  # its rows come as fast as a test sends them
    small_manifest(), time_unit="s", cadence=Cadence(every_s=100.0, dt_max_s=2000.0, least_s=1e-6)
)
_WITHOUT_TIME = replace(SOURCE, time_field="", time_unit="arrival")
_TIME_LINE = 'time = { field = "cycle", unit = "cycle" }\n'


def without_time(text: str, folder: Path) -> str:
    """The configuration for a stream whose payloads say no time; its bundle is put in `folder`."""
    folder.mkdir(exist_ok=True)
    write_small_bundle(folder / "small.fwb", ARRIVAL)
    return text.replace(_TIME_LINE, "").replace("[[model]]", '[[model]]\nbudget = "1 per device per 1h"')


def untimed(messages: Iterable[Message]) -> list[Message]:
    """The same without the times in their payloads."""
    bare = [
        (topic, {name: value for name, value in json.loads(payload).items() if name != "cycle"})
        for topic, payload in messages
    ]
    return [(topic, json.dumps(values).encode()) for topic, values in bare]


def risks_of(payloads: Iterable[bytes]) -> list[list[float]]:
    """Those of score messages."""
    return [json.loads(payload)["risk"] for payload in payloads]


def twin_risks(messages: Sequence[Message], device: str, *, has_time: bool = True) -> list[list[float]]:
    """Of one device's rows, in order."""
    topics = Topics(ROOT)
    source, manifest = (SOURCE, small_manifest()) if has_time else (_WITHOUT_TIME, ARRIVAL)
    taken = take(core(source, manifest=manifest), messages)
    said = score_messages(taken.scores[0], [source], manifest, topics)
    return risks_of(payload for topic, payload in said if topic == topics.score("press", device))


def twin_events(messages: Sequence[Message], agent: RunningAgent) -> list[Json]:
    """All that are published of these, in order, with the bundle of that agent."""
    return [json.loads(payload) for payload in events_inline(messages, agent.folder / "small.fwb")]


def without_repeats(events: Iterable[Json]) -> list[Json]:
    """Each (alert, sequence) once, where it was said first. Fails where it was said in two ways."""
    first: dict[tuple[object, object], Json] = {}
    for event in events:
        assert first.setdefault((event["alert"], event["sequence"]), event) == event
    return [*first.values()]
