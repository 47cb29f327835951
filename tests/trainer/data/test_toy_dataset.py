"""A data set is one file, a line in `DATASETS`, an example and a section of the docs; here one is added to a copy."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]
COPIED = ("trainer", "tests/trainer/data/test_dataset_contract.py", "tests/data/dataset", "docs/data.md")

RAMPS = '''"""Made-up machines of which one channel rises in a straight line to the failure."""

from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import Field

from trainer.data.history import ChannelInfo, History, columns_of
from agent.table.lives.section import Channels, Margin, Section
from trainer.data.section import Subject

CHANNELS = (ChannelInfo("wear", "mm", "it rises"), ChannelInfo("noise", "", "it does not"))


class Ramps(Section):
    """As many machines as `split` deals out."""

    dataset: Literal["ramps"]
    slope: float = Field(default=0.1, gt=0, description="Rise a cycle.")
    channels: Channels
    out_of_domain_margin: Margin = 0.25

    @property
    def counts(self) -> Literal["s", "cycle"]:
        return "cycle"

    @property
    def lies_beside_config(self) -> bool:
        return False

    @property
    def subject(self) -> Subject:
        about = ("worn ramps", "a cycle", "Straight lines", "ramp", "a cycle", "first cycle")
        return Subject(*about, test_set="", not_for="Curves.", reset="Falls.")

    def read(self, channels: tuple[str, ...], n_devices: int, folder: Path | None) -> list[History]:
        columns = columns_of(channels, CHANNELS)
        return [self._ramp(f"ramp-{number}", 40 + number, columns) for number in range(n_devices)]

    def read_tests(self, channels: tuple[str, ...], folder: Path | None) -> dict[str, list[History]]:
        return {}

    def channel_info(self, channels: tuple[str, ...]) -> tuple[ChannelInfo, ...]:
        return tuple(CHANNELS[column] for column in columns_of(channels, CHANNELS))

    def _ramp(self, device: str, n_rows: int, columns: list[int]) -> History:
        t_s = np.arange(1.0, n_rows + 1)
        noise = np.random.default_rng(n_rows).normal(size=n_rows)
        x = np.stack([self.slope * t_s + 0.1 * noise, noise], axis=1).astype(np.float32)
        return History(device, t_s, x[:, columns], float(n_rows))
'''
EXAMPLE = """
name = "ramps"
version = "0.1.0"
[data]
dataset = "ramps"
channels = ["wear", "noise"]
slope = 0.2
[split]
fit = 6
calibrate = 3
play = 3
[model]
hidden = 4
layers = 1
[train]
epochs = 1
[risk]
horizons = [5, 10, 20]
[rul]
cap = 30
[judge]
horizon = 20
h_max = 20
h_min = 2
"""
SECTION = '\n### dataset = "ramps"\n\nStraight lines.\n'


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The trainer and what goes with a data set, with the data set `ramps` added."""
    root = tmp_path_factory.mktemp("copy")
    for name in COPIED:
        source, target = ROOT / name, root / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, target)
    (root / "trainer/data/ramps.py").write_text(RAMPS)
    add_line(
        root / "trainer/data/dataset.py",
        before="from trainer.data.section",
        line="from trainer.data.ramps import Ramps",
    )
    add_line(root / "trainer/data/dataset.py", before='    "table": Table,', line='    "ramps": Ramps,')
    (root / "tests/data/dataset/ramps").mkdir()
    (root / "tests/data/dataset/ramps/training.toml").write_text(EXAMPLE)
    with (root / "docs/data.md").open("a") as docs:
        docs.write(SECTION)
    return root


def add_line(path: Path, *, before: str, line: str) -> None:
    text = path.read_text()
    assert text.count(before) == 1
    path.write_text(text.replace(before, f"{line}\n{before}"))


def run(copy: Path, *arguments: str) -> str:
    """What a fresh interpreter prints that finds the trainer of the copy before this one."""
    environment = os.environ | {"PYTHONPATH": f"{copy}{os.pathsep}{ROOT}", "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, *arguments]
    done = subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_four_files_are_touched_of_which_two_are_new(copy: Path) -> None:
    new, changed = set(), set()
    for path in (path for path in copy.rglob("*") if path.is_file()):
        name = path.relative_to(copy)
        if not (ROOT / name).exists():
            new.add(str(name))
        elif path.read_bytes() != (ROOT / name).read_bytes():
            changed.add(str(name))
    assert new == {"trainer/data/ramps.py", "tests/data/dataset/ramps/training.toml"}
    assert changed == {"trainer/data/dataset.py", "docs/data.md"}


def test_the_contract_of_data_sets_holds_for_it(copy: Path) -> None:
    options = ("-q", "-p", "no:cacheprovider", "--import-mode=importlib", "--rootdir", str(copy), "-c", os.devnull)
    told = run(copy, "-m", "pytest", *options, "tests/trainer/data/test_dataset_contract.py", "-k", "ramps")
    assert "7 passed" in told


def test_a_bundle_is_fitted_to_it(copy: Path, tmp_path: Path) -> None:
    example = str(copy / "tests/data/dataset/ramps/training.toml")
    bundle = Path(run(copy, "-m", "trainer.cli", "fit", example, "--out", str(tmp_path)).strip())
    assert bundle.name == "ramps-0.1.0.fwb"
    assert b"Early warning of worn ramps" in bundle.read_bytes()
