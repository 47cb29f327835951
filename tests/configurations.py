"""Configuration files around the small bundle."""

from pathlib import Path

from tests.bundles import write_small_bundle

SOURCE = """
[[source]]
name = "press"
topic = "plant/{device}/cycle"
time = { field = "cycle", unit = "cycle" }
"""
VALID = """
[agent]
node = "gateway-1"
state_dir = "state"

[[model]]
bundle = "small.fwb"
"""


def write_configuration(folder: Path, text: str = VALID + SOURCE) -> Path:
    """`forewarn.toml` beside the small bundle in `folder`."""
    if not (folder / "small.fwb").exists():
        write_small_bundle(folder / "small.fwb")
    path = folder / "forewarn.toml"
    path.write_text(text)
    return path
