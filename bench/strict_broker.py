"""A broker that enforces what it announces: a client that goes beyond it loses its connection, for the reason that the
standard names.

MQTT 5 and 3.1.1, QoS 0 and 1 both ways, retained messages, wildcards, wills, sessions that outlive connections, one
client an id. What a client may do is in strict_rules.py; here are its sockets. Each connection has a thread. PUBLISH is
acknowledged only when nothing more comes, so that a window is seen at its fullest.
"""

import math
import select
import socket
import threading
import time
from contextlib import suppress
from dataclasses import replace
from types import TracebackType
from typing import Self

from paho.mqtt.client import topic_matches_sub

from bench.mqtt_packets import (
    CONNACK,
    CONNECT,
    DISCONNECT,
    NEVER_S,
    NO_VERSION,
    NO_WILDCARDS,
    PINGREQ,
    PINGRESP,
    PROTOCOL_ERROR,
    PUBACK,
    PUBLISH,
    SESSION_EXPIRY,
    SUBSCRIBE,
    TOO_LARGE,
    TOO_MANY,
    UNSUBSCRIBE,
    WINDOW_MAX,
    Ended,
    Published,
    packet,
    puback,
    read_connect,
    read_properties,
    read_publish,
    read_subscribe,
    read_unsubscribe,
    suback,
    text,
    unsuback,
)
from bench.strict_client import Client
from bench.strict_rules import Rules, Session

__all__ = ["TOO_LARGE", "Published", "Rules", "StrictBroker"]
TAKEN_OVER, SILENT, WITH_WILL = 0x8E, 0x8D, 0x04
QUIET_S = 0.03  # so long nothing comes before what came is acknowledged
TIMEOUT_S = 8.0


