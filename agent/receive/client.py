"""The input connection: made, watched and made again, subscribed, read and acknowledged.

Everything but the making of a connection (connect.py) runs in the caller's thread: `read` waits on the socket, lets the
client parse what is there, and hands it over as columns. When a connection is made again, and in which version, is
decided by `link`, which owns its phase; here is the network's side of it.

Sessions are clean in `snapshot` mode, so a connection that ended has lost messages: `Received.history_lost` says so. In
`journal` mode the broker keeps the session, also for the next process, and history is lost only where it does not have
it any more. What the next process must know for that goes with each read, in `Received.notes`.
"""

import math
import time
from collections.abc import Sequence

import paho.mqtt.client as paho
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from structlog.typing import FilteringBoundLogger

from agent.config.broker_settings import Broker
from agent.errors import ConfigurationRefused
from agent.mqtt.client import seconds
from agent.mqtt.connecting import Attempt
from agent.mqtt.frame_deadline import WHY, CountingClient, FrameDeadline
from agent.mqtt.limits import Limits
from agent.mqtt.link_events import Accepted, Begun, Broken, Closed, Event, Opened, Subscribed, Unanswered, Unreachable
from agent.mqtt.link_log import log_notices
from agent.mqtt.link_state import Phase
from agent.mqtt.paho_events import loss_of, refusal_of
from agent.receive.broker_drops import BrokerDrops
from agent.receive.connect import attempt, choose_path
from agent.receive.fast_client import FastClient
from agent.receive.inbox import Inbox
from agent.receive.input_options import InputOptions
from agent.receive.kept_session import KeptSession
from agent.receive.paho_message import message_of
from agent.receive.publish_frame import ProtocolError
from agent.receive.received import Received
from agent.receive.silence import Silence
from agent.receive.subscriptions import Subscriptions
from agent.receive.wait import Mark, Nap, until_ready

READ_S_MAX = 0.1  # one read goes on no longer, however fast the broker sends
RETRY_MIN_S = 0.5


