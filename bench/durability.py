"""What each way to keep the state costs: messages a second at QoS 1, bytes written, and how long a start takes.

    python -m bench.durability [--rounds 5] [--messages 100000] [--devices 100000] [--json FILE]

Throughput: publisher -> mosquitto -> agent, one reading a message, int8 2x64, from the first message that is published
to the last one that is taken; `snapshot` and `journal` in turn in every round, and who begins alternates. A round with
a loss is void. Bytes are those that the agent counts.

Recovery: a fleet with a snapshot, and behind it as much of a journal as may be; then a start over it, up to the first
message.
"""

import argparse
import json
import socket
import sys
import tempfile
import threading
import time
from dataclasses import asdict, dataclass
from itertools import count
from pathlib import Path

import numpy as np
import structlog

from agent.core import Core
from agent.core.entries import Messages
from agent.core.input_log import Origin
from agent.replay.broker.own_broker import free_port, mosquitto
from agent.store.disk import StateFolder
from agent.store.durability import DURABILITIES
from agent.store.outbox import ALERT_TABLE, Outbox
from agent.store.state_directory import JOURNAL_BYTES_MAX, StateDirectory
from bench import result, untrained
from bench.agent_process import AgentProcess, cpu_s, status_of, write_configuration
from bench.canned import topic_of
from bench.mqtt_packets import connect_packet, publish_packet
from bench.snapshot import NOW_S, Fleet, empty_core

MODES = ("snapshot", "journal")
SETTINGS = ("max_queued_messages 1000000", "max_queued_bytes 0")
N_DEVICES = 1000
READ = 1000  # messages of a read, which is the window of the input
STALL_S = 60.0


@dataclass(frozen=True, slots=True)
class Round:
    """One of one mode."""

    mode: str
    round: int
    n_messages: int
    n_lost: int
    rate_per_s: int
    cpu_us: float
    written_bytes_per_message: float


