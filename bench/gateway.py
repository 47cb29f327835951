"""What a gateway pays: CPU and latency at the rates that gateways carry, beside a naive script and paho's no-op loop.

    python -m bench.gateway [--short] [--json build/bench/gateway.json]

One mosquitto at its own defaults, a publisher as a process of its own, 100 devices of eight channels, an int8 model of
two layers of 64, the agent with the settings it has by default. Four parts, about ten minutes (--short: three):

cpu      the agent, `bench/naive.py` (paho, json, one ONNX Runtime call a message, a dict of states) and
         `bench/paho_noop.py` in turn at each rate in each round: process CPU time over wall time, as a share of a core
latency  from publish to score, agent and naive, both publishing every score
load     what the agent takes of what was sent, with MQTT 3.1.1 and 5, QoS 0 and 1, steadily and in bursts, and beside a
         device that sends 3,000 rows a second
durability  the agent's share of a core at QoS 1, with a journal and without
"""

import argparse
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import quantiles
from tempfile import TemporaryDirectory

import msgspec
import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from bench import result, untrained
from bench.agent_process import Status, cpu_s
from bench.place import SETTLE_S, Place, place

RATES = (10, 100, 1000, 5000)  # messages a second
WHO = ("agent", "naive", "paho_noop")
DURABILITIES = ("snapshot", "journal")
PREFIX = {"agent": "agent", "naive": "naive", "paho_noop": "plant"}
BURST = 400  # messages at once
Row = dict[str, object]


@dataclass(frozen=True, slots=True)
class Plan:
    """How long each part takes."""

    rounds: int
    cpu_s: float
    latency_s: float
    load_s: float


FULL, SHORT = Plan(rounds=5, cpu_s=5.0, latency_s=4.0, load_s=5.0), Plan(rounds=1, cpu_s=3.0, latency_s=2.0, load_s=3.0)


def cpu(place: Place, plan: Plan) -> list[Row]:
    """Share of a core of each at each rate; what the agent took is counted over all of it."""
    rows: list[Row] = []
    model, channels = str(place.folder / "naive.onnx"), ",".join(untrained.CHANNELS)
    with (
        place.agent("cpu") as agent,
        place.script("naive", model, channels) as naive,
        place.script("paho_noop", str(2**62)) as noop,
    ):
        pids = {"agent": agent.process.pid, "naive": naive.pid, "paho_noop": noop.pid}
        n_agent = place.publish("agent", 100, 1.0)  # each has seen every device and topic once
        for who in ("naive", "paho_noop"):
            place.publish(PREFIX[who], 100, 1.0)
        for number in range(plan.rounds):
            for rate in RATES:
                for who in WHO if number % 2 == 0 else reversed(WHO):
                    before_s, begun_s = cpu_s(pids[who]), time.perf_counter()
                    n_sent = place.publish(PREFIX[who], rate, plan.cpu_s)
                    time.sleep(SETTLE_S)
                    share = (cpu_s(pids[who]) - before_s) / (time.perf_counter() - begun_s)
                    n_agent += n_sent if who == "agent" else 0
                    row: Row = {"part": "cpu", "who": who, "rate": rate, "round": number}
                    rows.append({**row, "n_sent": n_sent, "share": share})
                    print(rows[-1], file=sys.stderr)
        status = agent.end()
    rows.append({"part": "load", "what": "all of the agent's CPU rounds", **counts(status, n_agent)})
    return rows


