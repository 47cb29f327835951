"""How many readings a second the whole agent takes, beside paho's own loop with an empty callback.

    python -m bench.throughput --rounds 5 --json build/bench/throughput.json

One reading a message (8 channels, JSON), int8 2x64, QoS 0, snapshots every 2 s. Two settings, each receiver in turn in
every round: *canned*, a sender that gives pre-encoded packets away as fast as they are taken (messages a second), and
*live*, publisher -> mosquitto -> receiver, where the broker is the limit (CPU a message). What was received is counted
against what was sent; a round with a loss is void and named.
"""

import argparse
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol

from agent.replay.broker.own_broker import free_port, mosquitto
from bench import untrained
from bench.agent_process import AgentProcess, Status, cpu_s, status_of, status_topic, write_configuration
from bench.canned import CannedSender, topic_of, write_messages
from bench.result import Ratio, markdown, ratio, write

UNBOUNDED = ("max_queued_messages 0", "max_inflight_messages 0")  # or it drops for the slower of the two
RECEIVERS = ("paho_noop", "agent")
CONNECT = b"\x10\x11\x00\x04MQTT\x04\x02\x00\x00\x00\x05bench"
QUICK = {"status_every": "100ms", "snapshot_every": "2s", "rows_per_device_max": 4096}
STALL_S = 60.0
Row = dict[str, object]


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


class Receiver(Protocol):
    """A child process that is subscribed."""

    @property
    def pid(self) -> int: ...

    @property
    def n_dropped(self) -> int: ...

    def wait_for(self, n_messages: int) -> int:
        """How many it took: returns once it has them all, or when nothing more comes."""

    def close(self) -> None: ...


class PahoNoop:
    """`bench/paho_noop.py`."""

    n_dropped = 0

    def __init__(self, port: int, n_messages: int) -> None:
        command = [sys.executable, "-m", "bench.paho_noop", str(port), str(n_messages)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE)
        self._line()  # subscribed

    def _line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().decode().strip()

    @property
    def pid(self) -> int:
        return self.process.pid

    def wait_for(self, _n_messages: int) -> int:
        return int(self._line() or 0)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()


class Agent:
    """The whole agent; its status, which somebody else updates, says how far it is."""

    def __init__(self, configuration: Path, status: Status) -> None:
        self.agent = AgentProcess(configuration)
        self.status = status

    @property
    def pid(self) -> int:
        return self.agent.pid

    @property
    def n_dropped(self) -> int:
        return self.status.n_dropped

    def wait_for(self, n_messages: int) -> int:
        last, since = -1, time.monotonic()
        while self.status.n_taken < n_messages and self.agent.process.poll() is None:
            if self.status.n_taken != last:
                last, since = self.status.n_taken, time.monotonic()
            elif time.monotonic() - since > STALL_S:
                break
            time.sleep(0.005)
        return self.status.n_taken

    def close(self) -> None:
        self.agent.stop()


def canned(receiver: str, messages: Path, n_messages: int, bundle: Path, folder: Path) -> Taken:
    """One round of a receiver at the canned sender."""
    sender = CannedSender()
    send = partial(sender.send, messages)
    if receiver == "paho_noop":
        return timed(PahoNoop(sender.port, n_messages), send, n_messages)
    status = Status()
    sender.on_publish = lambda topic, payload: status.update(payload) if topic == status_topic("bench") else None
    agent = Agent(configuration(folder, bundle, sender.port, "3.1.1"), status)
    sender.wait_until_subscribed()
    return timed(agent, send, n_messages)


def through_broker(receiver: str, messages: Path, n_messages: int, bundle: Path, folder: Path) -> Taken:
    """One round of a receiver behind a mosquitto of its own."""
    folder.mkdir(parents=True)
    port = free_port()
    send = partial(publish, messages, port)
    with mosquitto(folder, port=port, settings=UNBOUNDED):
        if receiver == "paho_noop":
            return timed(PahoNoop(port, n_messages), send, n_messages)
        with status_of("bench", port) as status:
            agent = Agent(configuration(folder / "agent", bundle, port, "auto"), status)
            agent.agent.wait_until(lambda: status.is_granted, "subscribed")
            return timed(agent, send, n_messages)


SETTINGS = {"canned": canned, "live": through_broker}


def configuration(folder: Path, bundle: Path, port: int, protocol: str) -> Path:
    more = {"agent": QUICK, "broker": {"protocol": protocol}, "source": {"qos": 0}}
    return write_configuration(folder, bundle, port, topic_of("{device}"), more)


