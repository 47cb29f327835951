"""One connection of the output, from its beginning to its end: a paho client of its own that is never used again.

paho's thread sends and reads, and puts what happened in a queue; everything else is done in the caller's thread. Since
no client outlives its connection, paho has nothing of an older one to send again: what the broker has not acknowledged
is with the caller, who also keeps the broker's limits.
"""

import math
import socket
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from queue import Empty, SimpleQueue

import paho.mqtt.client as paho
from paho.mqtt.enums import MQTTErrorCode
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from agent.config.broker_settings import Broker
from agent.mqtt.client import make_client, seconds
from agent.mqtt.connecting import Attempt
from agent.mqtt.frame_deadline import CountingClient
from agent.mqtt.limits import Limits
from agent.mqtt.link_events import Accepted, Broken, Lost, Opened, Refused, Unreachable
from agent.mqtt.paho_events import loss_of, refusal_of
from agent.publish.others import BYTES_MAX


@dataclass(frozen=True, slots=True)
class Will:
    """What the broker says in our place when the connection breaks."""

    topic: str
    payload: bytes
    qos: int
    retain: bool


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """PUBACK with its reason code, in words too; or a message at QoS 0 that has been written."""

    message_id: int
    code: int
    why: str


@dataclass(frozen=True, slots=True)
class SubscriptionRefused:
    """SUBACK that says no to one of the subscriptions."""

    why: str


@dataclass(frozen=True, slots=True)
class Message:
    """A message of the broker; of a longer payload the first BYTES_MAX + 1 bytes."""

    topic: str
    payload: bytes
    retain: bool


LinkEvent = Opened | Unreachable | Accepted | Refused | Lost | Broken
ConnectionEvent = LinkEvent | Acknowledged | SubscriptionRefused | Message


class Connection:
    """Begins to connect at once, in a thread. Raises ConfigurationRefused for an unreadable secret or certificate."""

    def __init__(self, broker: Broker, client_id: str, protocol: str, will: Will) -> None:
        self.limits = Limits()  # of the broker, once it has accepted
        self._events: SimpleQueue[ConnectionEvent] = SimpleQueue()
        self._is_5 = protocol == "5"
        keepalive_s = self._keepalive_s = seconds(broker.keepalive)
        client = self._client = make_client(broker, client_id, protocol, kind="output", build=CountingClient)
        client.will_set(will.topic, will.payload, qos=will.qos, retain=will.retain)
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_publish = self._on_publish
        client.on_subscribe = self._on_subscribe
        client.on_message = self._on_message
        self._attempt: Attempt | None = Attempt(client, lambda: client.connect(broker.host, broker.port, keepalive_s))

    def events(self) -> Iterator[ConnectionEvent]:
        """What has happened since the last call; after one that ends the connection nothing more is asked. No wait."""
        if self._attempt is not None:
            if not self._attempt.is_over(0):
                return
            fault, self._attempt = self._attempt.fault, None
            if fault:
                yield Unreachable(fault)
                return
            self._client.loop_start()
            yield Opened()
        while True:
            try:
                yield self._events.get_nowait()
            except Empty:
                return

    @property
    def n_packets(self) -> int:
        """Whole packets that have come."""
        return self._client.n_packets

    @property
    def n_bytes(self) -> int:
        """Bytes that have come."""
        return self._client.n_bytes

    def publish(self, topic: str, payload: bytes, *, qos: int, retain: bool) -> int | None:
        """The message id that `Acknowledged` will name, None when the connection has just ended."""
        info = self._client.publish(topic, payload, qos=qos, retain=retain)
        return info.mid if info.rc == MQTTErrorCode.MQTT_ERR_SUCCESS else None

    def subscribe(self, *topics: str) -> None:
        """At QoS 1, without what this client publishes itself where MQTT can say so."""
        if self._is_5:
            self._client.subscribe([(topic, SubscribeOptions(qos=1, noLocal=True)) for topic in topics])
        else:
            self._client.subscribe([(topic, 1) for topic in topics])

    def unsubscribe(self, topic: str) -> None:
        self._client.unsubscribe(topic)

    def packet_bytes(self, topic: str, payload: bytes, qos: int) -> int:
        """Size of a PUBLISH on the wire."""
        body = 2 + len(topic.encode()) + (2 if qos else 0) + (1 if self._is_5 else 0) + len(payload)
        return 1 + max(1, math.ceil(body.bit_length() / 7)) + body

    def leave(self) -> None:
        """Say goodbye: the broker drops the will, and the end of the connection comes as an event."""
        self._client.disconnect()

    def cut(self) -> None:
        """End the connection without a word: the broker says the will."""
        sock = self._client.socket()
        if isinstance(sock, socket.socket):
            with suppress(OSError):  # it may just have ended by itself
                sock.shutdown(socket.SHUT_RDWR)

    # In paho's thread -------------------------------------------------------------------------------------------

    def _on_connect(
        self, _: paho.Client, __: object, flags: paho.ConnectFlags, reason: ReasonCode, properties: Properties | None
    ) -> None:
        if reason.is_failure:
            self._events.put(refusal_of(reason, properties))
            return
        self.limits = Limits.of(properties)
        self._events.put(Accepted(tuple(self.limits.missing_to_publish(self._keepalive_s)), flags.session_present))

    def _on_disconnect(
        self, _: paho.Client, __: object, flags: paho.DisconnectFlags, reason: ReasonCode, properties: Properties | None
    ) -> None:
        self._events.put(loss_of(flags, reason, properties))

    def _on_publish(
        self, _: paho.Client, __: object, message_id: int, reason: ReasonCode, ___: Properties | None
    ) -> None:
        self._events.put(Acknowledged(message_id, reason.value, str(reason)))

    def _on_subscribe(
        self, _: paho.Client, __: object, ___: int, reasons: list[ReasonCode], ____: Properties | None
    ) -> None:
        for reason in reasons:
            if reason.is_failure:
                self._events.put(SubscriptionRefused(str(reason)))

    def _on_message(self, _: paho.Client, __: object, message: paho.MQTTMessage) -> None:
        with suppress(UnicodeDecodeError):  # no topic of ours
            self._events.put(Message(message.topic, bytes(message.payload[: BYTES_MAX + 1]), message.retain))
