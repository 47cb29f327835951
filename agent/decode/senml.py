"""The codecs `senml` and, in `senml_cbor.py`, its other form: Sensor Measurement Lists, RFC 8428.

    [{"bn": "urn:dev:ow:10e2073a01080063:", "bt": 1795814327, "n": "temp", "v": 23.1}, {"n": "open", "vb": true}]

A pack is a list of records. Base fields hold from their record on: base name and name make the name, base time and
time the time, and so on (section 4.6, *resolved*). A channel is the end of a name after `:` or `/`, and what stands
before it is the tag `n`, which may name the device. Beside that, a channel's field may be `[%RH]`, any name whose unit
is that and whose end no field has; and `energy sum`, the sum that the records of `energy` bring.
"""

import json
import math
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any, Final, TypeVar

import msgspec

from agent.decode.cells import Cells, Doubts, decode_cells
from agent.decode.device_name import DeviceName
from agent.decode.intervention_words import InterventionWords, word_problems
from agent.decode.readings import Batch, Decoded
from agent.decode.unread import Unread
from agent.decode.unused_settings import unused_settings
from agent.errors import Unreadable
from agent.sources import Source
from agent.values.times import IMPOSSIBLE_NS, T_NS_MAX
from agent.values.value import BadValue, shown, value_of
from agent.words import InterventionKind

T = TypeVar("T")

TIME_FIELD: Final = "t"
NAME: Final = "n"
RELATIVE_BELOW_S: Final = 2**28  # section 4.5.3: smaller times count from now
VERSION_MAX: Final = 10
SECONDARY_UNITS: Final = 2**4  # a feature of RFC 9100 that is no business of a reader who takes units as texts
NAMES_MAX: Final = 4096  # remembered; beyond it the memory starts anew
NAME_CHARS_MAX: Final = 512
UNIT_CHARS_MAX: Final = 64
RECORDS_MAX: Final = 4096
T_S_MAX: Final = T_NS_MAX / 1e9
SUM: Final = " sum"
CBOR_LABELS: Final = {
    -6: "bs", -5: "bv", -4: "bu", -3: "bt", -2: "bn", -1: "bver",
    0: "n", 1: "u", 2: "v", 3: "vs", 4: "vb", 5: "s", 6: "t", 7: "ut", 8: "vd",
}  # fmt: skip
Things = dict[int | None, str]  # what a pack's names call the machine; by column where the whole name may be a sensor's


class Record(msgspec.Struct, forbid_unknown_fields=True):
    """A record as it is sent; the names are the RFC's labels."""

    bn: str | None = None
    bt: float | None = None
    bu: str | None = None
    bv: float | None = None
    bs: float | None = None
    bver: int | None = None
    n: str | None = None
    u: str | None = None
    v: Any = None  # of these four a wrong one costs its value, not the pack
    vs: Any = None
    vb: Any = None
    vd: Any = None
    s: float | None = None
    t: float | None = None
    ut: Any = None

    @property
    def has_value(self) -> bool:
        return any(one is not None for one in (self.v, self.vs, self.vb, self.vd))


_LENIENT: Final = ("unknown field", "out of range")  # these, and a bare NaN, are read by slower ways
_LABELS: Final = frozenset(Record.__struct_fields__)
_NO_BASE: Final = Record()
_json_records: Final = msgspec.json.Decoder(list[Record]).decode


class Names:
    """What names and units mean to a source: the column of value and of sum, None for none, and what is before it."""

    def __init__(self, fields: Sequence[str]) -> None:
        self._columns = {field: column for column, field in enumerate(fields)}
        self._chars_max = max(map(len, fields), default=0)
        self._known: dict[tuple[str, str, str], tuple[int | None, str]] = {}

    def find(self, name: str, unit: str, suffix: str = "") -> tuple[int | None, str]:
        """Column of the field that ends `name`, or is `unit` in brackets, with `suffix`; and the name before it."""
        key = name, unit, suffix
        meaning = self._known.get(key)
        if meaning is None:
            meaning = self._find(name, unit, suffix)
            if len(self._known) >= NAMES_MAX:
                self._known.clear()
            self._known[key] = meaning
        return meaning

    def _find(self, name: str, unit: str, suffix: str) -> tuple[int | None, str]:
        for start in range(max(0, len(name) - self._chars_max), len(name)):  # so the longest field comes first
            if start == 0 or name[start - 1] in ":/":
                column = self._columns.get(name[start:] + suffix)
                if column is not None:
                    return column, name[: max(start - 1, 0)]
        return self._columns.get(f"[{unit}]{suffix}"), name


