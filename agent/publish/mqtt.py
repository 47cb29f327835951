"""The output: one connection after the other, what the agent says when it has one, and what it hears there.

Everything here runs in the core's thread and never waits. Each connection is a client of its own (connection.py) with
a sender of its own (sender.py); link/retry.py decides when the next one is made. What the broker says that it cannot do
is told once, in log and status, and what can leave does.
"""

import time
from collections.abc import Callable
from dataclasses import replace

from structlog.typing import FilteringBoundLogger

from agent.config.settings import Broker
from agent.errors import ConfigurationRefused, Unreadable
from agent.mqtt.client import seconds
from agent.mqtt.limits import Limits
from agent.mqtt.link_state import End, Retry, say_taken
from agent.mqtt.protocol import Protocol
from agent.publish.connection import Accepted, Acknowledged, Connection, Heard, NotAccepted, Subscribed, Will
from agent.publish.others import Others
from agent.publish.sender import Counts, RefusalLog, Sender
from agent.publish.topic import Topics
from agent.store.outbox import Outbox, Outgoing

STOP_TIMEOUT_S = 5.0
RETRY_MIN_S = 3.0  # whoever subscribes to events is to be back first when a broker restarts
_RETAIN_NOT_SUPPORTED, _QOS_NOT_SUPPORTED = 0x9A, 0x9B
HELD_MAX = 100_000  # standing alerts that are read back of one connection
Standing = Callable[[], list[Outgoing]]


