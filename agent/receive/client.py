"""The input connection: made, watched and made again, subscribed, read and acknowledged.

Everything but the making of a connection runs in the caller's thread: `read` waits on the socket, lets the client parse
what is there, and hands it over as columns. The client is the fast one, or plain paho where check.py finds that this
paho is not the one it was written for. The connection is made anew by itself, with a growing, jittered wait. Sessions
are clean, so a connection that ended has lost messages: `Received.history_lost` says so.
"""

import math
import time
from collections.abc import Sequence
from functools import partial
from typing import Literal

import paho.mqtt.client as paho
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from structlog.typing import FilteringBoundLogger

from agent.config.settings import Broker
from agent.decode.topic import Pattern
from agent.errors import ConfigurationRefused
from agent.mqtt.client import make_client, seconds
from agent.mqtt.connecting import Attempt
from agent.mqtt.limits import Limits
from agent.mqtt.link_state import End, Retry, say_taken
from agent.mqtt.protocol import Protocol
from agent.receive.arrival import ArrivalClock
from agent.receive.broker_drops import BrokerDrops
from agent.receive.fast_client import FastClient, packet_bytes_max
from agent.receive.inbox import DEVICE_ID_BYTES_MAX, MESSAGES_MAX, Inbox, Received
from agent.receive.paho_check import difference
from agent.receive.paho_message import message_of
from agent.receive.publish_frame import ProtocolError
from agent.receive.silence import Silence
from agent.receive.wait import Nap, until_ready
from agent.words import Source

READ_S_MAX = 0.1  # one read goes on no longer, however fast the broker sends
RECEIVE_MAXIMUM = 1000  # QoS 1 messages the broker may have under way to us (MQTT 5)
RETRY_MIN_S = 0.5
_PROTOCOL_ERROR = 0x82


