"""The two receivers as child processes: the whole agent, and paho's loop. How far they are, and what CPU they used."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

TICKS_PER_S = os.sysconf("SC_CLK_TCK")
STALL_S = 60.0


@dataclass(frozen=True, slots=True)
class Taken:
    """One round of one receiver: messages, wall and CPU seconds, and those that did not arrive or were dropped."""

    n_messages: int
    wall_s: float
    cpu_s: float
    n_lost: int

    @property
    def rate_per_s(self) -> float:
        return self.n_messages / self.wall_s

    @property
    def cpu_us(self) -> float:
        return self.cpu_s / self.n_messages * 1e6


def cpu_s(process: "subprocess.Popen[bytes]") -> float:
    """User and system time of a process so far, all its threads; proc(5)."""
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_S


class PahoNoop:
    """`bench/paho_noop.py`."""

    def __init__(self, port: int, n_messages: int) -> None:
        command = [sys.executable, "-m", "bench.paho_noop", str(port), str(n_messages)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE)
        self._line()  # subscribed

    def _line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().decode().strip()

    def wait(self) -> int:
        """How many messages came, once it has them all or the connection has ended."""
        return int(self._line() or 0)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()


class Agent:
    """`forewarn run` with one source, in a folder of its own; `hear` is to be told of its status messages."""

    def __init__(self, folder: Path, bundle: Path, port: int, topic: str, protocol: str) -> None:
        self.taken = 0
        self.drops = 0
        self.is_granted = False
        folder.mkdir(parents=True)
        configuration = folder / "forewarn.toml"
        configuration.write_text(f"""\
[agent]
node = "bench"
state_dir = "state"
status_every = "100ms"
snapshot_every = "2s"
rows_per_device_max = 4096
[broker]
host = "127.0.0.1"
port = {port}
protocol = "{protocol}"
[[model]]
bundle = "{bundle.resolve()}"
budget = "1 per device per 30d"
[[source]]
name = "plant"
topic = "{topic}"
qos = 0
time = {{ field = "ts", unit = "s" }}
""")
        command = [sys.executable, "-m", "agent.cli", "run", "--config", str(configuration)]
        self._log = (folder / "agent.log").open("wb")
        self.process = subprocess.Popen(command, stdout=self._log, stderr=self._log)

    def hear(self, status: dict[str, object]) -> None:
        """A status message, decoded."""
        self.taken = int(str(status["taken"]))
        drops = status["drops"]
        assert isinstance(drops, dict)
        self.drops = sum(count for reasons in drops.values() for count in reasons.values())
        broker = status["broker"]
        assert isinstance(broker, dict)
        self.is_granted = set(broker["input"]["subscriptions"].values()) == {"granted"}

    def wait_for(self, n_messages: int) -> int:
        """Return what was taken once it is `n_messages`, or when nothing more has come for a while."""
        last, since = -1, time.monotonic()
        while self.taken < n_messages and self.process.poll() is None:
            if self.taken != last:
                last, since = self.taken, time.monotonic()
            elif time.monotonic() - since > STALL_S:
                break
            time.sleep(0.005)
        return self.taken

    def close(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self._log.close()
