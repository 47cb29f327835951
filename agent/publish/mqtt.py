"""The output: one connection after the other, and what the agent says when it has one.

Everything here runs in the core's thread and never waits. Each connection is a client of its own (connection.py) with
a sender of its own (sender.py); `link` owns its phase and decides when the next one is made, and in which version. What
the broker says that it cannot do is told once, in log and status, and what can leave does.
"""

import time
from collections.abc import Callable
from dataclasses import replace

from structlog.typing import FilteringBoundLogger

from agent.config.broker_settings import Broker
from agent.errors import ConfigurationRefused
from agent.mqtt.frame_deadline import WHY, FrameDeadline
from agent.mqtt.limits import Limits
from agent.mqtt.link_events import (
    Accepted,
    Begun,
    Broken,
    Closed,
    Event,
    Left,
    Lost,
    Refused,
    Subscribed,
    Unanswered,
    Unreachable,
)
from agent.mqtt.link_log import log_notices
from agent.mqtt.link_state import LinkState
from agent.mqtt.reason_code import ReasonCode
from agent.publish.connection import Acknowledged, Connection, ConnectionEvent, Message, SubscriptionRefused, Will
from agent.publish.copies import Copies
from agent.publish.own_topics import OwnTopics
from agent.publish.refused import RefusalLog
from agent.publish.round_trip import RoundTrip
from agent.publish.sender import Counts, Sender
from agent.publish.topic import Topics
from agent.store.cursor import Cursor

STOP_TIMEOUT_S = 5.0
TELL_PART = 0.8  # of it, for alerts; the rest for the word that the agent stops
RETRY_MIN_S = 3.0  # whoever subscribes to events is to be back first when a broker restarts


