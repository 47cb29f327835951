"""How many readings a second the whole agent takes, beside paho's own loop with an empty callback.

    python -m bench.throughput --rounds 5 --json build/bench/throughput.json

One reading a message (8 channels, JSON), int8 2x64, QoS 0, snapshots every 2 s. Two settings, each receiver in turn in
every round: *canned*, a sender that gives pre-encoded packets away as fast as they are taken (messages a second), and
*live*, publisher -> mosquitto -> receiver, where the broker is the limit (CPU a message). What was received is counted
against what was sent; a round with a loss is void and named.
"""

import argparse
import json
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from agent.replay.broker.own_broker import free_port, mosquitto
from bench import untrained
from bench.canned import CannedSender, topic_of, write_messages
from bench.receivers import Agent, PahoNoop, Taken, cpu_s
from bench.result import markdown, ratio, write

STATUS = "forewarn/bench/status"
UNBOUNDED = ("max_queued_messages 0", "max_inflight_messages 0")  # or it drops for the slower of the two
RECEIVERS = ("paho_noop", "agent")
LIVE_CONNECT = b"\x10\x11\x00\x04MQTT\x04\x02\x00\x00\x00\x05bench"


def canned(receiver: str, messages: Path, n_messages: int, bundle: Path, folder: Path) -> Taken:
    """One round of a receiver at the canned sender."""
    sender = CannedSender()
    if receiver == "paho_noop":
        peer = PahoNoop(sender.port, n_messages)
        return measured(peer.process, lambda: sender.send(messages), peer.wait, n_messages, lambda: 0, peer.close)
    agent = Agent(folder, bundle, sender.port, topic_of("{device}"), "3.1.1")
    sender.on_publish = heard_by(agent)
    sender.wait_until_subscribed()
    return measured(
        agent.process,
        lambda: sender.send(messages),
        lambda: agent.wait_for(n_messages),
        n_messages,
        lambda: agent.drops,
        agent.close,
    )


def live(receiver: str, messages: Path, n_messages: int, bundle: Path, folder: Path) -> Taken:
    """One round of a receiver behind a mosquitto of its own."""
    folder.mkdir(parents=True)
    port = free_port()
    with mosquitto(folder, port=port, settings=UNBOUNDED):
        if receiver == "paho_noop":
            peer = PahoNoop(port, n_messages)
            return measured(peer.process, lambda: publish(messages, port), peer.wait, n_messages, lambda: 0, peer.close)
        agent = Agent(folder / "agent", bundle, port, topic_of("{device}"), "auto")
        hear = heard_by(agent)
        client = paho.Client(CallbackAPIVersion.VERSION2)
        client.on_message = lambda _client, _data, message: hear(message.topic, message.payload)
        client.connect("127.0.0.1", port)
        client.subscribe(STATUS)
        client.loop_start()
        while not agent.is_granted:
            if agent.process.poll() is not None:
                raise SystemExit((folder / "agent/agent.log").read_text())
            time.sleep(0.01)
        try:
            return measured(
                agent.process,
                lambda: publish(messages, port),
                lambda: agent.wait_for(n_messages),
                n_messages,
                lambda: agent.drops,
                agent.close,
            )
        finally:
            client.disconnect()
            client.loop_stop()


def heard_by(agent: Agent) -> Callable[[str, bytes], None]:
    def hear(topic: str, payload: bytes) -> None:
        if topic == STATUS and payload:
            agent.hear(json.loads(payload))

    return hear


def publish(messages: Path, port: int) -> None:
    """Publish all at once as one client. The broker takes them at its own pace."""
    with socket.create_connection(("127.0.0.1", port)) as connection, messages.open("rb") as content:
        connection.sendall(LIVE_CONNECT)
        connection.recv(4)
        connection.sendfile(content)
        connection.sendall(b"\xe0\x00")
        while connection.recv(4096):  # until the broker has read all and closes
            pass


