"""A private broker on a free port, for a replay and for the tests: mosquitto, else the embedded one."""

import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from agent.config.broker_settings import Broker
from agent.errors import ForewarnError

START_TIMEOUT_S = 10.0
# By default it drops silently for a slow reader; 0, for no limit, makes 2.0 hang up on a client that its ACL refuses.
_QUEUE_ALL = ("max_queued_messages 100000", "max_inflight_messages 1000")
_ALSO_ON_PATH = "/usr/sbin:/usr/local/sbin"  # Debian keeps it where only root's PATH looks


@dataclass(frozen=True, slots=True)
class OwnBroker:
    """A broker that lives as long as the replay, and what a user is told of it."""

    broker: Broker
    name: str


@contextmanager
def own_broker(folder: Path) -> Iterator[OwnBroker]:
    """Run a broker of our own on a free port; its log goes to `folder`. Raises ForewarnError when there is none."""
    port = free_port()
    program = find_mosquitto()
    if program is not None:
        told = subprocess.run([program, "-h"], capture_output=True, text=True, check=False).stdout
        number = re.search(r"version (\S+)", told)
        with mosquitto(folder, port=port):
            yield OwnBroker(Broker(host="127.0.0.1", port=port), f"mosquitto {number[1] if number else ''}".strip())
    elif find_spec("amqtt") is not None:
        with embedded(folder, port=port) as broker:
            yield OwnBroker(broker, f"embedded (amqtt {version('amqtt')}); install mosquitto for speed")
    else:
        raise ForewarnError(
            "replay",
            "no broker is installed",
            next_step="apt install mosquitto, or pip install 'forewarn[demo]', or name one: --broker HOST:PORT.",
        )


def find_mosquitto() -> str | None:
    """Path of mosquitto's program, None where it is not installed."""
    return shutil.which("mosquitto") or shutil.which("mosquitto", path=_ALSO_ON_PATH)


def free_port() -> int:
    """A TCP port on the loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def mosquitto(folder: Path, *, port: int, settings: tuple[str, ...] = _QUEUE_ALL) -> Iterator[subprocess.Popen[bytes]]:
    """Run a mosquitto on 127.0.0.1:`port` without persistence, its configuration and log in `folder`; end it at exit.

    Raises ForewarnError when mosquitto is not installed or does not start.
    """
    program = find_mosquitto()
    if program is None:
        raise ForewarnError("mosquitto", "is not installed", next_step="Install it: apt install mosquitto.")
    lines = [f"listener {port} 127.0.0.1", "allow_anonymous true", "persistence false", *settings]
    configuration = folder / "mosquitto.conf"
    configuration.write_text("\n".join(lines) + "\n")
    with _running("mosquitto", [program, "-c", str(configuration)], folder / "mosquitto.log", port) as process:
        yield process


@contextmanager
def embedded(folder: Path, *, port: int) -> Iterator[Broker]:
    """Run amqtt on 127.0.0.1:`port`, its log in `folder`; end it at exit. Raises ForewarnError when it does not start.

    It must be spoken to as MQTT 3.1.1: an MQTT 5 CONNECT is left without an answer.
    """
    command = [sys.executable, "-m", "agent.replay.broker.embedded", str(port)]
    with _running("the embedded broker", command, folder / "embedded.log", port):
        yield Broker(host="127.0.0.1", port=port, protocol="3.1.1")


@contextmanager
def _running(name: str, command: Sequence[str], log: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """A child that listens on `port`."""
    with log.open("ab") as sink:
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=sink, stderr=sink)
    try:
        _wait_until_it_listens(name, process, port, log)
        yield process
    finally:
        process.terminate()
        process.communicate(timeout=10)


def _wait_until_it_listens(name: str, process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            last = log.read_text(errors="replace").splitlines()[-1:] or ["(no output)"]
            raise ForewarnError(name, f"ended at once: {last[0]}", next_step=f"See {log}.")
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    raise ForewarnError(name, f"does not listen after {START_TIMEOUT_S:.0f} s", next_step=f"See {log}.")
