"""A simulated MQTT broker: sessions, windows, queues with bounds, redelivery, retained messages, wills, restarts.

It keeps to the standard, and in what the standard leaves open to its `Habits`. What it did is written down in `Record`,
with which the oracle compares. A client that breaks the standard has sinned.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from random import Random
from typing import Literal

from paho.mqtt.client import topic_matches_sub as matches_uncached

from bench.mqtt_packets import (
    CONNECT,
    DISCONNECT,
    NEVER_S,
    PINGREQ,
    PINGRESP,
    PROTOCOL_ERROR,
    PUBACK,
    PUBLISH,
    SUBSCRIBE,
    UNSUBSCRIBE,
    Connect,
    Ended,
    Filter,
    Published,
    packet,
    puback,
    read_connect,
    read_publish,
    read_subscribe,
    read_unsubscribe,
    split,
    suback,
    unsuback,
)
from bench.strict_rules import Rules, Session, in_turn
from tests.simulation.broker_state import Habits, Record
from tests.simulation.clock import Clock
from tests.simulation.network import Link, Network

topic_matches_sub = lru_cache(10_000)(matches_uncached)
DROPPED_TOPIC = "$SYS/broker/publish/messages/dropped"
DROPPED_EVERY_S = 1.0
KEPT_EVERY_S = 0.4
QUOTA_EXCEEDED = 0x97


class Connection:
    """The broker's side of one connection."""

    def __init__(self, broker: "Broker", link: Link) -> None:
        self.connect: Connect | None = None
        self._broker = broker
        self._link = link
        self._data = bytearray()
        self._will: Published | None = None
        self._unanswered = 0

    def receive(self, data: bytes) -> None:
        self._data += data
        try:
            for first, body in split(self._data):
                if self.connect is None:
                    self._begin(first, body)
                else:
                    self._take(first, body, self.connect)
        except Ended as end:
            self._broker.record.sins.append(f"{self.connect} breaks the standard: {end.reason or 0:#x}")

    def lose(self) -> None:
        """It has ended without a word: the will is said."""
        will, self._will = self._will, None
        if will is not None:
            self._broker.take(will, None)
        self._broker.leave(self)

    def send(self, data: bytes) -> None:
        self._link.write(data)

    def end(self) -> None:
        self._link.end()

    def deliver(self, message: Published, packet_id: int = 0, *, is_dup: bool = False) -> None:
        assert self.connect is not None
        self._link.write(message.packet(is_5=self.connect.is_5, packet_id=packet_id, is_dup=is_dup))

    def _begin(self, first: int, body: bytes) -> None:
        if first != CONNECT:
            raise Ended(PROTOCOL_ERROR)
        self.connect = read_connect(body)
        self._will = self.connect.will
        self._broker.begin(self, self.connect)

    def _take(self, first: int, body: bytes, connect: Connect) -> None:
        is_5, broker = connect.is_5, self._broker
        if first & 0xF0 == PUBLISH:
            packet_id, message, _ = read_publish(first, body, is_5=is_5)
            if packet_id:
                self._unanswered += 1
                if is_5 and self._unanswered > broker.habits.receive_maximum:
                    broker.record.sins.append(f"{self._unanswered} messages under way, {connect}")
                broker.clock.after(broker.habits.answers_late_s, lambda: self._answer(packet_id, message, is_5=is_5))
            else:
                broker.take(message, self)
        elif first == PUBACK:
            broker.settle(self, int.from_bytes(body[:2]))
        elif first == SUBSCRIBE:
            packet_id, filters, _ = read_subscribe(body, is_5=is_5)
            self.send(suback(packet_id, [one.qos for one in filters.values()], is_5=is_5))
            broker.subscribe(self, filters)
        elif first == UNSUBSCRIBE:
            packet_id, topics = read_unsubscribe(body, is_5=is_5)
            broker.unsubscribe(self, topics)
            self.send(unsuback(packet_id, len(topics), is_5=is_5))
        elif first == PINGREQ:
            self.send(packet(PINGRESP, b""))
        elif first == DISCONNECT:
            self._will = None
        else:
            raise Ended(PROTOCOL_ERROR)

    def _answer(self, packet_id: int, message: Published, *, is_5: bool) -> None:
        if self._broker.session_of(self) is None:
            return
        self._unanswered -= 1
        reason = self._broker.refuses(message) if is_5 else 0  # 3.1.1 has no word for it
        self.send(puback(packet_id, reason, is_5=is_5))
        if reason < 0x80:
            self._broker.take(message, self)


