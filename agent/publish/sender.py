"""What leaves over one connection: own messages, what the cursor has, and copies at QoS 1; status and scores at QoS 0.

A message leaves the outbox on a PUBACK whose reason is success; on MQTT 3.1.1 only once a round trip has shown what
that is worth (round_trip.py), and until then what is acknowledged keeps its place in the window. What the broker
refuses is parked, with what follows in its chain, and tried again on the same connection (refused.py). Everything at
QoS 1 counts against the broker's receive maximum, and nothing is sent that goes beyond its other limits
(mqtt/limits.py): it would end the connection.

What the cursor has is news, and nothing holds it up: while it has some, own messages go one at a time, and what is only
told again or removed (copies.py) has half of the window at most, after it.
"""

from collections import Counter
from dataclasses import dataclass, field

from agent.mqtt.limits import Limits
from agent.mqtt.reason_code import FAILURE_MIN, ReasonCode
from agent.publish.connection import Acknowledged, Connection
from agent.publish.copies import Copies, Copy
from agent.publish.message import Outgoing, outgoing
from agent.publish.own_messages import OwnMessage, OwnMessages
from agent.publish.refused import WAITS_S, RefusalLog, Refused
from agent.publish.round_trip import PATIENCE_S, RoundTrip
from agent.publish.topic import Topics
from agent.store.cursor import Cursor, Due, Parked
from agent.words import DropCounts

IN_FLIGHT_MAX = 20  # what mosquitto holds of one client by default
UNWRITTEN_MAX = 10_000  # status and scores that may wait in paho
NEW_ROW = 0  # in the place of its number, which no row has
_FOR_GOOD = {ReasonCode.NOT_AUTHORIZED, ReasonCode.TOPIC_NAME_INVALID, ReasonCode.PAYLOAD_FORMAT_INVALID}


@dataclass(slots=True)
class Counts:
    """Totals over all connections."""

    delivered: int = 0  # messages that have left the outbox
    parked: int = 0  # how often one was refused, and so does not wait to be sent any more
    dropped: int = 0  # messages at QoS 0 that a slow broker left over, or that came while it was away
    too_large: int = 0  # messages at QoS 0 that the broker does not take for their size

    def drops(self) -> DropCounts:
        """(source, reason) -> messages that nobody keeps for later."""
        return Counter({("", "score_not_sent"): self.dropped, ("", "packet_too_large"): self.too_large})


@dataclass(frozen=True, slots=True)
class Sent:
    """A message at QoS 1 that is under way: what it tells, and its number on the connection."""

    what: Due | OwnMessage | Copy
    topic: str
    number: int


