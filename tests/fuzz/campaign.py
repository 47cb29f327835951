"""All fuzz targets one after another, and a table of what they found.

Each target is first fuzzed with atheris, then all of its inputs are read again without tracing, where time and memory
are measured. Inputs are kept in build/fuzz, so that a campaign goes on where the last one ended; an input that shows a
fault is kept in tests/data/fuzz, where the ordinary tests find it.
"""

import json
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from time import monotonic
from typing import NamedTuple

import click

from bench.result import markdown
from tests.fuzz.targets import MODULES

Process = subprocess.CompletedProcess[str]
ROOT = Path(__file__).parents[2]
CORPORA = ROOT / "build" / "fuzz"
FOUND = ROOT / "tests" / "data" / "fuzz"
VERIFY_SHARE = 0.3  # of a target's time


class Result(NamedTuple):
    """What came of a target; `cost` is what its inputs cost without tracing."""

    executions: int
    coverage: int
    n_new: int
    n_crashes: int
    cost: dict[str, float]


def run_target(name: str, seconds: float) -> Result:
    """Fuzz and verify one target within about so many seconds."""
    corpus = CORPORA / name
    before = _found(name)
    n_before = len([*corpus.glob("*")])
    fuzzed = []
    end_s = monotonic() + seconds * (1 - VERIFY_SHARE)
    while not fuzzed or (fuzzed[-1].returncode and not _found(name) - before and monotonic() < end_s):
        fuzzed.append(_process("fuzz", name, corpus, end_s - monotonic()))
        for path in _found(name) - before:
            _put_aside_if_slow(name, path, corpus, fuzzed[-1])
    verified = _process("verify", name, corpus, seconds * VERIFY_SHARE)
    crashes = _found(name) - before
    for path in crashes:
        click.echo(f"{name}: {path.relative_to(ROOT)}\n{fuzzed[-1].stdout}", err=True)
    if verified.returncode:
        click.echo(f"{name}: {verified.stderr}", err=True)
    return Result(
        executions=sum(_last(r"stat::number_of_executed_units: (\d+)", one.stderr) for one in fuzzed),
        coverage=_last(r"cov: (\d+)", fuzzed[-1].stderr),
        n_new=len([*corpus.glob("*")]) - n_before,
        n_crashes=max(len(crashes), int(verified.returncode != 0)),
        cost=json.loads(verified.stdout) if not verified.returncode else {},
    )


def _put_aside_if_slow(name: str, path: Path, corpus: Path, fuzzed: Process) -> None:
    """An input that takes too long only while every line is traced is no fault; it is measured with the others."""
    if "it took" in fuzzed.stdout and _process("one", name, path).returncode == 0:
        path.rename(corpus / path.name)


def _found(name: str) -> set[Path]:
    return {*(FOUND / name).glob("*")}


def _process(*words: object) -> Process:
    command = [sys.executable, "-m", "tests.fuzz", *map(str, words)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, errors="replace", check=False)


def _last(pattern: str, text: str) -> int:
    found = re.findall(pattern, text)
    return int(found[-1]) if found else 0


@click.command()
@click.option("--seconds", default=60, show_default=True, help="For all targets together.")
@click.argument("names", nargs=-1, type=click.Choice([*MODULES]))
def main(seconds: int, names: Sequence[str]) -> None:
    """Fuzz the targets NAMES, or all; print a table; exit 1 when one was broken."""
    names = names or [*MODULES]
    end_s = monotonic() + seconds
    results = {}
    for n_done, name in enumerate(names):
        results[name] = run_target(name, (end_s - monotonic()) / (len(names) - n_done))
        click.echo(f"{name}: {results[name]}", err=True)
    head = [
        "target",
        "executions",
        "lines and branches",
        "new inputs",
        "crashes",
        "slowest call",
        "most memory",
        "kept",
    ]
    rows = [
        [name, f"{one.executions:,}", str(one.coverage), str(one.n_new), str(one.n_crashes),
         f"{one.cost.get('slowest_ms', 0):.1f} ms", f"{one.cost.get('most_mib', 0):.1f} MiB",
         f"{one.cost.get('kept_kib', 0):.0f} KiB"]
        for name, one in results.items()
    ]  # fmt: skip
    click.echo(markdown(head, rows))
    sys.exit(1 if any(one.n_crashes for one in results.values()) else 0)


if __name__ == "__main__":
    main()
