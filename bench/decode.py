"""What decoding costs, and how much more of it with a second source, or with one payload in a read that is none.

    python -m bench.decode

CPU of `Intake.read` alone: no model, no state. The ways take turns, read by read, so that what else the machine does
meets all of them; a ratio is of two medians of one round. Prints Markdown.
"""

import argparse
import json
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median

import numpy as np

from agent.decode.intake import Intake
from agent.sources import Source
from bench.result import markdown, ratio, write

FIELDS = tuple(f"c{number}" for number in range(8))
ROUNDS = 9
Read = Callable[[], object]


def reading_of(sources: Sequence[Source], n_messages: int, n_bad: int, rng: np.random.Generator) -> Read:
    """A read of messages that take turns between the sources, of which `n_bad` are cut off."""
    intake = Intake(sources, payload_bytes_max=2**16, device_id_bytes_max=128)
    topics = [f"{sources[number % len(sources)].name}/d{number}" for number in range(n_messages)]
    payloads = [
        json.dumps({"ts": 1_700_000_000 + number / 8, **dict(zip(FIELDS, values, strict=True))}).encode()
        for number, values in enumerate(rng.normal(size=(n_messages, len(FIELDS))).tolist())
    ]
    for place in rng.choice(n_messages, n_bad, replace=False).tolist():
        payloads[place] = payloads[place][:40]
    log_times_ns = np.zeros(n_messages, np.int64)
    return lambda: intake.read(topics, payloads, log_times_ns)


def cpu_s(read: Read) -> float:
    """CPU of this process for one read."""
    start_s = time.process_time()
    read()
    return time.process_time() - start_s


def measured(ways: Mapping[str, Read], n_reads: int) -> dict[str, list[float]]:
    """Median CPU of a read in each round, for each way."""
    rounds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(ROUNDS):
        turns = [[cpu_s(read) for read in ways.values()] for _ in range(n_reads)]
        for name, spans_s in zip(ways, zip(*turns, strict=True), strict=True):
            rounds[name].append(median(spans_s))
    return rounds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reads", type=int, default=50, help="reads of each way in a round (default: %(default)s)")
    parser.add_argument("--messages", type=int, nargs="+", default=[64, 512, 4096], help="messages of a read")
    parser.add_argument("--json", type=Path, help="write the result there too")
    arguments = parser.parse_args()
    press, mill = (Source(name, f"{name}/{{device}}", "ts", "s", FIELDS) for name in ("press", "mill"))
    rng = np.random.default_rng(0)
    rows, lines, ratios = [], [], {}
    for n_messages in arguments.messages:
        ways = {
            "one source": reading_of([press], n_messages, 0, rng),
            "two sources": reading_of([press, mill], n_messages, 0, rng),
            "one bad payload": reading_of([press], n_messages, 1, rng),
        }
        rounds = measured(ways, arguments.reads)
        for name, spans_s in rounds.items():
            over = ratio([span_s / one_s for span_s, one_s in zip(spans_s, rounds["one source"], strict=True)])
            ratios[f"{name}, {n_messages} messages"] = over
            us_a_message = median(spans_s) / n_messages * 1e6
            rows.append({"messages": n_messages, "way": name, "us_a_message": us_a_message})
            shown = "{median:.3f} ({min:.3f} to {max:.3f})".format(**over)
            lines.append((name, n_messages, f"{us_a_message:.2f}", shown))
    print(markdown(("", "messages a read", "CPU us a message", "over one source"), lines))
    write(arguments.json, "decode", rows, ratios)


if __name__ == "__main__":
    main()
