"""The metrics of Sparkplug payloads -> readings: what a birth defines, and what data say by it.

A payload of a form that came before is read by the `Layout` made of that; any other one metric by metric. Both say the
same.
"""

import math
from collections.abc import Sequence
from functools import partial
from typing import Final

import numpy as np

from agent.decode.intervention_words import InterventionWords
from agent.decode.readings import Decoded, Fault, Intervened, readings_max
from agent.decode.sparkplug_layout import Layout, layout_of
from agent.decode.sparkplug_nodes import AMBIGUOUS, UNKNOWN, UNUSED, Birth
from agent.decode.sparkplug_payload import ABSENT, BOOLEAN, Metric, Payload, value
from agent.decode.sparkplug_topic import BIRTHS, Place
from agent.reasons import ReasonName
from agent.sources import Source
from agent.values.times import IMPOSSIBLE_NS, T_NS_MAX
from agent.values.value import BadValue, value_of

LAYOUT_BYTES_MAX = 4096  # longer payloads are read metric by metric
LAYOUTS_BYTES_MAX = 64 * 2**20  # about so much memory have all layouts; beyond it they are made anew
_HEAD: Final = slice(7, 12)  # of a payload, behind its time in ms: tag, length and alias of the first metric
_LAYOUT_BYTES = 1024  # has one by itself
NS_PER_MS: Final = 10**6
Doubt = tuple[ReasonName, str]


class Output:
    """What a call of the codec makes, as lists that become columns."""

    def __init__(self) -> None:
        self.faults: list[Fault] = []
        self.interventions: list[Intervened] = []
        self._rows: list[int] = []
        self._t_ns: list[int] = []
        self._devices: list[str] = []
        self._counts: list[int] = []  # values of each reading
        self._columns: list[int] = []  # of each value
        self._values: list[float] = []

    def read(self, row: int, device: str, time_ms: int, columns: Sequence[int], values: Sequence[float]) -> None:
        """Add a reading."""
        self._rows.append(row)
        self._devices.append(device)
        self._t_ns.append(_ns(time_ms))
        self._counts.append(len(columns))
        self._columns += columns
        self._values += values

    def drop(self, row: int, reason: ReasonName, detail: str) -> None:
        """Add a fault, or a doubt."""
        self.faults.append(Fault(row, reason, detail))

    def decoded(self, width: int, requests: Sequence[tuple[str, bytes]]) -> Decoded:
        """As columns, of a source of `width` channels."""
        n = len(self._rows)
        x = np.full((n, width), np.nan)
        x[np.repeat(np.arange(n), self._counts), self._columns] = self._values
        device = np.array(self._devices, np.object_)
        rows, t_ns = np.array(self._rows, np.int64), np.array(self._t_ns, np.int64)
        return Decoded(rows, t_ns, x, self.faults, device, self.interventions, requests)


