"""Every bench can be imported, whatever was moved meanwhile, and says how it is called."""

import importlib
import re
from pathlib import Path

import pytest

BENCHES = sorted(
    path.stem
    for path in (Path(__file__).parents[2] / "bench").glob("*.py")
    if {"__main__", "parser"} <= set(re.findall(r"\w+", path.read_text()))
)


@pytest.mark.parametrize("name", BENCHES)
def test_a_bench_shows_how_it_is_called(name: str) -> None:
    said = importlib.import_module(f"bench.{name}").__doc__ or ""
    assert f"-m bench.{name}" in said or f"python bench/{name}.py" in said
