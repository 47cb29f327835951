"""The command on a machine without the packages that training needs."""

import subprocess
import sys

import pytest

CONFIG = "configs/train/cmapss-fd001.toml"


def run_without(*hidden: str, arguments: tuple[str, ...]) -> subprocess.CompletedProcess[str]:
    """As on a gateway, where `pip install forewarn` brought none of them."""
    hide = "; ".join(f"sys.modules[{name!r}] = None" for name in hidden)
    command = [sys.executable, "-c", f"import sys; {hide}; from trainer.cli import main; main()", *arguments]
    return subprocess.run(command, check=False, capture_output=True, text=True)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["torch", "onnx"])  # polars: for Parquet only, tests/unit/table
def test_without_the_extra_it_says_what_to_install(name: str) -> None:
    done = run_without(name, arguments=("fit", CONFIG, "--out", "nowhere"))
    assert done.returncode == 1
    assert done.stderr == f"forewarn-train: {name} is not installed\n  pip install 'forewarn[train]'\n"


@pytest.mark.slow
def test_help_needs_nothing_of_the_extra() -> None:
    done = run_without("torch", "polars", "onnx", "matplotlib", arguments=("fit", "--help"))
    assert done.returncode == 0, done.stderr
    assert "Example: forewarn-train fit" in done.stdout
