"""The one place that knows which data sets there are: a config's histories, channels and unit of time."""

from pathlib import Path
from typing import Literal

from agent.errors import ConfigurationRefused
from trainer.config import Cmapss, Config
from trainer.data import cmapss, pumps
from trainer.data.history import ChannelInfo, History, columns_of


def histories_of(config: Config, data: Path | None) -> list[History]:
    """Every history that `split` may deal out; `data` is the folder of recorded sets. Raises ForewarnError."""
    of, split = config.data, config.split
    if isinstance(of, Cmapss):
        return cmapss.pick(cmapss.read_train(folder_of(data), of.subset), of.channels)
    return pumps.histories(split.fit + split.calibrate + split.play, of.fleet_seed, of.channels)


def official_test_of(config: Config, data: Path | None) -> list[History]:
    """The official test set, cut off before the failures; empty for a set that has none. Raises ForewarnError."""
    of = config.data
    return cmapss.pick(cmapss.read_test(folder_of(data), of.subset), of.channels) if isinstance(of, Cmapss) else []


def channel_info(config: Config) -> tuple[ChannelInfo, ...]:
    """Unit and description of the config's channels. Raises DataRefused for an unknown one."""
    known = cmapss.CHANNELS if isinstance(config.data, Cmapss) else pumps.CHANNELS
    return tuple(known[column] for column in columns_of(config.data.channels, known))


def time_unit(config: Config) -> Literal["s", "cycle"]:
    """What a second of `t_s` stands for."""
    return "cycle" if isinstance(config.data, Cmapss) else "s"


def folder_of(data: Path | None) -> Path:
    if data is None:
        raise ConfigurationRefused("FOREWARN_DATA", "is not set", next_step="Set it, or give --data FOLDER.")
    return cmapss.cmapss_folder(data)
