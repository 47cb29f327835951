"""Plays histories through the agent's own core, as messages: the trainer measures what a gateway will publish."""

from collections.abc import Mapping, Sequence

from agent.bundle.file import Bundle
from agent.bundle.manifest import Manifest
from agent.replay.inline import PlayedDevice, play_inline
from agent.replay.messages import source_for, stream
from agent.replay.recorded import Recorded
from agent.replay.result import observed
from agent.score.early_warning import ObservedDevice
from agent.words import AlertHead, FirstSeen
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
    recorded = [Recorded(history.device, history.t_ns, history.x) for history in histories]
    source = source_for(bundle.manifest, TOPIC, first_seen=first_seen)
    return play_inline(bundle, model, stream(recorded, source), thresholds)


def fleet_of(
    manifest: Manifest, played: Sequence[PlayedDevice], histories: Sequence[History], head: AlertHead = "risk"
) -> tuple[ObservedDevice, ...]:
    """The alerts of a head of what was played, a device each."""
    return tuple(observed(one, head, manifest, history.t_fail) for history, one in zip(histories, played, strict=True))
