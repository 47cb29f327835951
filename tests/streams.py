"""Builders of message streams and of a core that takes them."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from agent.bundle.manifest import Manifest
from agent.core import Bounds, Core
from agent.step.engine import Engine
from agent.words import Source, Taken
from tests.small_bundle import CHANNELS, small_manifest, small_model

SOURCE = Source(name="press", topic="plant/{device}/cycle", time_field="cycle", time_unit="cycle", fields=CHANNELS)
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
    manifest = manifest or small_manifest()
    bundle = CoreBundle(manifest, digest)
    return Core(sources or (SOURCE,), bundle, Engine(MODEL, manifest), threshold, bounds or Bounds())  # type: ignore[arg-type]


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
    return into.take([topic for topic, _ in listed], [payload for _, payload in listed], arrived)


def bytes_of(taken: Taken, device: str) -> bytes:
    """Everything a device was told, as bytes: scores and alerts, without the numbers of the entries."""
    scores = taken.scores
    mine = scores.device == device
    columns = (scores.t_ns[mine], scores.quality[mine], scores.risk[mine], scores.rul[mine])
    events = [
        (event.kind, event.alert, event.sequence, event.severity, event.t_ns, event.raised_t_ns, event.risk, event.rul)
        for event in taken.alerts
        if event.device == device
    ]
    return b"".join(column.tobytes() for column in columns) + repr(events).encode()
