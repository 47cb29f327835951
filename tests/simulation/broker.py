"""A simulated MQTT broker: sessions, windows, queues with bounds, redelivery, retained messages, wills, restarts.

It keeps to the standard, and in what the standard leaves open to its `Habits`. What it did is written down in `Record`,
with which the oracle compares.
"""

import copy
from collections.abc import Callable
from functools import lru_cache
from random import Random
from typing import Literal

from paho.mqtt.client import topic_matches_sub as matches_uncached

from tests.simulation import packets
from tests.simulation.broker_state import Habits, Record, Session
from tests.simulation.clock import Clock
from tests.simulation.network import Link, Network
from tests.simulation.packets import Connect, Publish

topic_matches_sub = lru_cache(10_000)(matches_uncached)
DROPPED_TOPIC = "$SYS/broker/publish/messages/dropped"
DROPPED_EVERY_S = 1.0
KEPT_EVERY_S = 0.4
QUOTA_EXCEEDED = 0x97


class Connection:
    """The broker's side of one connection."""

    def __init__(self, broker: "Broker", link: Link) -> None:
        self.session: Session | None = None
        self.window = 0
        self.version = packets.V5
        self._broker = broker
        self._link = link
        self._data = bytearray()
        self._will: Publish | None = None
        self._unanswered = 0

    def receive(self, data: bytes) -> None:
        self._data += data
        for first, body in packets.split(self._data):
            self._take(first, body)

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

    def deliver(self, message: Publish) -> None:
        self._link.write(packets.publish(message, self.version))

    def _take(self, first: int, body: bytes) -> None:
        kind, broker = first >> 4, self._broker
        if kind == packets.CONNECT:
            asked = packets.read_connect(body)
            self.version, self._will = asked.version, asked.will
            broker.begin(self, asked)
        elif kind == packets.PUBLISH:
            message = packets.read_publish(first, body, self.version)
            if message.packet_id:
                self._unanswered += 1
                if self.version == packets.V5 and self._unanswered > broker.habits.receive_maximum:
                    broker.record.sins.append(f"{self._unanswered} messages under way, {self.session}")
                broker.clock.after(broker.habits.answers_late_s, lambda: self._answer(message))
            else:
                broker.take(message, self)
        elif kind == packets.PUBACK:
            broker.settle(self, packets.read_puback(body))
        elif kind == packets.SUBSCRIBE:
            wanted = packets.read_subscribe(body, self.version, has_options=True)
            self.send(packets.suback(wanted, self.version))
            broker.subscribe(self, wanted.filters)
        elif kind == packets.UNSUBSCRIBE:
            unwanted = packets.read_subscribe(body, self.version, has_options=False)
            for topic, _ in unwanted.filters:
                if self.session is not None:
                    self.session.filters.pop(topic, None)
            self.send(packets.suback(unwanted, self.version, kind=packets.UNSUBACK))
        elif kind == packets.PINGREQ:
            self.send(packets.PING_ANSWER)
        elif kind == packets.DISCONNECT:
            self._will = None

    def _answer(self, message: Publish) -> None:
        if not self._broker.is_here(self):
            return
        self._unanswered -= 1
        reason = self._broker.refuses(message) if self.version == packets.V5 else 0  # 3.1.1 has no word for it
        self.send(packets.puback(message.packet_id, reason, self.version))
        if reason < 0x80:
            self._broker.take(message, self)


