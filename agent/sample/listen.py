"""The network's side of `forewarn sample`: connect, subscribe, and hear for a while. The one file of it that waits."""

import time
from collections.abc import Sequence
from contextlib import suppress
from functools import partial

import paho.mqtt.client as paho
from paho.mqtt.enums import MQTTErrorCode
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from agent.config.broker_settings import Broker
from agent.decode.sparkplug_payload import rebirth_command
from agent.decode.sparkplug_topic import BIRTHS, DATA, place, templates
from agent.errors import ForewarnError
from agent.mqtt.client import make_client, seconds
from agent.sample.traffic import Message, Traffic

PACKET_BYTES_MAX = 2**20  # a broker of MQTT 5 keeps larger ones to itself
LOOP_S = 0.2


class Listener:
    """One connection, from its beginning to its end.

    traffic  what came
    refused  filters that the broker refused, with its reason
    ended    why the connection ended before its time, "" where it did not
    """

    def __init__(self, broker: Broker, topics: Sequence[str], *, asks_for_births: bool = False) -> None:
        self.traffic = Traffic()
        self.refused: dict[str, str] = {}
        self.ended = ""
        self._broker, self._topics = broker, topics
        self._asks = asks_for_births
        self._births: set[str] = set()  # nodes that were born, or asked
        self._is_accepted = False
        self._why_refused = ""

    def listen(self, span_s: float) -> float:
        """Hear for `span_s` seconds from the first answer on; how long it was. Raises ForewarnError: no connection."""
        versions = ("5", "3.1.1") if self._broker.protocol == "auto" else (self._broker.protocol,)
        for version in versions:
            client = self._connect(version)
            heard_s = self._hear(client, span_s)
            if self._is_accepted:
                return heard_s
        why = self._why_refused or "the broker ended the connection without an answer"
        raise self._error(why, "Do user name and password, TLS and port fit? `--config FILE` takes a [broker].")

    def _connect(self, version: str) -> paho.Client:
        broker = self._broker
        client_id = f"{broker.client_id or 'forewarn'}-sample-{time.time_ns() % 10**9}"  # another one each time
        client = make_client(broker, client_id, version, kind="output", build=paho.Client)
        client.on_connect = self._on_connect
        client.on_subscribe = self._on_subscribe
        client.on_disconnect = self._on_disconnect
        client.on_message = self._on_message
        connect = partial(client.connect, broker.host, broker.port, seconds(broker.keepalive))
        if version == "5":
            properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
            properties.MaximumPacketSize = PACKET_BYTES_MAX
            connect = partial(connect, properties=properties)
        try:
            connect()
        except OSError as error:
            raise self._error(f"cannot be reached: {error}", "Is it the right address and port?") from None
        return client

    def _hear(self, client: paho.Client, span_s: float) -> float:
        """Turn the client's wheel until the time is over, or Ctrl-C."""
        self.ended = ""
        patience_s = self._broker.connect_timeout.total_seconds()
        began_s = time.monotonic()
        with suppress(KeyboardInterrupt):  # who has seen enough still gets the guess
            while not self.traffic.is_full:
                if client.loop(LOOP_S) != MQTTErrorCode.MQTT_ERR_SUCCESS:
                    self.ended = self.ended or "the connection was lost"
                    break
                if time.monotonic() - began_s >= (span_s if self._is_accepted else patience_s):
                    break
        heard_s = time.monotonic() - began_s
        client.disconnect()
        client.loop(0)
        return heard_s

    def _error(self, what: str, next_step: str) -> ForewarnError:
        return ForewarnError(f"{self._broker.host}:{self._broker.port}", what, next_step=next_step)

    def _on_connect(
        self, client: paho.Client, _: object, __: object, reason: ReasonCode, ___: Properties | None
    ) -> None:
        if reason.is_failure:
            self._why_refused = f"the broker refuses the connection: {reason}"
            return
        self._is_accepted = True
        client.subscribe([(topic, 0) for topic in self._topics])

    def _on_subscribe(
        self, _: paho.Client, __: object, ___: int, reasons: list[ReasonCode], ____: Properties | None
    ) -> None:
        failed = zip(self._topics, reasons, strict=False)
        self.refused = {topic: str(reason) for topic, reason in failed if reason.is_failure}

    def _on_disconnect(
        self, _: paho.Client, __: object, ___: object, reason: ReasonCode, ____: Properties | None
    ) -> None:
        self.ended = f"the broker ended the connection: {reason}" if reason.is_failure else ""

    def _on_message(self, client: paho.Client, _: object, message: paho.MQTTMessage) -> None:
        try:
            topic = message.topic
        except UnicodeDecodeError:  # no topic that anybody can name
            self.traffic.n_unlisted += 1
            return
        self.traffic.add(Message(topic, bytes(message.payload), time.time_ns(), message.retain))
        if self._asks and topic.startswith("spBv1.0/"):
            self._ask_for_births(client, topic)

    def _ask_for_births(self, client: paho.Client, topic: str) -> None:
        """Once of each edge node whose data come before a birth."""
        with suppress(ValueError):
            at = place(topic, templates("{device}"))
            if at.kind in (*BIRTHS, *DATA) and at.node not in self._births:
                self._births.add(at.node)
                if at.kind in DATA:
                    group, node = at.node.split("/")
                    client.publish(f"spBv1.0/{group}/NCMD/{node}", rebirth_command(time.time_ns() // 10**6))