class Output:
    """The output connection of one agent. Raises ConfigurationRefused.

    link    its phase, and what there is to say of it
    counts  what has left, and what could not
    """

    def __init__(
        self,
        broker: Broker,
        client_id: str,
        topics: Topics,
        cursor: Cursor,
        log: FilteringBoundLogger,
        instance: str,
        *,
        trusts_puback: bool = False,
    ) -> None:
        """instance: the agent's id, of which no other agent has the same.

        trusts_puback  whether a PUBACK of MQTT 3.1.1 counts without a round trip that proves it
        """
        answer_within_s = broker.connect_timeout.total_seconds()
        self.link = LinkState(broker.protocol, retry_min_s=RETRY_MIN_S, answer_within_s=answer_within_s)
        self.counts = Counts()
        self._broker = broker
        self._client_id = client_id
        self._topics = topics
        self._cursor = cursor
        self._log = log.bind(broker=f"{broker.host}:{broker.port}")
        self._will_limits = Limits()  # what the broker takes of a will
        self._deadline = FrameDeadline(broker.keepalive.total_seconds())
        self._refusals = RefusalLog(self._log)
        self._proof = RoundTrip(topics, self._log, is_asked_for=not trusts_puback)
        self._own_topics = OwnTopics(topics, instance, client_id, self._log)
        self._sender: Sender | None = None  # while connected
        self._connection: Connection | None = self._begin(time.monotonic())  # None while the link waits

    @property
    def limits(self) -> list[str]:
        """What the broker says or shows that it cannot do, in words."""
        return [*self.link.limits, *self._own_topics.refusals, *filter(None, [self._proof.why])]

    @property
    def other_agent(self) -> str:
        """What speaks for another agent of this node, "" for nothing."""
        return self._own_topics.others.describe() or self.link.other_client

    @property
    def parked(self) -> int:
        """Messages in the outbox that the broker refused, and those behind them."""
        return self._cursor.parked

    @property
    def due(self) -> int:
        """Alert messages that the broker does not have yet, as far as it is known."""
        return len(self._cursor) + (self._sender.n_told_again if self._sender is not None else 0)

    @property
    def waiting(self) -> int:
        """Messages in the outbox that may be sent."""
        return self._cursor.waiting

    def turn(self) -> None:
        """Take what has happened, and send what waits. Never waits itself.

        When the connection has just been made standing alerts are published again, since a broker that restarted may
        have lost them, and others are removed.
        """
        now_s = time.monotonic()
        connection = self._connection
        if connection is None:
            if now_s >= self.link.due_s:
                self._connect(now_s)
            return
        for event in connection.events():
            self._take(event, connection, now_s)
            if self._connection is None:
                return
        if self.link.is_overdue(now_s):
            self._apply(Unanswered(), now_s)
        mark = (self.link.n_connections, connection.n_packets)
        if self.link.is_connected and self._deadline.is_over(now_s, mark=mark, n_bytes=connection.n_bytes):
            self._apply(Broken(WHY), now_s)
        self.link.advance(now_s)
        if self._sender is not None:
            self._read_back(self._sender, now_s)
            self._sender.turn(now_s)
            self._come_back_with_5(self._sender, now_s)
        self._refusals.say(now_s)

    @property
    def is_busy(self) -> bool:
        """Whether it waits for acknowledgements: more may go out as soon as they come."""
        return self._sender is not None and self._sender.awaits_answers

    def publish(self, topic: str, payload: bytes, *, retain: bool) -> None:
        """Publish at QoS 0, when connected; nothing is kept for later, and what a slow broker leaves is dropped.

        What is left out is counted, but for what is retained: the next one replaces it.
        """
        if self._sender is not None:
            self._sender.publish(topic, payload, retain=retain)
        elif not retain:
            self.counts.dropped += 1

    def close(self) -> None:
        """Send what waits, say `stopped`, and go; after STOP_TIMEOUT_S the broker says `offline` in our place."""
        deadline_s = time.monotonic() + STOP_TIMEOUT_S
        self._turn_while(self._has_more_to_say, deadline_s - (1 - TELL_PART) * STOP_TIMEOUT_S)
        if self._sender is not None:
            self._sender.enqueue(self._topics.available, b"stopped", retain=True, until_taken=True)
        self._turn_while(lambda: not self._may_leave, deadline_s)
        connection, may_leave = self._connection, self._may_leave
        self._apply(Closed(), time.monotonic())
        if connection is None:
            return
        if may_leave:
            connection.leave()
            while time.monotonic() < deadline_s and not any(isinstance(e, Lost | Broken) for e in connection.events()):
                time.sleep(0.005)
        connection.cut()

    def _has_more_to_say(self) -> bool:
        if self._sender is not None:
            self._sender.copies.forget_removals()  # the next start finds them again
        return bool(self.waiting or (self._sender is not None and len(self._sender.copies)))

    @property
    def _may_leave(self) -> bool:
        """Whether `stopped` has been said, and nothing else is under way."""
        return self._sender is not None and self._sender.is_idle and not self._sender.is_pending(self._topics.available)

    def _turn_while(self, goes_on: Callable[[], bool], deadline_s: float) -> None:
        while self.link.is_connected and goes_on() and time.monotonic() < deadline_s:
            self.turn()
            time.sleep(0.005)

    # The connection ---------------------------------------------------------------------------------------------

    def _begin(self, now_s: float) -> Connection:
        self._apply(Begun(), now_s)
        limits = self._will_limits
        will = Will(self._topics.available, b"offline", qos=min(1, limits.qos_max), retain=limits.retain)
        return Connection(self._broker, self._client_id, self.link.protocol.name, will)

    def _connect(self, now_s: float) -> None:
        try:
            self._connection = self._begin(now_s)
        except ConfigurationRefused as error:  # a secret or certificate that is being replaced
            self._apply(Unreachable(f"{error.where}: {error.what}"), now_s)

    def _take(self, event: ConnectionEvent, connection: Connection, now_s: float) -> None:
        """What has happened on the connection."""
        if isinstance(event, Acknowledged):
            if self._sender is not None:
                self._sender.acknowledge(event, now_s)
        elif isinstance(event, Message):
            self._take_message(event, now_s)
        elif isinstance(event, SubscriptionRefused):
            self._own_topics.refuse(event.why)
        elif isinstance(event, Refused):
            self._apply(replace(event, is_mended=self._has_changed_will(event.code)), now_s)
        else:
            self._apply(event, now_s)
            if isinstance(event, Accepted) and self.link.is_connected:
                self._on_accepted(connection, now_s)

    def _take_message(self, message: Message, now_s: float) -> None:
        if self._sender is not None and not message.retain:
            self._sender.receive(message.topic, message.payload)
        if message.topic != self._topics.event:
            self._own_topics.take(message.topic, message.payload, now_s, retain=message.retain)

    def _apply(self, event: Event, now_s: float) -> None:
        """Tell the link what has happened, and give the connection up where that ends it."""
        change = self.link.apply(event, now_s)
        log_notices(self._log, change.notices, name="output", client_id=self._client_id)
        if not change.has_ended:
            return
        if self._sender is not None:
            self._sender.settle()  # what was acknowledged just before the end is not to be sent again
        if self._connection is not None:
            self._connection.cut()
        self._connection = self._sender = None

    def _on_accepted(self, connection: Connection, now_s: float) -> None:
        self._apply(Subscribed(), now_s)  # what it reads back may come late, or never: nothing waits for that
        self._will_limits = connection.limits
        copies = Copies(self._cursor, self._topics, self._log)
        self._proof.connect(is_5=self.link.protocol.name == "5")
        self._sender = Sender(
            connection,
            connection.limits,
            self._cursor,
            copies,
            self._topics,
            self._proof,
            self._refusals,
            self.counts,
        )
        self._sender.enqueue(self._topics.available, b"online", retain=True, until_taken=True)
        connection.subscribe(*self._own_topics.filters, *([self._topics.event] if self._proof.is_needed else []))
        self._own_topics.connect(now_s)
        self._cursor.unpark()

    def _has_changed_will(self, code: int) -> bool:
        """Whether the broker refused our last will, and would take another one."""
        before, limits = self._will_limits, self._will_limits
        if code == ReasonCode.RETAIN_NOT_SUPPORTED:
            limits = replace(limits, retain=False)
        elif code == ReasonCode.QOS_NOT_SUPPORTED:
            limits = replace(limits, qos_max=0)
        self._will_limits = limits
        return limits != before

    def _come_back_with_5(self, sender: Sender, now_s: float) -> None:
        """On 3.1.1 nobody says what an ACL threw away: a fall back to it that may be chance is not to last."""
        if sender.is_idle and self.link.protocol.is_5_worth_a_new_connection(now_s):
            self._apply(Left("the agent ended it, to try MQTT 5 again"), now_s)

    def _read_back(self, sender: Sender, now_s: float) -> None:
        """Answer other agents, and remove retained alerts that are nobody's."""
        for payload, retain in self._own_topics.advance(now_s):
            sender.enqueue(self._topics.instance, payload, retain=retain)
        if self._own_topics.is_settled(now_s):
            standing = {self._topics.alert(*key) for key in self._cursor.standing()}
            sender.copies.remove(self._own_topics.foreign(standing))
        if self._own_topics.others.other is not None:
            sender.copies.forget_removals()
