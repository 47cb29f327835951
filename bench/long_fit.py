"""What a fit on long recordings takes: wall time and largest resident memory of `forewarn-train fit`.

    python -m bench.long_fit [--machines 20] [--rows 50000] [--channels 12] [--heads risk] [--json FILE]

The recordings are made here by a seed: a row a minute, loads that change with the hour, noise that is correlated, gaps,
and, where labels are wanted, machines that wear over their last three days and fail. The fit runs in a process of its
own. What its figures are worth is measured elsewhere (bench/accuracy.py); here stand time and memory.
"""

import argparse
import re
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from agent.words import Float32
from bench import result

CADENCE_S = 60
WORN_ROWS = 4_320
"""Three days."""
CONFIG = """
name = "long"
version = "0.1.0"
[data]
dataset = "table"
rows = "rows/*.parquet"
{failures}
channels = {channels}
[split]
fit = {fit}
calibrate = {aside}
play = {aside}
[model]
hidden = 32
cadence = "1m"
dt_max = "1h"
[risk]
horizons = ["6h", "24h", "48h"]
[rul]
cap = "3d"
[judge]
horizon = "24h"
h_max = "3d"
h_min = "1h"
clear_after = "1h"
"""


def life(rows: int, n_channels: int, fails: bool, rng: np.random.Generator) -> Float32:
    """float32 [rows, channels] of one machine."""
    x = np.empty((rows, n_channels), np.float32)
    hour = np.arange(rows) // 60
    load = rng.normal(0, 1, hour[-1] + 1).cumsum() % 3
    wear = np.clip((np.arange(rows) - (rows - WORN_ROWS)) / WORN_ROWS, 0, 1) ** 2 * fails
    for channel in range(n_channels):
        noise = rng.normal(0, 1, rows)
        noise[1:] = 0.6 * noise[:-1] + 0.8 * noise[1:]
        gain = rng.normal(0, 1), rng.normal(0, 2) * (channel % 3 == 0)
        x[:, channel] = 50 + channel + gain[0] * load[hour] + gain[1] * wear + noise
    return x


def write_recording(folder: Path, machines: int, rows: int, n_channels: int, *, labels: bool) -> None:
    """A Parquet file a machine, a list of failures where there are labels, and the training TOML."""
    import polars

    (folder / "rows").mkdir()
    names = [f"c{channel}" for channel in range(n_channels)]
    failures = ["device,t_fail"]
    for machine in range(machines):
        rng = np.random.default_rng([7, machine])
        fails = labels and machine % 3 != 2
        t = np.arange(rows, dtype=np.int64) * CADENCE_S + 1_700_000_000
        kept = rng.random(rows) > 0.01  # a row is lost now and then
        columns = dict(zip(names, life(rows, n_channels, fails, rng)[kept].T, strict=True))
        table = {"device": [f"m{machine:02}"] * int(kept.sum()), "t": t[kept], **columns}
        polars.DataFrame(table).write_parquet(folder / "rows" / f"m{machine:02}.parquet")
        failures.append(f"m{machine:02},{int(t[-1]) + 600 if fails else ''}")
    (folder / "failures.csv").write_text("\n".join(failures) + "\n")
    aside = max(2, machines // 6)
    text = CONFIG.format(
        failures='failures = "failures.csv"' if labels else "", channels=names, fit=machines - 2 * aside, aside=aside
    )
    (folder / "fit.toml").write_text(text)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--machines", type=int, default=20)
    parser.add_argument("--rows", type=int, default=50_000)
    parser.add_argument("--channels", type=int, default=12)
    parser.add_argument("--heads", nargs="+", default=["risk", "anomaly"], choices=["risk", "anomaly"])
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    rows: list[dict[str, object]] = []
    for head in asked.heads:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            write_recording(folder, asked.machines, asked.rows, asked.channels, labels=head == "risk")
            command = [
                sys.executable,
                "-m",
                "trainer.cli",
                "fit",
                str(folder / "fit.toml"),
                "--out",
                str(folder / "out"),
            ]
            begin = time.perf_counter()
            ended = subprocess.run(command, check=False, stderr=subprocess.PIPE, text=True)
            took_s = time.perf_counter() - begin
        if ended.returncode:
            raise SystemExit(ended.stderr)
        peak_mb = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024 / 1e6  # of the largest child so far
        rows.append({"head": head, "machines": asked.machines, "rows": asked.rows, "channels": asked.channels})
        rows[-1] |= {"took_s": took_s, "peak_mb": peak_mb, "said": re.sub(r"\s+", " ", ended.stderr)}
    headings = ("fit", "machines x rows x channels", "wall time", "peak memory")
    size = f"{asked.machines} x {asked.rows:,} x {asked.channels}"
    table = [(row["head"], size, f"{row['took_s']:.0f} s", f"{row['peak_mb']:,.0f} MB") for row in rows]
    print(result.markdown(headings, table))
    result.write(asked.json, "long_fit", rows)


if __name__ == "__main__":
    main()
