"""What every bench tells alike: on which machine, with which versions, as Markdown to read and JSON to compare."""

import fcntl
import importlib.metadata
import json
import os
import platform
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

PACKAGES = ("forewarn", "numpy", "onnxruntime", "msgspec", "paho-mqtt", "pydantic", "structlog", "onnx", "torch")
CPUINFO = Path("/proc/cpuinfo")

Ratio = dict[str, float | None]


def machine() -> dict[str, str | int]:
    """The CPU's name, the cores that this process may use, Python and kernel."""
    return {
        "cpu": cpu_model(CPUINFO.read_text() if CPUINFO.exists() else ""),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        "python": platform.python_version(),
        "kernel": f"{platform.system()} {platform.release()}",
    }


def cpu_model(cpuinfo: str) -> str:
    """`model name` of the first core; ARM's kernel gives none, then the architecture."""
    fields = (line.partition(":") for line in cpuinfo.splitlines())
    return next((value.strip() for key, _, value in fields if key.strip() == "model name"), platform.machine())


def versions() -> dict[str, str]:
    """Version of each of PACKAGES that is installed."""
    installed = {name.lower(): found.version for found in importlib.metadata.distributions() if (name := found.name)}
    return {package: installed[package] for package in PACKAGES if package in installed}


def ratio(values: Sequence[float]) -> Ratio:
    """Median and range over the rounds of a bench; null each when there was no round."""
    if not values:
        return {"median": None, "min": None, "max": None}
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def write(
    path: Path | None, name: str, rows: Sequence[Mapping[str, object]], ratios: Mapping[str, Ratio] | None = None
) -> None:
    """Write what a bench found as JSON, NaN as null; nothing without a path. Makes the folder."""
    if path is None:
        return
    content = {"bench": name, "machine": machine(), "versions": versions(), "rows": rows, "ratios": ratios or {}}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(content)) + b"\n")


def rows_in(path: Path | None) -> list[dict[str, Any]]:
    """Rows of an earlier run; none without a file."""
    return [] if path is None or not path.exists() else list(json.loads(path.read_text())["rows"])


def append(path: Path | None, name: str, *rows: Mapping[str, object]) -> None:
    """More rows in a file of `write`, all of them or none, whoever else is at it: a bench that takes hours may be
    stopped and go on, in several processes.
    """
    if path is None:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        part = path.with_suffix(".part")
        write(part, name, [*rows_in(path), *rows])
        part.replace(path)


def markdown(headings: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A table, the first column to the left, the others to the right. Raises ValueError for a row too short or long."""
    lines = [headings, ["---", *["---:"] * (len(headings) - 1)], *rows]
    for row in rows:
        if len(row) != len(headings):
            raise ValueError(f"{len(row)} cells under {len(headings)} headings: {row}")
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)
