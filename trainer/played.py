"""Histories through the agent's own core, as messages: what the trainer measures is what a gateway will say."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from agent.bundle.file import Bundle
from agent.core import Bounds, Core
from agent.step.engine import Engine
from agent.words import AlertEvent, Float32, Source, UInt8
from trainer.data.history import History


@dataclass(frozen=True, slots=True)
class Told:
    """What one device was told, a row each: quality uint8 [T], risk float32 [T, K], rul float32 [T, 3]."""

    quality: UInt8
    risk: Float32
    rul: Float32


@dataclass(frozen=True, slots=True)
class Played:
    """One `Told` a history, in the order given, and all alert events in the order they came."""

    told: tuple[Told, ...]
    alerts: tuple[AlertEvent, ...]


def play(bundle: Bundle, model: bytes, histories: Sequence[History], threshold: float) -> Played:
    """Play all histories side by side, cycle by cycle. `model` is one of the bundle's two graphs."""
    names = tuple(channel.name for channel in bundle.manifest.channels)
    source = Source("recorded", "recorded/{device}/row", "t", bundle.manifest.time_unit, names)
    core = Core((source,), bundle, Engine(model, bundle.manifest), threshold, Bounds())
    rows = sorted(
        (float(t), number, row)
        for number, history in enumerate(histories)
        for row, t in enumerate(history.t_s.tolist())
    )
    topics = [f"recorded/{histories[number].device}/row" for _, number, _ in rows]
    payloads = [payload(t, names, histories[number].x[row]) for t, number, row in rows]
    taken = core.take(topics, payloads, [round(t * 1e9) for t, _, _ in rows])
    assert len(taken.scores.entry) == len(rows), core.counts
    owner = np.array([number for _, number, _ in rows])[taken.scores.entry]
    told = []
    for number in range(len(histories)):
        mine = owner == number
        told.append(Told(taken.scores.quality[mine], taken.scores.risk[mine], taken.scores.rul[mine]))
    return Played(tuple(told), tuple(taken.alerts))


def payload(t: float, names: tuple[str, ...], x: Float32) -> bytes:
    """One row as its JSON message; a missing value is left out."""
    values = {name: value for name, value in zip(names, x.tolist(), strict=True) if value == value}
    return json.dumps({"t": t, **values}).encode()
