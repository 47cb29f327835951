"""Law 3 in journal mode, at length: kill -9 of the agent and of its broker at random instants, beside a twin.

The twin is a core in this process that takes, in one life, the messages that the broker delivered. What a killed agent
publishes must be what the twin says, by id and sequence, however often it was killed; each score that is heard is the
twin's to the byte, and none comes twice.

Which messages the broker delivered: all that it acknowledged to the publisher, where only the agent was killed. Where
the broker was, it may have forgotten some; the agent lived on, and published a score for each row that it took.

Streams with times in their payloads come in bursts. Those without come row by row, since rows of one read have one
time of arrival, and their brokers keep nothing over a kill: what mosquitto had stored before it sends as new messages,
not as redeliveries, and nobody can tell such a one from a machine that says the same again.

    python -m tests.faults.campaign --kills 200 --broker-kills 200 --seed 0
"""

import json
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack, closing, suppress
from pathlib import Path

import click
import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from tests.broker.crash_campaign import CHUNK, FLEET, readings, says_that_input_is_away
from tests.broker.listener import Listener
from tests.broker.private_broker import PrivateBroker
from tests.broker.running_agent import ROOT, RunningAgent, with_output
from tests.faults.oracle import SCORE, Oracle, Tally
from tests.faults.twin import Twin, untimed, without_time
from tests.streams import Message, interleaved, message

TRY_IN_VAIN_S = 1.0  # a killed broker is away for so long: the agent tries after half a second
MARKER = "marker"  # a healthy device, of which one row after the others tells that all of them were taken
PERSISTENCE = {
    "forgets": (),
    "autosave": ("persistence true", "autosave_on_changes true", "autosave_interval 1"),
    "stale": ("persistence true",),  # saved once in half an hour: after kill -9 it knows what was long ago
}
VARIANTS = (  # is there a time in the payload; what the broker keeps; agent.rows_per_device_max: beyond it rows wait
    (True, "forgets", 4096),
    (True, "autosave", 4),
    (False, "forgets", 4096),
    (True, "stale", 4096),
)
KILL_WITHIN_S = {True: 0.12, False: 0.02}