class Broker:
    """Its clients are the agent's input and output; devices publish by `publish`."""

    def __init__(self, clock: Clock, network: Network, habits: Habits, rng: Random, input_id: str) -> None:
        self.clock, self.habits, self.record = clock, habits, Record()
        self.retained: dict[str, Published] = {}
        self.is_up = True
        self.refuses: Callable[[Published], int] = lambda message: 0
        self.n_dropped = 0  # what $SYS says
        self._network = network
        self._rng = rng
        self._input_id = input_id
        self._sessions: dict[str, Session] = {}
        self._connections: dict[str, Connection] = {}
        self._n_begun = 0  # sessions of the agent's input
        self._kept: tuple[dict[str, Session], dict[str, Published], int] = ({}, {}, 0)
        network.accept = lambda link: Connection(self, link)
        self._say_dropped()
        if habits.keeps:
            self._keep()

    # Faults -----------------------------------------------------------------------------------------------------

    def stop(self) -> None:
        """Every connection ends; nothing can be reached."""
        self.is_up = self._network.is_up = False
        self._network.cut()
        self._connections.clear()

    def start(self, keeps: Literal["all", "some", "nothing"]) -> None:
        """With all that it had, with what it wrote down a while ago, or with nothing."""
        if keeps == "some":
            before = self._sessions.get(self._input_id)
            sessions, retained, n_begun = self._kept
            self._sessions, self.retained = copies(sessions), dict(retained)
            self._note_unseen(before, self._sessions.get(self._input_id))
            if n_begun != self._n_begun:
                self._note_revived(self._sessions.get(self._input_id))
        elif keeps == "nothing":
            self._sessions, self.retained = {}, {}
        self.retained.pop(DROPPED_TOPIC, None)  # mosquitto keeps nothing of what is below $SYS
        self.n_dropped, self.record.dropped_ns = 0, -1
        self.is_up = self._network.is_up = True

    def forget_sessions(self) -> None:
        """As an administrator who ends all sessions."""
        for connection in [*self._connections.values()]:
            connection.end()
        self._sessions = {}
        self._connections = {}

    def forget_retained(self) -> None:
        self.retained = {}

    # Clients ----------------------------------------------------------------------------------------------------

    def begin(self, connection: Connection, asked: Connect) -> None:
        before = self._connections.pop(asked.client_id, None)
        if before is not None:
            before.end()
        kept = None if asked.is_clean else self._sessions.get(asked.client_id)
        self._n_begun += kept is None and asked.client_id == self._input_id
        session = self._sessions[asked.client_id] = kept or Session()
        self._connections[asked.client_id] = connection
        self.record.n_connections += asked.client_id == self._input_id
        rules = Rules(receive_maximum=self.habits.receive_maximum)
        connection.send(rules.connack(asked, has_session=kept is not None))
        for packet_id, message in session.under_way.items():
            self._note_sent(asked.client_id, message, is_again=True)
            connection.deliver(message, packet_id, is_dup=True)
        self._fill(asked.client_id)

    def leave(self, connection: Connection) -> None:
        session, asked = self.session_of(connection), connection.connect
        if session is None or asked is None:
            return
        del self._connections[asked.client_id]
        if asked.session_expiry_s == 0:
            del self._sessions[asked.client_id]
        elif asked.session_expiry_s != NEVER_S:
            ended_ns = self.clock.now_ns

            def expire() -> None:
                is_same = self.is_up and self._sessions.get(asked.client_id) is session
                is_away = asked.client_id not in self._connections
                if is_same and is_away and self.clock.now_ns - ended_ns >= asked.session_expiry_s * 1e9:
                    del self._sessions[asked.client_id]

            self.clock.after(asked.session_expiry_s, expire)

    def session_of(self, connection: Connection) -> Session | None:
        """None for a connection that has ended, or that another one has taken the place of."""
        asked = connection.connect
        if asked is None or self._connections.get(asked.client_id) is not connection:
            return None
        return self._sessions[asked.client_id]

    def subscribe(self, connection: Connection, filters: dict[str, Filter]) -> None:
        if (session := self.session_of(connection)) is None:
            return
        session.filters |= filters
        for topic in filters:
            for message in [*self.retained.values()]:
                if topic_matches_sub(topic, message.topic):
                    connection.deliver(message)

    def unsubscribe(self, connection: Connection, topics: list[str]) -> None:
        if (session := self.session_of(connection)) is not None:
            for topic in topics:
                session.filters.pop(topic, None)

    def settle(self, connection: Connection, packet_id: int) -> None:
        """PUBACK of a client. Raises Ended where it is not that of the oldest message under way."""
        session, asked = self.session_of(connection), connection.connect
        if session is None or asked is None:
            return
        message = session.acknowledge(packet_id)
        if asked.client_id == self._input_id:
            self.record.acked[message.topic, message.payload] += 1
        self._fill(asked.client_id)

    def take(self, message: Published, sender: Connection | None) -> None:
        """A message of a client of ours."""
        self.record.heard.append(message)
        self.publish(message.topic, message.payload, retain=message.retain, sender=sender)

    # Messages ---------------------------------------------------------------------------------------------------

    def publish(
        self, topic: str, payload: bytes, *, qos: int = 1, retain: bool = False, sender: Connection | None = None
    ) -> None:
        """Pass a message on to all that have subscribed to it."""
        if retain and payload:
            self.retained[topic] = Published(topic, payload, 0, retain=True)
        elif retain:
            self.retained.pop(topic, None)
        for client_id, session in self._sessions.items():
            connection = self._connections.get(client_id)
            granted = [one for filter_, one in session.filters.items() if topic_matches_sub(filter_, topic)]
            is_own = sender is not None and sender is connection
            if not granted or (is_own and granted[0].no_local):
                continue
            if qos and any(one.qos for one in granted):
                self._queue(client_id, Published(topic, payload, 1, retain=False))
            elif connection is not None:
                connection.deliver(Published(topic, payload, 0, retain=False))

    def waiting(self) -> int:
        """Messages that the agent's input has not acknowledged."""
        session = self._sessions.get(self._input_id)
        return len(session.queue) + len(session.under_way) if session is not None else 0

    def _queue(self, client_id: str, message: Published) -> None:
        queue = self._sessions[client_id].queue
        if len(queue) >= self.habits.queue_max:
            dropped = message if self.habits.drops == "newest" else queue.popleft()
            if client_id == self._input_id:
                self.record.dropped.append((dropped.topic, dropped.payload))
                self.record.dropped_ns = self.clock.now_ns
            self.n_dropped += 1
            if dropped is message:
                return
        queue.append(message)
        self._fill(client_id)

    def _fill(self, client_id: str) -> None:
        """Send what there is room for."""
        connection = self._connections.get(client_id)
        if connection is None or connection.connect is None:
            return
        window = min(connection.connect.receive_maximum, self.habits.window)
        for packet_id, message in self._sessions[client_id].deliver(window, self._packet_id):
            self._note_sent(client_id, message, is_again=False)
            connection.deliver(message, packet_id)

    def _packet_id(self, session: Session) -> int:
        if self.habits.ids == "lowest":
            return next(one for one in range(1, 65_536) if one not in session.under_way)
        if self.habits.ids == "random":
            while (one := self._rng.randint(1, 65_535)) in session.under_way:
                pass
            return one
        return in_turn(session)

    def _note_sent(self, client_id: str, message: Published, *, is_again: bool) -> None:
        which = message.topic, message.payload
        if client_id == self._input_id:
            self.record.by.setdefault(which, set()).add(self.record.n_connections)
            self.record.sent[which] += not is_again or bool(self.record.acked[which])

    def _note_unseen(self, before: Session | None, later: Session | None) -> None:
        """What was for the agent in its session, and is not in the one that takes its place."""
        if before is not None and later is not None:
            there = {(m.topic, m.payload) for m in (*later.under_way.values(), *later.queue)}
            here = {(m.topic, m.payload) for m in (*before.under_way.values(), *before.queue)}
            self.record.unseen |= here - there

    def _note_revived(self, session: Session | None) -> None:
        """A session that had ended is there again: what it delivers is sent anew, whatever was taken of it."""
        for message in session.under_way.values() if session is not None else ():
            self.record.sent[message.topic, message.payload] += 1

    def _say_dropped(self) -> None:
        count = str(self.n_dropped).encode()
        if self.is_up and (DROPPED_TOPIC not in self.retained or self.retained[DROPPED_TOPIC].payload != count):
            self.publish(DROPPED_TOPIC, count, qos=0, retain=True)
        self.clock.after(DROPPED_EVERY_S, self._say_dropped)

    def _keep(self) -> None:
        """What a restart finds again that keeps `some`."""
        if self.is_up:
            self._kept = copies(self._sessions), dict(self.retained), self._n_begun
        self.clock.after(KEPT_EVERY_S, self._keep)


def copies(sessions: dict[str, Session]) -> dict[str, Session]:
    """As they are now."""
    return {
        name: replace(one, filters=dict(one.filters), under_way=dict(one.under_way), queue=deque(one.queue))
        for name, one in sessions.items()
    }