def durability(place: Place, plan: Plan) -> list[Row]:
    """Share of a core at each rate and QoS 1, with a journal and without, in turn."""
    rows: list[Row] = []
    for number in range(plan.rounds):
        for mode in DURABILITIES if number % 2 == 0 else reversed(DURABILITIES):
            with place.agent(f"{mode}-{number}", qos=1, durability=mode) as agent:
                n_all = place.publish("agent", 100, 1.0, qos=1)  # it has seen every device and topic once
                for rate in RATES:
                    before_s, begun_s = cpu_s(agent.process.pid), time.perf_counter()
                    n_sent = place.publish("agent", rate, plan.cpu_s, qos=1)
                    time.sleep(SETTLE_S)
                    share = (cpu_s(agent.process.pid) - before_s) / (time.perf_counter() - begun_s)
                    n_all += n_sent
                    rows.append({"part": "cpu", "who": mode, "rate": rate, "round": number, "share": share})
                    print(rows[-1], file=sys.stderr)
                status = agent.end()
            rows.append({"part": "load", "what": f"{mode}, round {number}", **counts(status, n_all)})
    return rows


def latency(place: Place, plan: Plan) -> list[Row]:
    """From publish to score, at each rate; a score that did not come is counted."""
    rows: list[Row] = []
    latencies_s: dict[str, list[float]] = {"agent": [], "naive": []}

    def hear(_client: paho.Client, _data: object, message: paho.MQTTMessage) -> None:
        now_s, said = time.time(), msgspec.json.decode(message.payload)
        t_s = said["t_ns"] / 1e9 if "t_ns" in said else said["t_s"]
        latencies_s["agent" if "t_ns" in said else "naive"].append(now_s - t_s)

    client = paho.Client(CallbackAPIVersion.VERSION2)
    client.on_message = hear
    client.connect("127.0.0.1", place.port)
    client.subscribe([("forewarn/+/score/#", 0), ("naive/score/#", 0)])
    client.loop_start()
    model, channels = str(place.folder / "naive.onnx"), ",".join(untrained.CHANNELS)
    with place.agent("latency", scores="all") as agent, place.script("naive", model, channels, "all"):
        for rate in RATES:
            for who in ("agent", "naive"):
                latencies_s[who].clear()
                n_sent = place.publish(PREFIX[who], rate, plan.latency_s)
                time.sleep(2 * SETTLE_S)
                heard = sorted(latencies_s[who])
                cuts = quantiles(heard, n=20) if len(heard) > 1 else [0.0] * 19
                row: Row = {"part": "latency", "who": who, "rate": rate, "n_sent": n_sent, "n_heard": len(heard)}
                rows.append({**row, "p50_ms": cuts[9] * 1e3, "p95_ms": cuts[18] * 1e3})
                print(rows[-1], file=sys.stderr)
        agent.end()
    client.loop_stop()
    return rows


def load(place: Place, plan: Plan) -> list[Row]:
    """What the agent took of what was sent: steady and in bursts, each way of delivery; and beside a hog."""
    rows: list[Row] = []
    for protocol in ("3.1.1", "5"):
        for qos in (0, 1):
            for kind, rate, burst in (("steady", 1000, 1), ("bursts", 1000, BURST)):
                with place.agent(f"{kind}-{protocol}-{qos}", protocol=protocol, qos=qos) as agent:
                    n_sent = place.publish("agent", rate, plan.load_s, burst=burst, qos=qos)
                    time.sleep(SETTLE_S)
                    status = agent.end()
                rows.append({"part": "load", "what": f"{kind}, MQTT {protocol}, QoS {qos}", **counts(status, n_sent)})
                print(rows[-1], file=sys.stderr)
    with place.agent("hog") as agent:
        n_hog = n_fleet = 0
        for _ in range(int(10 * plan.load_s)):  # tenths of a second: 300 rows of one device, and one of each of twenty
            n_hog += place.publish("agent", 3000, 0.1, devices=1)
            n_fleet += place.publish("agent", 1e6, 20e-6, devices=20, burst=20, first=1)
        time.sleep(2.0)  # the log names it after a second
        status = agent.end()
        named = agent.process.events("device_shed")
    row = counts(status, n_hog + n_fleet)
    rows.append({"part": "hog", "n_fleet": n_fleet, "shed": status.content["shed"], "named": bool(named), **row})
    print(rows[-1], file=sys.stderr)
    return rows