class Metrics:
    """Reads the metrics that are channels of one source.

    fields  of metrics that have a column; the one behind the channels tells of interventions
    """

    def __init__(self, source: Source) -> None:
        self._channels, self._words = source.channels, InterventionWords(source)
        self._numbers_as_text = source.payload.numbers_as_text
        self._width = len(source.channels)
        self._readings_max = readings_max(self._width)
        fields = [field.encode() for field in source.fields]
        firsts = enumerate(map(fields.index, fields))
        self._twice = [(column, first) for column, first in firsts if column != first]  # two channels, one metric
        self._column_of = {field: fields.index(field) for field in fields}
        if self._words.field:
            self._column_of.setdefault(self._words.field.encode(), self._width)
        self._layouts: dict[tuple[object, int, bytes], Layout | None] = {}  # None: one payload came, or none can be
        self._layouts_bytes = 0
        self._n_columns = self._width + bool(self._words.field)
        self.fields = (*fields, *(field for field, column in self._column_of.items() if column == self._width))

    def decoded(self, out: Output, requests: Sequence[tuple[str, bytes]]) -> Decoded:
        """What a call made."""
        decoded = out.decoded(self._width, requests)
        for column, first in self._twice:
            decoded.x[:, column] = decoded.x[:, first]
        return decoded

    def define(self, payload: Payload) -> Birth:
        """What a birth says of the metrics that later come by their aliases."""
        aliases: dict[int, int] = {}
        datatypes = bytearray([Birth.ABSENT_TYPE]) * self._n_columns
        for metric in payload.metrics:
            column, alias = self._column_of.get(metric.name, UNUSED), metric.alias
            if alias != ABSENT and aliases.setdefault(alias, column) != column:
                aliases[alias] = AMBIGUOUS
            if column != UNUSED:
                datatypes[column] = min(metric.datatype, Birth.ABSENT_TYPE - 1)
        return Birth(aliases, bytes(datatypes))

    def layout(self, data: bytes, birth: Birth) -> Layout | None:
        """The layout of payloads such as this one, if there is one."""
        return self._layouts.get((birth.mark, len(data), data[_HEAD]))

    def learn(self, data: bytes, birth: Birth) -> None:
        """Make a layout of payloads such as this one, which could not be read by one, if it comes a second time."""
        key = (birth.mark, len(data), data[_HEAD])
        if len(data) > LAYOUT_BYTES_MAX:
            return
        if self._layouts_bytes > LAYOUTS_BYTES_MAX:
            self._layouts.clear()
            self._layouts_bytes = 0
        if key not in self._layouts:
            self._layouts[key] = None
            self._layouts_bytes += _LAYOUT_BYTES + 4 * len(data)
        else:
            self._layouts[key] = layout_of(data, partial(self._resolve, birth))

    def _resolve(self, birth: Birth, alias: int, name: bytes, datatype: int) -> tuple[int, int]:
        """Column and datatype of a metric in data. Raises ValueError for one that is no ordinary channel."""
        column = self._column(alias, name, birth)
        if column in (AMBIGUOUS, UNKNOWN) or column >= self._width:
            raise ValueError
        return column, birth.datatype(column) or datatype if column >= 0 else datatype

    def read_each(self, row: int, at: Place, payload: Payload, birth: Birth, out: Output) -> bool:
        """Read metric by metric; whether there is one that no birth defines.

        Data have a reading a time. A birth is one reading at its own time, however old its values: it says what is now.
        The last of several metrics of one name and time counts, and the others are not looked at.
        """
        is_birth = at.kind in BIRTHS
        doubts: list[Doubt] = []
        is_strange = False
        times: dict[int, dict[int, Metric]] = {}  # ms -> column -> metric
        for metric in payload.metrics:
            if is_birth:
                column = self._column_of.get(metric.name, UNUSED)
            else:
                column = self._column(metric.alias, metric.name, birth)
            if column == UNKNOWN:
                is_strange = True
            elif column == AMBIGUOUS:
                doubts = doubts or [("bad_value", f"alias {metric.alias} is given to two metrics")]
            elif column != UNUSED:
                time_ms = (0 if is_birth else metric.timestamp) or payload.timestamp
                times.setdefault(time_ms, {})[column] = metric
        if 0 in times:
            out.drop(row, "no_time", "neither the metric nor the payload has a timestamp")
        elif len(times) > self._readings_max:
            out.drop(row, "too_many_readings", f"{len(times)} readings, at most {self._readings_max} are read")
        else:
            self._put(row, at, birth, times, doubts, out)
        return is_strange

    def _column(self, alias: int, name: bytes, birth: Birth) -> int:
        """Which channel a metric in data is; the number of channels for the one that tells of interventions."""
        column = birth.aliases.get(alias, UNKNOWN)
        return self._column_of.get(name, UNUSED) if column == UNKNOWN and name else column

    def _put(
        self, row: int, at: Place, birth: Birth, times: dict[int, dict[int, Metric]], doubts: list[Doubt], out: Output
    ) -> None:
        """The readings of the metrics of each of `times`, and what is said of the payload."""
        is_birth, has_readings = at.kind in BIRTHS, False
        for time_ms in sorted(times):
            of_time = times[time_ms]
            told = of_time.pop(self._width, None)
            if told is not None and not is_birth:
                self._intervene(row, at, told, birth, time_ms, doubts, out)
            if of_time:
                has_readings = True
                values = [self._number(metric, birth, column, doubts) for column, metric in of_time.items()]
                out.read(row, at.id, time_ms, [*of_time], values)
        if has_readings and doubts:
            out.drop(row, *doubts[0])
        elif doubts:
            out.drop(row, "no_channels", doubts[0][1])
        elif not (times or is_birth or birth.has_channels):
            out.drop(row, "no_channels", f"the birth of {at.id} has none of the source's channels")

    def _number(self, metric: Metric, birth: Birth, column: int, doubts: list[Doubt]) -> float:
        channel = self._channels[column]
        try:
            found = value(metric, birth.datatype(column) or metric.datatype)
            return value_of(found, channel, numbers_as_text=self._numbers_as_text)
        except BadValue as error:
            doubts.append((error.reason, str(error)))
        except ValueError as error:
            doubts.append(("bad_value", f"{channel.field} is {error}"))
        return math.nan

    def _intervene(
        self, row: int, at: Place, metric: Metric, birth: Birth, time_ms: int, doubts: list[Doubt], out: Output
    ) -> None:
        datatype = birth.datatype(self._width) or metric.datatype
        try:
            given = value(metric, datatype)
        except ValueError:
            return
        kind = self._words.kind(bool(given) if datatype == BOOLEAN else given)
        if kind is not None:
            out.interventions.append(Intervened(row, at.id, _ns(time_ms), kind))
        elif doubt := self._words.doubt(given):
            doubts.append(("unknown_intervention", doubt))


def _ns(time_ms: int) -> int:
    return time_ms * NS_PER_MS if time_ms < T_NS_MAX // NS_PER_MS else IMPOSSIBLE_NS
