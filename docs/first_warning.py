"""Writes docs/figures/first_warning.json and docs/images/first-warning.png: `python -m docs.first_warning`.

Runs the commands of docs/first-warning.md, as they stand there, in an empty folder beside a private mosquitto, and
keeps what they print. It trains, so it takes some minutes; the page is compared with what was run by a test.
"""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
import numpy as np
from matplotlib.dates import DateFormatter
from matplotlib.figure import Figure

from agent.replay.broker.own_broker import free_port, mosquitto
from bench.result import machine, versions
from docs.fans import EPOCH_S, WORN
from docs.figures import FIGURES

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "first-warning.md"
PICTURE = ROOT / "docs" / "images" / "first-warning.png"
PORT = "1883"  # of the page
HOUR_NS = 3_600_000_000_000
STEP = re.compile(r"^```sh\n((?:(?!```).*\n)+)```\n<!-- made: first_(\w+)", re.MULTILINE)


def steps() -> dict[str, str]:
    """The page's commands by the name of the block that shows what they print."""
    return {name: commands for commands, name in STEP.findall(PAGE.read_text())}


@contextmanager
def shell(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """One bash for all steps, in which what is started in the background goes on; it ends with all of them."""
    tools = {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    environ = os.environ | tools | {"XDG_CONFIG_HOME": str(folder)}
    with subprocess.Popen(
        ["bash", "-u"], cwd=folder, env=environ, text=True, start_new_session=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    ) as process:  # fmt: skip
        try:
            yield process
        finally:
            os.killpg(process.pid, signal.SIGTERM)


def printed(bash: subprocess.Popen[str], commands: str, port: int) -> str:
    """What commands print, to both outputs."""
    assert bash.stdin is not None
    assert bash.stdout is not None
    here = commands.replace(PORT, str(port)).replace("docs.fans ", f"docs.fans --port {port} ")
    bash.stdin.write(f"{here}\necho 'this step is over'\n")
    bash.stdin.flush()
    lines = iter(bash.stdout.readline, "this step is over\n")
    kept = (line for line in lines if not re.match(r"bash: line \d+: +\d+ Terminated", line))
    return "".join(kept).replace(str(port), PORT).strip()


def record(folder: Path) -> dict[str, object]:
    """Follow the page in `folder`, an empty one."""
    port = free_port()
    for client in ("mosquitto_sub", "mosquitto_pub"):
        (folder / client).write_text(f"-p {port}\n")
    (folder / "broker").mkdir()
    (folder / "story").mkdir()
    done = []
    with mosquitto(folder / "broker", port=port), shell(folder) as bash:
        printed(bash, "cd story", port)
        for name, commands in steps().items():
            sys.stderr.write(f"{name}\n")
            done.append({"name": name, "commands": commands, "output": printed(bash, commands, port)})
    draw(folder / "story" / "scores.jsonl", threshold_of(done))
    command = "python -m docs.first_warning"
    return {"command": command, "machine": machine(), "versions": versions(), "steps": done}


def threshold_of(done: list[dict[str, str]]) -> float:
    """What `forewarn check` says."""
    (output,) = (step["output"] for step in done if step["name"] == "check")
    return float(re.findall(r"at threshold ([\d.]+)", output)[0])


def draw(scores: Path, threshold: float) -> None:
    """The greatest `anomaly` of each hour, of each fan; the worn one in red."""
    hours: dict[str, dict[int, float]] = {}
    for line in scores.read_text().splitlines():
        score = json.loads(line)
        if score["quality"] != "warming_up":
            of = hours.setdefault(score["device"], {})
            hour = score["t_ns"] // HOUR_NS
            of[hour] = max(of.get(hour, 0.0), *score["anomaly"])
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    axes = figure.subplots()
    for device, of in sorted(hours.items(), key=lambda one: one[0] == f"fan-{WORN:02d}"):
        is_worn = device == f"fan-{WORN:02d}"
        times = [datetime.fromtimestamp(hour * 3600, UTC) for hour in of]
        colour, width, label = ("tab:red", 1.4, device) if is_worn else ("0.7", 0.6, None)
        axes.plot(np.array(times), list(of.values()), color=colour, linewidth=width, label=label)
    axes.axhline(threshold, color="black", linestyle="--", linewidth=1, label="threshold")
    axes.set(ylabel="anomaly, greatest of the hour", yscale="log", ylim=(0.1, None))
    axes.set_xlim(datetime.fromtimestamp(EPOCH_S, UTC) + timedelta(days=14), None)
    axes.xaxis.set_major_formatter(DateFormatter("%d %b"))
    axes.legend(loc="upper left")
    figure.savefig(PICTURE, dpi=120)


if __name__ == "__main__":
    with TemporaryDirectory(prefix="forewarn-docs-") as temporary:
        content = record(Path(temporary))
    (FIGURES / "first_warning.json").write_bytes(msgspec.json.format(msgspec.json.encode(content)) + b"\n")
