"""Where bench/gateway.py measures: a folder, a broker at its own defaults, a publisher, an agent and its peers."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from agent.bundle import file
from agent.replay.broker.own_broker import free_port, mosquitto
from bench import untrained

DEVICES = 100
SETTLE_S = 0.5  # after the last message
START_S = 30.0
ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1"}  # as deploy/forewarn.service has it


class Place:
    """A folder with a broker at its own defaults, a bundle, and a publisher."""

    def __init__(self, folder: Path, port: int, publisher: "subprocess.Popen[str]") -> None:
        self.folder = folder
        self.port = port
        self.bundle = folder / "untrained.fwb"
        self._publisher = publisher

    def publish(self, prefix: str, rate_per_s: float, seconds: float, *, devices: int = DEVICES, **more: int) -> int:
        """Publish for so long; returns how many messages."""
        order = {"prefix": prefix, "rate_per_s": rate_per_s, "seconds": seconds, "devices": devices}
        assert self._publisher.stdin is not None
        assert self._publisher.stdout is not None
        self._publisher.stdin.write(json.dumps({**order, "burst": 1, "qos": 0, **more}) + "\n")
        self._publisher.stdin.flush()
        return int(json.loads(self._publisher.stdout.readline())["sent"])

    @contextmanager
    def agent(self, name: str, *, protocol: str = "auto", qos: int = 0, scores: str = "none") -> Iterator["Agent"]:
        """An agent with the defaults, but for what is asked for; it listens."""
        folder = self.folder / name
        folder.mkdir()
        configuration = folder / "forewarn.toml"
        configuration.write_text(f"""\
[agent]
node = "{name}"
state_dir = "state"
[broker]
host = "127.0.0.1"
port = {self.port}
protocol = "{protocol}"
[[model]]
bundle = "{self.bundle}"
budget = "1 per device per 30d"
[publish]
scores = "{scores}"
[[source]]
name = "plant"
topic = "agent/{{device}}/telemetry"
qos = {qos}
time = {{ field = "ts", unit = "s" }}
""")
        command = [sys.executable, "-m", "agent.cli", "run", "--config", str(configuration)]
        with (folder / "log").open("wb") as log, subprocess.Popen(command, stderr=log, env=ENVIRONMENT) as process:
            agent = Agent(process, folder / "log", name, self.port)
            try:
                agent.wait_until_it_listens()
                yield agent
            finally:
                process.terminate()

    @contextmanager
    def script(self, name: str, *words: str) -> Iterator["subprocess.Popen[str]"]:
        """One of the peers, subscribed."""
        command = [sys.executable, "-m", f"bench.{name}", str(self.port), *words]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=ENVIRONMENT) as process:
            assert process.stdout is not None
            if process.stdout.readline().strip() != "subscribed":
                raise SystemExit(f"bench/{name}.py did not subscribe")
            try:
                yield process
            finally:
                process.kill()


class Agent:
    """A running agent, and what it says of itself."""

    def __init__(self, process: "subprocess.Popen[bytes]", log: Path, node: str, port: int) -> None:
        self.process = process
        self.status: dict[str, object] = {}
        self._log = log
        self._client = paho.Client(CallbackAPIVersion.VERSION2)
        self._client.on_message = lambda _client, _data, message: self._hear(message.payload)
        self._client.connect("127.0.0.1", port)
        self._client.subscribe(f"forewarn/{node}/status")
        self._client.loop_start()

    def wait_until_it_listens(self) -> None:
        deadline = time.monotonic() + START_S
        while '"granted"' not in json.dumps(self.status):
            if time.monotonic() > deadline or self.process.poll() is not None:
                raise SystemExit(f"the agent does not listen:\n{self._log.read_text()}")
            time.sleep(0.01)

    def end(self) -> dict[str, object]:
        """Stop it; the last status, which it says at its end."""
        self.process.terminate()
        self.process.wait(START_S)
        time.sleep(SETTLE_S)
        self._client.loop_stop()
        return self.status

    def log(self, event: str) -> list[dict[str, object]]:
        lines = (json.loads(line) for line in self._log.read_text().splitlines())
        return [line for line in lines if line["event"] == event]

    def _hear(self, payload: bytes) -> None:
        if payload:
            self.status = json.loads(payload)


@contextmanager
def place(folder: Path) -> Iterator[Place]:
    """All of it, ended at exit."""
    untrained.write(folder / "untrained.fwb")
    (folder / "naive.onnx").write_bytes(file.read(folder / "untrained.fwb").model)
    port = free_port()
    command = [sys.executable, "-m", "bench.publisher", str(port), ",".join(untrained.CHANNELS)]
    with ExitStack() as running:
        running.enter_context(mosquitto(folder, port=port, settings=()))
        publisher = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        running.callback(publisher.kill)
        yield Place(folder, port, publisher)
