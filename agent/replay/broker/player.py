"""Recorded rows through an MQTT broker and a whole agent, and back: the loop is closed.

At most AHEAD_MAX rows are under way, that is sent and not scored yet, so that no broker has to queue more, be it rows
or scores. After the last row an end marker, an empty payload, goes through the data topic; once the agent has taken
it, every row before it has been taken too. Events and scores are those that the agent published. It is an error when
the counts of sent, taken and scored differ: nothing is made up, nothing is left out.
"""

import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue

import paho.mqtt.client as paho
from paho.mqtt.enums import MQTTErrorCode
from paho.mqtt.reasoncodes import ReasonCode

from agent.bundle.file import Bundle
from agent.bundle.label import label_of
from agent.config.broker_settings import Broker
from agent.config.settings import Model
from agent.decode.topic import DEVICE
from agent.errors import ForewarnError
from agent.mqtt.client import make_client
from agent.publish.topic import Topics
from agent.replay.broker.agent_process import AgentProcess, agent_process
from agent.replay.broker.collected import Collected, Message, by_device
from agent.replay.inline import Observer, PlayedDevice
from agent.replay.messages import Stream
from agent.replay.pace import AT_ONCE, Pace

AHEAD_MAX = 500
STILL_TIMEOUT_S = 30.0  # no progress for so long is a failure
LAST_WILL_TIMEOUT_S = 5.0
_TURN_S = 0.05


def private_topic() -> str:
    """A topic that no other publisher on the broker uses."""
    return f"forewarn-replay/{secrets.token_hex(4)}/{DEVICE}/row"


def play_through_broker(
    bundle: Bundle,
    stream: Stream,
    model: Model,
    broker: Broker,
    folder: Path,
    observer: Observer | None = None,
    speed: float = AT_ONCE,
) -> tuple[PlayedDevice, ...]:
    """Play a stream to an agent that is started in `folder`, an empty one, at `speed` times real time; devices by name.

    model  what the agent's configuration says of the bundle: its budgets

    Raises ForewarnError when the broker cannot be reached or refuses, the agent fails, or a count does not match.
    """
    observer = observer or Observer()
    node = f"replay-{secrets.token_hex(4)}"
    collected = Collected(Topics.of("forewarn", node), label_of(bundle.manifest, bundle.digest))
    with (
        _client(broker, node, collected.topics) as (client, inbox),
        agent_process(
            bundle,
            stream.source,
            model,
            node=node,
            broker=broker,
            folder=folder,
        ) as agent,
    ):
        replay = _BrokerReplay(client, inbox, collected, agent, stream, observer)
        try:
            replay.wait_until_the_agent_listens()
            replay.send_all(speed)
            replay.wait_until_all_is_taken()
            agent.stop()
            replay.wait_until_stopped()
        finally:
            agent.end()
            replay.clean_up()
    return by_device(stream, collected)


