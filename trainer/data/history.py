"""A device's recorded life, as every reader returns it and everything in the trainer takes it."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Self

import numpy as np
import numpy.typing as npt

from agent.errors import DataRefused
from agent.score.stops import no_stops, stops_of
from agent.score.time_unit import nanoseconds, seconds
from agent.table.lives.cut import names_of
from agent.words import Bool, Float32, Int64

Float64 = npt.NDArray[np.float64]
OF_FLOAT64_NS = 500
"""How far nanoseconds by way of a float64 of seconds may be off, until 2116."""


@dataclass(frozen=True, slots=True)
class ChannelInfo:
    """Name, unit and meaning of one column, and what stood for its values: agent.bundle.manifest.Channel.

    event: it counts events since the row before, 0 for none; it is never missing.
    """

    name: str
    unit: str = ""
    description: str = ""
    missing: tuple[float, ...] = ()
    words: dict[str, float] = field(default_factory=dict)
    missing_words: tuple[str, ...] = ()
    column: str = ""
    event: bool = False


@dataclass(frozen=True, slots=True)
class StoppedRows:
    """Rows of a machine that stands or has just started: t_ns int64 [n] event times, rising, and float32 [n] `value` of
    the channel that says so.
    """

    t_ns: Int64 = field(default_factory=lambda: np.empty(0, np.int64))
    value: Float32 = field(default_factory=lambda: np.empty(0, np.float32))

    def __len__(self) -> int:
        return len(self.t_ns)

    @property
    def t_s(self) -> Float64:
        """float64 [n]: the same times in seconds."""
        return seconds(self.t_ns)

    def only(self, which: Bool) -> Self:
        """Those where bool [n] holds."""
        return replace(self, t_ns=self.t_ns[which], value=self.value[which])


@dataclass(frozen=True, slots=True)
class History:
    """All rows of one life in time order: it is played as one device.

    A machine that failed, was repaired or replaced lives anew: its lives are called `p7`, `p7~2`, `p7~3`, as
    `forewarn record` calls them, and `machine` is `p7` for each.

    t_s      float64 [T]     event time in seconds (one second a cycle), rising
    x        float32 [T, F]  raw engineering values, NaN where one is missing
    t_fail   when it failed, or None when it did not within the recording or nobody knows
    t_ns     int64 [T]       event time in nanoseconds, at which it is played: a recording that has it exactly gives
                             it, else it is that of `t_s`
    machine  whose life it is, "" where the device has one life
    faults   float64 [n, 2]  seconds [start, end) of the labelled faults, during which it was not normal; they rise and
                             do not overlap, and the last may end at infinity
    stopped  rows of stops, which are left out of all the others
    """

    device: str
    t_s: Float64
    x: Float32
    t_fail: float | None
    t_ns: Int64 = field(default_factory=lambda: np.empty(0, np.int64))
    machine: str = ""
    faults: Float64 = field(default_factory=lambda: np.empty((0, 2)))
    stopped: StoppedRows = field(default_factory=StoppedRows)

    def __post_init__(self) -> None:
        t_ns = nanoseconds(self.t_s)
        if len(self.t_ns) != len(t_ns) or (np.abs(self.t_ns - t_ns) > OF_FLOAT64_NS).any():  # of other times, or unsaid
            object.__setattr__(self, "t_ns", t_ns)

    def only(self, rows: slice) -> Self:
        """The same history with these rows alone, one after the other, and what it stood between them."""
        start, stop, _ = rows.indices(len(self.t_s))
        from_s = np.append(self.t_s, np.inf)[start] if start else -np.inf
        t_s = self.stopped.t_s
        stopped = self.stopped.only((t_s >= from_s) & (t_s < np.append(self.t_s, np.inf)[stop]))
        return replace(self, t_s=self.t_s[rows], x=self.x[rows], t_ns=self.t_ns[rows], stopped=stopped)

    def between(self, start_s: float, end_s: float) -> Self:
        """The rows from `start_s` to before `end_s`, and what was known of them then: later labels are left out."""
        rows = slice(*np.searchsorted(self.t_s, (start_s, end_s)))
        t_fail = self.t_fail if self.t_fail is not None and self.t_fail < end_s else None
        known = self.faults[(self.faults[:, 0] < end_s) & (self.faults[:, 1] > start_s)]
        stopped = self.stopped.only((self.stopped.t_s >= start_s) & (self.stopped.t_s < end_s))
        return replace(self.only(rows), t_fail=t_fail, faults=np.minimum(known, end_s), stopped=stopped)

    @property
    def owner(self) -> str:
        """The machine; no two parts of a split hold lives of the same one."""
        return self.machine or self.device

    @property
    def watched_s(self) -> Float64:
        """float64 [T + n]: times of all rows, rising, those of stops too."""
        return np.sort(np.concatenate((self.t_s, self.stopped.t_s))) if len(self.stopped) else self.t_s

    @property
    def stops(self) -> Float64:
        """float64 [n, 2]: when it stood, in seconds, as agent.score.stops has it."""
        if not len(self.stopped):
            return no_stops()
        return stops_of(self.watched_s, np.isin(self.watched_s, self.stopped.t_s))

    @property
    def failed(self) -> bool:
        return self.t_fail is not None

    def in_fault(self) -> Bool:
        """Bool [T]: is the row within a labelled fault?"""
        starts, ends = self.faults[:, 0], self.faults[:, 1]
        n_begun = np.searchsorted(starts, self.t_s, side="right")
        return n_begun > np.searchsorted(ends, self.t_s, side="right")

    def observed_left(self) -> Float64:
        """float64 [T]: seconds from each row to the failure, or to the last row of a device that did not fail: its
        remaining life is at least this.
        """
        return (self.t_s[-1] if self.t_fail is None else self.t_fail) - self.t_s

    def faults_within(self, horizons_s: Sequence[float] | Float64) -> tuple[Bool, Bool]:
        """Bool [T, K] each: does the failure fall within each horizon of a row, and is that known?

        Of a device that did not fail it is known only while the whole horizon was recorded: then it did not.
        """
        left, horizons = self.observed_left()[:, None], np.asarray(horizons_s, np.float64)
        within = left <= horizons
        return (within, np.ones_like(within)) if self.failed else (np.zeros_like(within), left >= horizons)


def normal_rows(history: History, h_max_s: float) -> Bool:
    """Bool [T]: rows outside of the labelled faults, and more than twice `h_max_s` before a failure that is known."""
    normal = ~history.in_fault()
    return normal if history.t_fail is None else normal & (history.t_fail - history.t_s > 2 * h_max_s)


def failure_time(history: History) -> float:
    """When a device failed. Raises ValueError for one that did not."""
    if history.t_fail is None:
        raise ValueError(f"device {history.device} did not fail")
    return history.t_fail


def numbered(machine: str, lives: Sequence[History]) -> list[History]:
    """The lives of a machine in their order, under the names of its first, second, ... life."""
    if len(lives) == 1:
        return [replace(lives[0], machine="" if lives[0].device == machine else machine)]
    named = zip(names_of(machine, len(lives)), lives, strict=True)
    return [replace(life, device=name, machine=machine) for name, life in named]


def columns_of(names: Sequence[str], known: Sequence[ChannelInfo]) -> list[int]:
    """Where the named channels are among the `known`. Raises DataRefused for an unknown name."""
    index = {channel.name: column for column, channel in enumerate(known)}
    if unknown := [name for name in names if name not in index]:
        raise DataRefused("data.channels", f"no channel {unknown[0]!r}", next_step=f"Known: {', '.join(index)}.")
    return [index[name] for name in names]


def digest_of(histories: Sequence[History]) -> str:
    """SHA-256 over all that was read of the histories, in their order: what a bundle was made from, as one number."""
    digest = hashlib.sha256()
    for history in histories:
        digest.update(history.device.encode() + b"\0" + history.t_s.tobytes() + history.x.tobytes())
        digest.update(repr(history.t_fail).encode())
        if history.machine or len(history.faults):
            digest.update(history.machine.encode() + b"\0" + history.faults.tobytes())
        digest.update(history.stopped.t_ns.tobytes() + history.stopped.value.tobytes())
    return digest.hexdigest()