@dataclass(slots=True)
class Sender:
    """Sends over one connection, from one thread. `cursor`, `proof`, `refusals` and `counts` outlive it."""

    connection: Connection
    limits: Limits
    cursor: Cursor
    copies: Copies
    topics: Topics
    proof: RoundTrip
    refusals: RefusalLog
    counts: Counts
    _own: OwnMessages = field(default_factory=OwnMessages)
    _in_flight: dict[int, Sent] = field(default_factory=dict)  # by message id
    _unproven: list[tuple[Sent, float]] = field(default_factory=list)  # acknowledged; by when it has come back
    _unwritten: set[int] = field(default_factory=set)  # message ids at QoS 0 that paho has not written yet
    _done: list[int] = field(default_factory=list)
    _refused: dict[int, Parked] = field(default_factory=dict)
    _again: dict[Parked, Refused] = field(default_factory=lambda: {kind: Refused(kind) for kind in WAITS_S})

    @property
    def is_idle(self) -> bool:
        """Nothing waits for its acknowledgement, and no own message to be sent but those that the broker refused."""
        return not self._own.has_new and not self._in_flight

    @property
    def awaits_answers(self) -> bool:
        return bool(self._in_flight)

    @property
    def n_told_again(self) -> int:
        """Alerts that stand and are still to be told again on this connection, or are under way."""
        under_way = [what for what in self._under_way() if isinstance(what, Copy) and not what.is_removal]
        return self.copies.n_standing + len(under_way)

    def enqueue(self, topic: str, payload: bytes, *, retain: bool, until_taken: bool = False) -> None:
        """Send this own message at QoS 1 before the outbox, in the place of one of its topic that still waits."""
        self._own.add(OwnMessage(topic, payload, retain, until_taken))

    def is_pending(self, topic: str) -> bool:
        """Whether the broker has not yet taken the own message of the topic."""
        return topic in self._own.topics | {message.topic for message in self._own_under_way()}

    def publish(self, topic: str, payload: bytes, *, retain: bool) -> None:
        """Publish at QoS 0 now; what a slow broker leaves is dropped, and what is too large for it."""
        if not self._fits(topic, payload, 0):
            self.counts.too_large += 1
        elif len(self._unwritten) >= UNWRITTEN_MAX:
            self.counts.dropped += 1
        else:
            message_id = self.connection.publish(topic, payload, qos=0, retain=retain and self.limits.retain)
            if message_id is not None:
                self._unwritten.add(message_id)

    def acknowledge(self, answer: Acknowledged, now_s: float) -> None:
        """Take the broker's answer to a message; `settle` makes it last."""
        self._unwritten.discard(answer.message_id)
        sent = self._in_flight.pop(answer.message_id, None)
        if sent is None:
            return
        kind = _kind(answer.code)
        if isinstance(sent.what, OwnMessage):
            self._acknowledge_own(sent.what, kind, answer.why, now_s)
        elif kind is Parked.NO and not self.proof.is_proven(sent.number, sent.topic):
            self._unproven.append((sent, now_s + PATIENCE_S))
        else:
            self._resolve(sent.what, kind, answer.why, now_s)

    def receive(self, topic: str, payload: bytes) -> None:
        """Take what comes back of what was published."""
        if self.proof.receive(topic, payload):
            is_event = topic == self.topics.event
            self.cursor.unpark_proven(is_alert=not is_event)
            if is_event:
                self.connection.unsubscribe(topic)

    def settle(self) -> None:
        """Write down what has been acknowledged."""
        if self._done or self._refused:
            self.cursor.settle(self._done, self._refused)
            self.counts.delivered += len(self._done)
            self.counts.parked += len(self._refused)
            self._done, self._refused = [], {}

    def turn(self, now_s: float) -> None:
        """Settle, and send what the broker has room for. Never waits."""
        self._look_for_proof(now_s)
        self.settle()
        self._send_own(now_s)
        self._send_waiting()
        for retry in self._again.values():
            if retry.is_due(now_s) and (n_rows := min(self._room, retry.round_max)):
                due = self.cursor.refused(retry.kind, retry.after, n_rows)
                if not due and retry.after:
                    due = self.cursor.refused(retry.kind, 0, n_rows)
                retry.begin([row.number for row in due])
                for row in due:
                    self._send(row, outgoing(row, self.topics))
        if len(self.copies):
            self._send_copies()

    def _acknowledge_own(self, message: OwnMessage, kind: Parked, why: str, now_s: float) -> None:
        if kind is Parked.NO:
            self._own.accept(message)
        elif self._own.refuse(message, [other.key for other in self._own_under_way()], now_s):
            self.refusals.hear(kind, f"{message.topic}: {why}")

    def _resolve(self, what: Due | Copy, kind: Parked, why: str, now_s: float) -> None:
        """What became of a message: the broker took it (NO), or it is put off for a reason of that kind."""
        number = NEW_ROW if isinstance(what, Copy) else what.number
        if kind not in (Parked.NO, Parked.UNPROVEN):
            self.refusals.hear(kind, why)
        if isinstance(what, Due):
            if kind is Parked.NO:
                self._done.append(number)
            else:
                self._refused[number] = kind
        elif kind is Parked.NO:
            self.copies.accept(what)
        elif not self.copies.refuse(what, kind, why):
            return
        for retry in self._again.values():
            retry.resolve(number, kind, now_s)

    def _look_for_proof(self, now_s: float) -> None:
        """Settle what has come back, and give up what has not in time."""
        waiting, self._unproven = self._unproven, []
        for sent, due_s in waiting:
            assert not isinstance(sent.what, OwnMessage)
            if self.proof.is_proven(sent.number, sent.topic):
                self._resolve(sent.what, Parked.NO, "", now_s)
            elif now_s >= due_s:
                self.proof.give_up(sent.topic)
                self._resolve(sent.what, Parked.UNPROVEN, self.proof.why, now_s)
            else:
                self._unproven.append((sent, due_s))

    def _own_under_way(self) -> list[OwnMessage]:
        return [sent.what for sent in self._in_flight.values() if isinstance(sent.what, OwnMessage)]

    def _under_way(self) -> list[Due | OwnMessage | Copy]:
        return [sent.what for sent in (*self._in_flight.values(), *(sent for sent, _ in self._unproven))]

    def _send_own(self, now_s: float) -> None:
        while self._room and not (self.cursor.waiting and self._own_under_way()):
            message = self._own.pop(now_s)
            if message is None:
                return
            if self._fits(message.topic, message.payload, self._qos):
                self._send(message, message)

    def _send_waiting(self) -> None:
        if not self.cursor.waiting or not self._room:
            return
        under_way = [what for what in self._under_way() if isinstance(what, Due)]
        numbers = {due.number for due in under_way}
        keys = {due.key for due in under_way if not due.is_alert}
        too_large: dict[int, Parked] = {}
        is_held = False
        for due in self.cursor.sendable(IN_FLIGHT_MAX + len(under_way)):
            if not self._room:
                break
            if not due.is_alert:
                is_held |= due.key in keys and due.number not in numbers  # the event before it may yet be refused
                keys.add(due.key)
            if due.number in numbers or (is_held and not due.is_alert):
                continue
            message = outgoing(due, self.topics)
            if self._fits(message.topic, message.payload, self._qos):
                self._send(due, message)
            else:
                too_large[due.number] = Parked.TOO_LARGE
        if too_large:
            self.cursor.settle([], too_large)

    def _send_copies(self) -> None:
        n_under_way = sum(isinstance(what, Copy) for what in self._under_way())
        n_free = min(self._room, max(1, self._window // 2) - n_under_way)
        while n_free > 0 and (copy := self.copies.pop()) is not None:
            if self._fits(copy.message.topic, copy.message.payload, self._qos):
                self._send(copy, copy.message)
                n_free -= 1
            else:
                self.copies.refuse(copy, Parked.TOO_LARGE, "it is too large for the broker")

    @property
    def _window(self) -> int:
        return min(IN_FLIGHT_MAX, self.limits.receive_maximum)

    @property
    def _room(self) -> int:
        return max(0, self._window - len(self._in_flight) - len(self._unproven))

    @property
    def _qos(self) -> int:
        return min(1, self.limits.qos_max)

    def _fits(self, topic: str, payload: bytes, qos: int) -> bool:
        """Whether the broker takes a packet of this size; one that it does not take is said."""
        size = self.connection.packet_bytes(topic, payload, qos)
        if self.limits.packet_bytes_max is None or size <= self.limits.packet_bytes_max:
            return True
        self.refusals.hear(Parked.TOO_LARGE, f"{topic}: {size} bytes, the broker takes {self.limits.packet_bytes_max}")
        return False

    def _send(self, what: Due | OwnMessage | Copy, message: Outgoing | OwnMessage) -> None:
        retain = message.retain and self.limits.retain
        number = 0 if isinstance(what, OwnMessage) else self.proof.send(message.topic, message.payload)
        message_id = self.connection.publish(message.topic, message.payload, qos=self._qos, retain=retain)
        if message_id is not None:
            self._in_flight[message_id] = Sent(what, message.topic, number)


def _kind(code: int) -> Parked:
    if code < FAILURE_MIN:
        return Parked.NO
    return Parked.FOR_GOOD if code in _FOR_GOOD else Parked.FOR_NOW