class Broker:
    """Its clients are the agent's input and output; devices publish by `publish`."""

    def __init__(self, clock: Clock, network: Network, habits: Habits, rng: Random, input_id: str) -> None:
        self.clock, self.habits, self.record = clock, habits, Record()
        self.retained: dict[str, Publish] = {}
        self.is_up = True
        self.refuses: Callable[[Publish], int] = lambda message: 0
        self.n_dropped = 0  # what $SYS says
        self._network = network
        self._rng = rng
        self._input_id = input_id
        self._sessions: dict[str, Session] = {}
        self._connections: dict[str, Connection] = {}
        self._kept: tuple[dict[str, Session], dict[str, Publish]] = ({}, {})
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
            before = {session.client_id: session for session in self._sessions.values()}
            self._sessions, self.retained = copy.deepcopy(self._kept[0]), dict(self._kept[1])
            for name, session in before.items():
                self._note_unseen(session, self._sessions.get(name))
        elif keeps == "nothing":
            self._sessions, self.retained = {}, {}
        self.n_dropped = 0
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
        session = self._sessions.get(asked.client_id)
        if asked.is_clean:
            session = None
        has_session = session is not None
        if session is None:
            session = self._sessions[asked.client_id] = Session(asked.client_id)
        is_v5 = asked.version == packets.V5
        keeps_for_ever = not is_v5 and not asked.is_clean
        session.expiry_s = 1e9 if keeps_for_ever else float(asked.properties.get(packets.SESSION_EXPIRY, 0))
        window = asked.properties.get(packets.RECEIVE_MAXIMUM, 65_535)
        connection.session, connection.window = session, min(window, self.habits.window)
        self._connections[asked.client_id] = connection
        connection.send(
            packets.connack(asked.version, has_session=has_session, receive_maximum=self.habits.receive_maximum)
        )
        for message in session.under_way.values():
            message.dup = True
            self._note_sent(session, message)
            connection.deliver(message)
        self._fill(session)

    def leave(self, connection: Connection) -> None:
        session = connection.session
        if session is None or self._connections.get(session.client_id) is not connection:
            return
        del self._connections[session.client_id]
        if session.expiry_s <= 0:
            self._forget(session)
        elif session.expiry_s < 1e8:
            ended_ns = self.clock.now_ns

            def expire() -> None:
                is_same = self.is_up and self._sessions.get(session.client_id) is session
                is_away = session.client_id not in self._connections
                if is_same and is_away and self.clock.now_ns - ended_ns >= session.expiry_s * 1e9:
                    self._forget(session)

            self.clock.after(session.expiry_s, expire)

    def is_here(self, connection: Connection) -> bool:
        session = connection.session
        return session is not None and self._connections.get(session.client_id) is connection

    def subscribe(self, connection: Connection, filters: list[tuple[str, int]]) -> None:
        session = connection.session
        if session is None:
            return
        for topic, options in filters:
            session.filters[topic] = options
            for message in [*self.retained.values()]:
                if topic_matches_sub(topic, message.topic):
                    connection.deliver(Publish(message.topic, message.payload, retain=True))

    def settle(self, connection: Connection, packet_id: int) -> None:
        """PUBACK of a client."""
        session = connection.session
        if session is None:
            return
        message = session.under_way.pop(packet_id, None)
        if message is None:
            self.record.sins.append(f"PUBACK of {packet_id}, which was not under way")
            return
        if session.client_id == self._input_id:
            self.record.acked[message.topic, message.payload] += 1
        self._fill(session)

    def take(self, message: Publish, sender: Connection | None) -> None:
        """A message of a client of ours."""
        self.record.heard.append(message)
        self.publish(message.topic, message.payload, retain=message.retain, sender=sender)

    # Messages ---------------------------------------------------------------------------------------------------

    def publish(
        self, topic: str, payload: bytes, *, qos: int = 1, retain: bool = False, sender: Connection | None = None
    ) -> None:
        """Pass a message on to all that have subscribed to it."""
        if retain and payload:
            self.retained[topic] = Publish(topic, payload, retain=True)
        elif retain:
            self.retained.pop(topic, None)
        for session in self._sessions.values():
            options = [options for filter_, options in session.filters.items() if topic_matches_sub(filter_, topic)]
            is_own = sender is not None and sender.session is session
            if not options or (is_own and options[0] & 4):
                continue
            connection = self._connections.get(session.client_id)
            if qos and max(options) & 1:
                self._queue(session, Publish(topic, payload))
            elif connection is not None:
                connection.deliver(Publish(topic, payload))

    def waiting(self) -> int:
        """Messages that the agent's input has not acknowledged."""
        session = self._sessions.get(self._input_id)
        return len(session.queue) + len(session.under_way) if session is not None else 0

    def _queue(self, session: Session, message: Publish) -> None:
        if len(session.queue) >= self.habits.queue_max:
            dropped = message if self.habits.drops == "newest" else session.queue.popleft()
            if session.client_id == self._input_id:
                self.record.dropped.append((dropped.topic, dropped.payload))
            self.n_dropped += 1
            if dropped is message:
                return
        session.queue.append(message)
        self._fill(session)

    def _fill(self, session: Session) -> None:
        connection = self._connections.get(session.client_id)
        while connection is not None and session.queue and len(session.under_way) < connection.window:
            message = session.queue.popleft()
            message.packet_id = self._packet_id(session)
            session.under_way[message.packet_id] = message
            self._note_sent(session, message)
            connection.deliver(message)

    def _packet_id(self, session: Session) -> int:
        if self.habits.ids == "lowest":
            return next(one for one in range(1, 65_536) if one not in session.under_way)
        if self.habits.ids == "random":
            while (one := self._rng.randint(1, 65_535)) in session.under_way:
                pass
            return one
        while session.next_id in session.under_way:
            session.next_id = session.next_id % 65_535 + 1
        one, session.next_id = session.next_id, session.next_id % 65_535 + 1
        return one

    def _note_sent(self, session: Session, message: Publish) -> None:
        which = message.topic, message.payload
        if session.client_id == self._input_id and (not message.dup or self.record.acked[which]):
            self.record.sent[which] += 1

    def _note_unseen(self, before: Session, later: Session | None) -> None:
        """What was for the agent in this session, and is not in the one that takes its place."""
        if before.client_id == self._input_id and later is not None:
            there = {(m.topic, m.payload) for m in (*later.under_way.values(), *later.queue)}
            here = {(m.topic, m.payload) for m in (*before.under_way.values(), *before.queue)}
            self.record.unseen |= here - there

    def _forget(self, session: Session) -> None:
        self._sessions.pop(session.client_id, None)

    def _say_dropped(self) -> None:
        count = str(self.n_dropped).encode()
        if self.is_up and (DROPPED_TOPIC not in self.retained or self.retained[DROPPED_TOPIC].payload != count):
            self.publish(DROPPED_TOPIC, count, qos=0, retain=True)
        self.clock.after(DROPPED_EVERY_S, self._say_dropped)

    def _keep(self) -> None:
        """What a restart finds again that keeps `some`."""
        if self.is_up:
            self._kept = copy.deepcopy(self._sessions), dict(self.retained)
        self.clock.after(KEPT_EVERY_S, self._keep)
