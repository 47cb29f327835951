"""A publisher as a process of its own: reads orders from standard input, one JSON object a line, and says what it sent.

    {"prefix": "agent", "rate_per_s": 100, "seconds": 5, "devices": 100, "burst": 1, "qos": 0}   ->   {"sent": 500}

Messages leave in groups of `burst`, evenly spaced so that the rate comes out; devices take turns. MQTT 3.1.1 over a
plain socket, encoded here, so that it costs little beside who is measured.
"""

import json
import socket
import sys
import time
from threading import Thread

from bench.mqtt_packets import connect_packet, publish_packet

TICK_S = 0.001  # it looks at the clock so often at the most


class Publisher:
    """One connection to the broker at `port`; `channels` are the fields of a payload beside its time."""

    def __init__(self, port: int, channels: list[str]) -> None:
        self._channels = channels
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.sendall(connect_packet(b"publisher"))
        self._socket.recv(4)
        self._packet_id = 0
        Thread(target=self._forget_acknowledgements, daemon=True).start()

    def publish(
        self, *, prefix: str, rate_per_s: float, seconds: float, devices: int, burst: int, qos: int, first: int = 0
    ) -> int:
        """Publish for so long, of `devices` devices from number `first` on; returns how many."""
        n_total = round(rate_per_s * seconds) // burst * burst
        n_sent, begun_s = 0, time.perf_counter()
        while n_sent < n_total:
            n_due = min(n_total, (int((time.perf_counter() - begun_s) * rate_per_s) // burst + 1) * burst)
            if n_due > n_sent:
                now_s = time.time()
                numbers = range(n_sent, n_due)
                self._socket.sendall(
                    b"".join(self._packet(prefix, first + one % devices, now_s, qos) for one in numbers)
                )
                n_sent = n_due
            time.sleep(max(TICK_S, min(0.05, begun_s + n_sent / rate_per_s - time.perf_counter())))
        return n_sent

    def _packet(self, prefix: str, device: int, t_s: float, qos: int) -> bytes:
        channels = ",".join(f'"{name}":{0.1 * device % 1:.4f}' for name in self._channels)
        topic, payload = f"{prefix}/pump-{device:06d}/telemetry", f'{{"ts":{t_s:.6f},{channels}}}'
        if not qos:
            return publish_packet(topic.encode(), payload.encode())
        self._packet_id = self._packet_id % 65_535 + 1
        return publish_packet(topic.encode(), payload.encode(), packet_id=self._packet_id)

    def _forget_acknowledgements(self) -> None:
        while self._socket.recv(65_536):
            pass


if __name__ == "__main__":
    publisher = Publisher(int(sys.argv[1]), sys.argv[2].split(","))
    for line in sys.stdin:
        print(json.dumps({"sent": publisher.publish(**json.loads(line))}), flush=True)