def measured(process, send, wait, n_messages: int, drops, close) -> Taken:  # type: ignore[no-untyped-def]
    """Time from the first byte to the last message taken; the receiver is closed afterwards."""
    try:
        cpu_before_s, began = cpu_s(process), time.perf_counter()
        send()
        n_taken = wait()
        wall_s = time.perf_counter() - began
        return Taken(n_taken, wall_s, cpu_s(process) - cpu_before_s, n_messages - n_taken + drops())
    finally:
        close()


def main() -> None:
    """Play the rounds, print the table, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--devices", type=int, default=1000)
    parser.add_argument("--rows", type=int, default=400, help="Of each device, for the agent; a quarter for paho.")
    parser.add_argument("--hidden", type=int, default=64)
    parser.add_argument("--settings", default="canned,live")
    parser.add_argument("--json", type=Path)
    wanted = parser.parse_args()

    rows: list[dict[str, object]] = []
    with TemporaryDirectory(prefix="forewarn-bench-") as name:
        folder = Path(name)
        bundle = untrained.write(folder / "untrained.fwb", hidden=wanted.hidden)
        shorter = max(1, wanted.rows // 4)
        n_rows = {("canned", "agent"): wanted.rows}
        files = {n: folder / f"{n}.mqtt" for n in {wanted.rows, shorter}}
        for n, path in files.items():
            size = write_messages(
                path, n_devices=wanted.devices, n_rows=n, channels=untrained.CHANNELS, now_s=time.time()
            )
        print(f"{wanted.devices} devices, {size} bytes a packet, int8 2x{wanted.hidden}", file=sys.stderr)
        for number in range(wanted.rounds):
            for setting in wanted.settings.split(","):
                for receiver in RECEIVERS if number % 2 == 0 else reversed(RECEIVERS):
                    n = n_rows.get((setting, receiver), shorter)
                    play = {"canned": canned, "live": live}[setting]
                    place = folder / f"{setting}-{receiver}-{number}"
                    taken = play(receiver, files[n], n * wanted.devices, bundle, place)
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
    ratios = {
        "agent_vs_paho_noop": ratio(quotients(rows, "canned", "rate_per_s", "agent", "paho_noop")),
        "cpu_paho_noop_vs_agent": ratio(quotients(rows, "live", "cpu_us", "paho_noop", "agent")),
    }
    print(table(rows, ratios))
    write(wanted.json, "throughput", rows, ratios)


def quotients(rows: list[dict[str, object]], setting: str, figure: str, above: str, below: str) -> list[float]:
    """One quotient a round in which neither receiver lost anything."""
    of = {(row["receiver"], row["round"]): row for row in rows if row["setting"] == setting and not row["n_lost"]}
    rounds = sorted({int(str(number)) for receiver, number in of if (above, number) in of and (below, number) in of})
    return [float(str(of[above, one][figure])) / float(str(of[below, one][figure])) for one in rounds]


def table(rows: list[dict[str, object]], ratios: dict[str, dict[str, float | None]]) -> str:
    """Medians over the rounds, and the ratios with their spread."""
    lines = []
    for setting, receiver in dict.fromkeys((row["setting"], row["receiver"]) for row in rows):
        mine = [row for row in rows if (row["setting"], row["receiver"]) == (setting, receiver)]
        good = [row for row in mine if not row["n_lost"]]
        rate, cpu = (ratio([float(str(row[key])) for row in good])["median"] for key in ("rate_per_s", "cpu_us"))
        void = len(mine) - len(good)
        lines.append((f"{setting} {receiver}", f"{rate or 0:,.0f}", f"{cpu or 0:.2f}", len(good), void))
    found = [markdown(("", "messages/s", "CPU us a message", "rounds", "void"), lines), ""]
    shown = [
        (name, *(f"{value:.2f}" if value is not None else "-" for value in one.values()))
        for name, one in ratios.items()
    ]
    return "\n".join([*found, markdown(("ratio", "median", "min", "max"), shown)])


if __name__ == "__main__":
    main()