class Campaign:
    """One agent of one variant, and the history that grows."""

    def __init__(self, folder: Path, seed: int, variant: tuple[bool, str, int]) -> None:
        self.tally = Tally()
        self._rng = random.Random(seed)
        self._has_time, persistence, share = variant
        self._names = (f"agent, {persistence}", f"broker, {persistence}")
        self._input, self._output = (PrivateBroker(self._made(folder / name)) for name in ("input", "output"))
        self._keeps = bool(PERSISTENCE[persistence])
        self._input.settings += PERSISTENCE[persistence]
        self._input.settings += (f"persistence_location {self._input.folder}/",) if self._keeps else ()
        text = with_output(self._input.port, self._output.port, durability="journal")
        text = text.replace("rows_per_device_max = 4096", f"rows_per_device_max = {share}")
        self._folder = self._made(folder / "agent")
        self._text = text if self._has_time else without_time(text, self._folder)
        self._cycle = self._n_markers = self._seen = 0

    def run(self, kills: int, broker_kills: int) -> None:
        """So many of each, in any order."""
        with ExitStack() as stack:
            for broker in (self._input, self._output):
                broker.start()
                stack.enter_context(closing(broker))
            self._listener = stack.enter_context(Listener(self._output.port, "forewarn/#"))
            self._agent = RunningAgent(self._folder, self._input, self._listener, self._text)
            self._oracle = Oracle(
                Twin(self._folder / "small.fwb", has_time=self._has_time), self.tally, has_time=self._has_time
            )
            self._agent.go()
            stack.callback(self._agent.end)
            self._peace(is_broker_killed=False)
            victims = ["agent"] * kills + ["broker"] * broker_kills
            self._rng.shuffle(victims)
            for number, victim in enumerate(victims):
                if victim == "agent":
                    self._kill_agent()
                else:
                    self._kill_broker()
                if self.tally.said:
                    return  # one breach makes others
                if sys.stderr.isatty():
                    click.echo(f"\r{number + 1} of {len(victims)} kills ", nl=False, err=True)
            if not self._oracle.is_standing(self._agent.standing().values()):
                self.tally.breach("what is retained is not what stands")

    def _kill_agent(self) -> None:
        """While messages are under way; and, now and then, once more while it starts."""
        self.tally.kills[self._names[0]] += 1
        messages = self._next(CHUNK if self._has_time else 1)
        publisher = threading.Thread(target=self._input.publish_all, args=(messages,))
        publisher.start()
        time.sleep(self._rng.uniform(0, KILL_WITHIN_S[self._has_time]))
        self._agent.kill()
        publisher.join()
        if self._rng.random() < 0.2:
            self._agent.start()
            with suppress(subprocess.TimeoutExpired):
                self._agent.process.wait(self._rng.uniform(0.3, 1.5))
            self._agent.process.kill()
            self._agent.process.wait()
            self.tally.kills[f"{self._names[0]}, while it starts"] += 1
        self._agent.go()
        self._oracle.take_all(messages)
        self.tally.counts["messages acknowledged to the publisher"] += len(messages)
        self._peace(is_broker_killed=False)

    def _kill_broker(self) -> None:
        self.tally.kills[self._names[1]] += 1
        messages = self._next(CHUNK if self._has_time else 1)
        acknowledged: list[int] = []
        publisher = threading.Thread(target=publish_until_it_ends, args=(self._input.port, messages, acknowledged))
        publisher.start()
        time.sleep(self._rng.uniform(0, KILL_WITHIN_S[self._has_time]))
        self._input.kill()
        publisher.join()
        self._listener.wait_for(says_that_input_is_away, "the loss", since=self._seen)
        n_connections, n_lost = len(self._agent.log("broker_connected")), self._n_lost()
        # Five connections in a row that end soon, with a broker that is there each time, are another client's doing.
        time.sleep(TRY_IN_VAIN_S)
        self._input.start()
        self._agent.wait_for_connection(n_connections + 1)
        marker = self._mark()
        heard = self._listener.heard[self._seen :]
        n_missing = self._oracle.take_scored([*messages, marker], heard, is_lost=self._n_lost() > n_lost)
        self.tally.counts["messages acknowledged to the publisher"] += len(acknowledged)
        self.tally.counts["of those forgotten by a killed broker"] += max(
            0, n_missing - len(messages) + len(acknowledged)
        )
        self._look(newest=1)
        self._peace(is_broker_killed=True)

    def _peace(self, *, is_broker_killed: bool) -> None:
        """The fleet's next cycles, all of which are scored."""
        for _ in range(1 if self._has_time else 3):
            messages = self._next(CHUNK if self._has_time else 1)
            self._input.publish_all(messages)
            messages.append(self._mark())
            self.tally.counts["messages acknowledged to the publisher"] += len(messages)
            if is_broker_killed:
                if self._oracle.take_scored(messages, self._listener.heard[self._seen :], is_lost=False):
                    self.tally.breach("a row was lost in peace")
            else:
                self._oracle.take_all(messages)
            self._look(newest=1)

    def _n_lost(self) -> int:
        """How often the agent has said that its session was lost."""
        return len(self._agent.log("broker_session_lost"))

    def _mark(self) -> Message:
        """Publish a row of the marker and wait until it is scored, no row waits, and all is said."""
        self._n_markers += 1
        (marker,) = self._plain([message(MARKER, self._n_markers, wear=0.001 * (self._n_markers % 100))])
        since = len(self._listener.heard)
        self._input.publish_all([marker])
        self._listener.wait_for(lambda one: one.topic == f"{SCORE}{MARKER}", "the marker's score", since=since)
        since = len(self._listener.heard)
        self._listener.wait_for(lambda one: is_idle(one.topic, one.payload), "nothing waits", since=since)
        return marker

    def _look(self, *, newest: int) -> None:
        """Hold what was heard since the last look against the twin."""
        heard, self._seen = self._listener.heard[self._seen :], len(self._listener.heard)
        self._oracle.compare_scores(heard, newest=newest)
        self._oracle.compare_events(heard)

    def _next(self, n_cycles: int) -> list[Message]:
        """The fleet's next cycles."""
        first, self._cycle = self._cycle + 1, self._cycle + n_cycles
        return self._plain(interleaved(*(readings(device, first, n_cycles) for device in FLEET)))

    def _plain(self, messages: list[Message]) -> list[Message]:
        return messages if self._has_time else untimed(messages)

    def _made(self, folder: Path) -> Path:
        folder.mkdir(parents=True)
        return folder


def is_idle(topic: str, payload: bytes) -> bool:
    """A status that says that nothing waits."""
    if topic != f"{ROOT}/status" or not payload:
        return False
    queues = json.loads(payload)["queues"]
    return queues["waiting_rows"] == 0 and queues["outbox"] == 0


def publish_until_it_ends(port: int, messages: Sequence[Message], acknowledged: list[int]) -> None:
    """Publish at QoS 1 until all have left or the broker is gone; the ids of what it acknowledged."""
    client = paho.Client(CallbackAPIVersion.VERSION2)
    client.on_publish = lambda _, __, mid, *___: acknowledged.append(mid)
    client.max_inflight_messages_set(20)
    with suppress(OSError):
        client.connect("127.0.0.1", port)
        for topic, payload in messages:
            client.publish(topic, payload, qos=1)
        while len(acknowledged) < len(messages) and client.loop(0.05) == paho.MQTT_ERR_SUCCESS:
            pass
        client.disconnect()


@click.command()
@click.option("--kills", default=200, show_default=True, help="Of the agent.")
@click.option("--broker-kills", default=200, show_default=True)
@click.option("--seed", default=0, show_default=True)
def main(kills: int, broker_kills: int, seed: int) -> None:
    """Kill and restart; print what was counted; exit 1 when a message or alert is lost or doubled."""
    total = Tally()
    for number, variant in enumerate(VARIANTS):
        share = [len(range(number, n, len(VARIANTS))) for n in (kills, broker_kills)]
        with tempfile.TemporaryDirectory() as folder:
            campaign = Campaign(Path(folder), seed + number, variant)
            campaign.run(*share)
        total.add(campaign.tally)
        for line in campaign.tally.said:
            click.echo(f"{variant}: {line}", err=True)
    click.echo(f"{kills} kills of the agent, {broker_kills} of its broker, seed {seed}\n{total.table()}")
    sys.exit(1 if total.said else 0)


if __name__ == "__main__":
    main()
