"""Bytes to messages with plain paho: topics, payloads, arrival times, and what must be acknowledged.

Everything but the making of a connection runs in the caller's thread: `read` waits on the socket, lets paho parse what
is there, and hands it over as three lists. The connection is made anew by itself, with a growing, jittered wait.
Sessions are clean, so a connection that ended has lost messages: `Received.history_lost` says so.
"""

import math
import random
import select
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import paho.mqtt.client as paho
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from structlog.typing import FilteringBoundLogger

from agent.config.settings import Broker
from agent.decode.topic import Pattern
from agent.errors import ConfigurationRefused
from agent.link import TAKEN_OVER, TAKEN_OVER_NEXT_STEP, TAKEN_OVER_S, Protocol, make_client, seconds
from agent.receive.attempt import Attempt
from agent.words import Drop, Source

MESSAGES_MAX = 4096  # of one read: bounds the work of one turn
RECEIVE_MAXIMUM = 1000  # QoS 1 messages the broker may have under way to us (MQTT 5)
RETRY_MIN_S, RETRY_MAX_S = 0.5, 30.0
STEADY_S = 60.0  # a connection that stood so long was a good one: the next wait is short again


@dataclass(slots=True)
class Received:
    """One read's messages, one element each, and what it dropped.

    packet_ids    those of QoS 1, dropped ones too, to be acknowledged in this order after the step
    history_lost  the connection was made anew: messages may have been missed before these
    """

    topics: list[str] = field(default_factory=list)
    payloads: list[bytes] = field(default_factory=list)
    arrived_ns: list[int] = field(default_factory=list)
    packet_ids: list[int] = field(default_factory=list)
    drops: list[Drop] = field(default_factory=list)
    n_bytes: int = 0
    history_lost: bool = False


