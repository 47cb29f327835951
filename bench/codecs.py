"""What each shape of payload costs the whole agent, beside paho's own loop with an empty callback.

    python -m bench.codecs --rounds 5 --json build/bench/codecs.json

The same readings, 1,000 devices of eight channels, as each shape publishes them (bench/shapes.py), from a sender that
gives pre-encoded packets away as fast as they are taken (bench/canned.py), to a whole agent with an int8 model 2x64
that checks all it can of a row. In every round paho's no-op takes the messages of `json_flat`, and each shape is held
against that. What was received is counted against what was sent; a round with a loss is void and named.

`messages` are an agent's messages a second over paho's, `rows` likewise rows of eight channels a second. `grid_cost` is
the CPU of a message with one of eight channels on a grid over that of a whole row without one; `bad_cost` that of a
message where one in a hundred is cut off over one where none is.
"""

import argparse
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from bench import untrained
from bench.agent_process import Status, status_topic, write_configuration
from bench.canned import CannedSender, topic_of
from bench.result import Ratio, markdown, ratio, write
from bench.shapes import Shape, Written, shapes, write_shape
from bench.throughput import QUICK, Agent, PahoNoop, Row, Taken, timed

BATCHED = ("json_columns", "packed")
PAHO = "paho_noop"


def play(shape: Shape, messages: Path, n_messages: int, bundle: Path, folder: Path) -> Taken:
    """One round of an agent that reads a shape; drops of a shape that has bad ones on purpose are no loss."""
    sender, status = CannedSender(), Status()
    sender.on_publish = lambda topic, payload: status.update(payload) if topic == status_topic("bench") else None
    more = {"agent": QUICK, "broker": {"protocol": "3.1.1"}, "source": {"qos": 0, **shape.source}}
    agent = Agent(write_configuration(folder, bundle, sender.port, topic_of("{device}"), more), status)
    sender.wait_until_subscribed()
    taken = timed(agent, partial(sender.send, messages), n_messages)
    expected = n_messages // 100 if shape.has_bad else 0
    return replace(taken, n_lost=abs(taken.n_lost - expected))


def noop(messages: Path, n_messages: int) -> Taken:
    """One round of paho's loop with an empty callback."""
    sender = CannedSender()
    return timed(PahoNoop(sender.port, n_messages), partial(sender.send, messages), n_messages)


def write_shapes(chosen: argparse.Namespace, folder: Path) -> dict[str, tuple[Shape, Path, Written]]:
    """The messages of every shape that is asked for, in files; each shape has about as many rows to be stepped."""
    files = {}
    for name, shape in shapes(untrained.CHANNELS).items():
        if name in chosen.shapes.split(",") or chosen.shapes == "all":
            path, n_rows = folder / f"{name}.mqtt", chosen.rows * (5 if name in BATCHED else 1)
            size = write_shape(
                path, shape, n_devices=chosen.devices, n_rows=n_rows, channels=untrained.CHANNELS, now_s=time.time()
            )
            files[name] = shape, path, size
    return files


def rounds(chosen: argparse.Namespace, folder: Path) -> list[Row]:
    """A row a round and shape, and one of paho's no-op, which begins every other round."""
    bundle = untrained.write(folder / "untrained.fwb")
    files = write_shapes(chosen, folder)
    rows: list[Row] = []

    def add(name: str, number: int, taken: Taken, n_rows: float) -> None:
        rows.append(
            {
                "shape": name,
                "round": number,
                "n_messages": taken.n_messages,
                "n_lost": taken.n_lost,
                "rate_per_s": round(taken.rate_per_s),
                "rows_per_s": round(taken.rate_per_s * n_rows / taken.n_messages),
                "cpu_us": round(taken.cpu_us, 2),
            }
        )
        print(rows[-1], file=sys.stderr)

    for number in range(chosen.rounds):
        order = [PAHO, *files] if number % 2 == 0 else [*reversed(files), PAHO]
        for name in order:
            if name == PAHO:
                _, path, size = files["json_flat"]
                add(PAHO, number, noop(path, size.n_messages), size.n_rows)
                continue
            shape, path, size = files[name]
            taken = play(shape, path, size.n_messages, bundle, folder / f"{name}-{number}")
            add(name, number, taken, size.n_rows)
    return rows


def ratios_of(rows: Sequence[Row]) -> dict[str, Ratio]:
    """The ratios of the docstring, over the rounds in which neither side lost anything."""
    of = {(str(row["shape"]), int(str(row["round"]))): row for row in rows if not row["n_lost"]}

    def quotients(above: str, below: str, figure: str, of_below: str = "") -> Ratio:
        numbers = [number for name, number in of if name == above and (below, number) in of]
        return ratio([float(str(of[above, n][figure])) / float(str(of[below, n][of_below or figure])) for n in numbers])

    names = [name for name in dict.fromkeys(str(row["shape"]) for row in rows) if name != PAHO]
    ratios = {f"{name} messages": quotients(name, PAHO, "rate_per_s") for name in names}
    ratios |= {f"{name} rows": quotients(name, PAHO, "rows_per_s", "rate_per_s") for name in names}
    ratios["grid_cost"] = quotients("grid", "json_flat", "cpu_us")
    ratios["bad_cost"] = quotients("one_bad_in_100", "json_flat", "cpu_us")
    return ratios


def table(rows: Sequence[Row], ratios: Mapping[str, Ratio]) -> str:
    """Medians over the rounds, and the ratios with their spread."""
    lines = []
    for name in dict.fromkeys(str(row["shape"]) for row in rows):
        runs = [row for row in rows if row["shape"] == name]
        good = [row for row in runs if not row["n_lost"]]
        medians = [ratio([float(str(row[key])) for row in good])["median"] for key in ("rate_per_s", "rows_per_s")]
        cpu = ratio([float(str(row["cpu_us"])) for row in good])["median"]
        shown = [f"{value or 0:,.0f}" for value in medians]
        of_paho = [_shown(ratios.get(f"{name} {what}")) for what in ("messages", "rows")]
        lines.append((name, *shown, f"{cpu or 0:.2f}", *of_paho, len(runs) - len(good)))
    headings = (
        "shape",
        "messages/s",
        "rows/s",
        "CPU us a message",
        "messages / paho's",
        "rows / paho's messages",
        "void",
    )
    costs = [(name, _shown(ratios[name])) for name in ("grid_cost", "bad_cost")]
    return f"{markdown(headings, lines)}\n\n{markdown(('CPU a message', 'over json_flat'), costs)}"


def _shown(spread: Ratio | None) -> str:
    if spread is None or spread["median"] is None:
        return "-"
    return f"{spread['median']:.2f} [{spread['min']:.2f}-{spread['max']:.2f}]"


def main() -> None:
    """Play the rounds, print the table, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--devices", type=int, default=1000)
    parser.add_argument("--rows", type=int, default=200, help="Of each device; batches have five times as many.")
    parser.add_argument("--shapes", default="all", help="Names with commas between; json_flat must be one of them.")
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    with TemporaryDirectory(prefix="forewarn-bench-") as name:
        rows = rounds(chosen, Path(name))
    ratios = ratios_of(rows)
    print(table(rows, ratios))
    write(chosen.json, "codecs", rows, ratios)


if __name__ == "__main__":
    main()
