"""Writes docs/figures/demo.json: what `make demo` says of the bundle in tests/data/pumps. `python -m docs.record`.

Plays the demo's 100 pumps through the trainer's evaluation and through a broker and a whole agent, as `make demo` does
after its training; some minutes. The bundle is the one that the tests hold the agent's numbers by.
"""

import json
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec

from agent.bundle import file
from bench.result import machine, versions
from docs.figures import FIGURES
from trainer.config import Config
from trainer.data.dataset import histories_of
from trainer.data.table import write_table

BUNDLE = Path(__file__).parents[1] / "tests" / "data" / "pumps" / "pumps-0.1.0.fwb"
EVERY_NTH = 37  # of the warnings is shown, whether it came true or not
_LONG = ("devices", "bins", "missed", "late")  # a value for each device, which no page shows


def write_played_pumps(folder: Path) -> None:
    """play.csv and truth.csv of the pumps that the demo's bundle has never seen, as `make demo` writes them."""
    manifest = file.read(BUNDLE).manifest
    config = Config.model_validate_json(manifest.created_from.config)
    pumps = [one for one in histories_of(config, None) if one.device in manifest.created_from.play_devices]
    names = tuple(channel.name for channel in manifest.channels)
    write_table(pumps, names, folder / "play.csv", folder / "truth.csv")


def short(content: Any) -> Any:
    """JSON without what is of single devices."""
    if isinstance(content, dict):
        return {key: short(value) for key, value in content.items() if key not in _LONG}
    return [short(one) for one in content] if isinstance(content, list) else content


def record(folder: Path) -> dict[str, object]:
    """Evaluate and replay in `folder`, an empty one."""
    write_played_pumps(folder)
    command = [sys.executable, "-m"]
    evaluate = [*command, "trainer.cli", "evaluate", "--bundle", str(BUNDLE), "--json", str(folder / "evaluate.json")]
    text = subprocess.run(evaluate, capture_output=True, text=True, check=True).stdout
    replay = [*command, "agent.cli", "replay", "--bundle", str(BUNDLE), "--data", str(folder / "play.csv"), "--truth"]
    replay += [str(folder / "truth.csv"), "--through", "mqtt", "--live", "--live-max", "10000", "--no-html"]
    said = subprocess.run([*replay, "--out", str(folder)], capture_output=True, text=True, check=True).stderr
    broker, *warnings = said.splitlines()
    played = json.loads((folder / "replay.json").read_text())
    return {
        "command": "python -m docs.record",
        "machine": machine(),
        "versions": versions(),
        "bundle": played["bundle"],
        "rate_per_s": played["limit"]["rate_per_s"],
        "evaluate": text,
        "figures": short(json.loads((folder / "evaluate.json").read_text())),
        "broker": broker,
        "live": warnings[::EVERY_NTH],
        "warnings": len(warnings),
    }


if __name__ == "__main__":
    with TemporaryDirectory(prefix="forewarn-docs-") as temporary:
        content = record(Path(temporary))
    (FIGURES / "demo.json").write_bytes(msgspec.json.format(msgspec.json.encode(content)) + b"\n")
