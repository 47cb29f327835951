"""The output client: outbox, status and scores to the broker.

paho's thread sends and reads. This side hands it messages and takes what it says from a queue, so that the database
and the core are touched by one thread only. A message leaves the outbox on a PUBACK whose reason is success; one that
the broker refuses stays, parked until the next connection, and is said.
"""

import random
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from queue import Empty, SimpleQueue

import paho.mqtt.client as paho
from paho.mqtt.enums import MQTTErrorCode
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions
from structlog.typing import FilteringBoundLogger

from agent.config.settings import Broker
from agent.errors import ConfigurationRefused
from agent.link import TAKEN_OVER, TAKEN_OVER_NEXT_STEP, TAKEN_OVER_S, Protocol, make_client, seconds
from agent.publish.topic import Topics
from agent.store.outbox import Outbox, Outgoing

IN_FLIGHT_MAX = 20  # what mosquitto holds of one client by default
SAYING_MAX = 10_000  # scores and status that may wait in paho
RETRY_MIN_S, RETRY_MAX_S = (1, 3), (20, 40)  # drawn from, so that a hundred gateways do not come back in step
SHORT_S, SHORT_DOUBLINGS = 60.0, 5  # connections that stand no longer are tried ever less often, to 32-96 s
STOP_TIMEOUT_S = 5.0
REFUSED_EVERY_S = 10.0


@dataclass(frozen=True, slots=True)
class Connected:
    """The broker has accepted the connection."""


@dataclass(frozen=True, slots=True)
class Lost:
    """The connection ended, or it could not be made: refused for a `reason`, or nobody is there."""

    why: str
    reason: ReasonCode | None = None
    is_unreachable: bool = False
    is_taken_over: bool = False


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """A PUBACK."""

    message_id: int
    reason: ReasonCode


@dataclass(frozen=True, slots=True)
class Retained:
    """A standing alert that the broker holds."""

    topic: str


