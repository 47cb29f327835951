"""A whole agent as a child process around the small bundle, as somebody at the broker sees it."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from tests.broker.listener import TIMEOUT_S, Heard, Listener, retained
from tests.broker.private_broker import PrivateBroker
from tests.configurations import SOURCE, write_configuration

NODE = "gateway-1"
ROOT = f"forewarn/{NODE}"
Json = dict[str, object]


def configuration(port: int, *, protocol: str = "auto", qos: int = 1, durability: str = "snapshot") -> str:
    """A configuration text: quick in all it does, every row of a device taken, every score published."""
    kept = "" if durability == "snapshot" else f'durability = "{durability}"\n'
    return f"""
[agent]
node = "{NODE}"
state_dir = "state"
{kept}status_every = "100ms"
snapshot_every = "1s"
delay_max = "2ms"
rows_per_device_max = 4096
[broker]
host = "127.0.0.1"
port = {port}
protocol = "{protocol}"
[[model]]
bundle = "small.fwb"
[publish]
scores = "all"
{SOURCE}
qos = {qos}
"""


def with_output(port: int, output_port: int, *, durability: str = "snapshot") -> str:
    """The same, with alerts going to another broker."""
    return configuration(port, durability=durability) + f'[output]\nhost = "127.0.0.1"\nport = {output_port}\n'


class RunningAgent:
    """One agent, its folder and its life: started, killed, started again."""

    def __init__(self, folder: Path, broker: PrivateBroker, listener: Listener, text: str = "") -> None:
        self.broker, self.listener, self.folder = broker, listener, folder
        self.state = folder / "state"
        self.file = write_configuration(folder, text or configuration(broker.port))
        self._log = folder / "agent.log"
        self.since = 0  # what the listener heard before does not come from this process
        self.not_before = ""  # nor what was said before, which may come late
        self._due = 0

    # Its life ---------------------------------------------------------------------------------------------------

    def start(self, *, log: int | None = None, under: tuple[str, ...] = (), **environ: str) -> None:
        """Start it; its log goes to a file of its own, or to the descriptor `log`; `under` is what traces it."""
        self._begin()
        own = {name: value for name, value in os.environ.items() if not name.startswith("FOREWARN_")} | environ
        command = [*under, sys.executable, "-m", "agent.cli", "run", "--config", str(self.file)]
        with self._log.open("ab") as file:
            sink = file if log is None else log
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=sink, stderr=sink, env=own)

    def wait_until_it_listens(self) -> Json:
        """Connected both ways and subscribed; messages that are fed count from here."""
        heard = self.listener.wait_for(self._is_listening, "the agent subscribes", since=self.since)
        status = json.loads(heard.payload)
        self._due = status["taken"]
        return status

    def go(self) -> None:
        """Start, and wait until it listens."""
        self.start()
        self.wait_until_it_listens()

    def stop(self) -> int:
        """SIGTERM; returns the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(TIMEOUT_S)

    def kill(self) -> None:
        """kill -9, and wait until the broker has seen its end."""
        since = len(self.listener.heard)
        self.process.kill()
        self.process.wait(TIMEOUT_S)
        self.listener.wait_for(
            lambda one: one == Heard(f"{ROOT}/available", b"offline", False), "the last will", since=since
        )

    def restart_broker(self) -> None:
        """Kill the broker, start it again, and wait until listener and agent are back."""
        self.broker.kill()
        self._begin()
        self.broker.start()
        self.wait_until_it_listens()

    def reconnect(self, lose: Callable[[], None]) -> None:
        """Lose the connections by `lose`, and wait until it listens again."""
        n_connections = len(self.log("broker_connected"))
        lose()
        self.wait_for_connection(n_connections + 1)

    def wait_for_connection(self, number: int) -> None:
        """Until it has connected so often, and listens."""
        wait_until(lambda: len(self.log("broker_connected")) >= number, f"connection {number}")
        self._begin()
        self.wait_until_it_listens()

    def end(self) -> None:
        """For the end of a test, whatever state it is in."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(TIMEOUT_S)

    # What goes in and comes out ---------------------------------------------------------------------------------

    def feed(self, messages: list[tuple[str, bytes]]) -> Json:
        """Publish messages, wait until the agent has taken them and said all there is to say; the status then."""
        since = len(self.listener.heard)
        self.broker.publish_all(messages)
        self._due += len(messages)

        def has_settled(one: Heard) -> bool:
            if one.topic != f"{ROOT}/status" or not one.payload:
                return False
            status = json.loads(one.payload)
            return status["taken"] >= self._due and status["queues"]["outbox"] == 0

        heard = self.listener.wait_for(has_settled, f"{self._due} messages are taken", since=since)
        status: Json = json.loads(heard.payload)
        assert status["taken"] == self._due
        return status

    def expect(self, n_messages: int) -> None:
        """Somebody else has published so many."""
        self._due += n_messages

    def has_status(self) -> bool:
        """Whether this process has said one."""
        return self._heard(f"{ROOT}/status") != []

    def status(self) -> Json:
        """The newest status of this process."""
        return json.loads(self._heard(f"{ROOT}/status")[-1].payload)

    def events(self, *, all_lives: bool = False) -> list[Json]:
        """The alert events of this process, or of all that the listener heard."""
        return [json.loads(one.payload) for one in self._heard(f"{ROOT}/event", all_lives=all_lives)]

    def scores(self, device: str, *, all_lives: bool = False) -> list[bytes]:
        """The payloads of a device's scores."""
        return [one.payload for one in self._heard(f"{ROOT}/score/press/{device}", all_lives=all_lives)]

    def qualities(self, device: str) -> list[str]:
        """The quality of each of a device's scores of this process."""
        return [json.loads(payload)["quality"] for payload in self.scores(device)]

    def standing(self) -> dict[str, Json]:
        """The alerts that are retained on the broker now, by topic below `alert/`."""
        held = retained(self.listener.port, f"{ROOT}/alert/#")
        return {topic.removeprefix(f"{ROOT}/alert/"): json.loads(payload) for topic, payload in held.items()}

    def wait_for_log(self, event: str) -> Json:
        """The first log line of a kind, for what cannot be seen at the broker."""
        wait_until(lambda: bool(self.log(event)), f"{event} in the log")
        return self.log(event)[0]

    def wait_for_snapshots(self, n: int) -> None:
        """Until `n` snapshots lie in the state directory."""
        wait_until(lambda: len(list(self.state.glob("snapshot-*[0-9]"))) >= n, f"{n} snapshots")

    def log(self, event: str) -> list[Json]:
        """The log lines of one kind; every line is a JSON object."""
        return [line for line in self.log_lines() if line["event"] == event]

    def log_lines(self) -> list[Json]:
        whole, _, _ = self._log.read_text().rpartition("\n")
        return [json.loads(line) for line in whole.splitlines()]

    def _heard(self, topic: str, *, all_lives: bool = False) -> list[Heard]:
        return [one for one in self.listener.heard[0 if all_lives else self.since :] if one.topic == topic]

    def _begin(self) -> None:
        self.since = len(self.listener.heard)
        self.not_before = datetime.now(UTC).isoformat(timespec="milliseconds")

    def _is_listening(self, one: Heard) -> bool:
        if one.topic != f"{ROOT}/status" or not one.payload:
            return False
        status = json.loads(one.payload)
        link = status["broker"]["input"]
        return (
            status["time"] >= self.not_before
            and link["connected"]
            and set(link["subscriptions"].values()) == {"granted"}
        )


def wait_until(done: Callable[[], bool], what: str) -> None:
    """Look again and again at what tells nobody when it changes."""
    deadline = time.monotonic() + TIMEOUT_S
    while not done():
        assert time.monotonic() < deadline, f"not within {TIMEOUT_S:g} s: {what}"
        time.sleep(0.02)


def refusal(file: Path) -> tuple[int, str]:
    """Exit code and standard error of an agent that should not start."""
    command = [sys.executable, "-m", "agent.cli", "run", "--config", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    return done.returncode, done.stderr
