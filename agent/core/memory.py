"""What the core knows beside columns, and a snapshot keeps: of the alert table, until rows and raises make it needless.

Marks are of devices of which no row has come yet (`agent.core.marks`). An alert that another bundle raised keeps what
that bundle was, whoever ends it.
"""

from collections.abc import Callable, Collection
from functools import partial

import msgspec

from agent.core.marks import Key, Mark
from agent.core.stepper import Stepper
from agent.devices.slots import NEVER
from agent.errors import Unreadable
from agent.words import AlertEvent


class Memory(msgspec.Struct, frozen=True):
    """`raised_before` is by column group of the head: slot and newest event."""

    marks_since_ns: int
    marks: list[tuple[Key, Mark]]
    raised_before: dict[str, list[tuple[int, AlertEvent]]]


def keep(stepper: Stepper) -> Callable[[], bytes]:
    """Makes the bytes, b"" for nothing; what is said later does not change them."""
    heads = [head for predictor in stepper.predictors for head in predictor.heads.values()]
    raised_before = {head.group: events for head in heads if (events := head.raised_before())}
    since_ns, marks = stepper.marks.keep()
    if not (marks or raised_before):
        return bytes
    return partial(msgspec.msgpack.encode, Memory(since_ns, [*marks.items()], raised_before))


def read(kept: bytes) -> Memory:
    """Raises ValueError for what is none."""
    try:
        return msgspec.msgpack.decode(kept, type=Memory) if kept else Memory(NEVER, [], {})
    except (*Unreadable, TypeError) as error:
        raise ValueError(str(error)) from None


def restore(memory: Memory, stepper: Stepper, groups: Collection[str]) -> None:
    """Take over what was read, after the columns of these groups."""
    stepper.marks.restore(memory.marks_since_ns, dict(memory.marks))
    for predictor in stepper.predictors:
        for head in predictor.heads.values():
            if head.group in groups:
                for slot, event in memory.raised_before.get(head.group, []):
                    head.remember(slot, event)
