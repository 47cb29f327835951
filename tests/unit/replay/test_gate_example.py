"""The pipeline of docs/replay.md does what it says: green for a good recording, red for a bad one, outputs in both."""

import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.bundles import write_small_bundle
from tests.recorded import worn, write_recorded, write_truth

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]


def gate(folder: Path, *, n_never_warned: int) -> subprocess.CompletedProcess[str]:
    """Run the step on 20 devices that fail, some of them without a sign."""
    page = (ROOT / "docs/replay.md").read_text()
    step = re.search(r"- run: \|\n((?: {10}.*\n)+)", page)
    assert step
    write_small_bundle(folder / "pump-1.0.0.fwb")
    recorded = [
        worn(f"p{number:02}", 90, wear_from=900 if number < n_never_warned else 20, seed=number) for number in range(20)
    ]
    write_recorded(folder / "play.csv", recorded)
    write_truth(folder / "truth.csv", {one.device: 90.0 for one in recorded})
    script = f'forewarn() {{ "{sys.executable}" -m agent.cli "$@"; }}\n' + textwrap.dedent(step[1])
    environment = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "MPLCONFIGDIR": str(folder)}
    return subprocess.run(
        ["bash", "-e", "-c", script], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


def test_the_pipeline_of_the_docs_lets_a_good_model_through(tmp_path):
    done = gate(tmp_path, n_never_warned=0)
    assert done.returncode == 0, done.stderr
    assert {path.name for path in (tmp_path / "replay").iterdir()} == {"replay.json", "report.html", "junit.xml"}


def test_the_pipeline_of_the_docs_stops_a_bad_model(tmp_path):
    done = gate(tmp_path, n_never_warned=3)
    assert done.returncode == 1, done.stderr
    assert "FAILED detection >= 0.9: 0.85 (17 of 20)" in done.stdout
    assert {path.name for path in (tmp_path / "replay").iterdir()} == {"replay.json", "report.html", "junit.xml"}
