"""A payload that the types of `agent.decode.typed` refuse, with what is bad taken out, so that they take the rest.

The payload has been parsed to plain objects. A walk along its tree copies what the source reads: a bad value becomes
`null` and is a doubt; a reading without a time, or which is no object, is left out. The copy is then converted to the
same structs as an ordinary payload, so that there is one way from structs to columns.
The walk looks at each field of the payload once, whatever is in it, and goes no deeper than the source's paths.
"""

from collections import Counter
from datetime import UTC, datetime
from typing import Final

from agent.decode.readings import READINGS_MAX, Fault
from agent.decode.shape import Leaf, Many, Node, Shape, Tree, has_time
from agent.decode.unread import Unread
from agent.reasons import ReasonName
from agent.sources import Source
from agent.values.numbers import number_of
from agent.values.value import BadValue, number_of_text, shown, value_of
from agent.words import TimeUnit

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
ORDERED: Final = 64  # members from which on msgspec takes long to find those that come in another order
_BEYOND: Final = 2**1024
_UNITS_PER_S: Final[dict[TimeUnit, int]] = {"s": 1, "cycle": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}


def mended(source: Source, shape: Shape, payload: object, row: int) -> tuple[object, list[Fault]]:
    """What is good of a parsed payload, and its faults. Raises Unread where nothing is.

    shape  the source's; row  of the payload among those of the call
    """
    walk = _Walk(source, shape)
    good = walk.tree(shape.payload, payload)
    if walk.left_out and walk.n_readings == len(walk.left_out):
        raise walk.left_out[0]
    faults = [
        Fault(row, reason, text if walk.n_doubts[reason] == 1 else f"{text}, and {walk.n_doubts[reason] - 1} more")
        for reason, text in walk.doubts.items()
    ]
    if walk.left_out:
        first, n_left = walk.left_out[0], len(walk.left_out)
        faults.append(Fault(row, first.reason, f"{first}; {n_left} of {walk.n_readings} readings are left out"))
    if walk.extra and source.report_extra:
        faults.append(Fault(row, "extra_channel", f"no channel is read from the field {shown(walk.extra)}"))
    return good, faults


