"""What a killed agent has published, held against its twin, and what a campaign counts."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from tests.broker.listener import Heard
from tests.broker.running_agent import ROOT, Json
from tests.faults.twin import Twin
from tests.streams import Message

SCORE = f"{ROOT}/score/press/"


@dataclass
class Tally:
    """What a campaign has counted; `said` are the breaches, one line each."""

    kills: Counter[str] = field(default_factory=Counter)
    counts: Counter[str] = field(default_factory=Counter)
    said: list[str] = field(default_factory=list)

    def breach(self, what: str) -> None:
        self.said.append(what)

    def add(self, other: "Tally") -> None:
        self.kills += other.kills
        self.counts += other.counts
        self.said += other.said

    def table(self) -> str:
        rows = [
            *((f"kills of {name}", count) for name, count in sorted(self.kills.items())),
            *sorted(self.counts.items()),
            ("BROKEN", len(self.said)),
        ]
        return "\n".join(f"{name:<44}{count:>9,}" for name, count in rows)


def device_of(topic: str) -> str:
    """Of an input topic, or of a score's."""
    return topic.split("/")[1] if topic.startswith("plant/") else topic.rpartition("/")[2]


class Oracle:
    """One agent's twin, through all lives of the agent."""

    def __init__(self, twin: Twin, tally: Tally, *, has_time: bool) -> None:
        self._twin, self._tally, self._has_time = twin, tally, has_time
        self._scored: dict[str, set[bytes]] = defaultdict(set)
        self._events: dict[str, dict[tuple[object, object], Json]] = defaultdict(dict)
        self._untold: set[str] = set()  # devices of which no row has said gap since a session was lost last

    def take_all(self, messages: Sequence[Message]) -> None:
        """Nobody but the agent was killed: each of these was delivered."""
        self._twin.take(messages)

    def take_scored(self, messages: Sequence[Message], heard: Iterable[Heard], *, is_lost: bool) -> int:
        """The broker was killed: those with a score were delivered.

        is_lost  the agent has said that its session was lost: so was the history before each device's first row that
                 says gap, which may come with a later call. Of rows that have times the twin finds by itself that a
                 cadence was missed, as where the session came back without some messages; lost history also empties
                 the judge's window (decision 52)

        Returns how many have none. The agent has lived all the while.
        """
        scores: dict[str, list[Json]] = defaultdict(list)
        for one in heard:
            if one.topic.startswith(SCORE):
                scores[device_of(one.topic)].append(json.loads(one.payload))
        n_before = len(messages)
        if is_lost:
            self._untold = {*self._twin.scores}
        for message in messages:
            device = device_of(message[0])
            due = scores[device]
            if not due or (self._has_time and due[0]["t_ns"] != json.loads(message[1])["cycle"] * 10**9):
                continue
            n_before -= 1
            if due.pop(0)["quality"] == "gap":
                if device in self._untold or not self._has_time:
                    self._twin.lose_history(device)
                self._untold.discard(device)
                self._tally.counts["rows that said gap after a broker was killed"] += 1
            self._twin.take([message])
        for device, more in scores.items():
            if more:
                self._tally.breach(f"{device}: {len(more)} scores of rows that nobody sent, or in another order")
        return n_before

    def compare_scores(self, heard: Iterable[Heard], *, newest: int) -> None:
        """Those of times: each that was heard is the twin's, and none came twice. Those without: the `newest` of each
        device, whose place is sure."""
        ours: dict[str, list[bytes]] = defaultdict(list)
        for one in heard:
            if one.topic.startswith(SCORE):
                ours[device_of(one.topic)].append(one.payload)
        for device, payloads in ours.items():
            self._tally.counts["scores compared with the twin's"] += len(payloads)
            if self._has_time:
                foreign = set(payloads) - set(self._twin.scores[device])
                again = self._scored[device].intersection(payloads)
                if foreign or again or len(set(payloads)) < len(payloads):
                    its = sorted(json.loads(payload)["t"] for payload in foreign)
                    more = sorted(json.loads(payload)["t"] for payload in again)
                    self._tally.breach(f"{device}: of cycles {its} the twin has other scores; said again: {more}")
                self._scored[device].update(payloads)
            elif values(payloads[-newest:]) != values(self._twin.scores[device][-newest:]):
                self._tally.breach(f"{device}: the newest {newest} scores are not the twin's")

    def compare_events(self, heard: Iterable[Heard]) -> None:
        """All of the twin's, by alert and sequence, in its order; what is said again is the same."""
        for one in heard:
            if one.topic != f"{ROOT}/event":
                continue
            event = json.loads(one.payload)
            mine, key = self._events[event["device"]], (event["alert"], event["sequence"])
            self._tally.counts[f"events {event['event']}" if key not in mine else "events said again"] += 1
            if mine.setdefault(key, event) != event:
                self._tally.breach(f"{key} was said in two ways")
        for device in self._events.keys() | self._twin.events.keys():
            ours, its = self._plain([*self._events[device].values()]), self._plain(self._twin.events[device])
            if ours != its:
                self._tally.breach(f"{device}: {len(ours)} events, the twin has {len(its)}: {differing(ours, its)}")

    def _plain(self, events: Sequence[Json]) -> list[object]:
        """Without times of arrival and the ids that are made of them."""
        if self._has_time:
            return [*events]
        return [(event["event"], event["sequence"], event["severity"], event["risk"]) for event in events]

    def is_standing(self, standing: Iterable[Json]) -> bool:
        """Whether what is retained is what stands with the twin."""
        if self._has_time:
            return {str(alert["device"]): alert["alert"] for alert in standing} == self._twin.standing()
        return {str(alert["device"]) for alert in standing} == set(self._twin.standing())


def values(payloads: Sequence[bytes]) -> list[tuple[object, object]]:
    """Quality and risk of scores."""
    return [(score["quality"], score["risk"]) for score in map(json.loads, payloads)]


def differing(ours: Sequence[object], its: Sequence[object]) -> str:
    """The first place where two lists differ."""
    for mine, other in zip(ours, its, strict=False):
        if mine != other:
            return f"{mine} for {other}"
    return str([*ours, *its][min(len(ours), len(its)) :][:1])
