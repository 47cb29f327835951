"""The codec of commands below `cmd/label`: what a person says of an alert, as a JSON object.

    {"alert": "0f3c...", "label": "bad", "t": "2026-11-28T06:30:00Z", "note": "sensor was wet", "by": "anna"}

Whether there is such an alert, the alert table knows. The schema is docs/schemas/cmd_label.schema.json.
"""

from typing import Annotated, Final

import msgspec
import numpy as np

from agent.decode.command import NOTE_CHARS_MAX, read_command
from agent.decode.readings import Batch, Decoded, Fault
from agent.decode.unread import Unread
from agent.sources import Source
from agent.values.times import text_time_ns
from agent.words import AlertLabel, LabelKind

LABEL_COMMAND: Final = "label_command"
BY_CHARS_MAX: Final = 100


class LabelCommand(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """What is said of an alert. `t` is an ISO 8601 time, None for that of arrival: people have no counter."""

    alert: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
    label: LabelKind
    t: str | None = None
    note: Annotated[str, msgspec.Meta(max_length=NOTE_CHARS_MAX)] = ""
    by: Annotated[str, msgspec.Meta(max_length=BY_CHARS_MAX)] = ""


_decode: Final = msgspec.json.Decoder(LabelCommand).decode


class LabelCommandCodec:
    """Decodes the labels of one source's alerts. They bring no readings."""

    def __init__(self, source: Source) -> None:
        pass

    def decode(self, batch: Batch) -> Decoded:
        """See `agent.decode.codec`."""
        faults: list[Fault] = []
        labels: list[tuple[int, AlertLabel]] = []
        for row, payload in enumerate(batch.payloads):
            try:
                labels.append((row, _label(payload, int(batch.arrived_ns[row]))))
            except Unread as error:
                faults.append(Fault(row, error.reason, str(error)))
        nothing = np.empty(0, np.int64)
        return Decoded(nothing, nothing, np.empty((0, 0)), faults, labels=labels)


def _label(payload: bytes, arrived_ns: int) -> AlertLabel:
    """Raises Unread."""
    command = read_command(payload, _decode)
    if command.label == "note" and not command.note:
        raise Unread("wrong_type", "a note needs its text - at `$.note`")
    try:
        t_ns = arrived_ns if command.t is None else text_time_ns(command.t)
    except ValueError as error:
        raise Unread("impossible_time", str(error)) from None
    if t_ns < 0:
        raise Unread("impossible_time", "before 1970 or after 2116")
    return AlertLabel(command.alert, command.label, t_ns, command.note, command.by)