def publish(messages: Path, port: int) -> None:
    """Publish all at once as one client. The broker takes them at its own pace."""
    with socket.create_connection(("127.0.0.1", port)) as connection, messages.open("rb") as content:
        connection.sendall(CONNECT)
        connection.recv(4)
        connection.sendfile(content)
        connection.sendall(b"\xe0\x00")
        while connection.recv(4096):  # until the broker has read all and closes
            pass


def timed(receiver: Receiver, send: Callable[[], None], n_messages: int) -> Taken:
    """From the first byte to the last message taken; the receiver is closed afterwards."""
    try:
        cpu_before_s, began = cpu_s(receiver.pid), time.perf_counter()
        send()
        n_taken = receiver.wait_for(n_messages)
        wall_s = time.perf_counter() - began
        cpu = cpu_s(receiver.pid) - cpu_before_s
        return Taken(n_taken, wall_s, cpu, n_messages - n_taken + receiver.n_dropped)
    finally:
        receiver.close()


def main() -> None:
    """Play the rounds, print the table, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--devices", type=int, default=1000)
    parser.add_argument("--rows", type=int, default=400, help="Of each device, for the agent; a quarter for paho.")
    parser.add_argument("--hidden", type=int, default=64)
    parser.add_argument("--settings", default="canned,live")
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    with TemporaryDirectory(prefix="forewarn-bench-") as name:
        rows = rounds(chosen, Path(name))
    ratios = {
        "agent_vs_paho_noop": ratio(quotients(rows, "canned", "rate_per_s", "agent", "paho_noop")),
        "cpu_paho_noop_vs_agent": ratio(quotients(rows, "live", "cpu_us", "paho_noop", "agent")),
    }
    print(table(rows, ratios))
    write(chosen.json, "throughput", rows, ratios)


def rounds(chosen: argparse.Namespace, folder: Path) -> list[Row]:
    """A row a round, setting and receiver; the receivers take turns, and who begins alternates."""
    bundle = untrained.write(folder / "untrained.fwb", hidden=chosen.hidden)
    shorter = max(1, chosen.rows // 4)
    files = {n: folder / f"{n}.mqtt" for n in {chosen.rows, shorter}}
    for n, path in files.items():
        size = write_messages(path, n_devices=chosen.devices, n_rows=n, channels=untrained.CHANNELS, now_s=time.time())
    print(f"{chosen.devices} devices, {size} bytes a packet, int8 2x{chosen.hidden}", file=sys.stderr)
    rows: list[Row] = []
    for number in range(chosen.rounds):
        for setting in chosen.settings.split(","):
            for receiver in RECEIVERS if number % 2 == 0 else reversed(RECEIVERS):
                n = chosen.rows if (setting, receiver) == ("canned", "agent") else shorter
                place = folder / f"{setting}-{receiver}-{number}"
                taken = SETTINGS[setting](receiver, files[n], n * chosen.devices, bundle, place)
                rows.append(
                    {
                        "setting": setting,
                        "receiver": receiver,
                        "round": number,
                        "n_messages": taken.n_messages,
                        "n_lost": taken.n_lost,
                        "rate_per_s": round(taken.rate_per_s),
                        "cpu_us": round(taken.cpu_us, 2),
                    }
                )
                print(rows[-1], file=sys.stderr)
    return rows


def quotients(rows: Sequence[Row], setting: str, figure: str, above: str, below: str) -> list[float]:
    """One quotient a round in which neither receiver lost anything."""
    of = {(row["receiver"], row["round"]): row for row in rows if row["setting"] == setting and not row["n_lost"]}
    numbers = sorted({int(str(number)) for receiver, number in of if (above, number) in of and (below, number) in of})
    return [float(str(of[above, number][figure])) / float(str(of[below, number][figure])) for number in numbers]


def table(rows: Sequence[Row], ratios: Mapping[str, Ratio]) -> str:
    """Medians over the rounds, and the ratios with their spread."""
    lines = []
    for setting, receiver in dict.fromkeys((row["setting"], row["receiver"]) for row in rows):
        runs = [row for row in rows if (row["setting"], row["receiver"]) == (setting, receiver)]
        good = [row for row in runs if not row["n_lost"]]
        rate, cpu = (ratio([float(str(row[key])) for row in good])["median"] for key in ("rate_per_s", "cpu_us"))
        lines.append(
            (f"{setting} {receiver}", f"{rate or 0:,.0f}", f"{cpu or 0:.2f}", len(good), len(runs) - len(good))
        )
    shown = [
        (name, *(f"{value:.2f}" if value is not None else "-" for value in spread.values()))
        for name, spread in ratios.items()
    ]
    rates = markdown(("", "messages/s", "CPU us a message", "rounds", "void"), lines)
    return f"{rates}\n\n{markdown(('ratio', 'median', 'min', 'max'), shown)}"


if __name__ == "__main__":
    main()