class Receiver:
    """The input connection. `counts` has what it dropped: (source, reason) -> count; `shed_of` of which device
    the most rows; `path` is who parses. `backlog` has the rows that wait, `release` reads some of them and nothing
    else. `spend` is to be told how long the rows of a read took. `now_ns` is the clock of arrival, which begins at
    `not_before_ns`.
    """

    def __init__(
        self,
        broker: Broker,
        client_id: str,
        sources: Sequence[Source],
        qos: Sequence[int],
        log: FilteringBoundLogger,
        *,
        payload_bytes_max: int,
        rows_per_device_max: int = MESSAGES_MAX,
        device_id_bytes_max: int = DEVICE_ID_BYTES_MAX,
        wanted: Literal["auto", "paho"] = "auto",
        not_before_ns: int = 0,
    ) -> None:
        self.now_ns = ArrivalClock(log, not_before_ns).now_ns
        self._inbox = Inbox(sources, payload_bytes_max, self.now_ns, rows_per_device_max, device_id_bytes_max)
        self.counts = self._inbox.counts
        self.shed_of = self._inbox.shed_of
        self.backlog = self._inbox.backlog
        self.release = self._inbox.release
        self._broker_drops = BrokerDrops(self.counts)
        self.spend = self._inbox.share.spend
        self._nap = Nap(has_window=any(qos))
        self.path: Literal["fast", "paho"] = "paho"
        self.connected = False
        self.why = "not connected yet"  # why it is not connected, "" when it is
        self.subscriptions = {source.name: "pending" for source in sources}
        self.limits: list[str] = []  # what the broker says that it cannot do
        self._broker = broker
        self._client_id = client_id
        self._sources = sources
        self._patterns = [Pattern.parse(source.topic) for source in sources]
        self._qos = qos
        self._log = log.bind(broker=f"{broker.host}:{broker.port}")
        self._attempt: Attempt | None = None
        self._client: paho.Client | None = None
        self._subscribing: dict[int, str] = {}  # message id of a SUBSCRIBE -> source
        self._had_session = False
        self._retry = Retry(broker.protocol, RETRY_MIN_S)
        self._answer_by = math.inf  # CONNECT, then SUBSCRIBE
        self._silence = Silence(self._log, [pattern.filter for pattern in self._patterns], broker.username or "us")
        self._said = ""  # the state of the connection as it was logged last
        if wanted == "auto":
            self._choose_path()

    def read(self, timeout_s: float) -> Received:
        """What has arrived, waiting at most `timeout_s` for the first message. Never raises for the network."""
        self._inbox.begin()
        timeout_s = min(timeout_s, self._inbox.due_s(time.monotonic()))
        if (client := self._client or self._connect(timeout_s)) is not None:
            self._hear(client, self._inbox.received, timeout_s)
        return self._inbox.settle(time.monotonic())

    @property
    def protocol(self) -> Protocol:
        return self._retry.protocol

    @property
    def other_agent(self) -> str:
        """What speaks for another client with our id, "" for nothing."""
        return self._retry.other

    def nap(self, longest_s: float) -> None:
        """Look away for at most `longest_s`, where the last read brought messages."""
        if (client := self._client) is not None and self._inbox.received.topics:
            self._nap.take(client, self._inbox.received, min(longest_s, self._inbox.due_s(time.monotonic())))

    def keep_alive(self) -> None:
        """Do what the connection needs while nothing is read from it."""
        if self._client is not None:
            self._client.loop_misc()

    def acknowledge(self, packet_ids: Sequence[int]) -> None:
        """Tell the broker that QoS 1 messages are dealt with, in their order; in vain when it has gone meanwhile."""
        if isinstance(client := self._client, FastClient):
            client.acknowledge(packet_ids)
            return
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

    def _choose_path(self) -> None:
        if not (why := difference()):
            self.path = "fast"
            return
        next_step = "Everything works, with more CPU a message. Install the paho-mqtt of requirements.lock."
        self._log.warning("receiver_fallback", why=why, next_step=next_step)

    def _hear(self, client: paho.Client, received: Received, timeout_s: float) -> None:
        wait_s, ends_s = timeout_s, time.monotonic() + timeout_s + READ_S_MAX
        while self._inbox.room > 0 and self._client is client and time.monotonic() < ends_s:
            readable, writable = until_ready(client, wait_s)
            if not readable and not writable:
                break
            if writable:
                client.loop_write()
            if readable:
                self._read_once(client)
                if isinstance(client, FastClient) and not client.has_more:
                    break  # or a busy broker's messages would be read one by one
            wait_s = 0.0
        else:
            received.is_cut = self._client is client
        self._broker_drops.hear(received, time.monotonic())
        if self._client is client:
            client.loop_misc()
            if time.monotonic() > self._answer_by:
                asked = f" the subscription of {', '.join(self._subscribing.values())}" if self.connected else ""
                self._fail(self._end_of_ours(f"the broker does not answer{asked}"))
        self._retry.look(time.monotonic())
        self._silence.hear(received, time.monotonic())

    def _read_once(self, client: paho.Client) -> None:
        try:
            client.loop_read()
        except ProtocolError as error:
            if (sock := client.socket()) is not None:
                sock.close()
            self._fail_protocol(str(error))
        finally:
            self._inbox.stamp()

    def _connect(self, timeout_s: float) -> paho.Client | None:
        """The client of a new connection when there is one within `timeout_s`; CONNACK is still to come."""
        if self._attempt is None:
            wait_s = self._retry.due_s - time.monotonic()
            if wait_s > 0:
                time.sleep(min(wait_s, timeout_s))
                return None
            try:
                self._attempt = self._begin()
            except ConfigurationRefused as error:  # a secret or certificate that is being replaced
                self._fail(End("unreachable", f"{error.where}: {error.what}"))
                return None
        if not (attempt := self._attempt).is_over(timeout_s):
            return None
        self._attempt = None
        if attempt.fault:
            self._fail(End("unreachable", attempt.fault))
            return None
        client = self._client = attempt.client
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_subscribe = self._on_subscribe
        client.on_message = self._on_message
        self._expect_answer()
        return client

    def _expect_answer(self) -> None:
        self._answer_by = time.monotonic() + self._broker.connect_timeout.total_seconds()

    def _begin(self) -> Attempt:
        broker = self._broker
        self.protocol.begin(time.monotonic())
        build = partial(FastClient, self._inbox) if self.path == "fast" else paho.Client
        client = make_client(broker, self._client_id, self.protocol.name, kind="input", build=build)
        properties = None
        if self.protocol.name == "5":
            properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
            properties.ReceiveMaximum = RECEIVE_MAXIMUM
            properties.MaximumPacketSize = packet_bytes_max(self._inbox.payload_bytes_max)
        keepalive_s = seconds(broker.keepalive)
        return Attempt(client, lambda: client.connect(broker.host, broker.port, keepalive_s, properties=properties))

    def _fail(self, end: End) -> None:
        """Give the connection up and decide when the next one is tried."""
        self._silence.lose_connection()
        self.connected = False
        self._client = None
        self.why = end.why
        self.subscriptions = dict.fromkeys(self.subscriptions, "pending")
        self._subscribing.clear()
        self._broker_drops.lose_connection()
        self._say("broker_lost", end.why)
        if self._retry.ended(end, time.monotonic()) and self.other_agent:
            say_taken(self._log, self._client_id, self.other_agent)

    def _end_of_ours(self, why: str) -> End:
        return End("explained" if self.connected else "early", why)

    def _fail_protocol(self, why: str) -> None:
        self.counts["", "protocol_error"] += 1
        self._fail(self._end_of_ours(f"protocol error: {why}"))

    def _say(self, event: str, why: str) -> None:
        """One line a change of state, not one a retry."""
        state = f"{event}: {why}"
        if state != self._said:
            self._said = state
            (self._log.info if event == "broker_connected" else self._log.warning)(event, why=why)

    def _on_connect(
        self, client: paho.Client, _: object, __: paho.ConnectFlags, reason: ReasonCode, properties: Properties | None
    ) -> None:
        if reason.is_failure:
            self._fail(End.of_refusal(reason, properties))
            return
        self._retry.accepted(time.monotonic())
        self.limits = Limits.of(properties).to_read(seconds(self._broker.keepalive))
        self.connected = True
        self.why = ""
        self._inbox.received.history_lost = self._had_session
        self._had_session = True
        self._say("broker_connected", "; ".join([f"MQTT {self.protocol.name}", *self.limits]))
        self._expect_answer()
        for source, pattern, qos in zip(self._sources, self._patterns, self._qos, strict=True):
            _, message_id = client.subscribe(pattern.filter, qos)
            if message_id is not None:
                self._subscribing[message_id] = source.name

    def _on_disconnect(
        self, client: paho.Client, _: object, flags: paho.DisconnectFlags, reason: ReasonCode, said: Properties | None
    ) -> None:
        if self._client is not client:
            return
        if reason == _PROTOCOL_ERROR and not flags.is_disconnect_packet_from_server:
            self._fail_protocol("a packet that paho cannot read")
        else:
            self._fail(End.of_loss(flags, reason, said, was_accepted=self.connected))

    def _on_subscribe(
        self, client: paho.Client, _: object, message_id: int, reasons: list[ReasonCode], __: Properties | None
    ) -> None:
        if (source := self._subscribing.pop(message_id, None)) is None:  # an answer to nothing, or to what is no source
            self._broker_drops.answer(message_id)
            return
        refused = [str(reason) for reason in reasons if reason.is_failure]
        if refused:
            self.subscriptions[source] = f"refused: {refused[0]}"
            self._log.error("source_refused", source=source, why=refused[0], next_step="Check the broker's ACL.")
        else:
            self.subscriptions[source] = "granted"
            self._silence.granted(time.monotonic())
        if not self._subscribing:
            self._answer_by = math.inf
            self._broker_drops.ask(client)

    def _on_message(self, _: paho.Client, __: object, message: paho.MQTTMessage) -> None:
        self._inbox.take(message_of(message))
