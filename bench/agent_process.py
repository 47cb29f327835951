"""An agent as a process of its own: its configuration, log, status, CPU time and end. What the benches start."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1"}  # as deploy/forewarn.service has it
TIMEOUT_S = 30.0
POLL_S = 0.005
Process = subprocess.Popen[bytes]
Value = str | int | Mapping[str, object]
Sections = Mapping[str, Mapping[str, Value]]


def write_configuration(folder: Path, bundle: Path, port: int, topic: str, more: Sections) -> Path:
    """A configuration in `folder`, which is made: one source on `topic` of the broker at `port`, one model, and a state
    folder beside it. `more` adds keys to the tables or replaces them: {"source": {"qos": 1}}.
    """
    tables: dict[str, dict[str, Value]] = {
        "agent": {"node": "bench", "state_dir": "state"},
        "broker": {"host": "127.0.0.1", "port": port},
        "model": {"bundle": str(bundle.resolve()), "budget": "1 per device per 30d"},
        "source": {"name": "plant", "topic": topic, "time": {"field": "ts", "unit": "s"}},
    }
    for name, values in more.items():
        tables[name] = tables.get(name, {}) | dict(values)
    lines = []
    for name, values in tables.items():
        lines.append(f"[[{name}]]" if name in ("model", "source") else f"[{name}]")
        lines += [f"{key} = {_toml(value)}" for key, value in values.items()]
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "forewarn.toml"
    path.write_text("\n".join(lines) + "\n")
    return path


def _toml(value: Value) -> str:
    """JSON's texts and numbers are TOML's, too; its objects are not."""
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{key} = {_toml(inner)}" for key, inner in value.items()) + " }"
    return json.dumps(value)


def cpu_s(pid: int) -> float:
    """CPU time of a process so far, all its threads, to the nanosecond: the clock that clock_getcpuclockid(3) names."""
    return time.clock_gettime((~pid << 3) | 2)


class AgentProcess:
    """`forewarn run`, its log beside the configuration."""

    def __init__(self, configuration: Path) -> None:
        self.log = configuration.parent / "agent.log"
        command = [sys.executable, "-m", "agent.cli", "run", "--config", str(configuration)]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=ENVIRONMENT)

    @property
    def pid(self) -> int:
        return self.process.pid

    def events(self, name: str) -> list[dict[str, object]]:
        """The log's lines of one event. A line that is being written is left out."""
        whole = self.log.read_text().rpartition("\n")[0]
        return [line for line in map(json.loads, whole.splitlines()) if line["event"] == name]

    def wait_until(self, is_so: Callable[[], bool], what: str) -> None:
        """Raises RuntimeError with the log's end when the agent has ended, or when it is not so in TIMEOUT_S."""
        deadline = time.monotonic() + TIMEOUT_S
        while not is_so():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the agent has not {what}: its log ends\n{self.log.read_text()[-3000:]}")
            time.sleep(POLL_S)

    def stop(self) -> None:
        """Ask it to end and wait; kill it where it does not end in TIMEOUT_S."""
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@contextmanager
def running_agent(configuration: Path) -> Iterator[AgentProcess]:
    """An agent that is stopped at exit."""
    agent = AgentProcess(configuration)
    try:
        yield agent
    finally:
        agent.stop()


class Status:
    """The newest status of an agent; `content` is empty before the first."""

    def __init__(self) -> None:
        self.content: dict[str, object] = {}

    def update(self, payload: bytes) -> None:
        """A message of the status topic; an empty one is none."""
        if payload:
            self.content = json.loads(payload)

    @property
    def n_taken(self) -> int:
        """Messages that the agent took."""
        return int(str(self.content.get("taken", 0)))

    @property
    def drops(self) -> Mapping[str, Mapping[str, int]]:
        """Messages that it dropped, by source and reason."""
        drops = self.content.get("drops", {})
        assert isinstance(drops, dict)
        return drops

    @property
    def n_dropped(self) -> int:
        return sum(count for reasons in self.drops.values() for count in reasons.values())

    @property
    def is_granted(self) -> bool:
        """Every subscription is granted."""
        broker = self.content.get("broker", {})
        assert isinstance(broker, dict)
        return bool(broker) and set(broker["input"]["subscriptions"].values()) == {"granted"}


def status_topic(node: str) -> str:
    return f"forewarn/{node}/status"


@contextmanager
def status_of(node: str, port: int) -> Iterator[Status]:
    """The status of the agent `node`, kept up to date by a client of the broker at `port`."""
    status = Status()
    client = paho.Client(CallbackAPIVersion.VERSION2)
    client.on_message = lambda _client, _data, message: status.update(message.payload)
    client.connect("127.0.0.1", port)
    client.subscribe(status_topic(node))
    client.loop_start()
    try:
        yield status
    finally:
        client.disconnect()
        client.loop_stop()
