"""The codec `sparkplug`: Sparkplug B payloads of edge nodes and their devices, as a host application reads them.

A birth says which metrics there are, their aliases and datatypes, and what their values are now: one reading at the
time of the payload. Data are the metrics that have changed: a reading a time, as each metric may have its own. Which
messages count, and in which order, is decided in `sparkplug_nodes`.

A payload whose aliases came before in the same order is read by the `Layout` made then; any other one metric by
metric. Both say the same.
"""

import math
from collections.abc import Iterator
from operator import attrgetter
from typing import Final

import numpy as np

from agent.decode.readings import Batch, Decoded, Fault, Intervened
from agent.decode.sparkplug_memory import keep, restored
from agent.decode.sparkplug_nodes import AMBIGUOUS, UNKNOWN, UNNUMBERED, UNUSED, Birth, Message, Node, Nodes
from agent.decode.sparkplug_payload import ABSENT, BD_SEQ, BOOLEAN, SEQ_MAX, Malformed, Metric, Payload, parse, value
from agent.decode.sparkplug_topic import BIRTHS, IN_ORDER, Place, place, templates
from agent.reasons import ReasonName
from agent.values.times import IMPOSSIBLE_NS, T_NS_MAX
from agent.values.value import BadValue, value_of
from agent.words import PayloadForm, Source

PLACES_MAX = 100_000  # topics remembered; beyond it the memory starts anew
PLACE_CHARS_MAX = 256  # longer topics are not remembered
CELLS_MAX = 2**20  # of the readings of a payload
NS_PER_MS: Final = 10**6
_HALF: Final = (SEQ_MAX + 1) // 2
_HEAD = attrgetter("alias", "timestamp", "is_null")


class _Output:
    """What a call makes, as lists that become columns."""

    def __init__(self) -> None:
        self.rows: list[int] = []
        self.t_ns: list[int] = []
        self.devices: list[str] = []
        self.counts: list[int] = []  # values of each reading
        self.columns: list[int] = []  # of each value
        self.values: list[float] = []
        self.faults: list[Fault] = []
        self.interventions: list[Intervened] = []

    def read(self, row: int, device: str, time_ms: int, columns: list[int], values: list[float]) -> None:
        self.rows.append(row)
        self.devices.append(device)
        self.t_ns.append(_ns(time_ms))
        self.counts.append(len(columns))
        self.columns += columns
        self.values += values

    def drop(self, row: int, reason: ReasonName, detail: str) -> None:
        self.faults.append(Fault(row, reason, detail))


