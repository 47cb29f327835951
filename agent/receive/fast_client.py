"""A paho client that takes PUBLISH packets itself, many at once; paho keeps connection, TLS, keepalive and the rest.

It leans on private members of paho (`_create_socket`, `_sock`, `_loop_rc_handle`, `_last_bytes_received`,
`_packet_queue`): check.py finds out at the start whether they still do what is expected here.
"""

import socket
import struct
from collections.abc import Sequence
from itertools import chain, repeat
from typing import Any, cast

import paho.mqtt.client as paho
from paho.mqtt.enums import MQTTErrorCode, MQTTProtocolVersion

from agent.mqtt.frame_deadline import CountingClient
from agent.receive.buffered_socket import BufferedSocket
from agent.receive.inbox import Inbox
from agent.receive.publish_frame import (
    HEAD_BYTES_MAX,
    PUBLISH,
    Envelope,
    Frame,
    MessageColumns,
    PlainHead,
    ProtocolError,
    envelope,
    head,
    read_publish,
    take_plain,
)

OTHER_BYTES_MAX = 2**16  # of a packet that is no PUBLISH
_TOPIC_BYTES_MAX = 2**16
_PROPERTIES_BYTES_MAX = 2**16
_PUBACK = 0x40
_PUBACK_START = 0x4002  # first byte and remaining length; no reason means success in MQTT 5


def packet_bytes_max(payload_bytes_max: int) -> int:
    """The largest PUBLISH that is held in memory, and that a broker of MQTT 5 is asked to send."""
    return HEAD_BYTES_MAX + _TOPIC_BYTES_MAX + _PROPERTIES_BYTES_MAX + payload_bytes_max


class FastClient(CountingClient):
    """Messages go into the inbox, as far as it has room; what is read beyond that waits for the next `loop_read`.

    `loop_read` raises ProtocolError; the client is then of no use any more.
    """

    def __init__(self, inbox: Inbox, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._inbox = inbox
        self._packet_bytes_max = packet_bytes_max(inbox.bounds.payload_bytes_max)
        self._skipped: tuple[Frame, Envelope] | None = None  # a message that goes by
        self._heads: dict[bytes, PlainHead] = {}

    def loop_read(self, max_packets: int = 1) -> MQTTErrorCode:
        """Read once, unless a whole packet waits already, and take what is whole."""
        sock = self._sock
        if not isinstance(sock, BufferedSocket):
            return MQTTErrorCode.MQTT_ERR_NO_CONN
        if not sock.has_packet:
            try:
                n_bytes = sock.fill()
            except BlockingIOError:
                return MQTTErrorCode.MQTT_ERR_SUCCESS
            except OSError:
                n_bytes = 0
            if not n_bytes:
                return self._loop_rc_handle(MQTTErrorCode.MQTT_ERR_CONN_LOST)
            self.n_bytes += n_bytes
            self._last_bytes_received = paho.time_func()  # the clock of the keepalive
        if not sock.is_skipping:
            self._take(sock)
        return MQTTErrorCode.MQTT_ERR_SUCCESS

    @property
    def has_more(self) -> bool:
        """Whether another `loop_read` can bring messages at once, as far as the last one tells."""
        sock = self._sock
        return isinstance(sock, BufferedSocket) and (not sock.is_drained or sock.has_packet)

    def acknowledge(self, packet_ids: Sequence[int]) -> None:
        """Acknowledge messages of QoS 1 in one send, in this order."""
        if packet_ids:
            words = chain.from_iterable(zip(repeat(_PUBACK_START), packet_ids, strict=False))
            packets = struct.pack(f">{2 * len(packet_ids)}H", *words)
            self._packet_queue(_PUBACK, packets, packet_ids[0], 1)

    def _create_socket(self) -> Any:
        return BufferedSocket(cast(socket.socket, super()._create_socket()), self._packet_bytes_max)

    def _take(self, sock: BufferedSocket) -> None:
        inbox, received = self._inbox, self._inbox.received
        is_v5 = self._protocol == MQTTProtocolVersion.MQTTv5
        if self._skipped is not None:
            self._end_skip(*self._skipped)
        into = MessageColumns(received.topics, received.payloads, received.packet_ids, received.message_ids)
        while sock.has_packet:
            sock.at = take_plain(
                sock.data,
                sock.at,
                inbox.room,
                into,
                is_v5=is_v5,
                payload_bytes_max=inbox.bounds.payload_bytes_max,
                topic_of=inbox.topic_texts.get,
                heads=self._heads,
            )
            sock.expect()
            if inbox.room <= 0 or not self._take_packet(sock, is_v5):
                return

    def _take_packet(self, sock: BufferedSocket, is_v5: bool) -> bool:
        """The packet that is no plain message; False when it is not there as a whole."""
        data, at = sock.data, sock.at
        frame = head(data, at)
        if frame is None:
            sock.expect(len(data) - at + 1)
            return False
        is_large = frame.end - at > self._packet_bytes_max
        is_publish = frame.first >> 4 == PUBLISH
        if is_publish and is_large:
            return self._begin_skip(sock, frame, is_v5)
        if not is_publish and frame.end - at > OTHER_BYTES_MAX:
            raise ProtocolError(f"a packet of type {frame.first >> 4} and {frame.end - at} bytes")
        if frame.end > len(data):
            sock.expect(frame.end - at)
            return False
        if not is_publish:
            super().loop_read()
            return self.socket() is not None
        sock.at = frame.end
        self._inbox.take(read_publish(data, frame, is_v5=is_v5))
        return True

    def _begin_skip(self, sock: BufferedSocket, frame: Frame, is_v5: bool) -> bool:
        """A message too large to be held: all but its head goes by."""
        outer = envelope(sock.data, frame, is_v5=is_v5)
        if outer is None:
            sock.expect(len(sock.data) - sock.at + 1)
            return False
        sock.skip(frame.end - sock.at)
        self._skipped = (frame, outer)
        if sock.is_skipping:
            return False
        self._end_skip(frame, outer)
        return True

    def _end_skip(self, frame: Frame, outer: Envelope) -> None:
        self._skipped = None
        self._inbox.drop_large(outer.topic, outer.packet_id, frame.end - outer.payload)
