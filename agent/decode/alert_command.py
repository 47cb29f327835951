"""The codec of commands that act on alerts, below `cmd/ACTION`: a JSON object; the topic says what is to be done.

    .../cmd/acknowledge/press  {"device": "press-7", "alert": "0f3c...", "by": "anna"}
    .../cmd/shelve/press       {"device": "press-7", "alert": "0f3c...", "for": "8h", "note": "sensor is wet"}
    .../cmd/suppress/press     {"device": "press-7", "for": "2d", "note": "overhaul"}

The schema is docs/schemas/cmd_alert.schema.json.
"""

from typing import Annotated, Final, cast

import msgspec
import numpy as np

from agent.decode.command import NOTE_CHARS_MAX, read_command
from agent.decode.label_command import BY_CHARS_MAX
from agent.decode.readings import Batch, Decoded, Fault
from agent.decode.unread import Unread
from agent.sources import Source
from agent.values.durations import MICROSECOND, parse_duration
from agent.words import OF_NO_MODEL, AlertAction, AlertCommand

ALERT_COMMAND: Final = "alert_command"
REF_CHARS_MAX: Final = 100
_NEEDS_SPAN: Final = ("shelve",)  # a shelved alert always comes back (ISA-18.2)
_TAKES_SPAN: Final = ("shelve", "suppress", "out_of_service")
_NEEDS_DEVICE: Final = ("acknowledge", "reset")

Name = Annotated[str, msgspec.Meta(max_length=1024)]


class AlertCommandMessage(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """What is done with the alerts of a device, "" for its whole source where they are hidden or shown, or of silence.

    alert  id of the one that is meant, "" for all of the device that `model` and `head` leave
    span   how long they are hidden, as "90m", "8h" or "2d"; "" for until somebody ends it
    ref    repeated in the answer
    """

    device: Name = ""
    alert: Annotated[str, msgspec.Meta(max_length=64)] = ""
    model: Name = ""
    head: Name = ""
    span: str = msgspec.field(default="", name="for")
    by: Annotated[str, msgspec.Meta(max_length=BY_CHARS_MAX)] = ""
    note: Annotated[str, msgspec.Meta(max_length=NOTE_CHARS_MAX)] = ""
    ref: Annotated[str, msgspec.Meta(max_length=REF_CHARS_MAX)] = ""


_decode: Final = msgspec.json.Decoder(AlertCommandMessage).decode


class AlertCommandCodec:
    """Decodes what is to be done with the alerts of one source. It brings no readings."""

    def __init__(self, source: Source) -> None:
        pass

    def decode(self, batch: Batch) -> Decoded:
        """See `agent.decode.codec`."""
        faults: list[Fault] = []
        commands: list[tuple[int, AlertCommand]] = []
        for row, payload in enumerate(batch.payloads):
            level = batch.addresses[row].topic.split("/")[-2]  # an action: the source subscribes to no other topics
            try:
                action = cast(AlertAction, level)
                commands.append((row, _command(action, read_command(payload, _decode))))
            except Unread as error:
                faults.append(Fault(row, error.reason, str(error)))
        nothing = np.empty(0, np.int64)
        return Decoded(nothing, nothing, np.empty((0, 0)), faults, commands=commands)


def _command(action: AlertAction, message: AlertCommandMessage) -> AlertCommand:
    """Raises Unread."""
    if not (message.device or message.head in OF_NO_MODEL) and (action in _NEEDS_DEVICE or message.alert):
        raise Unread("wrong_type", "whose alert it is must be said - at `$.device`")
    if action in _NEEDS_SPAN and not message.span:
        raise Unread("wrong_type", 'how long must be said, such as "8h" - at `$.for`')
    if message.span and action not in _TAKES_SPAN:
        raise Unread("wrong_type", f"{action} takes no span - at `$.for`")
    try:
        for_ns = 1000 * (parse_duration(message.span) // MICROSECOND) if message.span else 0
    except ValueError as error:
        raise Unread("wrong_type", f"{error} - at `$.for`") from None
    if message.span and not for_ns:
        raise Unread("wrong_type", "it is no time at all - at `$.for`")
    whose = message.device, message.alert, message.model, message.head
    return AlertCommand(action, "", *whose, for_ns, message.by, message.note, message.ref)