class SparkplugCodec:
    """Decodes the messages of one source's edge nodes."""

    def __init__(self, source: Source) -> None:
        self._source = source
        fields = [field.encode() for field in source.fields]
        self._column_of = {field: fields.index(field) for field in fields}
        firsts = enumerate(map(fields.index, fields))
        self._twice = [(column, first) for column, first in firsts if column != first]  # two channels, one metric
        self._width = len(fields)
        if source.interventions is not None:
            self._column_of.setdefault(source.interventions.field.encode(), self._width)
        self._n_definable = self._width + (source.interventions is not None)
        self._ids = templates(source.device)
        self._places: dict[str, Place] = {}
        self._nodes = Nodes()

    @staticmethod
    def problems(source: Source) -> Iterator[tuple[str, str]]:
        """See `agent.decode.codec`."""
        if source.time_unit not in ("ms", "arrival") or source.time_field:
            yield "time", "Sparkplug says itself where its times are, and that they are milliseconds: leave it out"
        try:
            templates(source.device)
        except ValueError as error:
            yield "device", str(error)
        if source.channel:
            yield "channel", "Sparkplug's metrics have their names in the payload, not in the topic"
        if source.tags:
            yield "tags", "a Sparkplug payload has no fields beside its metrics"
        if source.payload != PayloadForm(numbers_as_text=source.payload.numbers_as_text):
            yield "payload", "the form of a Sparkplug payload is fixed; of these keys only numbers_as_text is used"

    def keep(self) -> bytes:
        """See `agent.decode.codec.Remembers`."""
        return keep(self._nodes, tuple(self._column_of))

    def restore(self, kept: bytes) -> None:
        """See `agent.decode.codec.Remembers`."""
        self._nodes = restored(kept, tuple(self._column_of))

    def decode(self, batch: Batch) -> Decoded:
        """Readings of what is born; see `agent.decode.codec`.

        A message that waited for another one belongs to the row of the message with which its fate was decided.
        """
        out, places, nodes = _Output(), self._places, self._nodes
        messages = zip(batch.payloads, batch.addresses, batch.arrived_ns.tolist(), strict=True)
        for row, (data, address, arrived_ns) in enumerate(messages):
            if arrived_ns >= nodes.due_ns:
                for name, n_waiting in nodes.overdue(arrived_ns):
                    self._lose(row, name, n_waiting, arrived_ns, out)
            topic = address.topic
            try:
                at = places.get(topic) or self._place(topic)
            except ValueError as error:
                out.drop(row, "wrong_type", str(error))
                continue
            if not at.kind:
                continue
            try:
                payload = parse(data)
            except Malformed as error:
                out.drop(row, "malformed" if data else "empty", str(error))
                continue
            node = nodes.born.get(at.node)
            if node is not None and payload.seq == node.next_seq and at.kind in IN_ORDER and not node.waiting:
                node.heard_ns, node.next_seq = arrived_ns, (payload.seq + 1) & SEQ_MAX
                self._apply(row, at, payload, node, arrived_ns, out)
            else:
                self._take(row, at, Message(arrived_ns, topic, data, payload.timestamp), payload, node, out)
        return self._columns(out)

    def _place(self, topic: str) -> Place:
        found = place(topic, self._ids)
        if len(topic) <= PLACE_CHARS_MAX:
            if len(self._places) >= PLACES_MAX:
                self._places.clear()
            self._places[topic] = found
        return found

    def _columns(self, out: _Output) -> Decoded:
        n = len(out.rows)
        x = np.full((n, self._width), np.nan)
        x[np.repeat(np.arange(n), out.counts), out.columns] = out.values
        for column, first in self._twice:
            x[:, column] = x[:, first]
        device = np.array(out.devices, np.object_)
        requests, self._nodes.requests = self._nodes.requests, []
        rows, t_ns = np.array(out.rows, np.int64), np.array(out.t_ns, np.int64)
        return Decoded(rows, t_ns, x, out.faults, device, out.interventions, requests)

    # Sessions and order -------------------------------------------------------------------------------------------

    def _take(self, row: int, at: Place, message: Message, payload: Payload, node: Node | None, out: _Output) -> None:
        """Take a message that is not simply the next one of its session."""
        if at.kind == "NBIRTH":
            self._begin(row, at, payload, message.arrived_ns, out)
        elif at.kind == "NDEATH":
            self._end(row, at, payload, node, out)
        elif node is None:
            out.drop(row, "no_birth", f"edge node {at.node} has not been born since it is listened to")
            self._nodes.ask(at.node, message.arrived_ns)
        else:
            node.heard_ns = message.arrived_ns
            self._order(row, at, message, payload, node, out)

    def _order(self, row: int, at: Place, message: Message, payload: Payload, node: Node, out: _Output) -> None:
        seq, expected = payload.seq, node.next_seq
        if seq == ABSENT and expected != UNNUMBERED:
            out.drop(row, "malformed", f"it has no sequence number, {expected} comes next")
        elif expected in (UNNUMBERED, seq):
            node.next_seq = (seq + 1) & SEQ_MAX if seq != ABSENT else UNNUMBERED
            self._apply(row, at, payload, node, message.arrived_ns, out)
            self._release(row, at.node, node, out)
        elif (seq - expected) & SEQ_MAX >= _HALF and 0 < message.time_ms <= node.newest_ms:
            out.drop(row, "repeated", f"sequence number {seq} of edge node {at.node} was there, {expected} comes next")
        elif not self._nodes.hold(at.node, node, seq, message):
            self._lose(row, at.node, self._nodes.end(at.node) + 1, message.arrived_ns, out)

    def _release(self, row: int, name: str, node: Node, out: _Output) -> None:
        """Take the messages that waited for the one before."""
        while node.waiting and (message := self._nodes.release(name, node)) is not None:
            node.next_seq = (node.next_seq + 1) & SEQ_MAX
            self._apply(row, self._place(message.topic), parse(message.payload), node, message.arrived_ns, out)

    def _lose(self, row: int, name: str, n_messages: int, arrived_ns: int, out: _Output) -> None:
        """A message is missing: ask for a rebirth; those that waited for it cannot be believed."""
        for _ in range(n_messages):
            out.drop(row, "no_birth", f"a message of edge node {name} is missing that came before it, perhaps a birth")
        self._nodes.ask(name, arrived_ns)

    def _begin(self, row: int, at: Place, payload: Payload, arrived_ns: int, out: _Output) -> None:
        if not payload.metrics:
            out.drop(row, "malformed", "a birth without metrics")
            return
        birth = self._define(payload)
        next_seq = (payload.seq + 1) & SEQ_MAX if payload.seq != ABSENT else UNNUMBERED
        session = Node(next_seq, _bd_seq(payload), payload.timestamp, arrived_ns, {"": birth})
        n_gone = self._nodes.bear(at.node, session)
        if n_gone is None:
            n_gone = self._nodes.end(at.node)
            out.drop(row, "births_max", f"no room for edge node {at.node}")
        else:
            self._read_each(row, at, payload, birth, out)
            self._release(row, at.node, session, out)
        for _ in range(n_gone):
            out.drop(row, "no_birth", f"it came out of order, before the new birth of edge node {at.node}")

    def _end(self, row: int, at: Place, payload: Payload, node: Node | None, out: _Output) -> None:
        """NDEATH: of the session that runs, or of one before it, whose end a broker may notice late."""
        of_death = _bd_seq(payload)
        if node is None or (of_death != node.bd_seq and UNNUMBERED not in (of_death, node.bd_seq)):
            return
        for _ in range(self._nodes.end(at.node)):
            out.drop(row, "no_birth", f"edge node {at.node} died before a message that came before it was there")

    def _apply(self, row: int, at: Place, payload: Payload, node: Node, arrived_ns: int, out: _Output) -> None:
        """Take the next message of a session."""
        node.newest_ms = max(node.newest_ms, payload.timestamp)
        if at.kind == "DBIRTH":
            birth = self._define(payload)
            if self._nodes.add(node, at.device, birth):
                self._read_each(row, at, payload, birth, out)
            else:
                out.drop(row, "births_max", f"no room for device {at.device} of edge node {at.node}")
        elif at.kind == "DDEATH":
            self._nodes.remove(node, at.device)
        elif (known := node.births.get(at.device)) is not None:
            if self._read(row, at, payload, known, out):
                self._nodes.ask(at.node, arrived_ns)
        else:
            out.drop(row, "no_birth", f"device {at.device} of edge node {at.node} has not been born")
            self._nodes.ask(at.node, arrived_ns)

    # What a payload says ------------------------------------------------------------------------------------------

    def _define(self, payload: Payload) -> Birth:
        aliases: dict[int, int] = {}
        datatypes = bytearray([Birth.ABSENT_TYPE]) * self._n_definable
        for metric in payload.metrics:
            column = self._column_of.get(metric.name, UNUSED)
            if metric.alias != ABSENT and aliases.setdefault(metric.alias, column) != column:
                aliases[metric.alias] = AMBIGUOUS
            if column != UNUSED:
                datatypes[column] = min(metric.datatype, Birth.ABSENT_TYPE - 1)
        return Birth(aliases, bytes(datatypes))

    def _read(self, row: int, at: Place, payload: Payload, birth: Birth, out: _Output) -> bool:
        """Read data; whether they have a metric that no birth defines."""
        metrics = list(payload.metrics)
        if metrics:
            aliases, times, nulls = zip(*map(_HEAD, metrics), strict=True)
            layout = birth.layouts.get(aliases) or birth.layout(aliases, self._width)
            time_ms = times[0] or payload.timestamp
            if layout is not None and time_ms and times.count(times[0]) == len(times) and True not in nulls:
                values = layout.values(metrics)
                if math.isfinite(sum(values)):
                    out.read(row, at.id, time_ms, layout.columns, values)
                    return False
        return self._read_each(row, at, payload, birth, out)

    def _read_each(self, row: int, at: Place, payload: Payload, birth: Birth, out: _Output) -> bool:
        """Read metric by metric; whether there is one that no birth defines.

        Data have a reading a time. A birth is one reading at its own time, however old its values: it says what is now.
        """
        is_birth = at.kind in BIRTHS
        at_time: dict[int, dict[int, float]] = {}  # ms -> column -> value
        doubts: list[tuple[ReasonName, str]] = []
        is_strange = False
        for metric in payload.metrics:
            column = self._column(metric, birth, is_birth=is_birth)
            time_ms = (0 if is_birth else metric.timestamp) or payload.timestamp
            if column == UNKNOWN:
                is_strange = True
            elif column == AMBIGUOUS:
                doubts.append(("bad_value", f"alias {metric.alias} is given to two metrics"))
            elif column != UNUSED and not time_ms:
                out.drop(row, "no_time", "neither the metric nor the payload has a timestamp")
                return is_strange
            elif column == self._width:
                if not is_birth:
                    self._intervene(row, at, metric, birth, time_ms, out)
            elif column != UNUSED:
                at_time.setdefault(time_ms, {})[column] = self._number(metric, birth, column, doubts)
        if len(at_time) * self._width > CELLS_MAX:
            out.drop(row, "malformed", f"values at {len(at_time)} times, too many for {self._width} channels")
            return is_strange
        for time_ms in sorted(at_time):
            out.read(row, at.id, time_ms, [*at_time[time_ms]], [*at_time[time_ms].values()])
        if at_time and doubts:
            out.drop(row, *doubts[0])
        elif doubts:
            out.drop(row, "no_channels", doubts[0][1])
        elif not (at_time or is_birth or birth.has_channels):
            out.drop(row, "no_channels", f"the birth of {at.id} has none of the source's channels")
        return is_strange

    def _column(self, metric: Metric, birth: Birth, *, is_birth: bool) -> int:
        """Which channel a metric is; the number of channels for one that tells of interventions."""
        column = UNKNOWN if is_birth else birth.aliases.get(metric.alias, UNKNOWN)
        return self._column_of.get(metric.name, UNUSED) if column == UNKNOWN and metric.name else column

    def _number(self, metric: Metric, birth: Birth, column: int, doubts: list[tuple[ReasonName, str]]) -> float:
        channel = self._source.channels[column]
        try:
            found = value(metric, birth.datatype(column) or metric.datatype)
            return value_of(found, channel, numbers_as_text=self._source.payload.numbers_as_text)
        except BadValue as error:
            doubts.append((error.reason, str(error)))
        except ValueError as error:
            doubts.append(("bad_value", f"{channel.field} is {error}"))
        return math.nan

    def _intervene(self, row: int, at: Place, metric: Metric, birth: Birth, time_ms: int, out: _Output) -> None:
        rule = self._source.interventions
        assert rule is not None  # or no metric would have this column
        datatype = birth.datatype(self._width) or metric.datatype
        try:
            found = value(metric, datatype)
        except ValueError:
            return
        text = str(bool(found)).lower() if datatype == BOOLEAN else f"{found:g}" if isinstance(found, float) else found
        for word, kind in rule.words:
            if word == str(text):
                out.interventions.append(Intervened(row, at.id, _ns(time_ms), kind))


def _bd_seq(payload: Payload) -> int:
    """The number that a birth and a death have in common, UNNUMBERED where it is not there."""
    for metric in payload.metrics:
        if metric.name == BD_SEQ:
            stored = min(metric.int_value, metric.long_value)
            return stored if stored != ABSENT else UNNUMBERED
    return UNNUMBERED


def _ns(time_ms: int) -> int:
    return time_ms * NS_PER_MS if time_ms < T_NS_MAX // NS_PER_MS else IMPOSSIBLE_NS
