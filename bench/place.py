"""Where bench/gateway.py measures: a folder, a broker at its own defaults, a publisher, an agent and its peers."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from agent.bundle import file
from agent.replay.broker.own_broker import free_port, mosquitto
from bench import untrained
from bench.agent_process import ENVIRONMENT, AgentProcess, Status, running_agent, status_of, write_configuration

DEVICES = 100
SETTLE_S = 0.5  # after the last message


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
    def agent(
        self, name: str, *, protocol: str = "auto", qos: int = 0, scores: str = "none", durability: str = "snapshot"
    ) -> Iterator["Agent"]:
        """An agent with the defaults, but for these; it is subscribed."""
        more = {
            "agent": {"node": name, "durability": durability},
            "broker": {"protocol": protocol},
            "publish": {"scores": scores},
            "source": {"qos": qos},
        }
        configuration = write_configuration(
            self.folder / name, self.bundle, self.port, "agent/{device}/telemetry", more
        )
        with status_of(name, self.port) as status, running_agent(configuration) as process:
            process.wait_until(lambda: status.is_granted, "subscribed")
            yield Agent(process, status)

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


@dataclass(frozen=True, slots=True)
class Agent:
    """A running agent, and what it publishes of itself."""

    process: AgentProcess
    status: Status

    def end(self) -> Status:
        """Stop it; returns the last status, which it publishes at its end."""
        self.process.stop()
        time.sleep(SETTLE_S)
        return self.status


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
