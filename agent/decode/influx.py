"""The codec `influx`: InfluxDB line protocol, one or many lines a payload.

    press,site=north,machine=p7 temp=55.1,vib=1.2,running=t 1795814327000000000

A field is `temp`, or `press.temp` where measurements share names. What stands before the first space is the same in all
lines of a series, so it is read once and remembered. Patterns are possessive: no line makes one go back over itself.
Specification: https://docs.influxdata.com/influxdb/v2/reference/syntax/line-protocol/
"""

import math
import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from agent.decode.cells import Cells, Doubts, decode_cells
from agent.decode.device_name import DeviceName
from agent.decode.intervention_words import InterventionWords, word_problems
from agent.decode.readings import Batch, Decoded
from agent.decode.unread import Unread
from agent.decode.unused_settings import unused_settings
from agent.sources import Source
from agent.values.times import IMPOSSIBLE_NS, NS_PER, T_NS_MAX
from agent.values.value import BadValue, number_of_text, shown, value_of
from agent.words import InterventionKind

TIME_FIELD: Final = "timestamp"
MEASUREMENT: Final = "measurement"
WRONG_LINES_MAX: Final = 100  # a payload of more is something else
PAIRS_MAX: Final = 8192  # tags and fields of a payload, or one in 8 bytes of a longer one
PAIR_BYTES_MIN: Final = 8
SERIES_MAX: Final = 10_000  # remembered; beyond it the memory starts anew
SERIES_CHARS_MAX: Final = 512  # longer ones are not remembered

_HEAD: Final = re.compile(r"((?:[^\\ ]|\\.?)++)[ \t]++")
_PART: Final = re.compile(r"(?:[^\\,]|\\.?)++")  # of a series: the measurement, then each tag
_TAG: Final = re.compile(r"((?:[^\\=]|\\.?)++)=(.+)", re.DOTALL)
_FIELD: Final = re.compile(r'((?:[^\\,= ]|\\.?)++)=("(?:[^"\\]|\\.)*+"|[^\s,"]++)(,|[ \t]*+$|[ \t]++)')
_TIME: Final = re.compile(r"-?[0-9]{1,20}")
_ESCAPED: Final = re.compile(r"\\([\\,= ])")
_ESCAPED_IN_TEXT: Final = re.compile(r'\\(["\\])')
_PLAIN: Final = re.compile(r"-?[0-9]{1,15}(?:\.[0-9]{1,20})?")
_WHOLE: Final = re.compile(r"(-?[0-9]{1,20})[iu]")
_BOOLEANS: Final = {
    **dict.fromkeys(("t", "T", "true", "True", "TRUE"), 1.0),
    **dict.fromkeys(("f", "F", "false", "False", "FALSE"), 0.0),
}


class Series(NamedTuple):
    """What stands before the first space of a line; tags: the texts of the source's tags, "" for one that is absent."""

    measurement: str
    tags: tuple[str, ...]


