"""What an agent publishes during a replay, collected and put together as the replay's result."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec
import numpy as np

from agent.bundle.heads import HEADS
from agent.errors import ForewarnError
from agent.publish.message import EventMessage, ScoreMessage
from agent.publish.status import Status
from agent.publish.topic import Topics
from agent.replay.inline import PlayedDevice
from agent.replay.messages import Stream
from agent.words import AlertEvent, BundleLabel, Float32, Quality

Message = tuple[str, bytes]


@dataclass(slots=True)
class Collected:
    """What the agent has published so far."""

    topics: Topics
    bundle: BundleLabel  # that the agent runs
    scores: dict[str, list[ScoreMessage]] = field(default_factory=dict)
    events: list[EventMessage] = field(default_factory=list)
    n_scored: int = 0
    taken: int = 0
    is_listening: bool = False
    is_online: bool = False
    is_stopped: bool = False
    drops: dict[str, dict[str, int]] = field(default_factory=dict)

    def add(self, message: Message) -> EventMessage | None:
        """Add one message; returns the alert event that it is, None for any other."""
        topic, payload = message
        if topic == self.topics.event:
            event = msgspec.json.decode(payload, type=EventMessage)
            self.events.append(event)
            return event
        if topic == self.topics.status:
            self._add_status(msgspec.json.decode(payload, type=Status))
        elif topic == self.topics.available:
            self.is_online = payload == b"online"
            self.is_stopped = payload == b"stopped"
        else:
            score = msgspec.json.decode(payload, type=ScoreMessage)
            self.scores.setdefault(score.device, []).append(score)
            self.n_scored += 1
        return None

    def score_at(self, event: EventMessage) -> ScoreMessage | None:
        """The score of the event's row, None when it has not come yet."""
        for score in reversed(self.scores.get(event.device, [])):
            if score.t_ns <= event.t_ns:
                return score if score.t_ns == event.t_ns else None
        return None

    def alert_event(self, event: EventMessage, *, entry: int, score: ScoreMessage | None) -> AlertEvent:
        """The event as the core decided it. The message holds some numbers only: all come from the row's score."""
        same = ("alert", "sequence", "source", "device", "head", "state", "severity", "quality", "cause")
        times = ("t_ns", "raised_t_ns")
        values = {name: getattr(event, name) for name in same + times}
        values |= {"kind": event.event, "entry": entry}
        outputs = {"risk": [*event.risk.values()]} if score is None else _outputs(score)
        values["outputs"] = {name: tuple(_float32(output).tolist()) for name, output in outputs.items() if output}
        values |= {"t_epoch": 0, "bundle": self.bundle}  # no clock of a recording is wrong
        return msgspec.convert(values, type=AlertEvent)

    def _add_status(self, status: Status) -> None:
        self.taken = status.taken
        self.drops = status.drops
        self.is_listening = set(status.broker.input.subscriptions.values()) == {"granted"}


def by_device(stream: Stream, collected: Collected) -> tuple[PlayedDevice, ...]:
    played = []
    for number, device in enumerate(stream.devices):
        scores = collected.scores.get(device, [])
        entries = np.flatnonzero(stream.owner == number)
        if len(scores) != len(entries):
            what = f"device {device}: {len(entries)} rows were sent, {len(scores)} scores came"
            raise ForewarnError("replay", what, next_step="The broker lost some, or another agent answers for it.")
        widths = {name: max(len(_outputs(score)[name]) for score in scores) for name in HEADS}
        heads = [name for name, width in widths.items() if width]
        rows = {score.t_ns: row for row, score in enumerate(scores)}
        events = [
            collected.alert_event(event, entry=int(entries[rows[event.t_ns]]), score=scores[rows[event.t_ns]])
            for event in collected.events
            if event.device == device
        ]
        played.append(
            PlayedDevice(
                device=device,
                t_ns=np.array([score.t_ns for score in scores], np.int64),
                quality=np.array([Quality[score.quality.upper()] for score in scores], np.uint8),
                outputs={
                    name: _float32([_outputs(score)[name] or [np.nan] * widths[name] for score in scores])
                    for name in heads
                },
                events=tuple(events),
            )
        )
    return tuple(played)


def _outputs(score: ScoreMessage) -> dict[str, Sequence[float]]:
    """A score's values by head, none for one that the bundle has not."""
    return {name: getattr(score, name) for name in HEADS}


def _float32(values: Sequence[float] | Sequence[Sequence[float]]) -> Float32:
    """The float32 values that the core holds, from their shortest text."""
    return np.array(values, np.float32)