class StrictBroker:
    """Listens on a free port of the loopback. `rules` may change at any time; what was announced stays announced."""

    def __init__(self, **rules: object) -> None:
        self.rules = Rules(**rules)  # type: ignore[arg-type]
        self.accepted: list[Published] = []
        self.refused: list[Published] = []
        self.broken: list[int] = []  # reasons for which a connection was ended or refused
        self.connects: list[tuple[str, int]] = []  # client id and version of each CONNECT
        self.clients: dict[str, Client] = {}
        self.sessions: dict[str, Session] = {}
        self.retained: dict[str, Published] = {}
        self._lock = threading.RLock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._all: list[Client] = []
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def change(self, **rules: object) -> None:
        """Other rules from now on."""
        self.rules = replace(self.rules, **rules)  # type: ignore[arg-type]

    def payloads(self, topic: str) -> list[bytes]:
        """What was taken under a topic."""
        return [message.payload for message in list(self.accepted) if message.topic == topic]

    def fullest(self) -> int:
        """Most publishes at QoS 1 that one client had under way."""
        return max(client.fullest for client in self._all)

    def publish(self, topic: str, payload: bytes, *, qos: int = 1, retain: bool = False) -> None:
        """As a client of the broker's own."""
        with self._lock:
            self._pass_on(None, Published(topic, payload, qos, retain))

    def cut(self, client_id: str) -> None:
        """End the connection of a client, if there is one, without a word."""
        with suppress(OSError, KeyError):
            self.clients[client_id].socket.shutdown(socket.SHUT_RDWR)

    def disconnect(self, client_id: str, reason: int, *, server: str = "") -> None:
        """End it with a word, where MQTT has one: the reason, and another server to go to."""
        client = self.clients[client_id]
        if client.is_5:
            properties = b"\x1c" + text(server.encode()) if server else b""
            client.is_dismissed = True
            client.send(packet(DISCONNECT, bytes([reason, len(properties)]) + properties))
            with suppress(OSError):
                client.socket.shutdown(socket.SHUT_WR)  # the client ends it: a reset could overtake the word
        else:
            self.cut(client_id)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        for sock in (self._listener, *(client.socket for client in self._all)):
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()
        for thread in self._threads:
            thread.join(TIMEOUT_S)

    # A connection -----------------------------------------------------------------------------------------------

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client = Client(self._listener.accept()[0], self.rules)
                self._all.append(client)
                thread = threading.Thread(target=self._serve, args=(client,), daemon=True)
                self._threads.append(thread)
                thread.start()

    def _serve(self, client: Client) -> None:
        has_left = False
        try:
            self._connect(client)
            while True:
                if not select.select([client.socket], [], [], QUIET_S)[0]:
                    self._acknowledge(client)
                    self._await_packet(client)
                first, body, size = client.read()
                if client.is_dismissed:
                    continue
                if first == DISCONNECT:
                    has_left = self._take_leave(client, body)
                    return
                self._take(client, first, body, size)
        except Ended as end:
            if end.reason is not None:
                self.broken.append(end.reason)
                if client.is_5:
                    client.send(packet(DISCONNECT, bytes([end.reason, 0])))
        except (OSError, ValueError):
            return  # it has gone, or the test is over
        finally:
            self._close(client, has_left=has_left)

    def _await_packet(self, client: Client) -> None:
        silence_s = client.silence_max_s
        if not select.select([client.socket], [], [], None if silence_s == math.inf else silence_s)[0]:
            raise Ended(SILENT)

    def _take_leave(self, client: Client, body: bytes) -> bool:
        """Whether the will is not to be said."""
        if client.is_5 and len(body) > 1:
            expiry_s = read_properties(body[1:])[0].get(SESSION_EXPIRY, client.connect.session_expiry_s)
            if expiry_s and not client.connect.session_expiry_s:
                raise Ended(PROTOCOL_ERROR)
            client.connect = replace(client.connect, session_expiry_s=expiry_s)
        return not (client.is_5 and body[:1] == bytes([WITH_WILL]))

    def _close(self, client: Client, *, has_left: bool) -> None:
        with suppress(OSError):
            client.socket.shutdown(socket.SHUT_RDWR)
        client_id, kept_s = client.connect.client_id, client.connect.session_expiry_s
        with self._lock:
            if self.clients.get(client_id) is not client:
                return
            del self.clients[client_id]
            client.session.expires_s = math.inf if kept_s == NEVER_S else time.monotonic() + kept_s
            if not kept_s:
                self.sessions.pop(client_id, None)
            if client.will is not None and not has_left:
                self._pass_on(client, client.will)

    def _connect(self, client: Client) -> None:
        first, body, size = client.read()
        if first != CONNECT:
            raise Ended(None)
        connect = client.connect = read_connect(body)
        self.connects.append((connect.client_id, connect.version))
        if connect.version in self.rules.hangs_up_on:
            raise Ended(None)
        if connect.version not in self.rules.versions:
            client.send(packet(CONNACK, b"\0\x01" if 5 not in self.rules.versions else bytes([0, NO_VERSION, 0])))
            raise Ended(None)
        if not connect.client_id and not connect.is_5 and not connect.is_clean:
            client.send(packet(CONNACK, b"\0\x02"))
            raise Ended(None)
        if connect.is_5 and connect.will is not None:
            self._check_will(client, connect.will, size)
        assigned = "" if connect.client_id else f"client-{len(self.connects)}"
        client.connect = replace(connect, client_id=connect.client_id or assigned)
        with self._lock:
            before = self.clients.pop(client.connect.client_id, None)
            if before is not None:
                if before.is_5 and self.rules.says_takeover:
                    before.send(packet(DISCONNECT, bytes([TAKEN_OVER, 0])))
                with suppress(OSError):
                    before.socket.shutdown(socket.SHUT_RDWR)
                before.session.expires_s = math.inf if before.connect.session_expiry_s else 0.0
            kept = self.sessions.get(client.connect.client_id)
            has_session = kept is not None and not connect.is_clean and time.monotonic() < kept.expires_s
            client.session = kept if kept is not None and has_session else Session()
            self.sessions[client.connect.client_id] = client.session
            self.clients[client.connect.client_id] = client
            client.send(client.rules.connack(connect, has_session=has_session, assigned=assigned))
            client.deliver(again=True)

    def _check_will(self, client: Client, will: Published, size: int) -> None:
        try:
            client.rules.check(will, size)
        except Ended as end:
            reason = end.reason or PROTOCOL_ERROR
            client.connect = replace(client.connect, will=None)
            client.send(packet(CONNACK, bytes([0, reason, 0])))
            self.broken.append(reason)
            raise Ended(None) from None

    # Packets ----------------------------------------------------------------------------------------------------

    def _take(self, client: Client, first: int, body: bytes, size: int) -> None:
        if first & 0xF0 == PUBLISH:
            self._publish(client, first, body, size)
        elif first == PUBACK:
            with self._lock:
                if self.clients.get(client.connect.client_id) is not client:
                    raise Ended(None)  # the session goes on with a newer connection, by which the message came again
                client.session.acknowledge(int.from_bytes(body[:2]))
                client.deliver()
        elif first == SUBSCRIBE:
            self._subscribe(client, body)
        elif first == UNSUBSCRIBE:
            self._unsubscribe(client, body)
        elif first == PINGREQ:
            client.send(packet(PINGRESP, b""))
        else:
            raise Ended(PROTOCOL_ERROR)

    def _publish(self, client: Client, first: int, body: bytes, size: int) -> None:
        packet_id, message, is_dup = read_publish(first, body, is_5=client.is_5)
        if client.is_5:
            client.rules.check(message, size)
        if not packet_id:
            self._decide(client, message)
            return
        if packet_id in client.unacknowledged and not is_dup:
            raise Ended(PROTOCOL_ERROR)
        client.unacknowledged[packet_id] = message
        client.fullest = max(client.fullest, len(client.unacknowledged))
        if client.is_5 and len(client.unacknowledged) > (client.rules.receive_maximum or WINDOW_MAX):
            raise Ended(TOO_MANY)

    def _acknowledge(self, client: Client) -> None:
        for packet_id, message in client.unacknowledged.items():
            reason = self._decide(client, message)
            client.send(puback(packet_id, reason, is_5=client.is_5))
        client.unacknowledged.clear()

    def _decide(self, client: Client, message: Published) -> int:
        with self._lock:
            reason = self.rules.answer(message)
            if reason >= 0x80:
                self.refused.append(message)
            else:
                self.accepted.append(message)
                self._pass_on(client, message)
        return reason

    def _pass_on(self, client: Client | None, message: Published) -> None:
        if message.retain and message.payload:
            self.retained[message.topic] = message
        elif message.retain:
            self.retained.pop(message.topic, None)
        for client_id, session in list(self.sessions.items()):
            other = self.clients.get(client_id)
            granted = [
                one.qos
                for pattern, one in session.filters.items()
                if topic_matches_sub(pattern, message.topic) and not (one.no_local and other is client)
            ]
            if granted:
                self._deliver(client_id, other, replace(message, qos=min(message.qos, max(granted)), retain=False))

    def _deliver(self, client_id: str, client: Client | None, message: Published) -> None:
        """To a session; what it may not read, or says to be too large for it, is dropped."""
        if not self.rules.may_read(client_id, message.topic):
            return
        bytes_max = client.connect.packet_bytes_max if client is not None else None
        if client is not None and bytes_max is not None:
            size = len(message.packet(is_5=client.is_5, packet_id=message.qos))
            if size > bytes_max:
                client.n_too_large += 1
                return
        if message.qos:
            self.sessions[client_id].queue.append(message)
            if client is not None:
                client.deliver()
        elif client is not None:
            client.send(message.packet(is_5=client.is_5))

    def _subscribe(self, client: Client, body: bytes) -> None:
        packet_id, filters, has_identifier = read_subscribe(body, is_5=client.is_5)
        granted = client.rules.subscribe(filters, has_identifier=has_identifier) if client.is_5 else filters
        reasons = [granted[topic].qos if topic in granted else NO_WILDCARDS for topic in filters]
        with self._lock:
            client.session.filters |= granted
            client.send(suback(packet_id, reasons, is_5=client.is_5))
            for message in list(self.retained.values()):
                qos = [one.qos for topic, one in granted.items() if topic_matches_sub(topic, message.topic)]
                if qos:
                    self._deliver(client.connect.client_id, client, replace(message, qos=min(message.qos, max(qos))))

    def _unsubscribe(self, client: Client, body: bytes) -> None:
        packet_id, topics = read_unsubscribe(body, is_5=client.is_5)
        with self._lock:
            for topic in topics:
                client.session.filters.pop(topic, None)
        client.send(unsuback(packet_id, len(topics), is_5=client.is_5))
