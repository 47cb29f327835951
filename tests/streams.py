"""Builders of message streams and of a core that takes them."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from agent.bundle.manifest import Manifest
from agent.core import Bounds, Core
from agent.core.entries import Messages
from agent.core.model import Model
from agent.sources import Source, plain_channels
from agent.step.engine import Engine
from agent.step.state import StateColumns
from agent.words import MAIN_MODEL, Taken
from tests.small_anomaly import graph_of
from tests.small_bundle import CHANNELS, small_manifest, small_model

SOURCE = Source(
    name="press",
    topics=("plant/{device}/cycle",),
    time_field="cycle",
    time_unit="cycle",
    channels=plain_channels(*CHANNELS),
)
MODEL = small_model()

Message = tuple[str, bytes]


@dataclass(frozen=True)
class CoreBundle:
    """What the core reads of a bundle."""

    manifest: Manifest
    digest: str


def core(
    *sources: Source,
    threshold: float = 0.5,
    bounds: Bounds | None = None,
    manifest: Manifest | None = None,
    digest: str = "d" * 64,
) -> Core:
    sources = sources or (SOURCE,)
    return Core(sources, (model(*sources, threshold=threshold, manifest=manifest, digest=digest),), bounds or Bounds())


def model(
    *sources: Source,
    name: str = MAIN_MODEL,
    threshold: float = 0.5,
    manifest: Manifest | None = None,
    digest: str = "d" * 64,
    reads: Sequence[int] | None = None,
) -> Model:
    """The small model, or one with the heads of `manifest`; it reads all sources, or those at the indexes `reads`."""
    manifest = manifest or small_manifest()
    reads = tuple(range(len(sources)) if reads is None else reads)
    names = [channel.name for channel in manifest.inputs]
    channels = tuple(tuple(sources[index].fields.index(name) for name in names) for index in reads)
    bundle = CoreBundle(manifest, digest)
    thresholds = dict.fromkeys(manifest.judging, threshold)
    return Model(name, bundle, Engine(graph_of(manifest), manifest), thresholds, reads, channels)  # type: ignore[arg-type]


def states_of(core: Core) -> StateColumns:
    """What the first model keeps of each device, by slot: devices get slots in the order in which they are heard."""
    return core._stepper.predictors[0].states.columns


def engine_of(core: Core) -> Engine:
    return core._stepper.predictors[0].model.engine


def message(device: str, cycle: float, **channels: object) -> Message:
    values = dict.fromkeys(CHANNELS, 0.0) | channels
    return f"plant/{device}/cycle", json.dumps({"cycle": cycle, **values}).encode()


def life(device: str, n: int, *, start: int = 1, wear_from: int = 20, seed: int = 0) -> list[Message]:
    """n cycles of a device whose wear grows from cycle `wear_from` on, by noise that `seed` fixes."""
    noise = np.random.default_rng(seed).normal(0, 0.05, (n, 3)).astype(np.float32)
    found = []
    for index in range(n):
        cycle = start + index
        wear = max(0, cycle - wear_from) / 20 + float(noise[index, 2])
        found.append(message(device, cycle, temp=float(noise[index, 0]), load=float(noise[index, 1]), wear=wear))
    return found


def interleaved(*streams: Sequence[Message]) -> list[Message]:
    """Round robin over the streams until all are used up."""
    longest = max(len(stream) for stream in streams)
    return [stream[index] for index in range(longest) for stream in streams if index < len(stream)]


def in_bursts(*streams: Sequence[Message], seed: int) -> list[Message]:
    """The streams merged in bursts of 1 to 15 messages that `seed` fixes; each keeps its own order."""
    rng = np.random.default_rng(seed)
    left = [list(stream) for stream in streams]
    found: list[Message] = []
    while any(left):
        stream = left[rng.choice([index for index, one in enumerate(left) if one])]
        size = int(rng.integers(1, 16))
        found += stream[:size]
        del stream[:size]
    return found


def take(into: Core, messages: Iterable[Message], *, arrived_ns: int = 10**9, step_ns: int = 10**7) -> Taken:
    """Take all messages in one call; the i-th arrives `step_ns` after the one before it."""
    listed = list(messages)
    arrived = [arrived_ns + step_ns * index for index in range(len(listed))]
    return into.apply(Messages([topic for topic, _ in listed], [payload for _, payload in listed], arrived))


def bytes_of(taken: Taken, device: str) -> bytes:
    """Everything a device was told, as bytes: scores and alerts, without the numbers of the entries."""
    scores = taken.scores[0]
    mine = scores.device == device
    columns = (scores.t_ns[mine], scores.quality[mine], *(output[mine] for output in scores.outputs.values()))
    events = [
        (event.kind, event.alert, event.sequence, event.severity, event.t_ns, event.raised_t_ns, event.outputs)
        for event in taken.alerts
        if event.device == device
    ]
    return b"".join(column.tobytes() for column in columns) + repr(events).encode()