class Receiver:
    """The input connection. `counts` has what it dropped: (source, reason) -> count."""

    def __init__(
        self, broker: Broker, client_id: str, sources: Sequence[Source], qos: Sequence[int], log: FilteringBoundLogger
    ) -> None:
        self.counts: Counter[tuple[str, str]] = Counter()
        self.connected = False
        self.why = "not connected yet"  # why it is not connected, "" when it is
        self.subscriptions = {source.name: "pending" for source in sources}
        self.protocol = Protocol(broker.protocol)
        self._broker = broker
        self._client_id = client_id
        self._sources = sources
        self._patterns = [Pattern.parse(source.topic) for source in sources]
        self._qos = qos
        self._log = log.bind(broker=f"{broker.host}:{broker.port}")
        self._attempt: Attempt | None = None
        self._client: paho.Client | None = None
        self._received = Received()
        self._subscribing: dict[int, str] = {}  # message id of a SUBSCRIBE -> source
        self._had_session = False
        self._wait_s = RETRY_MIN_S
        self._retry_at = 0.0
        self._answer_by = 0.0
        self._steady_at_s = math.inf
        self._said = ""  # the state of the connection as it was logged last

    def read(self, timeout_s: float) -> Received:
        """What has arrived, waiting at most `timeout_s` for the first message. Never raises for the network."""
        self._received = Received()
        client = self._client or self._connect(timeout_s)
        if client is None:
            return self._received
        wait_s, received = timeout_s, self._received
        while len(received.topics) + len(received.drops) < MESSAGES_MAX and self._client is client:
            readable, writable = self._wait(client, wait_s)
            if not readable and not writable:
                break
            if writable:
                client.loop_write()
            if readable:
                client.loop_read()
            wait_s = 0.0
        if self._client is client:
            client.loop_misc()
            if not self.connected and time.monotonic() > self._answer_by:
                self._fail("the broker does not answer", early=True)
        return self._received

    def acknowledge(self, packet_ids: Sequence[int]) -> None:
        """Tell the broker that QoS 1 messages are dealt with, in their order; in vain when it has gone meanwhile."""
        client = self._client
        for packet_id in packet_ids:
            if client is None or self._client is not client:  # its end may come to light between two
                return
            client.ack(packet_id, 1)

    def close(self) -> None:
        """Say goodbye."""
        client, self._client = self._client, None  # so that its end is not taken for a loss
        self.connected = False
        if client is not None:
            client.disconnect()
            client.loop_write()

    def _connect(self, timeout_s: float) -> paho.Client | None:
        """The client of a new connection when there is one within `timeout_s`; CONNACK is still to come."""
        if self._attempt is None:
            wait_s = self._retry_at - time.monotonic()
            if wait_s > 0:
                time.sleep(min(wait_s, timeout_s))
                return None
            try:
                self._attempt = self._begin()
            except ConfigurationRefused as error:  # a secret or certificate that is being replaced
                self._fail(f"{error.where}: {error.what}", early=False)
                return None
        attempt = self._attempt
        if not attempt.is_over(timeout_s):
            return None
        self._attempt = None
        if attempt.fault:
            self._fail(attempt.fault, early=False)
            return None
        client = self._client = attempt.client
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_subscribe = self._on_subscribe
        client.on_message = self._on_message
        self._answer_by = time.monotonic() + self._broker.connect_timeout.total_seconds()
        return client

    def _begin(self) -> Attempt:
        broker = self._broker
        client = make_client(broker, self._client_id, self.protocol, kind="input")
        properties = None
        if self.protocol.name == "5":
            properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
            properties.ReceiveMaximum = RECEIVE_MAXIMUM
        keepalive_s = seconds(broker.keepalive)
        return Attempt(client, lambda: client.connect(broker.host, broker.port, keepalive_s, properties=properties))

    def _wait(self, client: paho.Client, wait_s: float) -> tuple[bool, bool]:
        sock = client.socket()
        if sock is None:
            return False, False
        if getattr(sock, "pending", lambda: 0)():  # TLS has read more than it has given
            return True, client.want_write()
        writers = [sock] if client.want_write() else []
        readable, writable, _ = select.select([sock], writers, [], wait_s)
        return bool(readable), bool(writable)

    def _fail(self, why: str, *, early: bool) -> None:
        """Give the connection up and decide when the next one is tried."""
        if time.monotonic() > self._steady_at_s:
            self._wait_s = RETRY_MIN_S
        self._steady_at_s = math.inf
        self.connected = False
        self._client = None
        turned = early and self.protocol.closed_early()
        self.why = why
        self._retry_at = time.monotonic() + (0 if turned else self._wait_s * random.uniform(0.5, 1.0))
        self._wait_s = min(2 * self._wait_s, RETRY_MAX_S)
        self.subscriptions = dict.fromkeys(self.subscriptions, "pending")
        self._say("broker_lost", why)

    def _say(self, event: str, why: str) -> None:
        """One line a change of state, not one a retry."""
        state = f"{event}: {why}"
        if state != self._said:
            self._said = state
            (self._log.info if event == "broker_connected" else self._log.warning)(event, why=why)

    def _on_connect(
        self, client: paho.Client, _: object, __: paho.ConnectFlags, reason: ReasonCode, ___: Properties | None
    ) -> None:
        if reason.is_failure:
            turned = self.protocol.refused(reason)
            self._fail(f"the broker refuses: {reason}", early=False)
            self._retry_at = 0.0 if turned else self._retry_at
            return
        self.protocol.accepted()
        self.connected = True
        self.why = ""
        self._steady_at_s = time.monotonic() + STEADY_S
        self._received.history_lost = self._had_session
        self._had_session = True
        self._say("broker_connected", f"MQTT {self.protocol.name}")
        for source, pattern, qos in zip(self._sources, self._patterns, self._qos, strict=True):
            _, message_id = client.subscribe(pattern.filter, qos)
            if message_id is not None:
                self._subscribing[message_id] = source.name

    def _on_disconnect(
        self, client: paho.Client, _: object, __: paho.DisconnectFlags, reason: ReasonCode, ___: Properties | None
    ) -> None:
        if self._client is client:
            self._fail(f"the connection ended: {reason}", early=not self.connected)
            if str(reason) == TAKEN_OVER:
                self._retry_at = time.monotonic() + random.uniform(*TAKEN_OVER_S)
                self._log.error("client_id_taken", client_id=self._client_id, next_step=TAKEN_OVER_NEXT_STEP)

    def _on_subscribe(
        self, _: paho.Client, __: object, message_id: int, reasons: list[ReasonCode], ___: Properties | None
    ) -> None:
        source = self._subscribing.pop(message_id, "")
        refused = [str(reason) for reason in reasons if reason.is_failure]
        if refused:
            self.subscriptions[source] = f"refused: {refused[0]}"
            self._log.error("source_refused", source=source, why=refused[0], next_step="Check the broker's ACL.")
        else:
            self.subscriptions[source] = "granted"

    def _on_message(self, _: paho.Client, __: object, message: paho.MQTTMessage) -> None:
        received = self._received
        if message.qos:
            received.packet_ids.append(message.mid)
        try:
            topic = message.topic
        except UnicodeDecodeError as error:
            self._drop(error.object.decode("ascii", "backslashreplace"), "topic", "is not UTF-8")
            return
        if message.retain:
            self._drop(topic, "retained", "nobody knows how old it is")
        elif message.dup and self._has_no_time(topic):
            self._drop(topic, "duplicate_delivery", "it may have been taken before, and says no time of its own")
        else:
            received.topics.append(topic)
            received.payloads.append(bytes(message.payload))
            received.arrived_ns.append(time.time_ns())
            received.n_bytes += len(message.payload)

    def _drop(self, topic: str, reason: str, detail: str) -> None:
        source, device = self._whose(topic)
        self.counts[source, reason] += 1
        self._received.drops.append(Drop(source, device, topic, reason, detail))

    def _whose(self, topic: str) -> tuple[str, str]:
        """Source and device of a topic, "" where there is none."""
        for source, pattern in zip(self._sources, self._patterns, strict=True):
            device = pattern.device(topic)
            if device is not None:
                return source.name, device
        return "", ""

    def _has_no_time(self, topic: str) -> bool:
        """A repeated delivery cannot be known by its event time when that is the time of arrival."""
        name, _ = self._whose(topic)
        return any(source.name == name and source.time_unit == "arrival" for source in self._sources)
