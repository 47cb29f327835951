"""The one window into the core: columns for status, page and commands, one element a known device."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from agent.core.marks import Key
from agent.words import AlertKey, Bool, Int64, Quality, UInt8


@dataclass(frozen=True, slots=True)
class ModelView:
    """What one model knows of the devices: arrays [n], in the order of `View.device`.

    reads    bool   it reads the device's source, or did while there was one
    quality  uint8  Quality of the newest row that was scored, or STALE
    states   uint8  by head: life cycle of the device's alert, index into agent.judge.lifecycle.STATES
    learns   bool   its own normal is still being learnt
    is_unusual  bool  its own normal was learnt from unusual rows
    """

    name: str
    reads: Bool
    quality: UInt8
    states: Mapping[str, UInt8]
    learns: Bool
    is_unusual: Bool

    def devices_by_quality(self) -> dict[str, int]:
        """How many of the devices that it reads are ok, warming_up, gap, ..."""
        return _by_quality(self.quality[self.reads])

    def n_learning(self) -> int:
        """How many of the devices that it reads it still learns."""
        return int(np.count_nonzero(self.learns & self.reads))

    def n_unusual(self) -> int:
        """Of how many of them it learnt from unusual rows."""
        return int(np.count_nonzero(self.is_unusual & self.reads))


@dataclass(frozen=True, slots=True)
class View:
    """Copies, as of the newest entry: n known devices.

    source       [n] names, "" where the configuration no longer has it; device [n] ids
    heard_ns     int64 [n] log time of the newest row; newest_ns int64 [n] event time of the newest that was taken
    clock_epoch  int64 [n] how often the device's clock or counter has begun anew
    clock_offset_ns  int64 [n] what is taken from the time that the device says
    silent       whose alert of silence stands: source and device, "" for the whole source
    unheard      names of sources of which messages can come, and none was ever read
    alerts       the id of each alert that stands
    n_hidden     how many hides there are, each of a device, of one head or of all of a source
    """

    source: Sequence[str]
    device: Sequence[str]
    heard_ns: Int64
    newest_ns: Int64
    clock_epoch: Int64
    clock_offset_ns: Int64
    models: Sequence[ModelView]
    unheard: Sequence[str]
    silent: Sequence[Key]
    alerts: Mapping[AlertKey, str]
    n_hidden: int

    def n_standing(self) -> int:
        """How many alerts stand."""
        return len(self.alerts)

    def devices_by_quality(self) -> dict[str, int]:
        """How many devices are ok, warming_up, gap, ...: silence must not look like health.

        Where several models read a device, what the worst says of it counts.
        """
        quality = np.zeros(len(self.device), np.uint8)
        is_read = np.zeros(len(self.device), np.bool_)
        for model in self.models:
            is_read |= model.reads
            quality = np.maximum(quality, np.where(model.reads, model.quality, Quality.OK))
        quality[~is_read] = Quality.WARMING_UP
        return _by_quality(quality)


def _by_quality(quality: UInt8) -> dict[str, int]:
    counts = np.bincount(quality, minlength=len(Quality))
    return {one.name.lower(): int(counts[one]) for one in Quality}
