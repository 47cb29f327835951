"""The one place that knows which data sets there are: a config's histories, channels and unit of time."""

from dataclasses import replace
from pathlib import Path
from typing import Literal

from agent.errors import ConfigurationRefused
from trainer.config import Cmapss, Config, Table
from trainer.data import cmapss, table
from trainer.data.check import checked, counts_cycles
from trainer.data.history import ChannelInfo, History, columns_of
from trainer.data.pumps import fleet


def histories_of(config: Config, data: Path | None) -> list[History]:
    """Every history that `split` may deal out; `data` is the folder of recorded sets. Raises ForewarnError."""
    return checked(recorded(config, data), config)


def recorded(config: Config, data: Path | None) -> list[History]:
    """The same as they were read or made."""
    of, split = config.data, config.split
    if isinstance(of, Cmapss):
        folder = folder_of(data)
        return [one for part in of.subsets for one in picked(cmapss.read_train(folder, part), part, config)]
    if isinstance(of, Table):
        return table.read_table(of, config.channels, given(data))
    return fleet.histories(split.fit + split.calibrate + split.play, of.fleet_seed, config.channels)


def official_tests_of(config: Config, data: Path | None) -> dict[str, list[History]]:
    """The official test set of each part, cut off before the failures; {} for a set without. Raises ForewarnError."""
    of = config.data
    if not isinstance(of, Cmapss):
        return {}
    return {part: picked(cmapss.read_test(folder_of(data), part), part, config) for part in of.subsets}


def picked(histories: list[History], part: str, config: Config) -> list[History]:
    """The config's channels; engines of several parts, whose numbers repeat, are named after theirs."""
    found = cmapss.pick(histories, config.channels)
    if isinstance(config.data, Cmapss) and len(config.data.subsets) > 1:
        return [replace(one, device=f"{part}-{one.device}") for one in found]
    return found


def channel_info(config: Config) -> tuple[ChannelInfo, ...]:
    """Unit and description of the config's channels. Raises DataRefused for an unknown one."""
    if isinstance(config.data, Table):
        return table.channel_info(config.channels)
    known = cmapss.CHANNELS if isinstance(config.data, Cmapss) else fleet.CHANNELS
    return tuple(known[column] for column in columns_of(config.channels, known))


def time_unit(config: Config) -> Literal["s", "cycle"]:
    """What a second of `t_s` stands for."""
    return "cycle" if counts_cycles(config) else "s"


def folder_of(data: Path | None) -> Path:
    return cmapss.cmapss_folder(given(data))


def given(data: Path | None) -> Path:
    if data is None:
        raise ConfigurationRefused("FOREWARN_DATA", "is not set", next_step="Set it, or give --data FOLDER.")
    return data
