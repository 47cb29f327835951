"""The data sets by name. A new one is a file with a class like those, and a line in `DATASETS`.

The class is the table `[data]` of a training TOML, and it reads what that table names. Nothing else in the trainer
knows which data set it has. `tests/trainer/data/test_dataset_contract.py` loops over the dict.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, Protocol

from agent.table.lives.section import Channels, Margin
from trainer.data.check import Requirements, check_histories
from trainer.data.cmapss import Cmapss
from trainer.data.history import ChannelInfo, History
from trainer.data.pumps.fleet import Pumps
from trainer.data.runs import Runs, read_channels, without_stops
from trainer.data.section import Subject
from trainer.data.split import Parts, Split, split
from trainer.data.table import Table


class DataSet(Protocol):
    """`[data]` of a training TOML, whose key `dataset` is its name in `DATASETS`."""

    @property
    def channels(self) -> Channels:
        """The scaled channels, in the order of `x`."""

    @property
    def out_of_domain_margin(self) -> Margin:
        """How far a row may leave a channel's training range, as a share of that range."""

    @property
    def counts(self) -> Literal["s", "cycle"]:
        """What a second of `t_s` stands for."""

    @property
    def lies_beside_config(self) -> bool:
        """Are its files a user's own, looked for at the folder of the TOML, and not public ones of $FOREWARN_DATA?"""

    @property
    def subject(self) -> Subject:
        """The words of the model card."""

    def model_dump_json(self) -> str:
        """The table as a bundle keeps it."""

    def read(self, channels: tuple[str, ...], n_devices: int, folder: Path | None) -> list[History]:
        """Every recorded history with the named channels; a simulated set makes `n_devices`.

        folder  holds the recorded sets, None where nobody gave one. Raises ForewarnError.
        """

    def read_tests(self, channels: tuple[str, ...], folder: Path | None) -> dict[str, list[History]]:
        """The official test set by part, cut off before the failures; {} for a set without. Raises ForewarnError."""

    def channel_info(self, channels: tuple[str, ...]) -> tuple[ChannelInfo, ...]:
        """Unit and description of each. Raises DataRefused for an unknown one."""


DATASETS: dict[str, type[DataSet]] = {
    "cmapss": Cmapss,
    "pumps": Pumps,
    "table": Table,
}


class Recipe(Protocol):
    """What a training configuration says of its data."""

    @property
    def data(self) -> DataSet: ...

    @property
    def split(self) -> Split: ...

    @property
    def requirements(self) -> Requirements: ...

    @property
    def runs(self) -> Runs | None: ...


def histories_of(recipe: Recipe, folder: Path | None) -> list[History]:
    """Every history that `split` may deal out; `folder` holds the recorded sets. Raises ForewarnError."""
    requirements, runs = recipe.requirements, recipe.runs
    channels = read_channels(requirements.channels, runs)
    histories = recipe.data.read(channels, requirements.n_devices, folder)
    if runs is not None:
        histories = without_stops(histories, recipe.data.channel_info(requirements.channels), runs)
    check_histories(histories, requirements)
    return histories


def tests_of(recipe: Recipe, folder: Path | None) -> dict[str, list[History]]:
    """The official test set by part. Raises ForewarnError."""
    channels, runs = recipe.requirements.channels, recipe.runs
    parts = recipe.data.read_tests(read_channels(channels, runs), folder)
    if runs is None:
        return parts
    return {name: without_stops(part, recipe.data.channel_info(channels), runs) for name, part in parts.items()}


def parts_of(recipe: Recipe, histories: Sequence[History]) -> Parts:
    """The histories dealt out as the recipe asks. Raises DataRefused."""
    asks = recipe.requirements
    return split(histories, recipe.split, embargo_s=asks.h_max_s, needs_failures=asks.needs_failures)
