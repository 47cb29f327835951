"""Plays histories through the agent's own core, as messages: the trainer measures what a gateway will publish."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from tqdm import tqdm

from agent.bundle.file import Bundle
from agent.bundle.manifest import Manifest
from agent.replay.inline import Observer, PlayedDevice, play_inline
from agent.replay.messages import source_for, stream
from agent.replay.recorded import Recorded
from agent.replay.result import observed
from agent.score.early_warning import ObservedDevice
from agent.words import AlertHead, FirstSeen, Float32
from trainer.data.history import History

TOPIC = "recorded/{device}/row"
NEVER = 1e30
"""A threshold that no head's value reaches: only scores are wanted."""


def play(
    bundle: Bundle,
    model: bytes,
    histories: Sequence[History],
    thresholds: float | Mapping[AlertHead, float],
    *,
    first_seen: FirstSeen = "unknown",
) -> tuple[PlayedDevice, ...]:
    """Play all histories side by side; `model` is one of the bundle's two graphs. Devices in the order given.

    thresholds  of each judged head, or one for all
    first_seen  `new` when every history begins with its device's life
    """
    recorded = [Recorded(history.device, history.t_ns, _inputs(history, bundle.manifest)) for history in histories]
    source = source_for(bundle.manifest, TOPIC, first_seen=first_seen)
    rows = stream(recorded, source)
    with tqdm(None, "play", len(rows), leave=False, disable=not sys.stderr.isatty()) as progress:
        played = play_inline(bundle, model, rows, thresholds, Observer(on_rows=progress.update))
    return tuple(replace(one, left_out_ns=history.stopped.t_ns) for history, one in zip(histories, played, strict=True))


def _inputs(history: History, manifest: Manifest) -> Float32:
    """float32 [T, inputs]: whether the machine runs is not said, since it does in all of these rows."""
    n_more = len(manifest.inputs) - manifest.n_channels
    return np.pad(history.x, ((0, 0), (0, n_more)), constant_values=np.nan) if n_more else history.x


def fleet_of(
    manifest: Manifest, played: Sequence[PlayedDevice], histories: Sequence[History], head: AlertHead = "risk"
) -> tuple[ObservedDevice, ...]:
    """The alerts of a head of what was played, a device each."""
    return tuple(observed(one, head, manifest, history.t_fail) for history, one in zip(histories, played, strict=True))
