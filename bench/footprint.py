"""What an idle agent costs a gateway: memory, CPU, and the time from its start to its first subscription.

    python -m bench.footprint [--json FILE] [--bundle FILE.fwb]

Beside each figure stands an interpreter that only imports onnxruntime and numpy: less is not to be had with them.
Without --bundle an untrained one of the demo's shape (two layers of 64) is made. For Linux, with mosquitto.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from agent.bundle import file
from agent.bundle.manifest import Manifest
from agent.replay.broker.own_broker import free_port, own_broker
from bench import result, untrained
from bench.agent_process import ENVIRONMENT, TIMEOUT_S, Process, cpu_s, running_agent, write_configuration
from bench.fake_broker import FakeBroker
from bench.mqtt_packets import SUBSCRIBE

STARTS = 5
DEVICES = 1_000
SETTLE_S, IDLE_S = 10.0, 20.0
PEER = "import numpy, onnxruntime; print('ready', flush=True); import sys; sys.stdin.read()"


@dataclass(frozen=True, slots=True)
class Idle:
    """A process at rest: resident and proportional memory in MB (10^6), and its share of one core."""

    name: str
    rss_mb: float
    pss_mb: float
    cpu_share: float


def configuration(folder: Path, bundle: Path, manifest: Manifest, port: int) -> Path:
    """One source that reads `plant/+/cycle`, its state in `folder`; the output goes where nobody listens."""
    is_cycle = manifest.time_unit == "cycle"
    more = {
        "output": {"host": "127.0.0.1", "port": free_port()},
        "model": {"budget": "1 per 1000 cycles" if is_cycle else "1 per device per 30d"},
        "source": {"time": {"field": "t", "unit": "cycle" if is_cycle else "s"}},
    }
    return write_configuration(folder, bundle, port, "plant/{device}/cycle", more)


@contextmanager
def peer() -> Iterator[Process]:
    """An interpreter that has imported onnxruntime and numpy, and waits."""
    command = [sys.executable, "-c", PEER]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=ENVIRONMENT) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process
        process.kill()


def start_s(folder: Path, bundle: Path, manifest: Manifest) -> float:
    """From the start of the process to the broker's answer that grants its subscription."""
    with FakeBroker() as broker:
        path = configuration(folder, bundle, manifest, broker.port)
        begun_s = time.perf_counter()
        with running_agent(path):
            session = broker.session()
            session.read_connect()
            session.accept()
            first, body = session.read()
            if first != SUBSCRIBE:
                raise RuntimeError(f"the agent's second packet is {first:#x}, not SUBSCRIBE")
            session.grant(body, 0)
            return time.perf_counter() - begun_s


def peer_start_s() -> float:
    begun_s = time.perf_counter()
    with peer():
        return time.perf_counter() - begun_s


def idle(name: str, pid: int) -> Idle:
    """What a process costs that has nothing to do."""
    time.sleep(SETTLE_S)
    begun_s, begun_cpu_s = time.perf_counter(), cpu_s(pid)
    time.sleep(IDLE_S)
    share = (cpu_s(pid) - begun_cpu_s) / (time.perf_counter() - begun_s)
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    kilobytes = {line.split()[0]: int(line.split()[1]) for line in lines}
    return Idle(name, kilobytes["Rss:"] * 1024 / 1e6, kilobytes["Pss:"] * 1024 / 1e6, share)


def feed(port: int, manifest: Manifest) -> None:
    """One row of each of DEVICES devices."""
    client = paho.Client(CallbackAPIVersion.VERSION2)
    client.connect("127.0.0.1", port)
    client.loop_start()
    row = {channel.name: 0.0 for channel in manifest.channels}
    sent = [client.publish(f"plant/p{n}/cycle", json.dumps({"t": 1, **row}), qos=1) for n in range(DEVICES)]
    for message in sent:
        message.wait_for_publish(TIMEOUT_S)
    client.disconnect()
    client.loop_stop()


def idle_rows(folder: Path, bundle: Path, manifest: Manifest) -> list[Idle]:
    """The peer, an agent that knows no device, and one that has restored the state of DEVICES."""
    with peer() as process:
        rows = [idle("onnxruntime and numpy, imported", process.pid)]
    (folder / "broker").mkdir()
    with own_broker(folder / "broker") as broker:
        path = configuration(folder / "idle", bundle, manifest, broker.broker.port)
        with running_agent(path) as agent:
            rows.append(idle("agent, no device", agent.pid))
            agent.wait_until(lambda: bool(agent.events("broker_connected")), "connected")
            feed(broker.broker.port, manifest)
            time.sleep(2.0)  # the last ones are stepped; the stop writes the snapshot
        with running_agent(path) as agent:
            agent.wait_until(lambda: bool(agent.events("state_restored")), "restored its state")
            rows.append(idle(f"agent, state of {DEVICES:,} devices restored", agent.pid))
        taken = [event["taken"] for event in agent.events("state_restored")]
        if taken != [DEVICES]:
            raise RuntimeError(f"the snapshot holds {taken} messages, not {DEVICES}: see {agent.log}")
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="write figures and ratios here")
    parser.add_argument("--bundle", type=Path, help="measure this one")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        bundle = asked.bundle.absolute() if asked.bundle else untrained.write(folder / "untrained.fwb")
        manifest = file.read(bundle).manifest
        pairs = [(start_s(folder, bundle, manifest), peer_start_s()) for _ in range(STARTS)]
        rows = idle_rows(folder, bundle, manifest)
    starts, peer_starts = (result.ratio(column) for column in zip(*pairs, strict=True))
    print(result.markdown(
        ["at rest", "RSS MB", "PSS MB", "CPU of a core"],
        [(row.name, f"{row.rss_mb:.1f}", f"{row.pss_mb:.1f}", f"{row.cpu_share:.2%}") for row in rows],
    ))  # fmt: skip
    print()
    print(result.markdown(
        ["start", "median s", "min s", "max s"],
        [(name, *(f"{spread[key]:.2f}" for key in ("median", "min", "max"))) for name, spread in
         (("agent to its first subscription", starts), ("onnxruntime and numpy imported", peer_starts))],
    ))  # fmt: skip
    ratios = {
        "rss_agent_over_imports": result.ratio([rows[1].rss_mb / rows[0].rss_mb]),
        "start_agent_over_imports": result.ratio([ours / theirs for ours, theirs in pairs]),
    }
    content = [asdict(row) for row in rows]
    content += [{"name": "start", "agent_s": ours, "imports_s": theirs} for ours, theirs in pairs]
    result.write(asked.json, "footprint", content, ratios)


if __name__ == "__main__":
    main()
