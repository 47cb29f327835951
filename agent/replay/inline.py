"""What comes of playing recorded rows: the same result whichever way they went, and the way without a broker.

Inline, the messages go straight into the core that the daemon runs; `broker/player.py` sends the same messages to a
whole daemon. For the same input both give the same scores and alert events, bit for bit (law 1).
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from agent.bundle.file import Bundle
from agent.core import Bounds, Core
from agent.core.entries import Messages
from agent.core.model import Model
from agent.errors import DataRefused
from agent.replay.messages import Stream
from agent.replay.pace import AT_ONCE, Pace
from agent.score.stops import Float64, stops_of
from agent.score.time_unit import seconds
from agent.step.engine import Engine
from agent.words import MAIN_MODEL, AlertEvent, AlertHead, Float32, Int64, Quality, Scores, UInt8

CHUNK = 500  # messages a call: warnings show while the rest is still to come
_ARRIVAL_STEP_NS = 1000  # so that hours of log time do not pass, and nobody is stale or forgotten


@dataclass(frozen=True, slots=True)
class PlayedDevice:
    """The scores of one device, one for each of its rows, and its alert events.

    t_ns int64 [T]; quality uint8 [T]; outputs float32 [T, width] by head. `entry` of an event is the number of its
    message among those played. left_out_ns int64: event times of rows of stops that were not played.
    """

    device: str
    t_ns: Int64
    quality: UInt8
    outputs: Mapping[str, Float32]
    events: tuple[AlertEvent, ...]
    left_out_ns: Int64 = field(default_factory=lambda: np.empty(0, np.int64))

    @property
    def watched_ns(self) -> Int64:
        """int64, rising: event times of all rows, those that were left out too."""
        return np.sort(np.concatenate((self.t_ns, self.left_out_ns)))

    @property
    def stops(self) -> Float64:
        """float64 [n, 2]: when it stood, in seconds."""
        stopped_ns = np.concatenate((self.t_ns[self.quality == Quality.STOPPED], self.left_out_ns))
        return stops_of(seconds(self.watched_ns), np.isin(self.watched_ns, stopped_ns))

    @property
    def risk(self) -> Float32:
        """float32 [T, K]; [T, 0] where the model has no such head."""
        return self.outputs.get("risk", np.empty((len(self.t_ns), 0), np.float32))

    @property
    def rul(self) -> Float32:
        """float32 [T, Q]; [T, 0] where the model has no such head."""
        return self.outputs.get("rul", np.empty((len(self.t_ns), 0), np.float32))


@dataclass(frozen=True, slots=True)
class Observer:
    """Called while a replay runs: with each alert event as it comes, and with how many rows more are through."""

    on_event: Callable[[AlertEvent], None] = lambda _: None
    on_rows: Callable[[int], None] = lambda _: None


def play_inline(
    bundle: Bundle,
    model: bytes,
    stream: Stream,
    thresholds: float | Mapping[AlertHead, float],
    observer: Observer | None = None,
    speed: float = AT_ONCE,
) -> tuple[PlayedDevice, ...]:
    """Play a stream through a new core that steps `model`, one of the bundle's two graphs; devices by name.

    thresholds  of each judged head, or one for all
    speed       in multiples of real time, a cycle counting as a second

    Raises DataRefused when a row was not scored.
    """
    observer = observer or Observer()
    channels = tuple(range(len(bundle.manifest.inputs)))
    each = thresholds if isinstance(thresholds, Mapping) else dict.fromkeys(bundle.manifest.judging, thresholds)
    own = Model(MAIN_MODEL, bundle, Engine(model, bundle.manifest), dict(each), (0,), (channels,))
    core = Core((stream.source,), (own,), Bounds())
    begin_ns = int(stream.t_ns.max())  # no row comes before its own time
    scores: list[Scores] = []
    events: list[AlertEvent] = []
    pace, end = Pace(stream.t_s, speed), 0
    while end < len(stream):
        start, end = end, min(end + CHUNK, pace.wait_for(end))
        topics, payloads = stream.messages(start, end)
        arrived_ns = [begin_ns + _ARRIVAL_STEP_NS * index for index in range(start, end)]
        taken = core.apply(Messages(topics, payloads, arrived_ns))
        scores += taken.scores
        events += taken.alerts
        for event in taken.alerts:
            observer.on_event(event)
        observer.on_rows(end - start)
    check_all_scored(len(stream), sum(len(part.entry) for part in scores), {r: n for (_, r), n in core.counts.items()})
    return by_device(stream, scores, events)


def by_device(stream: Stream, parts: Sequence[Scores], events: Iterable[AlertEvent]) -> tuple[PlayedDevice, ...]:
    """Sort scores, whose `entry` counts the messages of the stream, and alert events by device."""
    owner = stream.owner[np.concatenate([part.entry for part in parts])]
    t_ns = np.concatenate([part.t_ns for part in parts])
    quality = np.concatenate([part.quality for part in parts])
    outputs = {name: np.concatenate([part.outputs[name] for part in parts]) for name in parts[0].outputs}
    events_of: dict[str, list[AlertEvent]] = {device: [] for device in stream.devices}
    for event in events:
        events_of[event.device].append(event)
    played = []
    for number, device in enumerate(stream.devices):
        rows = np.flatnonzero(owner == number)
        own = {name: output[rows] for name, output in outputs.items()}
        played.append(PlayedDevice(device, t_ns[rows], quality[rows], own, tuple(events_of[device])))
    return tuple(played)


def check_all_scored(sent: int, scored: int, drops: dict[str, int]) -> None:
    """Raise DataRefused unless every message got a score: figures over the rest would be silently better or worse."""
    if scored == sent:
        return
    reasons = ", ".join(f"{reason} {count}" for reason, count in sorted(drops.items())) or "none counted"
    what = f"{sent} messages were played, {scored} were scored; dropped or doubtful: {reasons}"
    raise DataRefused("replay", what, next_step="docs/sources.md says what each reason means.")
