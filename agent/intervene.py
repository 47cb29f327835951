"""`forewarn intervene`: tell the running agent what was done to a machine, and wait until it says that it knows."""

import os
import queue
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import click
import msgspec
import paho.mqtt.client as paho
from paho.mqtt.reasoncodes import ReasonCode

from agent.config import load as config
from agent.config.broker_settings import Broker
from agent.config.commands import COMMAND_QOS, command_topic
from agent.config.option import config_option
from agent.config.settings import Settings
from agent.config.source_settings import SourceSettings
from agent.decode.command import NOTE_CHARS_MAX, InterventionCommand
from agent.errors import ConfigurationRefused, ForewarnError, Unreadable
from agent.mqtt.client import make_client, seconds
from agent.publish.intervention import InterventionMessage
from agent.publish.topic import Topics
from agent.values.times import NS_PER, text_time_ns
from agent.words import InterventionKind

ANSWER_S: Final = 5.0  # which an agent needs far less than
KINDS: Final = ("repaired", "replaced", "inspected")
COMMAND_TOPIC_HINT: Final = "[commands] interventions = true"


@click.command(short_help="Tell the agent that a machine was repaired, replaced or inspected.")
@click.argument("device")
@click.argument("kind", type=click.Choice(KINDS))
@config_option("The agent's main file, or the folder of a forewarn.toml: it says which broker, node and user.")
@click.option("--source", default="", help="Source of the device; needed where there are several.")
@click.option("--at", default="", help="When: an ISO 8601 time (default: now), or the number of a cycle.")
@click.option("--note", default="", help=f"What to keep with it, at most {NOTE_CHARS_MAX} characters.")
def intervene(device: str, kind: InterventionKind, file: Path, source: str, at: str, note: str) -> None:
    """\b
    forewarn intervene press-7 repaired --note "bearing changed"

    Tell the running agent what was done to DEVICE. Its alerts end with that cause; one that was repaired or replaced
    begins a new life, as a machine that is new. The agent keeps it for the trainer (`forewarn interventions`). It must
    have [commands] interventions = true, and this user must be allowed to publish there. Ends with 1 when no agent says
    within 5 s that it knows.
    """
    if len(note) > NOTE_CHARS_MAX:
        raise click.UsageError(f"--note has {len(note)} characters, at most {NOTE_CHARS_MAX} are kept")
    settings = config.load(file, os.environ)
    if not settings.commands.interventions:
        what = "its agent takes no commands"
        raise ConfigurationRefused(file, what, next_step=f"Set {COMMAND_TOPIC_HINT} and restart it; see the docs.")
    owner = _source(settings, source)
    t, t_ns = _time(owner, at)
    answer = _tell(settings, owner, InterventionCommand(device, kind, t, note), t_ns)
    if answer is None:
        what = f"no agent has confirmed it within {ANSWER_S:g} s"
        next_step = "Is the agent running, and may this user publish the command? Its status and log say what came."
        raise ForewarnError(command_topic(settings.publish, settings.agent, owner.name), what, next_step=next_step)
    unheard = "" if answer.is_known else "; the agent has not heard of this device, and keeps it as a label"
    click.echo(f"{owner.name}/{device} {kind} at {answer.t}{unheard}")


def _source(settings: Settings, name: str) -> SourceSettings:
    """The source whose device it is."""
    owners = {source.name: source for source in settings.source if not source.joins}
    if not name and len(owners) == 1:
        return next(iter(owners.values()))
    if name in owners:
        return owners[name]
    listed = ", ".join(owners)
    raise click.UsageError(f"there is no source {name!r}: {listed}" if name else f"give --source: one of {listed}")


def _time(owner: SourceSettings, at: str) -> tuple[str | float, int]:
    """What the command says of its time, and what that is in nanoseconds."""
    if owner.time.unit == "cycle":
        try:
            cycle = float(at)
            return cycle, round(cycle * NS_PER["cycle"])
        except (ValueError, OverflowError):
            raise click.UsageError(f"the source {owner.name} counts cycles: --at must be the number of one") from None
    at = at or datetime.now(UTC).isoformat()
    try:
        return at, text_time_ns(at)
    except ValueError as error:
        raise click.UsageError(f"--at: {error}") from None


def _tell(
    settings: Settings, owner: SourceSettings, command: InterventionCommand, t_ns: int
) -> InterventionMessage | None:
    """Publish the command; what the agent then says, None when it says nothing. Raises ForewarnError."""
    answers: list[InterventionMessage] = []
    has_answer, is_heard = threading.Event(), threading.Event()

    def hear(_client: paho.Client, _data: Any, message: paho.MQTTMessage) -> None:
        try:
            answer = msgspec.json.decode(message.payload, type=InterventionMessage)
        except Unreadable:
            return  # of another agent version, or of somebody else: no answer to us
        if (answer.source, answer.device, answer.kind, answer.t_ns) == (owner.name, command.device, command.kind, t_ns):
            answers.append(answer)
            has_answer.set()

    name = settings.agent.node
    listener = _client(settings.output_broker, f"forewarn-{name}-{os.getpid()}-listens")
    listener.on_message = hear
    listener.on_subscribe = lambda *_: is_heard.set()
    topic = Topics.of(settings.publish.prefix, name).intervention
    sender = _client(settings.broker_of(owner.broker), f"forewarn-{name}-{os.getpid()}-says")
    with _Running(listener, settings.output_broker), _Running(sender, settings.broker_of(owner.broker)):
        listener.subscribe(topic, 1)
        is_heard.wait(ANSWER_S)
        payload = msgspec.json.encode(command)
        sender.publish(command_topic(settings.publish, settings.agent, owner.name), payload, COMMAND_QOS)
        has_answer.wait(ANSWER_S)
    return answers[0] if answers else None


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
