"""The codec `sparkplug`: Sparkplug B payloads of edge nodes and their devices, as a host application reads them.

A birth says which metrics there are, their aliases and datatypes, and what their values are now: one reading at the
time of the payload. Data are the metrics that have changed: a reading a time, as each metric may have its own. Which
messages count, and in which order, is decided in `sparkplug_nodes`.
"""

from collections.abc import Iterator
from typing import Final

from agent.decode.intervention_words import word_problems
from agent.decode.readings import Batch, Decoded
from agent.decode.sparkplug_memory import keep, restored
from agent.decode.sparkplug_metrics import Metrics, Output
from agent.decode.sparkplug_nodes import UNNUMBERED, Message, Node, Nodes
from agent.decode.sparkplug_payload import ABSENT, BD_SEQ, SEQ_MAX, Malformed, Payload, parse
from agent.decode.sparkplug_topic import DATA, IN_ORDER, Place, place, templates
from agent.sources import PayloadForm, Source

PLACES_MAX = 100_000  # topics remembered; beyond it the memory starts anew
_HALF: Final = (SEQ_MAX + 1) // 2


class SparkplugCodec:
    """Decodes the messages of one source's edge nodes."""

    def __init__(self, source: Source) -> None:
        self._metrics = Metrics(source)
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
        yield from word_problems(source)

    def keep(self) -> bytes:
        """See `agent.decode.codec.Remembers`."""
        return keep(self._nodes, self._metrics.fields)

    def restore(self, kept: bytes) -> None:
        """See `agent.decode.codec.Remembers`."""
        self._nodes = restored(kept, self._metrics.fields)

    def decode(self, batch: Batch) -> Decoded:
        """Readings of what is born; see `agent.decode.codec`.

        A message that waited for another one belongs to the row of the message with which its fate was decided.
        """
        out, places, nodes = Output(), self._places, self._nodes
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
            node = nodes.born.get(at.node)
            if node is not None and at.kind in DATA and self._read_alike(row, at, data, node, arrived_ns, out):
                continue
            try:
                payload = parse(data)
            except Malformed as error:
                out.drop(row, "malformed" if data else "empty", str(error))
                continue
            if node is not None and payload.seq == node.next_seq and at.kind in IN_ORDER and not node.waiting:
                node.heard_ns, node.next_seq = arrived_ns, (payload.seq + 1) & SEQ_MAX
                self._apply(row, at, payload, node, arrived_ns, out)
                if at.kind in DATA and (birth := node.births.get(at.device)) is not None:
                    self._metrics.learn(data, birth)
            else:
                self._take(row, at, Message(arrived_ns, topic, data, payload.timestamp), payload, node, out)
        requests, nodes.requests = nodes.requests, []
        return self._metrics.decoded(out, requests)

    def _read_alike(self, row: int, at: Place, data: bytes, node: Node, arrived_ns: int, out: Output) -> bool:
        """Take data of a known form that are the next message of their session; False where they are not."""
        birth = node.births.get(at.device)
        if birth is None or node.waiting or (layout := self._metrics.layout(data, birth)) is None:
            return False
        numbers = layout.read(data)
        if numbers is None or numbers.seq != node.next_seq:
            return False
        node.heard_ns, node.next_seq = arrived_ns, (numbers.seq + 1) & SEQ_MAX
        node.newest_ms = max(node.newest_ms, numbers.newest_ms)
        out.read(row, at.id, numbers.time_ms, layout.columns, numbers.values)
        return True

    def _place(self, topic: str) -> Place:
        at = place(topic, self._ids)
        if len(self._places) >= PLACES_MAX:
            self._places.clear()
        self._places[topic] = at
        return at

    # Sessions and order -------------------------------------------------------------------------------------------

    def _take(self, row: int, at: Place, message: Message, payload: Payload, node: Node | None, out: Output) -> None:
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

    def _order(self, row: int, at: Place, message: Message, payload: Payload, node: Node, out: Output) -> None:
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

    def _release(self, row: int, name: str, node: Node, out: Output) -> None:
        """Take the messages that waited for the one before."""
        while node.waiting and (message := self._nodes.release(name, node)) is not None:
            node.next_seq = (node.next_seq + 1) & SEQ_MAX
            self._apply(row, self._place(message.topic), parse(message.payload), node, message.arrived_ns, out)

    def _lose(self, row: int, name: str, n_messages: int, arrived_ns: int, out: Output) -> None:
        """A message is missing: ask for a rebirth; those that waited for it cannot be believed."""
        for _ in range(n_messages):
            out.drop(row, "no_birth", f"a message of edge node {name} is missing that came before it, perhaps a birth")
        self._nodes.ask(name, arrived_ns)

    def _begin(self, row: int, at: Place, payload: Payload, arrived_ns: int, out: Output) -> None:
        if not payload.metrics:
            out.drop(row, "malformed", "a birth without metrics")
            return
        birth = self._metrics.define(payload)
        next_seq = (payload.seq + 1) & SEQ_MAX if payload.seq != ABSENT else UNNUMBERED
        session = Node(next_seq, _bd_seq(payload), payload.timestamp, arrived_ns, {"": birth})
        n_gone = self._nodes.bear(at.node, session)
        if n_gone is None:
            n_gone = self._nodes.end(at.node)
            out.drop(row, "births_max", f"no room for edge node {at.node}")
        else:
            self._metrics.read_each(row, at, payload, birth, out)
            self._release(row, at.node, session, out)
        for _ in range(n_gone):
            out.drop(row, "no_birth", f"it came out of order, before the new birth of edge node {at.node}")

    def _end(self, row: int, at: Place, payload: Payload, node: Node | None, out: Output) -> None:
        """NDEATH: of the session that runs, or of one before it, whose end a broker may notice late."""
        of_death = _bd_seq(payload)
        if node is None or (of_death != node.bd_seq and UNNUMBERED not in (of_death, node.bd_seq)):
            return
        for _ in range(self._nodes.end(at.node)):
            out.drop(row, "no_birth", f"edge node {at.node} died before a message that came before it was there")

    def _apply(self, row: int, at: Place, payload: Payload, node: Node, arrived_ns: int, out: Output) -> None:
        """Take the next message of a session."""
        node.newest_ms = max(node.newest_ms, payload.timestamp)
        if at.kind == "DBIRTH":
            birth = self._metrics.define(payload)
            if self._nodes.add(node, at.device, birth):
                self._metrics.read_each(row, at, payload, birth, out)
            else:
                out.drop(row, "births_max", f"no room for device {at.device} of edge node {at.node}")
        elif at.kind == "DDEATH":
            self._nodes.remove(node, at.device)
        elif (known := node.births.get(at.device)) is not None:
            if self._metrics.read_each(row, at, payload, known, out):
                self._nodes.ask(at.node, arrived_ns)
        else:
            out.drop(row, "no_birth", f"device {at.device} of edge node {at.node} has not been born")
            self._nodes.ask(at.node, arrived_ns)


def _bd_seq(payload: Payload) -> int:
    """The number that a birth and a death have in common, UNNUMBERED where it is not there."""
    for metric in payload.metrics:
        if metric.name == BD_SEQ:
            stored = min(metric.int_value, metric.long_value)
            return stored if stored != ABSENT else UNNUMBERED
    return UNNUMBERED