@dataclass(slots=True)
class _BrokerReplay:
    client: paho.Client
    inbox: "SimpleQueue[Message]"
    collected: Collected
    agent: AgentProcess
    stream: Stream
    observer: Observer
    n_sent: int = 0
    n_shown: int = 0

    def wait_until_the_agent_listens(self) -> None:
        for _ in self._turns("the agent does not subscribe"):
            self.agent.check_alive()
            if self.collected.is_listening:
                return

    def send_all(self, speed: float) -> None:
        """Send rows as they fall due, never more than AHEAD_MAX ahead of their scores, and then the end marker."""
        n_rows = len(self.stream)
        end_marker = self.stream.topic(f"replay-end-{secrets.token_hex(4)}")
        pace = Pace(self.stream.t_s, speed)
        for _ in self._turns("the agent scores no rows", lambda: self.n_sent == self.collected.n_scored):
            self.agent.check_alive()
            end = min(n_rows, self.collected.n_scored + AHEAD_MAX, pace.n_due())
            for topic, payload in zip(*self.stream.messages(self.n_sent, end), strict=True):
                self.client.publish(topic, payload, qos=1)
            self.n_sent = max(self.n_sent, end)
            if self.n_sent == n_rows:
                self.client.publish(end_marker, b"", qos=1)
                return

    def wait_until_all_is_taken(self) -> None:
        """The agent has taken the end marker, and said a score for each row before it."""
        n_rows = len(self.stream)
        for _ in self._turns(f"the agent does not take and score all {n_rows} rows"):
            self.agent.check_alive()
            if self.collected.taken > n_rows + 1:
                what = f"took {self.collected.taken} messages of {n_rows} rows and an end marker"
                raise self.agent.failure(f"{what}: does something else publish to {self.stream.source.topics[0]}?")
            if self.collected.taken == n_rows + 1 and self.collected.n_scored >= n_rows:
                return

    def wait_until_stopped(self) -> None:
        """`stopped` is the agent's last word, and a broker keeps the order of what one client says."""
        for _ in self._turns("the agent's end is not published"):
            if self.collected.is_stopped:
                return

    def clean_up(self) -> None:
        """Take back what the ended agent left retained on the broker: nobody will ever ask for this node again."""
        deadline = time.monotonic() + LAST_WILL_TIMEOUT_S
        while self.collected.is_online and self.client.is_connected() and time.monotonic() < deadline:
            self._collect()
        topics = self.collected.topics
        alerts = {topics.alert(event.source, event.device, event.model, event.head) for event in self.collected.events}
        for topic in (topics.available, topics.instance, topics.status, *sorted(alerts)):
            sent = self.client.publish(topic, b"", qos=1, retain=True)
        if sent.rc == MQTTErrorCode.MQTT_ERR_SUCCESS:  # else the broker has gone, and all it held
            sent.wait_for_publish(STILL_TIMEOUT_S)

    def _turns(self, complaint: str, is_idle: Callable[[], bool] = lambda: False) -> Iterator[None]:
        """Collect what has come, then give way once; raise when nothing comes for long while not idle."""
        deadline = time.monotonic() + STILL_TIMEOUT_S
        while time.monotonic() < deadline:
            yield
            progress = (self.collected.taken, self.collected.n_scored)
            self._collect()
            if progress != (self.collected.taken, self.collected.n_scored) or is_idle():
                deadline = time.monotonic() + STILL_TIMEOUT_S
        got = self.collected
        counts = f"{got.taken} taken, {got.n_scored} scored, dropped or doubtful {got.drops}"
        raise self.agent.failure(f"{complaint}: nothing new for {STILL_TIMEOUT_S:g} s after {counts}")

    def _collect(self) -> None:
        """Wait for a message, then take in all there are."""
        with suppress(Empty):
            message = self.inbox.get(timeout=_TURN_S)
            while True:
                event = self.collected.add(message)
                if event is not None:
                    score = self.collected.score_at(event)
                    self.observer.on_event(self.collected.alert_event(event, entry=-1, score=score))
                message = self.inbox.get_nowait()
        self.observer.on_rows(self.collected.n_scored - self.n_shown)
        self.n_shown = self.collected.n_scored


@contextmanager
def _client(broker: Broker, node: str, topics: Topics) -> Iterator[tuple[paho.Client, "SimpleQueue[Message]"]]:
    """A connected client that puts all the agent will say into a queue, from paho's thread."""
    inbox: SimpleQueue[Message] = SimpleQueue()
    answers: SimpleQueue[str] = SimpleQueue()  # "" = granted
    # A score is published at QoS 0; to ask for more would only make some brokers wait for acknowledgements.
    filters = [(topic, 1) for topic in (topics.event, topics.status, topics.available)] + [
        (f"{topics.root}/score/#", 0)
    ]
    protocol = "3.1.1" if broker.protocol == "auto" else broker.protocol  # the one every broker speaks
    client = make_client(broker, f"forewarn-{node}-player", protocol, kind="player", build=paho.Client)
    client.max_inflight_messages_set(AHEAD_MAX)
    client.on_message = lambda _client, _data, message: inbox.put((message.topic, bytes(message.payload)))

    def subscribe(client: paho.Client, _data: object, _flags: object, reason: ReasonCode, _properties: object) -> None:
        if reason.is_failure:
            answers.put(f"refuses the connection: {reason}")
        else:
            client.subscribe(filters)

    def subscribed(_client: object, _data: object, _mid: int, reasons: list[ReasonCode], _properties: object) -> None:
        refused = [str(reason) for reason in reasons if reason.is_failure]
        answers.put(f"refuses a subscription: {refused[0]}" if refused else "")

    client.on_connect, client.on_subscribe = subscribe, subscribed
    place = f"{broker.host}:{broker.port}"
    try:
        client.connect(broker.host, broker.port)
    except OSError as error:
        raise ForewarnError(
            place, f"no broker answers: {error.strerror or error}", next_step="Start one, or leave --broker out."
        ) from None
    client.loop_start()
    try:
        try:
            refusal = answers.get(timeout=STILL_TIMEOUT_S)
        except Empty:
            refusal = "does not answer as an MQTT broker"
        if refusal:
            raise ForewarnError(place, refusal, next_step="A replay needs a broker that lets anybody read and write.")
        yield client, inbox
    finally:
        client.disconnect()
        client.loop_stop()