def counts(status: Status, n_sent: int) -> Row:
    """Messages that were sent, taken, shed, and lost: neither of the two."""
    n_taken, n_shed = status.n_taken, status.drops.get("plant", {}).get("shed", 0)
    return {"n_sent": n_sent, "n_taken": n_taken, "n_shed": n_shed, "n_lost": n_sent - n_taken - n_shed}


def shares(rows: list[Row], who: str, rate: int) -> list[float]:
    """One a round."""
    runs = [row for row in rows if (row["part"], row.get("who"), row.get("rate")) == ("cpu", who, rate)]
    return [float(str(row["share"])) for row in sorted(runs, key=lambda row: int(str(row["round"])))]


def quotients(rows: list[Row], rate: int) -> list[float]:
    """The agent's CPU over the naive script's, one a round."""
    return [
        ours / theirs for ours, theirs in zip(shares(rows, "agent", rate), shares(rows, "naive", rate), strict=True)
    ]


def tables(rows: list[Row], ratios: dict[str, result.Ratio]) -> str:
    """CPU and latency by rate, what was taken, and the ratios with their spread."""

    def cpu_cell(who: str, rate: int) -> str:
        spread = shares(rows, who, rate)
        middle = result.ratio(spread)["median"] or 0.0
        return f"{middle:.1%} [{min(spread):.1%}-{max(spread):.1%}]"

    def latency_cell(who: str, rate: int) -> str:
        row = next(row for row in rows if (row["part"], row.get("who"), row.get("rate")) == ("latency", who, rate))
        lost = int(str(row["n_sent"])) - int(str(row["n_heard"]))
        return f"{row['p50_ms']:.1f} / {row['p95_ms']:.1f}" + (f", {lost} lost" if lost else "")

    parts = {str(row["part"]) for row in rows}
    parts_text: list[str] = []
    found = {row.get("who") for row in rows if row["part"] == "cpu"}
    for group in (WHO, DURABILITIES):
        if found.issuperset(group):
            lines = [(f"{rate:,}", *(cpu_cell(who, rate) for who in group)) for rate in RATES]
            parts_text.append(result.markdown(("CPU of a core, messages/s", *group), lines))
    if ratios:
        shown = [
            (name, *(f"{value:.2f}" for value in one.values() if value is not None)) for name, one in ratios.items()
        ]
        parts_text.append(result.markdown(("ratio", "median", "min", "max"), shown))
    if "latency" in parts:
        lines = [(f"{rate:,}", *(latency_cell(who, rate) for who in ("agent", "naive"))) for rate in RATES]
        parts_text.append(result.markdown(("publish to score, p50 / p95 ms, at messages/s", "agent", "naive"), lines))
    kept = [row for row in rows if row["part"] in ("load", "hog")]
    keys = ("n_sent", "n_taken", "n_shed", "n_lost")
    lines = [(row.get("what", "beside a hog of 3,000 rows/s"), *(f"{row[key]:,}" for key in keys)) for row in kept]
    parts_text.append(result.markdown(("the agent, broker's defaults", "sent", "taken", "shed", "lost"), lines))
    return "\n\n".join(parts_text)


def main() -> None:
    """Play the parts, print the tables, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--short", action="store_true", help="one round of a few seconds, to see that it works")
    parser.add_argument("--parts", default=",".join(PARTS), help="some of %(default)s")
    parser.add_argument("--json", type=Path, help="write all figures here")
    asked = parser.parse_args()
    with TemporaryDirectory(prefix="forewarn-bench-") as name, place(Path(name)) as where:
        plan = SHORT if asked.short else FULL
        rows = [row for part in asked.parts.split(",") for row in PARTS[part](where, plan)]
    ratios = {}
    if "cpu" in asked.parts.split(","):
        ratios = {f"cpu_agent_vs_naive_{rate}": result.ratio(quotients(rows, rate)) for rate in RATES}
    print(tables(rows, ratios))
    result.write(asked.json, "gateway", rows, ratios)


PARTS = {"cpu": cpu, "latency": latency, "load": load, "durability": durability}

if __name__ == "__main__":
    main()
