"""Plays histories through the agent's own core, as messages: the trainer measures what a gateway will publish."""

from collections.abc import Sequence

from agent.bundle.file import Bundle
from agent.bundle.manifest import Manifest
from agent.replay.inline import PlayedDevice, play_inline
from agent.replay.messages import source_for, stream
from agent.replay.recorded import Recorded
from agent.score.early_warning import ObservedDevice, observed_device, spells_of
from agent.words import FirstSeen
from trainer.data.history import History

TOPIC = "recorded/{device}/row"
NEVER = 1.0
"""A threshold that raises nothing: only scores are wanted."""


def play(
    bundle: Bundle, model: bytes, histories: Sequence[History], threshold: float, *, first_seen: FirstSeen = "unknown"
) -> tuple[PlayedDevice, ...]:
    """Play all histories side by side; `model` is one of the bundle's two graphs. Devices in the order given.

    first_seen  `new` when every history begins with its device's life
    """
    recorded = [Recorded(history.device, history.t_ns, history.x) for history in histories]
    source = source_for(bundle.manifest, TOPIC, first_seen=first_seen)
    return play_inline(bundle, model, stream(recorded, source), threshold)


def fleet_of(
    manifest: Manifest, played: Sequence[PlayedDevice], histories: Sequence[History]
) -> tuple[ObservedDevice, ...]:
    """The alerts of what was played, a device each."""
    every_s = manifest.cadence.every_s
    return tuple(
        observed_device(history.device, history.t_s, every_s, history.t_fail, spells_of(one.events))
        for history, one in zip(histories, played, strict=True)
    )