class _Walk:
    """One walk through one payload, and what it met.

    doubts, n_doubts  the first text of each reason, and how many there were
    left_out          why, of each reading that is left out; n_readings: of so many
    extra             the first field beside channels that is not read
    """

    def __init__(self, source: Source, shape: Shape) -> None:
        self._source = source
        self._shape = shape
        self._is_columns = source.payload.form == "columns"
        self._as_text = source.payload.numbers_as_text
        self.doubts: dict[ReasonName, str] = {}
        self.n_doubts: Counter[ReasonName] = Counter()
        self.left_out: list[Unread] = []
        self.n_readings = 0
        self.extra = ""

    def tree(self, tree: Tree, value: object) -> object:
        """A copy of what `tree` reads of `value`. Raises Unread."""
        if isinstance(tree, Leaf):
            return self._leaf(tree, value)
        if isinstance(tree, Many):
            return self._many(tree, value)
        if not isinstance(value, dict):
            raise Unread("wrong_type", f"{shown(value)} stands where an object is read")
        return self._object(tree, value)

    def _many(self, tree: Many, value: object) -> object:
        if tree.keys:
            if not isinstance(value, dict):
                raise Unread("wrong_type", f"{shown(value)} stands where an object of readings is read")
            items = self._items(tree, [*value.values()])
            return {_name(key): item for key, item in zip(value, items, strict=True) if item is not None}
        if not isinstance(value, list):
            raise Unread("wrong_type", f"{shown(value)} stands where an array of readings is read")
        return [item for item in self._items(tree, value) if item is not None]

    def _items(self, tree: Many, values: list[object]) -> list[object]:
        """A copy of each, None for one that is left out."""
        is_reading = tree.item is self._shape.reading
        self.n_readings += len(values) * is_reading
        if max(self.n_readings, len(values)) > self._shape.readings_max:
            raise Unread("too_many_readings", f"{len(values)} readings, at most {self._shape.readings_max} are read")
        items: list[object] = []
        for one in values:
            try:
                items.append(self.tree(tree.item, one))
            except Unread as unread:
                if unread.reason == "too_many_readings":
                    raise
                self.left_out.append(unread)
                self.n_readings += not is_reading
                items.append(None)
        return items

    def _object(self, node: Node, found: dict[object, object]) -> dict[str, object]:
        good: dict[str, object] = {}
        for key, value in found.items():
            name = key if isinstance(key, str) else _name(key)
            member = node.members.get(name)
            if member is None:
                if node.reports and not self.extra:
                    self.extra = name
            elif isinstance(member, Leaf):
                is_plain = member.kind == "channel" and not self._is_columns
                good[name] = self._number(member.index, value) if is_plain else self._leaf(member, value)
            elif isinstance(value, dict) or (isinstance(member, Many) and value is not None):
                good[name] = self.tree(member, value)
            elif value is not None:
                self._doubt("bad_value", f"{name} is {shown(value)} and no object")
        for name in node.required:
            if name not in good:
                member = node.members[name]
                if has_time(member):
                    raise Unread("no_time", f"{self._source.time_field} is missing")
                raise Unread("no_channels", f"{name}, where the readings are, is missing")
        if len(node.members) > ORDERED:
            return {name: good[name] for name in node.members if name in good}
        return good

    def _leaf(self, leaf: Leaf, value: object) -> object:
        if leaf.kind == "time":
            if not self._is_columns:
                return self._time(value)
            if not isinstance(value, list):
                raise Unread("no_time", f"{leaf.path} is {shown(value)} and no array")
            if len(value) > READINGS_MAX:
                raise Unread("too_many_readings", f"{len(value)} readings, at most {READINGS_MAX} are read")
            return [self._time_or_impossible(one) for one in value]
        if leaf.kind == "channel":
            return self._column(leaf.index, value)
        if leaf.kind == "value":
            return self._any_value(leaf, value)
        if leaf.kind == "intervention":
            return value if isinstance(value, str) or (isinstance(value, int | float) and abs(value) < 2**53) else None
        return _name(value) if not isinstance(value, bool) else None

    def _column(self, index: int, value: object) -> object:
        """An array of one channel, None for what is no array."""
        if isinstance(value, list):
            return [self._number(index, one) for one in value]
        if value is not None:
            self._doubt("bad_value", f"{self._source.channels[index].field} is {shown(value)} and no array")
        return None

    def _number(self, index: int, value: object) -> float | None:
        """A value of a channel, None for none."""
        try:
            number = value_of(value, self._source.channels[index], numbers_as_text=self._as_text)
        except BadValue as error:
            self._doubt(error.reason, str(error))
            return None
        return number if number == number else None  # NaN is no value here

    def _any_value(self, leaf: Leaf, value: object) -> object:
        """A value whose channel is known later."""
        if isinstance(value, int) and abs(value) >= _BEYOND:
            self._doubt("out_of_range", f"{leaf.path or 'the value'} is beyond what a double holds")
            return None
        return value if value is None or isinstance(value, int | float | str) else shown(value)

    def _time_or_impossible(self, value: object) -> object:
        """One time of a column: a text or number that no time is, where it is none."""
        try:
            return self._time(value)
        except Unread:
            return "" if self._source.time_unit == "iso8601" else -1

    def _time(self, value: object) -> object:
        """What the type of the source's time takes. Raises Unread."""
        unit = self._source.time_unit
        if value is None:
            raise Unread("no_time", f"{self._source.time_field} is null")
        if isinstance(value, datetime):
            since = (value if value.tzinfo else value.replace(tzinfo=UTC)) - _EPOCH
            us = (since.days * 86_400 + since.seconds) * 10**6 + since.microseconds
            return value.isoformat() if unit == "iso8601" else us * _UNITS_PER_S[unit] // 10**6
        if unit == "iso8601" and isinstance(value, str):
            return value
        if unit != "iso8601" and (number := self._time_number(value)) is not None:
            return number
        raise Unread("impossible_time", f"{self._source.time_field} is {shown(value)}: {self._why_no_time(value)}")

    def _why_no_time(self, value: object) -> str:
        if isinstance(value, str) and not self._as_text:
            try:
                number_of(value)
            except ValueError:
                return "a text: unit iso8601?"
            return "a number as a text: payload.numbers_as_text?"
        return f"no time of the unit {self._source.time_unit}"

    def _time_number(self, value: object) -> float | None:
        """The number, an int for ns; None for what is no number."""
        if isinstance(value, str) and self._as_text:
            if self._source.time_unit == "ns" and value.isascii() and value.isdigit() and len(value) < 20:
                return int(value)
            try:
                value = number_of_text(value, self._source.time_field)
            except BadValue:
                return None
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 2**63:
            return None
        return int(value) if self._source.time_unit == "ns" else float(value)

    def _doubt(self, reason: ReasonName, text: str) -> None:
        self.doubts.setdefault(reason, text)
        self.n_doubts[reason] += 1


def _name(key: object) -> str:
    """A key as text: CBOR and MessagePack have numbers as keys too."""
    return key if isinstance(key, str) else str(key) if isinstance(key, int) and abs(key) < 2**64 else ""