class Receiver:
    """The input connection.

    sources        names of what it reads
    link           its phase, and what there is to say of it
    inbox          what a read brings: the rows that wait, and counts of what was dropped
    subscriptions  which sources the broker lets it read
    path           who parses
    n_published    requests that were sent to the broker
    """

    def __init__(self, broker: Broker, options: InputOptions, log: FilteringBoundLogger) -> None:
        reads = [
            (source, qos)
            for source, qos in zip(options.sources, options.qos, strict=True)
            if options.reads is None or source.name in options.reads
        ]
        self.sources = tuple(source.name for source, _ in reads)
        self.n_published = 0
        self.inbox = Inbox(
            options.sources,
            options.bounds,
            options.now_ns,
            options.policies,
            reads=self.sources,
            counts=options.counts,
            stop_s_max=broker.keepalive.total_seconds() / 2,
            passes_over=options.passes_over,
        )
        if options.kept is not None:
            self.inbox.keep_session(options.kept)
        self._session = KeptSession(options.kept)
        self.subscriptions = Subscriptions(reads, self._session.notes)
        self.link = self._session.new_link(broker, RETRY_MIN_S)
        self._broker = broker
        self._client_id = options.client_id
        self._log = log.bind(broker=f"{broker.host}:{broker.port}")
        self._attempt: Attempt | None = None  # while the link is `opening`
        self._client: paho.Client | None = None  # from then on, until the connection has ended
        self._broker_drops = BrokerDrops(self.inbox.counts, self._session)
        self._silence = Silence(self._log, self.subscriptions.filters, broker.username or "us")
        self._deadline = FrameDeadline(broker.keepalive.total_seconds())
        self._n_heard = 0  # grows with each message
        self._nap = Nap(has_window=any(qos for _, qos in reads))
        self.path = choose_path(options.path, self._log)

    def read(self, timeout_s: float) -> Received:
        """What has arrived, waiting at most `timeout_s` for the first message. Never raises for the network."""
        now_s = time.monotonic()
        self.inbox.begin(now_s)
        timeout_s = min(timeout_s, self.inbox.overload.due_s(now_s))
        if (client := self._client or self._connect(timeout_s)) is not None:
            self._read_from(client, timeout_s)
        self._session.heed_qos_0(self.inbox.sources_at_qos_0(), self._log)
        received = self.inbox.settle(time.monotonic())
        received.notes = self._session.notes.take()
        return received

    @property
    def limits(self) -> tuple[str, ...]:
        """What the broker says or shows that it cannot do, in words."""
        return self.link.limits + self._broker_drops.limits

    @property
    def client(self) -> paho.Client | None:
        """The connection that may be waited for; None while there is none, or while nothing is to be read from it."""
        return None if self.inbox.is_shut else self._client

    def due_s(self, now_s: float) -> float:
        """Seconds from monotonic now_s until there is something to do, whatever its connection brings."""
        next_try_s = max(0.0, self.link.due_s - now_s) if self.link.phase is Phase.WAITING else math.inf
        return min(next_try_s, self.inbox.overload.due_s(now_s))

    def mark(self) -> Mark | None:
        """What ends a nap after the last read; None where there is to be no nap."""
        return self._nap.mark(self._client, self.inbox.received) if self._client is not None else None

    def publish(self, topic: str, payload: bytes) -> bool:
        """Send a message at QoS 0, once; False where it cannot go out now, and never will."""
        client = self._client
        if client is None or not self.link.is_connected or client.want_write():
            return False
        self.n_published += 1
        client.publish(topic, payload, qos=0)
        return True

    def keep_alive(self) -> None:
        """Do what the connection needs while nothing is read from it."""
        if self._client is not None:
            self._client.loop_misc()

    def acknowledge(self, packet_ids: Sequence[int]) -> None:
        """Tell the broker that QoS 1 messages are dealt with, in their order; in vain when it has gone meanwhile."""
        self._broker_drops.acknowledge(len(packet_ids), time.monotonic())
        if isinstance(client := self._client, FastClient):
            client.acknowledge(packet_ids)
            return
        for packet_id in packet_ids:
            if client is None or self._client is not client:  # its end may come to light between two
                return
            client.ack(packet_id, 1)

    def close(self) -> None:
        """Say goodbye."""
        self._apply(Closed())
        client, self._client = self._client, None  # so that its end is not taken for a loss
        if client is not None:
            client.disconnect()
            client.loop_write()

    # The connection ---------------------------------------------------------------------------------------------

    def _connect(self, timeout_s: float) -> paho.Client | None:
        """The client of a new connection when there is one within `timeout_s`; CONNACK is still to come."""
        if self.link.phase is Phase.WAITING:
            wait_s = self.link.due_s - time.monotonic()
            if wait_s > 0:
                time.sleep(min(wait_s, timeout_s))
                return None
            if not self._session.may_connect():
                return None
            self._begin()
        over = self._attempt
        if over is None or not over.is_over(timeout_s):
            return None
        self._attempt = None
        fault = over.fault or ("" if over.client.socket() else "the connection ended before CONNECT was sent")
        if fault:  # nothing could be waited for where there is no socket, so that the loop would turn without a pause
            self._apply(Unreachable(fault))
            return None
        client = self._client = over.client
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_subscribe = self._on_subscribe
        client.on_unsubscribe = self._on_unsubscribe
        client.on_message = self._on_message
        self._apply(Opened())
        return client

    def _begin(self) -> None:
        self._apply(Begun())
        try:
            self._attempt = attempt(
                self._broker,
                self._client_id,
                self.link,
                self.inbox,
                path=self.path,
                keeps_session=self._session.is_kept,
            )
        except ConfigurationRefused as error:  # a secret or certificate that is being replaced
            self._apply(Unreachable(f"{error.where}: {error.what}"))

    def _apply(self, event: Event) -> None:
        """Tell the link what has happened, and do what comes of it."""
        change = self.link.apply(event, time.monotonic())
        log_notices(self._log, change.notices, name="broker", client_id=self._client_id)
        self.inbox.received.history_lost |= change.is_history_lost
        if change.is_history_lost and self._session.is_kept:
            self.inbox.counts["", "session_lost"] += 1
        if change.is_new_session:
            self.inbox.begin_session()
        self._session.follow(self.link)
        if change.is_protocol_error:
            self.inbox.counts["", "protocol_error"] += 1
        if change.has_ended:
            self._let_go()

    def _let_go(self) -> None:
        """The connection has ended, or is to end."""
        client, self._client = self._client, None
        if client is not None and (sock := client.socket()) is not None:
            sock.close()
        self.subscriptions.lose_connection()
        self._broker_drops.lose_connection()
        self._silence.lose_connection()

    # What the broker says ---------------------------------------------------------------------------------------

    def _read_from(self, client: paho.Client, timeout_s: float) -> None:
        received = self.inbox.received
        if self.inbox.is_shut:
            time.sleep(timeout_s)
        wait_s, ends_s = timeout_s, time.monotonic() + timeout_s + READ_S_MAX
        while self.inbox.room > 0 and self._client is client and time.monotonic() < ends_s:
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
        self._broker_drops.take(received, time.monotonic())
        if self._client is client:
            client.loop_misc()
        if received.packet_ids:
            self.link.hear(time.monotonic())
        if self.link.is_overdue(time.monotonic()):
            asked = self.subscriptions.unanswered
            self._apply(Unanswered(f"the subscription of {', '.join(asked)}" if asked else ""))
        if self._client is client and self._is_deaf(client, received):
            self._apply(Broken(WHY))
        self.link.advance(time.monotonic())
        self._silence.take(received, time.monotonic())

    def _is_deaf(self, client: paho.Client, received: Received) -> bool:
        self._n_heard += len(received.payloads) + len(received.drops)
        if not isinstance(client, CountingClient):
            return False
        mark = (self.link.n_connections, client.n_packets, self._n_heard)
        return self._deadline.is_over(time.monotonic(), mark=mark, n_bytes=client.n_bytes)

    def _read_once(self, client: paho.Client) -> None:
        try:
            client.loop_read()
        except ProtocolError as error:
            if self._client is client:  # or a packet before it has ended the connection already
                self._apply(Broken(str(error)))
        finally:
            self.inbox.stamp()

    def _on_connect(
        self,
        client: paho.Client,
        _: object,
        flags: paho.ConnectFlags,
        reason: ReasonCode,
        properties: Properties | None,
    ) -> None:
        if self._client is not client:  # it has just been let go of
            return
        if reason.is_failure:
            self._apply(refusal_of(reason, properties))
            return
        limits = Limits.of(properties).missing_to_read(
            seconds(self._broker.keepalive), seconds(self._broker.session_expiry) if self._session.is_kept else 0
        )
        self._apply(Accepted(tuple(limits), flags.session_present))
        if self._client is client:
            lost = self._session.resume(self.sources)
            lost += self.subscriptions.request(client, is_kept=self._session.is_kept)
            self.inbox.received.lost_sources = list(dict.fromkeys(lost))

    def _on_disconnect(
        self,
        client: paho.Client,
        _: object,
        flags: paho.DisconnectFlags,
        reason: ReasonCode,
        properties: Properties | None,
    ) -> None:
        if self._client is client:
            self._apply(loss_of(flags, reason, properties))

    def _on_subscribe(
        self, client: paho.Client, _: object, message_id: int, reasons: list[ReasonCode], __: Properties | None
    ) -> None:
        if self._client is not client:
            return
        refusal = next((str(reason) for reason in reasons if reason.is_failure), "")
        source = self.subscriptions.answer(message_id, refusal)
        if source is None:
            self._broker_drops.answer(message_id, time.monotonic(), is_refused=bool(refusal))
            return
        if refusal:
            self._log.error("source_refused", source=source, why=refusal, next_step="Check the broker's ACL.")
        else:
            self._silence.begin(time.monotonic())
        if not self.subscriptions.unanswered:
            self._apply(Subscribed())
            self._broker_drops.ask(client, time.monotonic())

    def _on_unsubscribe(self, client: paho.Client, _: object, message_id: int, *__: object) -> None:
        if self._client is client:
            self.subscriptions.leave(message_id)

    def _on_message(self, _: paho.Client, __: object, message: paho.MQTTMessage) -> None:
        self.inbox.take(message_of(message))
