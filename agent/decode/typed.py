"""The types of a source's payload, which msgspec decodes straight into structs without a Python call of ours.

Types are as wide as the value rules allow without a look at the value: a number, `true`, `false`, `null`, and the texts
that a channel's `words` name. A text of `words` is decoded by an enumeration whose members are floats, so it costs no
more than a number. Whatever a type refuses is looked at again, that payload alone (`agent.decode.mend`).
"""

import math
from collections.abc import Sequence
from enum import Enum
from typing import Annotated, Any, Final

import msgspec
import numpy as np

from agent.decode.readings import READINGS_MAX
from agent.decode.shape import Leaf, Many, Shape, Tree, attribute, has_required
from agent.sources import Source
from agent.words import TimeUnit

ABSENT: Final = float(np.array([0x7FF8_0000_0000_F0E1], np.uint64).view(np.float64)[0])
"""The NaN of a channel without a value, which has other bits than a NaN that a payload sends."""
_TIME_TYPES: Final[dict[TimeUnit, Any]] = {"iso8601": str, "ns": int}


class _Word(float, Enum):
    """A text of a channel's `words`, which is the number that it stands for."""

    def __new__(cls, text: str, number: float) -> "_Word":
        member = float.__new__(cls, ABSENT if math.isnan(number) else number)
        member._value_ = text
        return member


def payload_type(source: Source, shape: Shape, *, forbids_extra: bool) -> Any:
    """The type of a whole payload; with `forbids_extra` one with a field beside its channels is refused."""
    return _type(source, shape.payload, shape.readings_max, forbids_extra)


def _type(source: Source, tree: Tree, readings_max: int, forbids_extra: bool) -> Any:
    if isinstance(tree, Leaf):
        return _leaf_type(source, tree)[0]
    if isinstance(tree, Many):
        item = _type(source, tree.item, readings_max, forbids_extra)
        many: Any = dict[str, item] if tree.keys else list[item]  # type: ignore[valid-type]  # a type made here
        return Annotated[many, msgspec.Meta(max_length=readings_max)]
    members: list[Any] = []
    for name, member in tree.members.items():
        kind = _type(source, member, readings_max, forbids_extra)
        if has_required(member):
            members.append((attribute(tree, name), kind))
        else:
            default = _leaf_type(source, member)[1] if isinstance(member, Leaf) else kind()
            members.append((attribute(tree, name), kind, default))
    required_last = [one for one in members if len(one) == 2] + [one for one in members if len(one) == 3]
    names = {attribute(tree, name): name for name in tree.members}
    return msgspec.defstruct(
        "Object",
        required_last,
        gc=False,
        frozen=True,
        rename=names,
        forbid_unknown_fields=forbids_extra and tree.reports,
    )


def _leaf_type(source: Source, leaf: Leaf) -> tuple[Any, Any]:
    """The type of a leaf, and what stands where it is absent."""
    is_column = source.payload.form == "columns"
    if leaf.kind == "time":
        kind = _TIME_TYPES.get(source.time_unit, float)
        times = Annotated[list[kind], msgspec.Meta(max_length=READINGS_MAX)]  # type: ignore[valid-type]  # likewise
        return (times, None) if is_column else (kind, None)
    if leaf.kind == "channel":
        value: Any = float | bool | None
        if words := source.channels[leaf.index].words:
            value = word_type(words) | value
        return (list[value] | None, None) if is_column else (value, ABSENT)
    if leaf.kind in ("value", "intervention"):
        return float | bool | str | None, None
    return str | int | None, None


def word_type(words: Sequence[tuple[str, float]]) -> Any:
    """An enumeration of texts whose members are floats."""
    members: Any = [(f"w{index}", pair) for index, pair in enumerate(dict(words).items())]
    return _Word("Word", members)