class Output:
    """The output connection of one agent."""

    def __init__(
        self, broker: Broker, client_id: str, topics: Topics, outbox: Outbox, log: FilteringBoundLogger
    ) -> None:
        self.connected = False
        self.dropped = 0  # messages at QoS 0 that a slow broker left over
        self.parked = 0  # messages that the broker refused since the connection was made
        self.delivered = 0  # messages that have left the outbox
        self.connection = 0  # number of the connection; it counts when one is made
        self.why = "not connected yet"  # why it is not connected, "" when it is
        self.protocol = Protocol(broker.protocol)
        self._broker = broker
        self._client_id = client_id
        self._topics = topics
        self._outbox = outbox
        self._log = log.bind(broker=f"{broker.host}:{broker.port}")
        self._was_refused = False
        self._logged = ""  # the state of the connection as it was logged last
        self._refused: Counter[str] = Counter()  # reason -> refused publishes that are to be said
        self._refused_due_s = 0.0
        self._is_stale = False  # secret and certificate are to be read again
        self._accepted_at_s: float | None = None  # in paho's thread, as is the next
        self._short_lived = 0  # connections in a row that stood for less than SHORT_S
        self._in_flight: dict[int, int] = {}  # paho's message id -> number in the outbox
        self._sent_up_to = 0
        self._saying: set[int] = set()  # message ids at QoS 0 that paho has not written yet
        self._client = self._start(self._make())

    def turn(self, standing: Callable[[], list[Outgoing]]) -> None:
        """Take what paho's thread said, and send what waits. Never waits itself.

        standing  gives the retained message of each standing alert. When the connection has just been made they are
                  published again, since a broker that restarted may have lost them, and others are removed.
        """
        done: list[int] = []
        held: list[str] = []  # standing alerts by the broker's account
        while True:
            try:
                said = self._said.get_nowait()
            except Empty:
                break
            if isinstance(said, Connected):
                self._on_connected(standing)
            elif isinstance(said, Lost):
                self._on_lost(said)
            elif isinstance(said, Retained):
                held.append(said.topic)
            else:
                done += self._on_acknowledged(said)
        if done:
            self._outbox.remove(done)
            self.delivered += len(done)
        if held:
            foreign = set(held) - {one.topic for one in standing()}
            self._outbox.append([Outgoing("removed", topic, b"", retain=True) for topic in sorted(foreign)])
        self._send()
        self._say_refused()

    @property
    def is_busy(self) -> bool:
        """Whether it waits for acknowledgements, or has some that `turn` has not looked at."""
        return bool(self._in_flight) or not self._said.empty()

    @property
    def waiting(self) -> int:
        """Messages in the outbox that may be sent; what was refused on this connection waits for the next one."""
        return len(self._outbox) - self.parked

    def renew(self) -> None:
        """Read secret and certificate again for the next connection."""
        self._is_stale = True

    def say(self, topic: str, payload: bytes, *, retain: bool) -> None:
        """Publish at QoS 0, when connected; nothing is kept for later, and what a slow broker leaves is dropped."""
        if len(self._saying) >= SAYING_MAX:
            self.dropped += 1
        elif self.connected:
            info = self._client.publish(topic, payload, qos=0, retain=retain)
            if info.rc == MQTTErrorCode.MQTT_ERR_SUCCESS:
                self._saying.add(info.mid)

    def close(self, standing: Callable[[], list[Outgoing]]) -> None:
        """Send what waits, say `stopped`, and go; gives up after STOP_TIMEOUT_S."""
        deadline = time.monotonic() + STOP_TIMEOUT_S
        while self.connected and self.waiting and time.monotonic() < deadline:
            self.turn(standing)
            time.sleep(0.005)
        if self.connected:
            info = self._client.publish(self._topics.available, b"stopped", qos=1, retain=True)
            is_sent = info.rc == MQTTErrorCode.MQTT_ERR_SUCCESS  # else the connection has just gone
            while is_sent and not info.is_published() and time.monotonic() < deadline:
                time.sleep(0.005)
            self._client.disconnect()
            self._client.loop_stop()

    def _make(self) -> paho.Client:
        """A client with the secret and certificate of now. Raises ConfigurationRefused."""
        return make_client(self._broker, self._client_id, self.protocol, kind="output", build=paho.Client)

    def _start(self, client: paho.Client) -> paho.Client:
        self._said: SimpleQueue[Connected | Lost | Acknowledged | Retained] = SimpleQueue()
        client.will_set(self._topics.available, b"offline", qos=1, retain=True)
        client.max_inflight_messages_set(IN_FLIGHT_MAX)
        client.reconnect_delay_set(random.randint(*RETRY_MIN_S), random.randint(*RETRY_MAX_S))
        client.on_connect = self._on_connect
        client.on_connect_fail = lambda *_: self._said.put(Lost("the broker cannot be reached", is_unreachable=True))
        client.on_disconnect = self._on_disconnect
        client.on_publish = lambda _, __, mid, reason, ___: self._said.put(Acknowledged(mid, reason))
        client.on_message = self._on_message
        client.connect_async(self._broker.host, self._broker.port, seconds(self._broker.keepalive))
        client.loop_start()
        return client

    # In paho's thread -------------------------------------------------------------------------------------------

    def _on_connect(
        self, client: paho.Client, _: object, __: paho.ConnectFlags, reason: ReasonCode, ___: Properties | None
    ) -> None:
        if reason.is_failure:
            self._said.put(Lost(f"the broker refuses: {reason}", reason))
            return
        self._accepted_at_s = time.monotonic()
        client.publish(self._topics.available, b"online", qos=1, retain=True)
        if self.protocol.name == "5":
            client.subscribe(self._topics.alerts, options=SubscribeOptions(qos=1, noLocal=True))
        else:
            client.subscribe(self._topics.alerts, qos=1)
        self._said.put(Connected())

    def _on_disconnect(
        self, client: paho.Client, _: object, __: paho.DisconnectFlags, reason: ReasonCode, ___: Properties | None
    ) -> None:
        is_taken_over = str(reason) == TAKEN_OVER
        if self._accepted_at_s is not None:
            is_short = time.monotonic() - self._accepted_at_s < SHORT_S
            self._short_lived = self._short_lived + 1 if is_short else 0
            self._accepted_at_s = None
            wait_s = random.randint(*RETRY_MIN_S) * 2 ** min(max(0, self._short_lived - 1), SHORT_DOUBLINGS)
            least_s = random.randint(*TAKEN_OVER_S) if is_taken_over else wait_s
            client.reconnect_delay_set(least_s, max(least_s, random.randint(*RETRY_MAX_S)))
        self._said.put(Lost(f"the connection ended: {reason}", is_taken_over=is_taken_over))

    def _on_message(self, _: paho.Client, __: object, message: paho.MQTTMessage) -> None:
        if message.retain and message.payload:  # what another client says now is not ours to judge
            with suppress(UnicodeDecodeError):
                self._said.put(Retained(message.topic))

    # In the core's thread ---------------------------------------------------------------------------------------

    def _send(self) -> None:
        room = IN_FLIGHT_MAX - len(self._in_flight)
        if not self.connected or room <= 0:
            return
        under_way = set(self._in_flight.values())
        for number, outgoing in self._outbox.waiting(self._sent_up_to, IN_FLIGHT_MAX):
            if number not in under_way:
                if not room:
                    return
                info = self._client.publish(outgoing.topic, outgoing.payload, qos=1, retain=outgoing.retain)
                self._in_flight[info.mid] = number
                room -= 1
            self._sent_up_to = number

    def _on_acknowledged(self, said: Acknowledged) -> list[int]:
        """Numbers in the outbox that the broker now has."""
        self._saying.discard(said.message_id)
        number = self._in_flight.pop(said.message_id, None)
        if number is None:
            return []
        if not said.reason.is_failure:
            return [number]
        self.parked += 1
        self._refused[str(said.reason)] += 1
        return []

    def _say_refused(self) -> None:
        """One line a reason in REFUSED_EVERY_S, not one a message."""
        if self._refused and time.monotonic() >= self._refused_due_s:
            self._refused_due_s = time.monotonic() + REFUSED_EVERY_S
            for why, count in self._refused.items():
                self._log.error("publish_refused", why=why, count=count, next_step="Check the broker's ACL.")
            self._refused.clear()

    def _on_connected(self, standing: Callable[[], list[Outgoing]]) -> None:
        self.protocol.accepted()
        self.connected = True
        self.connection += 1
        self.why = ""
        self.parked = 0
        self._sent_up_to = 0  # what was parked is tried again; what is under way paho sends again by itself
        self._say_once("output_connected", f"MQTT {self.protocol.name}")
        self._outbox.append(standing())

    def _on_lost(self, lost: Lost) -> None:
        turned = False
        if lost.reason is not None:
            turned = self.protocol.refused(lost.reason)
        elif not self.connected and not lost.is_unreachable and not self._was_refused:
            turned = self.protocol.closed_early()
        if lost.is_taken_over:
            self._log.error("client_id_taken", client_id=self._client_id, next_step=TAKEN_OVER_NEXT_STEP)
        elif not self._was_refused:  # the end of a refused connection is no news
            self._say_once("output_lost", lost.why)
        self._was_refused = lost.reason is not None and not turned
        self.connected = False
        self.why = lost.why
        self._saying.clear()
        if turned or self._is_stale:
            self._restart()

    def _restart(self) -> None:
        """Another version, secret or certificate needs another client; what was under way waits in the outbox."""
        try:
            client = self._make()
        except ConfigurationRefused as error:  # a secret or certificate that is being replaced: the old client goes on
            self._is_stale = True
            self._say_once("output_lost", f"{error.where}: {error.what}")
            return
        self._client.disconnect()
        self._client.loop_stop()
        self._in_flight.clear()
        self._sent_up_to = 0
        self._is_stale = False
        self._client = self._start(client)

    def _say_once(self, event: str, why: str) -> None:
        """One line a change of state, not one a retry."""
        state = f"{event}: {why}"
        if state != self._logged:
            self._logged = state
            (self._log.info if event == "output_connected" else self._log.warning)(event, why=why)
