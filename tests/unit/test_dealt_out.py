"""`make test` deals the tests out to several processes, file by file."""

import re
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TESTS = """
import os
import pytest
@pytest.mark.parametrize("number", range(8))
def test_where(number):
    with open("where.txt", "a") as file:
        file.write(f"{__name__} {os.environ['PYTEST_XDIST_WORKER']}\\n")
"""


@pytest.mark.slow
def test_a_file_is_dealt_out_whole(tmp_path: Path) -> None:
    """Or each process makes the fixtures of every file, which nothing else would show but the time."""
    (options,) = re.findall(r"^SIDE_BY_SIDE := (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    for name in ("a", "b", "c", "d"):
        (tmp_path / f"test_{name}.py").write_text(TESTS)
    subprocess.run([sys.executable, "-m", "pytest", "-q", *options.split()], cwd=tmp_path, check=True)
    of_file = defaultdict(set)
    for line in (tmp_path / "where.txt").read_text().splitlines():
        file, process = line.split()
        of_file[file].add(process)
    assert sorted(map(len, of_file.values())) == [1, 1, 1, 1], dict(of_file)
    assert len(set.union(*of_file.values())) > 1, "processes"
