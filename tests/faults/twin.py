"""The undisturbed twin: a core in the test's own process that takes the same messages, once each and in order.

The small model's risk is a leaky mean of all rows before, so that the sequence of a device's risks tells a row that is
missing, doubled or out of order. It does not depend on time; so it tells that of a stream without times too, whose
rows have the time at which they arrived.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import msgspec

from agent.bundle import file
from agent.bundle.manifest import Cadence
from agent.core.entries import HistoryLost, Messages
from agent.publish.message import event_message, score_messages
from agent.publish.topic import Topics
from tests.broker.running_agent import ROOT, Json
from tests.bundles import write_small_bundle
from tests.small_bundle import small_manifest
from tests.streams import SOURCE, Message, core

_SMALL = small_manifest()
ARRIVAL = msgspec.structs.replace(  # its rows come as fast as a test sends them, and the judge counts them alone
    _SMALL,
    time_unit="s",
    cadence=Cadence(every_s=100.0, dt_max_s=2000.0, least_s=1e-6),
    judge=msgspec.structs.replace(_SMALL.judge, clear_after_s=0.0),
)
_WITHOUT_TIME = replace(SOURCE, time_field="", time_unit="arrival")
_TIME_LINE = 'time = { field = "cycle", unit = "cycle" }\n'
_TOPICS = Topics(ROOT)


def without_time(text: str, folder: Path) -> str:
    """The configuration for a stream whose payloads say no time; its bundle is put in `folder`."""
    folder.mkdir(exist_ok=True)
    write_small_bundle(folder / "small.fwb", ARRIVAL)
    return text.replace(_TIME_LINE, "").replace("[[model]]", '[[model]]\nbudget = "1 per device per 1000s"')


def untimed(messages: Iterable[Message]) -> list[Message]:
    """The same without the times in their payloads."""
    found = []
    for topic, payload in messages:
        values = json.loads(payload)
        del values["cycle"]
        found.append((topic, json.dumps(values).encode()))
    return found


class Twin:
    """What one life publishes of what it takes.

    scores  by device, the payloads in their order
    events  by device, likewise
    """

    def __init__(self, bundle: Path, *, has_time: bool = True) -> None:
        self._source, self._manifest = (SOURCE, small_manifest()) if has_time else (_WITHOUT_TIME, ARRIVAL)
        self._core = core(self._source, manifest=self._manifest, digest=file.read(bundle).digest)
        self._arrived_ns = 10**9
        self.scores: dict[str, list[bytes]] = defaultdict(list)
        self.events: dict[str, list[Json]] = defaultdict(list)

    def take(self, messages: Sequence[Message]) -> None:
        topics, payloads = [topic for topic, _ in messages], [payload for _, payload in messages]
        first_ns, self._arrived_ns = self._arrived_ns, self._arrived_ns + len(messages) * 10**7
        taken = self._core.apply(Messages(topics, payloads, [*range(first_ns, self._arrived_ns, 10**7)]))
        for topic, payload in score_messages(taken.scores[0], [self._source], self._manifest, _TOPICS):
            self.scores[topic.rpartition("/")[2]].append(payload)
        for event in taken.alerts:
            self.events[event.device].append(json.loads(event_message(event)))

    def lose_history(self, device: str) -> None:
        self._core.apply(HistoryLost(self._source.name, [device]))

    def standing(self) -> dict[str, object]:
        """Device -> id of its alert."""
        newest = {device: events[-1] for device, events in self.events.items()}
        return {device: event["alert"] for device, event in newest.items() if event["event"] != "cleared"}


def risks_of(payloads: Iterable[bytes]) -> list[list[float]]:
    """Those of score messages."""
    return [json.loads(payload)["risk"] for payload in payloads]


def without_repeats(events: Iterable[Json]) -> list[Json]:
    """Each (alert, sequence) once, where it was said first. Fails where it was said in two ways."""
    first: dict[tuple[object, object], Json] = {}
    for event in events:
        assert first.setdefault((event["alert"], event["sequence"]), event) == event
    return [*first.values()]
