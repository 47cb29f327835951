"""What the core knows beside the columns of devices, and a snapshot keeps.

It is what codecs remember, the readings that wait for others, who was heard, whose alerts are hidden, and what the
alert table said: marks of devices of which no row has come yet (`agent.core.marks`), and of alerts that stand which
bundle raised them.
"""

from collections.abc import Callable, Collection, Mapping
from functools import partial
from typing import NamedTuple

import msgspec

from agent.align.waiting import KeptWaiting, read_waiting
from agent.core import floods, handling, silence_alerts
from agent.core.marks import Key, Mark
from agent.core.silence import PROVEN
from agent.core.stepper import Stepper
from agent.decode.intake import Intake
from agent.devices.slots import NEVER
from agent.errors import Unreadable
from agent.judge.events import Outputs
from agent.words import AlertEvent, Int64

# Their names in a snapshot:
_OF_CODECS, _WAITING, _SILENCE, _TABLE, _ROOM = "codec/", "align/waiting", "silence", "alerts", "lacks_room"
_HIDES, _FLOODS = "hides", "floods"


class _OfTable(msgspec.Struct, frozen=True):
    """By column group of the head: slot and newest event of what was raised before, outputs of all that stands."""

    marks_since_ns: int
    marks: list[tuple[Key, Mark]]
    raised_before: dict[str, list[tuple[int, AlertEvent]]]
    outputs: dict[str, list[tuple[int, Outputs]]] = {}


class Memories(NamedTuple):
    """Of a snapshot, but those of codecs. `lacks_room`: a device was refused since the last tick."""

    waiting: KeptWaiting
    silence: silence_alerts.Kept
    of_table: _OfTable
    lacks_room: bool
    hides: handling.Kept
    floods: floods.Kept


def keep(intake: Intake, stepper: Stepper) -> dict[str, Callable[[], bytes]]:
    """By name what makes the bytes; what comes later does not change them."""
    memories: dict[str, Callable[[], bytes]]
    memories = {f"{_OF_CODECS}{name}": partial(bytes, kept) for name, kept in intake.keep().items()}
    memories[_WAITING] = stepper.alignment.keep()
    memories[_SILENCE] = stepper.silence_alerts.keep()
    memories[_TABLE] = _keep_of_table(stepper)
    memories[_ROOM] = partial(bytes, [1] if stepper.lacks_room else [])
    hides = stepper.handling.keep()
    memories[_HIDES] = partial(msgspec.msgpack.encode, hides) if hides else bytes
    memories[_FLOODS] = stepper.floods.keep()
    return memories


def read(memories: Mapping[str, bytes], intake: Intake) -> Memories:
    """What a snapshot has; codecs take over what is theirs. Raises ValueError for what is not to be read."""
    of_codecs = {name.removeprefix(_OF_CODECS): kept for name, kept in memories.items() if name.startswith(_OF_CODECS)}
    remembered = Memories(
        read_waiting(memories.get(_WAITING, b"")),
        silence_alerts.read_kept(memories.get(_SILENCE, b"")),
        _read_of_table(memories.get(_TABLE, b"")),
        bool(memories.get(_ROOM, b"")),
        handling.read_hides(memories.get(_HIDES, b"")),
        floods.read_kept(memories.get(_FLOODS, b"")),
    )
    intake.restore(of_codecs)
    return remembered


def restore(memories: Memories, stepper: Stepper, groups: Collection[str]) -> Int64:
    """Take over what was read, after the columns of these groups. Returns slots int64 [k] whose rows are lost."""
    lost_rows = stepper.alignment.take_over(memories.waiting)
    stepper.silence_alerts.restore(memories.silence)
    stepper.lacks_room = memories.lacks_room
    stepper.handling.replace(memories.hides)
    stepper.floods.restore(memories.floods)
    if PROVEN not in groups:  # of nobody it is known that it was never `ok`
        stepper.silence.prove(stepper.silence.is_known())
    of_table = memories.of_table
    stepper.marks.restore(of_table.marks_since_ns, dict(of_table.marks))
    for predictor in stepper.predictors:
        predictor.forget_adopted()
        for head in predictor.heads.values():
            if head.group in groups:
                for slot, event in of_table.raised_before.get(head.group, []):
                    head.remember(slot, event)
                head.take_outputs(of_table.outputs.get(head.group, []))
    return lost_rows


def _keep_of_table(stepper: Stepper) -> Callable[[], bytes]:
    heads = [head for predictor in stepper.predictors for head in predictor.heads.values()]
    raised_before = {head.group: events for head in heads if (events := head.raised_before())}
    outputs = {head.group: of_head for head in heads if (of_head := head.outputs())}
    since_ns, marks = stepper.marks.keep()
    if not (marks or raised_before or outputs):
        return bytes
    return partial(msgspec.msgpack.encode, _OfTable(since_ns, [*marks.items()], raised_before, outputs))


def _read_of_table(kept: bytes) -> _OfTable:
    try:
        return msgspec.msgpack.decode(kept, type=_OfTable) if kept else _OfTable(NEVER, [], {})
    except (*Unreadable, TypeError) as error:
        raise ValueError(str(error)) from None
