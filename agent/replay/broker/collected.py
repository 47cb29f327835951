"""What an agent publishes during a replay, collected and put together as the replay's result."""

from dataclasses import dataclass, field

import msgspec
import numpy as np

from agent.errors import ForewarnError
from agent.publish.message import EventMessage, ScoreMessage
from agent.publish.status import Status
from agent.publish.topic import Topics
from agent.replay.inline import PlayedDevice
from agent.replay.messages import Stream
from agent.words import AlertEvent, BundleLabel, Quality

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

    def rul_at(self, event: EventMessage) -> tuple[float, ...]:
        """The quantiles of the event's row, () when its score has not come yet."""
        for score in reversed(self.scores.get(event.device, [])):
            if score.t_ns <= event.t_ns:
                return _exact(score.rul) if score.t_ns == event.t_ns else ()
        return ()

    def alert_event(self, event: EventMessage, *, entry: int, rul: tuple[float, ...]) -> AlertEvent:
        """The event as the core decided it. The message holds some quantiles only: all come from the row's score."""
        same = ("alert", "sequence", "source", "device", "head", "state", "severity", "quality", "cause")
        times = ("t_ns", "raised_t_ns")
        values = {name: getattr(event, name) for name in same + times}
        values |= {"kind": event.event, "entry": entry}
        outputs = {"risk": _exact(list(event.risk.values())), "rul": rul}
        values["outputs"] = {name: output for name, output in outputs.items() if output}
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
        rows = {score.t_ns: row for row, score in enumerate(scores)}
        events = [
            collected.alert_event(event, entry=int(entries[rows[event.t_ns]]), rul=_exact(scores[rows[event.t_ns]].rul))
            for event in collected.events
            if event.device == device
        ]
        played.append(
            PlayedDevice(
                device=device,
                t_ns=np.array([score.t_ns for score in scores], np.int64),
                quality=np.array([Quality[score.quality.upper()] for score in scores], np.uint8),
                risk=np.array([score.risk for score in scores], np.float32),
                rul=np.array([score.rul for score in scores], np.float32),
                events=tuple(events),
            )
        )
    return tuple(played)


def _exact(values: list[float]) -> tuple[float, ...]:
    """float32 values as the floats that the core holds, from their shortest text."""
    return tuple(np.array(values, np.float32).tolist())
