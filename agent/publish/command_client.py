"""Sends one command to a running agent, and waits until the agent says that it has taken it."""

import os
import queue
import threading
from collections.abc import Callable
from typing import Any, Final, TypeVar

import msgspec
import paho.mqtt.client as paho
from paho.mqtt.reasoncodes import ReasonCode

from agent.config.broker_settings import Broker
from agent.config.commands import COMMAND_QOS
from agent.config.settings import Settings
from agent.errors import ForewarnError, Unreadable
from agent.mqtt.client import make_client, seconds

ANSWER_S: Final = 5.0  # which an agent needs far less than
Answer = TypeVar("Answer")


def send_command(
    settings: Settings,
    broker: Broker,
    command: tuple[str, bytes],
    answer_topic: str,
    answer_type: type[Answer],
    is_ours: Callable[[Answer], bool],
) -> Answer:
    """Publish a command, topic and payload, to `broker`; what the agent then says on `answer_topic`.

    is_ours  whether an answer is the one to this command: others ask too

    Raises ForewarnError when a broker cannot be reached, or no agent answers within ANSWER_S.
    """
    answers: list[Answer] = []
    has_answer, is_heard = threading.Event(), threading.Event()

    def hear(_client: paho.Client, _data: Any, message: paho.MQTTMessage) -> None:
        try:
            answer = msgspec.json.decode(message.payload, type=answer_type)
        except Unreadable:
            return  # of another agent version, or of somebody else: no answer to us
        if is_ours(answer):
            answers.append(answer)
            has_answer.set()

    name = settings.agent.node
    listener = _client(settings.output_broker, f"forewarn-{name}-{os.getpid()}-listens")
    listener.on_message = hear
    listener.on_subscribe = lambda *_: is_heard.set()
    sender = _client(broker, f"forewarn-{name}-{os.getpid()}-says")
    topic, payload = command
    with _Running(listener, settings.output_broker), _Running(sender, broker):
        listener.subscribe(answer_topic, 1)
        is_heard.wait(ANSWER_S)
        sender.publish(topic, payload, COMMAND_QOS)
        has_answer.wait(ANSWER_S)
    if answers:
        return answers[0]
    what = f"no agent has confirmed it within {ANSWER_S:g} s"
    next_step = (
        "Is the agent running, and may this user publish the command? Its status and log say what came. "
        "One that is away and has a kept session takes the command when it is back."
    )
    raise ForewarnError(topic, what, next_step=next_step)


def _client(broker: Broker, client_id: str) -> paho.Client:
    protocol = "3.1.1" if broker.protocol == "auto" else broker.protocol  # which every broker speaks
    return make_client(broker, client_id, protocol, kind="player", build=paho.Client)


class _Running:
    """A client whose thread runs while the context does. Raises ForewarnError when the broker cannot be reached."""

    def __init__(self, client: paho.Client, broker: Broker) -> None:
        self._client, self._broker = client, broker

    def __enter__(self) -> None:
        broker, answers = self._broker, queue.SimpleQueue[ReasonCode]()
        where = f"{broker.host}:{broker.port}"
        self._client.on_connect = lambda _client, _data, _flags, answer, _properties: answers.put(answer)
        try:
            self._client.connect(broker.host, broker.port, seconds(broker.keepalive))
            self._client.loop_start()
            answer = answers.get(timeout=broker.connect_timeout.total_seconds())
        except (OSError, queue.Empty) as error:
            self._client.loop_stop()
            what = f"cannot be reached: {error or 'no answer'}"
            raise ForewarnError(where, what, next_step="Is the broker running?") from None
        if answer.is_failure:
            self.__exit__()
            raise ForewarnError(where, f"refuses the connection: {answer}", next_step="See [broker] in the file.")

    def __exit__(self, *_: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()
