"""A mosquitto that a test may kill and start again on the same port."""

import getpass
import signal
from contextlib import ExitStack
from pathlib import Path

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from agent.replay.broker.own_broker import free_port, mosquitto
from tests.broker.listener import TIMEOUT_S, retained


class PrivateBroker:
    """A broker on a free port of the loopback, without persistence: what it knew is gone when it is killed."""

    def __init__(self, folder: Path, *, has_default_limits: bool = False) -> None:
        """has_default_limits: it drops for a slow reader as mosquitto does by itself."""
        self.port = free_port()
        patient = "max_queued_messages 100000"  # its default drops for a slow reader; 0 ends whoever is refused
        self.settings: tuple[str, ...] = (  # for the next start
            *(() if has_default_limits else (patient,)),
            f"user {getpass.getuser()}",  # as root it would become one who may not read the folder
        )
        self.folder = folder
        self._running = ExitStack()

    def start(self) -> None:
        self._process = self._running.enter_context(mosquitto(self.folder, port=self.port, settings=self.settings))

    def kill(self) -> None:
        """kill -9."""
        self._process.kill()
        self._running.close()

    def reload(self) -> None:
        """SIGHUP: it reads its ACL file again, and no connection ends."""
        self._process.send_signal(signal.SIGHUP)

    def close(self) -> None:
        self._running.close()

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        """Publish one message as a client of its own, and wait until the broker has it."""
        self.publish_all([(topic, payload)], retain=retain)

    def publish_all(
        self, messages: list[tuple[str, bytes]], *, retain: bool = False, timeout_s: float = TIMEOUT_S
    ) -> None:
        """Publish in this order at QoS 1, and wait until the broker has all."""
        client = paho.Client(CallbackAPIVersion.VERSION2)
        client.max_inflight_messages_set(20)
        client.connect("127.0.0.1", self.port)
        client.loop_start()
        try:
            for topic, payload in messages:
                sent = client.publish(topic, payload, qos=1, retain=retain)
            sent.wait_for_publish(timeout_s)
            assert sent.is_published()
        finally:
            client.disconnect()
            client.loop_stop()

    def retained(self, topics: str) -> dict[str, bytes]:
        """What the broker holds retained under a topic filter now."""
        return retained(self.port, topics)
