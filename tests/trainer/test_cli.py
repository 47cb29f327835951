import subprocess
import sys

WITHOUT_TORCH = "import sys; sys.modules['torch'] = None; from trainer.cli import main; main()"


def test_without_the_extra_it_says_what_to_install():
    """As on a gateway, where `pip install forewarn` brought no torch."""
    command = [sys.executable, "-c", WITHOUT_TORCH, "fit", "configs/train/cmapss-fd001.toml", "--out", "nowhere"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr == "forewarn-train: torch is not installed\n  pip install 'forewarn[train]'\n"
