"""Commands among the rows of a read: people's words have no share, and rows of the device that came before go first.

Rows beyond a device's share wait, and a command that was taken at once would overtake them: a machine would be repaired
before the rows that made it fail, and those would raise an alert of a new machine. So the rows that wait of a device
are taken before a command for it, as many as there are, and those of its read up to there. A command for a whole source
waits for nobody.
"""

from collections.abc import Sequence
from typing import Final

import msgspec

from agent.decode.alert_command import ALERT_COMMAND
from agent.decode.command import COMMAND
from agent.decode.label_command import LABEL_COMMAND
from agent.errors import Unreadable
from agent.receive.backlog import Device
from agent.receive.received import Received
from agent.sources import Source

CODECS: Final = (COMMAND, ALERT_COMMAND, LABEL_COMMAND)


class _Command(msgspec.Struct):
    device: str = ""


_decode = msgspec.json.Decoder(_Command).decode


class Commands:
    """By their topics, which have no wildcards: the source of each."""

    def __init__(self, sources: Sequence[Source]) -> None:
        commands = [source for source in sources if source.codec in CODECS]
        self._owner = {topic: source.joins or source.name for source in commands for topic in source.topics}

    def __contains__(self, topic: str) -> bool:
        return topic in self._owner

    def places(self, received: Received) -> dict[Device, int]:
        """Of each device for which there are commands in a read, the place of the last one."""
        if not self._owner or self._owner.keys().isdisjoint(received.topics):
            return {}
        places: dict[Device, int] = {}
        for place, topic in enumerate(received.topics):
            if topic in self._owner and (device := _device_of(received.payloads[place])):
                places[self._owner[topic], device] = place
        return places


def _device_of(payload: bytes) -> str:
    """ "" where it names none, or cannot be read: the codec says so."""
    try:
        return _decode(payload).device
    except Unreadable:
        return ""