class Output:
    """The output connection of one agent; `instance` is the agent's id. Raises ConfigurationRefused."""

    def __init__(
        self, broker: Broker, client_id: str, topics: Topics, outbox: Outbox, log: FilteringBoundLogger, instance: str
    ) -> None:
        self.connected = False
        self.connection = 0  # number of the connection; it counts when one is made
        self.why = "not connected yet"  # why it is not connected, "" when it is
        self.limits: list[str] = []  # what the broker says that it cannot do
        self.counts = Counts()
        self._broker = broker
        self._client_id = client_id
        self._topics = topics
        self._outbox = outbox
        self._log = log.bind(broker=f"{broker.host}:{broker.port}")
        self._logged = ""  # the state of the connection as it was logged last
        self._retry = Retry(broker.protocol, RETRY_MIN_S)
        self._will_limits = Limits()  # what the broker takes of a will
        self._refusals = RefusalLog(self._log)
        self._others = Others(instance, client_id)
        self._held: set[str] = set()  # standing alerts by the broker's account, until they have been looked at
        self._is_leaving = self._has_said_unreadable = False
        self._sender: Sender | None = None  # while connected
        self._connection: Connection | None = self._begin(time.monotonic())

    @property
    def protocol(self) -> Protocol:
        return self._retry.protocol

    @property
    def other_agent(self) -> str:
        """What speaks for another agent of this node, "" for nothing."""
        other = self._others.known
        return self._retry.other if other is None else f"{other.client_id} on host {other.host} is connected"

    @property
    def parked(self) -> int:
        """Messages in the outbox that the broker refused, and those behind them."""
        return self._outbox.parked

    @property
    def waiting(self) -> int:
        """Messages in the outbox that may be sent."""
        return self._outbox.waiting

    def turn(self, standing: Standing) -> None:
        """Take what paho's thread said, and send what waits. Never waits itself.

        standing  gives the retained message of each standing alert. When the connection has just been made they are
                  published again, since a broker that restarted may have lost them, and others are removed.
        """
        now_s = time.monotonic()
        if self._connection is None:
            if now_s >= self._retry.due_s:
                self._connect(now_s)
            return
        for said in self._connection.events():
            if isinstance(said, Acknowledged):
                if self._sender is not None:
                    self._sender.hear(said, now_s)
            elif isinstance(said, Accepted):
                self._on_accepted(self._connection, said.limits, standing, now_s)
            elif isinstance(said, Heard):
                self._on_heard(said, now_s)
            elif isinstance(said, Subscribed):
                self._on_subscribed(said)
            else:
                self._on_end(said, now_s)
                return
        if self._sender is not None:
            self._look_around(self._sender, standing, now_s)
            self._sender.turn(now_s)
            self._come_back_with_5(self._sender, now_s)
        self._refusals.say(now_s)

    @property
    def is_busy(self) -> bool:
        """Whether it waits for acknowledgements: more may go out as soon as they come."""
        return self._sender is not None and self._sender.awaits_answers

    def say(self, topic: str, payload: bytes, *, retain: bool) -> None:
        """Publish at QoS 0, when connected; nothing is kept for later, and what a slow broker leaves is dropped."""
        if self._sender is not None:
            self._sender.say(topic, payload, retain=retain)

    def close(self, standing: Standing) -> None:
        """Send what waits, say `stopped`, and go; after STOP_TIMEOUT_S the broker says `offline` in our place."""
        deadline_s = time.monotonic() + STOP_TIMEOUT_S
        self._turn_while(lambda: bool(self.waiting), standing, deadline_s)
        if self._sender is not None:
            self._sender.owe(self._topics.available, b"stopped", retain=True, until_taken=True)
        self._turn_while(lambda: not self._may_leave, standing, deadline_s)
        connection = self._connection
        if connection is None:
            return
        if self._may_leave:
            connection.leave()
            while time.monotonic() < deadline_s and not any(isinstance(said, End) for said in connection.events()):
                time.sleep(0.005)
        connection.cut()

    @property
    def _may_leave(self) -> bool:
        """Whether `stopped` has been said, and nothing else is under way."""
        return self._sender is not None and self._sender.is_idle and not self._sender.owes(self._topics.available)

    def _turn_while(self, goes_on: Callable[[], bool], standing: Standing, deadline_s: float) -> None:
        while self.connected and goes_on() and time.monotonic() < deadline_s:
            self.turn(standing)
            time.sleep(0.005)

    # The connection ---------------------------------------------------------------------------------------------

    def _begin(self, now_s: float) -> Connection:
        self.protocol.begin(now_s)
        limits = self._will_limits
        will = Will(self._topics.available, b"offline", qos=min(1, limits.qos_max), retain=limits.retain)
        return Connection(self._broker, self._client_id, self.protocol.name, will)

    def _connect(self, now_s: float) -> None:
        try:
            self._connection = self._begin(now_s)
        except ConfigurationRefused as error:  # a secret or certificate that is being replaced
            self._on_end(End("unreachable", f"{error.where}: {error.what}"), now_s)

    def _on_accepted(self, made: Connection, limits: Limits, standing: Standing, now_s: float) -> None:
        self._retry.accepted(now_s)
        self._will_limits = limits
        self.limits = limits.to_publish(seconds(self._broker.keepalive))
        self.connected = True
        self.connection += 1
        self.why = ""
        self._say_once("output_connected", "; ".join([f"MQTT {self.protocol.name}", *self.limits]))
        self._sender = Sender(made, limits, self._outbox, self._refusals, self.counts)
        self._sender.owe(self._topics.available, b"online", retain=True, until_taken=True)
        made.subscribe(self._topics.alerts, self._topics.instance)
        self._held.clear()
        self._has_said_unreadable = False
        self._others.connected(now_s)
        self._outbox.unpark()
        self._outbox.append(standing())

    def _on_end(self, said: End | NotAccepted, now_s: float) -> None:
        """Give the connection up and decide when the next one is made."""
        end = said if isinstance(said, End) else said.end
        if self._is_leaving:
            end = End("left", "the agent ended it, to try MQTT 5 again")
        elif isinstance(said, NotAccepted) and self._has_changed_will(said.code):
            end = End("left", end.why)  # with another will, at once
        if self._sender is not None:
            self._sender.settle()  # what was acknowledged just before the end is not to be sent again
        if self._connection is not None:
            self._connection.cut()
        self._connection = self._sender = None
        self._is_leaving = self.connected = False
        self.why = end.why
        self._say_once("output_lost", end.why)
        if self._retry.ended(end, now_s) and self._retry.other:
            say_taken(self._log, self._client_id, self._retry.other)

    def _has_changed_will(self, code: int) -> bool:
        """Whether the broker refused our last will, and would take another one."""
        before, limits = self._will_limits, self._will_limits
        if code == _RETAIN_NOT_SUPPORTED:
            limits = replace(limits, retain=False)
        elif code == _QOS_NOT_SUPPORTED:
            limits = replace(limits, qos_max=0)
        self._will_limits = limits
        return limits != before

    def _come_back_with_5(self, sender: Sender, now_s: float) -> None:
        """On 3.1.1 nobody says what an ACL threw away: a fall back to it that may be chance is not to last."""
        if sender.is_idle and self.protocol.is_5_worth_a_new_connection(now_s):
            self._is_leaving = True
            sender.connection.cut()  # if it cannot be made anew, the broker has said `offline`

    def _say_once(self, event: str, why: str) -> None:
        """One line a change of state, not one a retry."""
        state = f"{event}: {why}"
        if state != self._logged:
            self._logged = state
            (self._log.info if event == "output_connected" else self._log.warning)(event, why=why)

    # What is heard ----------------------------------------------------------------------------------------------

    def _on_subscribed(self, said: Subscribed) -> None:
        for why in filter(None, said.refused):
            limit = f"no subscription ({why}): what it retains, or other agents of this name, cannot be seen"
            if limit not in self.limits:
                self.limits.append(limit)
                self._log.warning("output_limited", why=limit, next_step="Let it read forewarn's own topics: its ACL.")

    def _on_heard(self, said: Heard, now_s: float) -> None:
        if said.topic != self._topics.instance:
            if said.retain and said.payload and len(self._held) < HELD_MAX:  # what is said now is not ours to judge
                self._held.add(said.topic)
            return
        if said.retain:  # whoever asked last, and may be dead
            return
        try:
            is_new = self._others.hear(said.payload, now_s)
        except Unreadable as error:
            if not self._has_said_unreadable:
                next_step = "Only agents of this node are to write it: the broker's ACL."
                self._log.warning("instance_unreadable", topic=said.topic, why=str(error), next_step=next_step)
            self._has_said_unreadable = True
            return
        if is_new:
            next_step = "Give each agent its own agent.node; nothing of the other one is removed."
            self._log.error("other_agent_connected", node=self._topics.root, why=self.other_agent, next_step=next_step)

    def _look_around(self, sender: Sender, standing: Standing, now_s: float) -> None:
        self._retry.look(now_s)
        if self._others.look(now_s):
            self._log.info("other_agent_gone", node=self._topics.root)
        for payload, retain in self._others.take():
            sender.owe(self._topics.instance, payload, retain=retain)
        if not self._held or not self._others.is_settled(now_s):
            return
        foreign = sorted(self._held - {one.topic for one in standing()})
        self._held.clear()
        if foreign and self._others.known is not None:
            self._log.warning("retained_alerts_left", count=len(foreign), why=self.other_agent)
            return
        for topic in foreign:
            self._log.warning("retained_alert_removed", topic=topic, why="the alert table does not have it")
        self._outbox.append([Outgoing("removed", topic, b"", retain=True) for topic in foreign])
