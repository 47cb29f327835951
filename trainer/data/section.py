"""The words of a data set for its model card, and the folder that its files are in.

`trainer/config.py` puts the tables of a training TOML together; a data set does not import the configuration.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from agent.errors import ConfigurationRefused


def listed(spans_s: Sequence[float]) -> str:
    return ", ".join(f"{one:.12g}" for one in spans_s)


@dataclass(frozen=True, slots=True)
class Subject:
    """The words of a model card in which one data set differs from another."""

    failure: str
    row: str
    source: str
    device: str
    every: str
    first: str
    test_set: str
    not_for: str
    reset: str


def required_folder(data: Path | None) -> Path:
    """The folder of recorded sets. Raises ConfigurationRefused where nobody gave one."""
    if data is None:
        raise ConfigurationRefused("FOREWARN_DATA", "is not set", next_step="Set it, or give --data FOLDER.")
    return data
