"""What a frozen sensor does: recorded devices, one channel of which goes on sending its last value from mid-life on.

    python -m bench.frozen --bundle build/demo/pumps/bundle.fwb --data build/demo/pumps/play.csv

Each channel freezes once on every device, and the rows are played through the agent's core. Prints, in Markdown, how
many rows are `ok` before the channel froze, while it stood for less than three times the longest run that training saw,
and after that. The last must be none, although many of these rows are `ok` where no channel froze.
"""

import argparse
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from agent.bundle import file
from agent.bundle.file import Bundle
from agent.replay.inline import PlayedDevice, play_inline
from agent.replay.messages import source_for, stream, without_rows_too_soon
from agent.replay.recorded import Recorded, read_recorded
from agent.words import Quality
from bench.result import markdown

Counts = list[int]
TIMES = 3  # the longest run that training saw
FROM = 0.5  # of a recording


def frozen(device: Recorded, channel: int) -> tuple[Recorded, float]:
    """The device with a channel that freezes at half its recording, and event time in s at which its value came."""
    values = device.x[:, channel]
    at = np.flatnonzero(~np.isnan(values))
    at = int(at[np.searchsorted(at, int(len(values) * FROM)) - 1])
    x = device.x.copy()
    x[at:, channel] = values[at]
    return Recorded(device.device, device.t_ns, x), device.t_ns[at] / 1e9


def play(bundle: Bundle, recorded: Sequence[Recorded]) -> Sequence[PlayedDevice]:
    no_alerts = math.inf
    rows = stream(recorded, source_for(bundle.manifest, "r/{device}"))
    return play_inline(bundle, bundle.model, rows, no_alerts)


def ok_rows(played: Sequence[PlayedDevice], begins_s: Mapping[str, float], long_s: float) -> tuple[Counts, Counts]:
    """Rows that are `ok`, and all rows: before a channel froze, while it had not stood long, and after that."""
    good, rows = np.zeros(3, np.int64), np.zeros(3, np.int64)
    for device in played:
        stood_s = device.t_ns / 1e9 - begins_s[device.device]
        phase = np.where(stood_s < 0, 0, np.where(stood_s <= long_s, 1, 2))
        rows += np.bincount(phase, minlength=3)
        good += np.bincount(phase[device.quality == Quality.OK], minlength=3)
    return good.tolist(), rows.tolist()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--data", required=True)
    asked = parser.parse_args()
    bundle = file.read(asked.bundle)
    manifest = bundle.manifest
    recorded, _ = without_rows_too_soon(read_recorded([asked.data], manifest).devices, manifest)
    if any(channel.steady_max_s is None for channel in manifest.channels):
        raise SystemExit("the bundle is of a version that did not measure how long channels stand still: train it anew")
    healthy = play(bundle, recorded)
    table, figures = [], {}
    for number, channel in enumerate(manifest.channels):
        pairs = [frozen(device, number) for device in recorded]
        begins_s = {device.device: since_s for device, since_s in pairs}
        # A run of n rows lasts n - 1 cadences, and one of three times as many rows so much longer.
        longest_s = channel.steady_max_s or 0.0
        long_s = TIMES * (longest_s + manifest.cadence.every_s) - manifest.cadence.every_s
        good, rows = ok_rows(play(bundle, [device for device, _ in pairs]), begins_s, long_s)
        (*_, good_else), _ = ok_rows(healthy, begins_s, long_s)
        figures[channel.name] = {"longest_s": longest_s, "ok": good, "rows": rows, "ok_where_not_frozen": good_else}
        counts = [f"{ok:,} of {n:,}" for ok, n in zip(good, rows, strict=True)]
        table.append([channel.name, f"{longest_s / 3600:.1f} h", *counts, f"{good_else:,}"])
    head = ["frozen channel", "longest in training", "`ok` before", f"`ok` up to {TIMES} times that", "`ok` after"]
    print(markdown([*head, "`ok` after, not frozen"], table))
    print(json.dumps({"bench": "frozen", "times": TIMES, "found": figures}))


if __name__ == "__main__":
    main()