class InfluxCodec:
    """Decodes the payloads of one source."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._device = DeviceName(source)
        self._tag_names = [path for _, path in source.tags]
        self._columns = {field: column for column, field in enumerate(source.fields)}
        self._words = InterventionWords(source)
        if self._words.field:
            self._columns.setdefault(self._words.field, len(source.fields))  # no channel's
        self._ns_per = 1 if source.time_unit == "ns" else NS_PER.get(source.time_unit, 0)
        self._series: dict[str, Series] = {}

    @staticmethod
    def problems(source: Source) -> Iterator[tuple[str, str]]:
        """Settings of a source that the codec cannot use; see `agent.decode.codec`."""
        yield from unused_settings(source, "time", "tags", "interventions")
        yield from word_problems(source)
        if source.time_unit == "iso8601":
            yield "time.unit", "line protocol has numbers: ns, where its sender was not told otherwise; s, ms or us"
        if source.time_unit != "arrival" and source.time_field != TIME_FIELD:
            yield "time.field", f'a line has its time at its end, which is called "{TIME_FIELD}"'

    def decode(self, batch: Batch) -> Decoded:
        """A reading of each device and time in a payload; see `agent.decode.codec`."""
        return decode_cells(batch, self._source, self._cells, names_devices=not self._device.is_in_topic)

    def _cells(self, payload: bytes, topic_tags: tuple[str, ...], arrived_ns: int, doubts: Doubts) -> list[Cells]:
        """The values of a payload that channels name. Raises Unread where there is none."""
        n_pairs, n_pairs_max = payload.count(b"="), max(PAIRS_MAX, len(payload) // PAIR_BYTES_MIN)
        if n_pairs > n_pairs_max:
            raise Unread("too_large", f"{n_pairs} tags and fields; at most {n_pairs_max} fit")
        try:
            lines = payload.decode("utf-8-sig").split("\n")
        except UnicodeDecodeError as error:
            raise Unread("malformed", str(error)) from None
        cells: list[Cells] = []
        wrong = ""
        n_lines = n_wrong = 0
        for number, line in enumerate(lines, 1):
            line = line.strip(" \t\r")
            if not line or line.startswith("#"):
                continue
            n_lines += 1
            try:
                line_cells = self._line(line, topic_tags, arrived_ns, doubts)
            except Unread as error:
                wrong = wrong or f"line {number}: {error}"
                n_wrong += 1
                if n_wrong > WRONG_LINES_MAX:
                    raise Unread("malformed", wrong) from None
            else:
                if line_cells.values or line_cells.kind:
                    cells.append(line_cells)
        if not n_lines:
            raise Unread("empty", "no line")
        if not cells:
            none = f"no line has one of the fields {', '.join(self._columns)}"
            raise Unread("malformed", wrong) if wrong else Unread("no_channels", none)
        if wrong:
            doubts.setdefault("bad_value", wrong)
        return cells

    def _line(self, line: str, topic_tags: tuple[str, ...], arrived_ns: int, doubts: Doubts) -> Cells:
        """The values of one line that channels name. Raises Unread."""
        head = _HEAD.match(line)
        if head is None:
            raise Unread("malformed", "no fields")
        series = self._series.get(head[1]) or self._remember(head[1])
        values: list[tuple[int, float]] = []
        kind = None
        end, separator = head.end(), ","
        while separator == ",":
            field = _FIELD.match(line, end)
            if field is None:
                raise Unread("malformed", f"no field and value at character {end}: {shown(line[end:])}")
            name, text, separator = field.groups()
            end = field.end()
            if "\\" in name:
                name = _ESCAPED.sub(r"\1", name)
            column = self._columns.get(f"{series.measurement}.{name}", self._columns.get(name))
            if column == len(self._source.channels):
                kind = self._kind(text, doubts)
            elif column is not None:
                values.append((column, float(text) if _PLAIN.fullmatch(text) else self._value(text, column, doubts)))
            elif self._source.report_extra:
                doubts.setdefault(
                    "extra_channel", f"no channel has the field {shown(name)} of {shown(series.measurement)}"
                )
        t_ns = self._t_ns(line[end:], arrived_ns)
        device = "" if self._device.is_in_topic else self._device.of(topic_tags, series.tags)
        return Cells(device, t_ns, values, kind)

    def _kind(self, text: str, doubts: Doubts) -> InterventionKind | None:
        """What a field says was done to the machine, None, and perhaps a doubt, for nothing."""
        if text.startswith('"'):
            value: str | bool | float = _ESCAPED_IN_TEXT.sub(r"\1", text[1:-1])
        elif text in _BOOLEANS:
            value = bool(_BOOLEANS[text])
        else:
            value = text.rstrip("iu")
        kind = self._words.kind(value)
        if kind is None and text.startswith('"') and (doubt := self._words.doubt(value)):
            doubts.setdefault("unknown_intervention", doubt)
        return kind

    def _value(self, text: str, column: int, doubts: Doubts) -> float:
        """The number of a field's value; NaN, and a doubt, for one that is none."""
        channel = self._source.channels[column]
        try:
            if text.startswith('"'):
                return value_of(_ESCAPED_IN_TEXT.sub(r"\1", text[1:-1]), channel)
            if text in _BOOLEANS:
                return _BOOLEANS[text]
            whole = _WHOLE.fullmatch(text)
            number = float(whole[1]) if whole else number_of_text(text, channel.field)
            if number is None or math.isnan(number):
                raise BadValue(channel.field, shown(text), "bad_value")
            return number
        except BadValue as error:
            doubts.setdefault("bad_value", str(error))
            return math.nan

    def _t_ns(self, text: str, arrived_ns: int) -> int:
        if text and not _TIME.fullmatch(text):
            raise Unread("malformed", f"{shown(text)} is no time")
        if not text or not self._ns_per:
            return arrived_ns
        t_ns = int(text) * self._ns_per
        return t_ns if 0 <= t_ns < T_NS_MAX else IMPOSSIBLE_NS

    def _remember(self, text: str) -> Series:
        """What stands before the first space. Raises Unread."""
        measurement, *tags = _parts(text)
        values: dict[str, str] = {}
        for tag in tags:
            pair = _TAG.fullmatch(tag)
            if pair is None:
                raise Unread("malformed", f"{shown(tag)} is no tag and value")
            values[_plain(pair[1])] = _plain(pair[2])
        values[MEASUREMENT] = name = _plain(measurement)
        series = Series(name, tuple(values.get(tag, "") for tag in self._tag_names))
        if len(text) <= SERIES_CHARS_MAX:
            if len(self._series) >= SERIES_MAX:
                self._series.clear()
            self._series[text] = series
        return series


def _parts(series: str) -> Iterator[str]:
    """The measurement, then each tag. Raises Unread."""
    end = -1
    while end < len(series):
        part = _PART.match(series, end + 1)
        if part is None:
            raise Unread("malformed", f"nothing at character {end + 1}, where a measurement or tag must be")
        yield part[0]
        end = part.end()


def _plain(text: str) -> str:
    return _ESCAPED.sub(r"\1", text) if "\\" in text else text