def write_messages(path: Path, n_messages: int) -> None:
    """QoS 1 PUBLISH packets of N_DEVICES in turn, one reading a second each."""
    rng, first_s = np.random.default_rng(0), int(time.time()) - n_messages // N_DEVICES
    with path.open("wb") as out:
        for number in range(n_messages):
            values = rng.normal(0, 1, len(untrained.CHANNELS)).round(4).tolist()
            reading = {"ts": first_s + number // N_DEVICES, **dict(zip(untrained.CHANNELS, values, strict=True))}
            payload = json.dumps(reading, separators=(",", ":")).encode()
            out.write(publish_packet(topic_of(number % N_DEVICES).encode(), payload, packet_id=1 + number % 65_535))


def publish(messages: Path, port: int, n_messages: int) -> None:
    """Publish all as one client; returns once the broker has acknowledged them."""
    with socket.create_connection(("127.0.0.1", port)) as connection, messages.open("rb") as content:
        connection.sendall(connect_packet(b"bench"))
        connection.recv(4)
        sender = threading.Thread(target=connection.sendfile, args=(content,))
        sender.start()
        n_bytes = 0
        while n_bytes < 4 * n_messages and (data := connection.recv(65_536)):
            n_bytes += len(data)
        sender.join()


def measured(mode: str, number: int, messages: Path, n_messages: int, bundle: Path, folder: Path) -> Round:
    """One agent behind a mosquitto of its own."""
    folder.mkdir()
    port = free_port()
    more = {
        "agent": {"status_every": "100ms", "rows_per_device_max": 4096, "durability": mode},
        "source": {"qos": 1},
    }
    with mosquitto(folder, port=port, settings=SETTINGS), status_of("bench", port) as status:
        agent = AgentProcess(write_configuration(folder / "agent", bundle, port, topic_of("{device}"), more))
        try:
            agent.wait_until(lambda: status.is_granted, "subscribed")
            cpu_before_s, begun_s = cpu_s(agent.pid), time.perf_counter()
            publish(messages, port, n_messages)
            last, since_s = -1, time.monotonic()
            while status.n_taken < n_messages and time.monotonic() - since_s < STALL_S:
                if status.n_taken != last:
                    last, since_s = status.n_taken, time.monotonic()
                time.sleep(0.005)
            wall_s, agent_s = time.perf_counter() - begun_s, cpu_s(agent.pid) - cpu_before_s
            written = status.content["written_bytes"]
            assert isinstance(written, dict)
            return Round(
                mode, number, n_messages, n_messages - status.n_taken + status.n_dropped, round(n_messages / wall_s),
                round(agent_s / n_messages * 1e6, 2), round(sum(written.values()) / n_messages, 1),
            )  # fmt: skip
        finally:
            agent.stop()


def kept(core: Core, folder: Path) -> tuple[Outbox, StateDirectory]:
    outbox = Outbox(folder / ALERT_TABLE, 1000)
    return outbox, StateDirectory(StateFolder(folder), core, outbox, structlog.get_logger(), JOURNAL_BYTES_MAX)


def recovery(bundle: Path, n_devices: int, folder: Path) -> dict[str, float]:
    """Bytes of snapshot and journal, messages of the tail, and seconds that a start over them takes."""
    folder.mkdir()
    core = Fleet(bundle, n_devices).core
    outbox, directory = kept(core, folder)
    durability = DURABILITIES["journal"](directory)
    durability.start(0.0)
    now_s = 0.0
    while not [*folder.glob("snapshot-*[0-9]")]:
        now_s += 100.0
        durability.after_turn(now_s, 1.0)
    n_before, n_bytes = core.n_messages, 0
    for first in count(0, READ):
        t_s = NOW_S + n_devices + first // n_devices  # a row a device and round, newer than those of the snapshot
        values = {name: round(first % 7 * 0.1234, 4) for name in core.sources[0].fields}
        topics = [f"plant/pump-{number % n_devices:06d}" for number in range(first, first + READ)]
        entry = Messages(topics, [json.dumps({"t": t_s, **values}).encode()] * READ, [t_s * 10**9] * READ)
        durability.commit(durability.apply(entry, Origin(packet_ids=[*range(1, READ + 1)])))
        durability.before_acknowledge()
        before, n_bytes = n_bytes, sum(path.stat().st_size for path in folder.glob("journal-*"))
        if n_bytes + (n_bytes - before) > JOURNAL_BYTES_MAX:
            break
    outbox.close()
    again = empty_core(bundle, n_devices)
    begun_s = time.perf_counter()
    outbox, directory = kept(again, folder)
    DURABILITIES["journal"](directory).start(0.0)
    wall_s = time.perf_counter() - begun_s
    assert again.n_messages == core.n_messages
    outbox.close()
    size = sum(path.stat().st_size for path in folder.glob("snapshot-*"))
    return {
        "devices": n_devices, "snapshot_mb": round(size / 1e6, 1), "journal_mib": round(n_bytes / 2**20, 1),
        "tail_messages": core.n_messages - n_before, "recovery_s": round(wall_s, 2),
    }  # fmt: skip


def main() -> None:
    """Play the rounds, print the tables, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--messages", type=int, default=100_000, help="of a round (default: %(default)s)")
    parser.add_argument("--devices", type=int, default=100_000, help="that recover (default: %(default)s)")
    parser.add_argument("--folder", type=Path, help="on the disk that is meant (default: the temporary folder)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows to FILE too")
    chosen = parser.parse_args()
    rounds: list[Round] = []
    with tempfile.TemporaryDirectory(dir=chosen.folder) as name:
        folder = Path(name)
        bundle = untrained.write(folder / "untrained.fwb", hidden=64)
        write_messages(folder / "messages", chosen.messages)
        for number in range(chosen.rounds):
            for mode in MODES if number % 2 == 0 else reversed(MODES):
                place = folder / f"{mode}-{number}"
                rounds.append(measured(mode, number, folder / "messages", chosen.messages, bundle, place))
                print(rounds[-1], file=sys.stderr)
        recovered = recovery(bundle, chosen.devices, folder / "recovery")
    good = {number for number in range(chosen.rounds) if not any(one.n_lost for one in rounds if one.round == number)}
    rates = {(one.mode, one.round): one.rate_per_s for one in rounds}
    of_snapshot = result.ratio([rates["journal", number] / rates["snapshot", number] for number in sorted(good)])
    result.write(chosen.json, "durability", [*map(asdict, rounds), recovered], {"journal_vs_snapshot": of_snapshot})
    lines = []
    for mode in MODES:
        own = [one for one in rounds if one.mode == mode and one.round in good]
        medians = [float(np.median([getattr(one, key) for one in own])) for key in Round.__slots__[4:]]
        lines.append((mode, f"{medians[0]:,.0f}", f"{medians[1]:.1f}", f"{medians[2]:,.0f}", len(own)))
    print(result.markdown(("durability", "messages/s", "CPU us a message", "bytes a message", "rounds"), lines))
    print(f"\njournal / snapshot, messages/s: {of_snapshot}\n")
    print(result.markdown([*recovered], [[f"{value:,}" for value in recovered.values()]]))


if __name__ == "__main__":
    main()
