"""A private mosquitto on a free port, for a replay through a broker and for the tests."""

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from agent.errors import ForewarnError

START_TIMEOUT_S = 10.0
# By default it drops silently for a slow reader; 0, for no limit, makes 2.0 hang up on a client that its ACL refuses.
_QUEUE_ALL = ("max_queued_messages 100000", "max_inflight_messages 1000")


def find_mosquitto() -> str | None:
    """Path of the broker's program; Debian keeps it where only root's PATH looks."""
    return shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")


def free_port() -> int:
    """A TCP port on the loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def mosquitto(folder: Path, *, port: int, settings: tuple[str, ...] = _QUEUE_ALL) -> Iterator[subprocess.Popen[bytes]]:
    """Run a broker on 127.0.0.1:`port` without persistence, its configuration and log in `folder`; end it at exit.

    Raises ForewarnError when mosquitto is not installed or does not start.
    """
    program = find_mosquitto()
    if program is None:
        raise ForewarnError(
            "mosquitto",
            "is not installed",
            next_step="Install it (apt install mosquitto), or name a broker: --broker HOST:PORT.",
        )
    log = folder / "mosquitto.log"
    lines = [f"listener {port} 127.0.0.1", "allow_anonymous true", "persistence false", *settings]
    configuration = folder / "mosquitto.conf"
    configuration.write_text("\n".join(lines) + "\n")
    with log.open("ab") as sink:
        process = subprocess.Popen([program, "-c", str(configuration)], stdout=sink, stderr=sink)
    try:
        _wait_until_it_listens(process, port, log)
        yield process
    finally:
        process.terminate()
        process.wait(timeout=10)


def _wait_until_it_listens(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            last = log.read_text(errors="replace").splitlines()[-1:] or ["(no output)"]
            raise ForewarnError("mosquitto", f"ended at once: {last[0]}", next_step=f"See {log}.")
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    raise ForewarnError("mosquitto", f"does not listen after {START_TIMEOUT_S:.0f} s", next_step=f"See {log}.")
