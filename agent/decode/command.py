"""The codec of commands to the agent itself, below its topic `cmd/intervention`: an intervention as a JSON object.

    {"device": "press-7", "kind": "repaired", "t": "2026-11-28T06:30:00Z", "note": "bearing changed"}

A command is a message like any other, so it has its place in the input log, and a replay of the log repeats it. The
schema is docs/schemas/cmd.schema.json.
"""

from collections.abc import Callable
from typing import Annotated, Final, TypeVar

import msgspec
import numpy as np

from agent.decode.readings import Batch, Decoded, Fault, Intervened
from agent.decode.unread import Unread
from agent.errors import Unreadable
from agent.sources import Source
from agent.values.times import IMPOSSIBLE_NS, NS_PER, T_NS_MAX, text_time_ns
from agent.words import InterventionKind

COMMAND: Final = "command"
NOTE_CHARS_MAX: Final = 500
Read = TypeVar("Read")


class InterventionCommand(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """Somebody worked on a machine.

    t  when: an ISO 8601 time, or the number of a cycle; None for the time of arrival, which no counter has
    """

    device: Annotated[str, msgspec.Meta(min_length=1)]
    kind: InterventionKind
    t: str | float | None = None
    note: Annotated[str, msgspec.Meta(max_length=NOTE_CHARS_MAX)] = ""


_decode: Final = msgspec.json.Decoder(InterventionCommand).decode


class CommandCodec:
    """Decodes the commands to one source. They bring no readings."""

    def __init__(self, source: Source) -> None:
        self._counts_cycles = source.time_unit == "cycle"

    def decode(self, batch: Batch) -> Decoded:
        """See `agent.decode.codec`."""
        faults: list[Fault] = []
        interventions: list[Intervened] = []
        for row, payload in enumerate(batch.payloads):
            try:
                command = read_command(payload, _decode)
                t_ns = self._t_ns(command.t, int(batch.arrived_ns[row]))
            except Unread as error:
                faults.append(Fault(row, error.reason, str(error)))
            else:
                interventions.append(Intervened(row, command.device, t_ns, command.kind, command.note))
        nothing = np.empty(0, np.int64)
        return Decoded(nothing, nothing, np.empty((0, 0)), faults, interventions=interventions)

    def _t_ns(self, t: str | float | None, arrived_ns: int) -> int:
        """Raises Unread."""
        if self._counts_cycles:
            if t is None or isinstance(t, str):
                raise Unread("no_time", "the source counts cycles: t must be the number of one")
            return round(t * NS_PER["cycle"]) if 0 <= t < T_NS_MAX / NS_PER["cycle"] else IMPOSSIBLE_NS
        if t is None:
            return arrived_ns
        try:
            return text_time_ns(t) if isinstance(t, str) else IMPOSSIBLE_NS
        except ValueError as error:
            raise Unread("impossible_time", str(error)) from None


def read_command(payload: bytes, decode: Callable[[bytes], Read]) -> Read:
    """A command as a typed JSON decoder reads it. Raises Unread."""
    if not payload:
        raise Unread("empty", "no command")
    try:
        return decode(payload)
    except msgspec.ValidationError as error:
        raise Unread("wrong_type", str(error)) from None
    except Unreadable as error:
        raise Unread("malformed", str(error)) from None
