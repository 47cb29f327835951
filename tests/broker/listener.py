"""A client that keeps all it hears, for tests that look at an agent from outside."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True)
class Heard:
    """One message; `retain` is set on those that the broker held before the subscription, `qos` is the publisher's."""

    topic: str
    payload: bytes
    retain: bool
    qos: int = field(default=0, compare=False)


class Listener:
    """Subscribes to `topics` and remembers; connects again by itself when the broker comes back."""

    def __init__(self, port: int, *topics: str) -> None:
        self.port = port
        self.heard: list[Heard] = []
        self._topics = topics
        self._changed = threading.Condition()
        self._subscriptions = 0
        self._client = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
        self._client.reconnect_delay_set(1, 1)
        self._client.on_connect = lambda client, *_: client.subscribe([(topic, 1) for topic in topics])
        self._client.on_subscribe = self._on_subscribe
        self._client.on_message = self._on_message
        self._client.connect("127.0.0.1", port)

    def __enter__(self) -> Self:
        self._client.loop_start()
        self.wait_until_subscribed(1)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def say(self, topic: str) -> None:
        """Publish an empty message."""
        self._client.publish(topic, b"", qos=1)

    def wait_until_subscribed(self, times: int) -> None:
        """The broker has accepted the subscription for the `times`-th time: once a connection."""
        self._wait(lambda: self._subscriptions >= times, f"subscription {times} to {self._topics}")

    def wait_for(self, wanted: Callable[[Heard], bool], what: str, *, since: int = 0) -> Heard:
        """The first message from the `since`-th on that is wanted; fails after TIMEOUT_S."""
        found: list[Heard] = []
        seen = since

        def look() -> bool:
            nonlocal seen
            found.extend(one for one in self.heard[seen:] if wanted(one))
            seen = len(self.heard)
            return bool(found)

        self._wait(look, what)
        return found[0]

    def _wait(self, done: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + TIMEOUT_S
        with self._changed:
            while not done():
                left_s = deadline - time.monotonic()
                if left_s <= 0:
                    last = "\n".join(f"{one.topic} {one.payload[:300]!r}" for one in self.heard[-3:])
                    raise AssertionError(f"not within {TIMEOUT_S:g} s: {what}. Heard last:\n{last}")
                self._changed.wait(left_s)

    def _on_subscribe(self, *_: object) -> None:
        with self._changed:
            self._subscriptions += 1
            self._changed.notify_all()

    def _on_message(self, _: object, __: object, message: paho.MQTTMessage) -> None:
        with self._changed:
            self.heard.append(Heard(message.topic, bytes(message.payload), message.retain, message.qos))
            self._changed.notify_all()


def retained(port: int, topics: str) -> dict[str, bytes]:
    """What a broker holds retained under a topic filter now: all that comes before a marker of our own."""
    with Listener(port, topics, "end-of-retained") as listener:
        listener.say("end-of-retained")
        listener.wait_for(lambda one: one.topic == "end-of-retained", "the end of what is retained")
        return {one.topic: one.payload for one in listener.heard if one.retain}