class SenmlCodec:
    """Decodes the payloads of one source."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._device = DeviceName(source)
        self._words = InterventionWords(source)
        self._names = Names((*source.fields, *filter(None, [self._words.field])))
        self._n_tags = len(source.tags)
        self._has_time = source.time_unit != "arrival"

    @staticmethod
    def problems(source: Source) -> Iterator[tuple[str, str]]:
        """Settings of a source that the codec cannot use; see `agent.decode.codec`."""
        yield from unused_settings(source, "time", "tags", "interventions")
        yield from word_problems(source)
        if (source.time_unit, source.time_field) not in (("arrival", ""), ("s", TIME_FIELD)):
            yield "time", f'records have their time in seconds as "{TIME_FIELD}": field = "{TIME_FIELD}", unit = "s"'
        for name, path in source.tags:
            if path != NAME:
                yield f"tags.{name}", f'a record names one thing, the part of its name before the channel: "{NAME}"'

    def decode(self, batch: Batch) -> Decoded:
        """A reading of each device and time in a payload; see `agent.decode.codec`."""
        return decode_cells(batch, self._source, self._cells, names_devices=not self._device.is_in_topic)

    def _records(self, payload: bytes) -> Sequence[Record]:
        """The records of a payload. Raises Unread."""
        try:
            return _bounded(_json_records(payload))
        except Unreadable as error:
            why = error
        if isinstance(why, msgspec.ValidationError) and not any(lenient in str(why) for lenient in _LENIENT):
            raise Unread("wrong_type", str(why))
        try:
            return records_of(json.loads(payload))
        except (ValueError, RecursionError) as error:
            raise Unread("malformed", str(error)) from None

    def _cells(self, payload: bytes, topic_tags: tuple[str, ...], arrived_ns: int, doubts: Doubts) -> list[Cells]:
        """The values of a pack that channels name. Raises Unread where there is none."""
        if not payload:
            raise Unread("empty", "no list")
        cells: list[Cells] = []
        things: Things = {}
        base = Record()
        for record in self._records(payload):
            _take_over(base, record)
            name, unit = (base.bn or "") + (record.n or ""), (record.u or base.bu or "")[:UNIT_CHARS_MAX]
            if len(name) > NAME_CHARS_MAX:
                raise Unread("too_large", f"a name of {len(name)} characters; at most {NAME_CHARS_MAX} are read")
            values: list[tuple[int, float]] = []
            kind = None
            column, rest = self._names.find(name, unit)
            has_value = record.has_value or (record.n is not None and base.bv is not None)
            if column == len(self._source.channels):
                kind = self._kind(record, doubts)
            elif column is not None and has_value:
                values.append((column, self._value(record, base, column, doubts)))
            if record.s is not None or base.bs is not None:
                of_sum, rest_of_sum = self._names.find(name, unit, SUM)
                if of_sum is not None:
                    total = Record(v=(base.bs or 0.0) + (record.s or 0.0))
                    values.append((of_sum, self._value(total, _NO_BASE, of_sum, doubts)))
                    rest = rest_of_sum
            if values or kind:
                t_ns = self._t_ns((base.bt or 0.0) + (record.t or 0.0), arrived_ns)
                if self._device.is_in_topic:
                    _hear(things, values[-1][0] if values and rest == name else None, rest)
                    device = ""
                else:
                    device = self._device.of(topic_tags, (rest,) * self._n_tags)
                cells.append(Cells(device, t_ns, values, kind))
            elif column is None and has_value and self._source.report_extra:
                doubts.setdefault("extra_channel", f"no channel is the end of the name {shown(name)}")
        if not cells:
            raise Unread("no_channels", f"no record's name ends with one of {', '.join(self._source.fields)}")
        return cells

    def _kind(self, record: Record, doubts: Doubts) -> InterventionKind | None:
        """What a record says was done to the machine, None, and perhaps a doubt, for nothing."""
        found = next((one for one in (record.vs, record.vb, record.v) if one is not None), None)
        kind = self._words.kind(found)
        if kind is None and (doubt := self._words.doubt(found)):
            doubts.setdefault("unknown_intervention", doubt)
        return kind

    def _value(self, record: Record, base: Record, column: int, doubts: Doubts) -> float:
        """The number of a record; NaN, and a doubt, for one that has none."""
        channel = self._source.channels[column]
        given = [one for one in (record.v, record.vs, record.vb, record.vd) if one is not None]
        try:
            if len(given) > 1:
                raise BadValue(channel.field, "several values in one record", "bad_value")
            number = value_of(given[0] if given else 0, channel)
            is_summed = not given or (isinstance(record.v, int | float) and not isinstance(record.v, bool))
            return value_of(number + base.bv, channel) if is_summed and base.bv else number
        except BadValue as error:
            doubts.setdefault("bad_value", str(error))
            return math.nan

    def _t_ns(self, time_s: float, arrived_ns: int) -> int:
        if not self._has_time:
            return arrived_ns
        if not abs(time_s) < T_S_MAX:
            return IMPOSSIBLE_NS
        whole = math.floor(time_s)  # kept apart: a float64 of nanoseconds since 1970 would be off by up to 128 of them
        t_ns = whole * 10**9 + round((time_s - whole) * 1e9)
        if time_s < RELATIVE_BELOW_S:
            t_ns += arrived_ns
        return t_ns if 0 <= t_ns < T_NS_MAX else IMPOSSIBLE_NS


def records_of(tree: object) -> Sequence[Record]:
    """The records of a parsed pack, whose labels are texts or CBOR's numbers. Raises Unread.

    A label that is not known is passed over, unless it ends with `_`: such a one must be understood (section 4.4).
    """
    if not isinstance(tree, list):
        raise Unread("wrong_type", f"{shown(tree)} stands where a list of records must be")
    records: list[dict[str, object]] = []
    for given in _bounded(tree):
        if not isinstance(given, dict):
            raise Unread("wrong_type", f"{shown(given)} stands where a record must be")
        record: dict[str, object] = {}
        for key, value in given.items():
            label = CBOR_LABELS.get(key, "") if isinstance(key, int) else key
            if label in _LABELS:
                record[label] = float(value) if isinstance(value, Decimal) else value  # CBOR may have tens as its base
            elif isinstance(label, str) and label.endswith("_"):
                raise Unread("wrong_type", f"the label {shown(label)} must be understood, and is not")
        records.append(record)
    try:
        return msgspec.convert(records, list[Record])
    except (msgspec.ValidationError, ValueError) as error:  # ValueError: an integer of 4,300 digits
        raise Unread("wrong_type", str(error)) from None


def _bounded(pack: list[T]) -> list[T]:
    """The pack itself. Raises Unread for one of too many records."""
    if len(pack) > RECORDS_MAX:
        raise Unread("too_many_readings", f"{len(pack)} records, at most {RECORDS_MAX} are read")
    return pack


def _hear(things: Things, column: int | None, thing: str) -> None:
    """The topic names the machine, so a pack is of one. Raises Unread where it names two; they would be one reading."""
    first = things.setdefault(column, thing) if thing else ""
    if first != thing:
        both = f"{shown(first)} and {shown(thing)}"
        next_step = 'say device = "{thing}" and tags = { thing = "n" }, or give a channel its longer name'
        raise Unread("device_id", f"the pack names two things, {both}: {next_step}")


def _take_over(base: Record, record: Record) -> None:
    """The base fields of a record hold from it on. Raises Unread for a version that is not known, or another one."""
    if record.bver is not None:
        if not 0 < record.bver & ~SECONDARY_UNITS <= VERSION_MAX or base.bver not in (None, record.bver):
            raise Unread("wrong_type", "the version is not known, or not that of the records before")
        base.bver = record.bver
    for label in ("bn", "bt", "bu", "bv", "bs"):
        found = getattr(record, label)
        if found is not None:
            setattr(base, label, found)
