"""What the sources say of how their readings become rows, as columns by source."""

import hashlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from agent.sources import Source
from agent.words import Bool

NS = 10**9
AGE_MAX_S = 2**31  # so that a time and an age are never beyond int64


class Rules:
    """The rules of all sources; those of one that joins another are the owner's.

    every_ns      int64 [sources]     step of the grid, 0 for none
    lateness_ns   int64 [sources]     how long readings wait for older ones
    max_age_ns    int64 [sources, F]  how long a value is held; F is the width of the widest rows
    channels_min  int64 [sources]     how many channels of a grid row must have a value
    counts        bool [sources, F]   channels that count events beside others that are measured
    grids, waits  bool [sources]      rows on a grid; readings that wait
    sums, keeps   bool [sources]      rows with events that are counted; with values that are held
    holds         bool [sources]      a row of each reading, with one of these two
    is_needed     bool [sources, F]   a row made of several readings should have a value of this channel
    fields        by source the field of each column
    """

    def __init__(self, sources: Sequence[Source]) -> None:
        owned = [source for source in sources if not source.joins]
        of = {source.name: _columns(source, [one for one in sources if one.joins == source.name]) for source in owned}
        columns = [of[source.joins or source.name] for source in sources]
        rules = [next(one.align for one in owned if one.name == (source.joins or source.name)) for source in sources]
        self.width = max(len(one) for one in columns)
        self.every_ns = np.array([round(rule.every_s * NS) for rule in rules])
        self.lateness_ns = np.array([round(rule.lateness_s * NS) for rule in rules])
        self.max_age_ns = np.zeros((len(rules), self.width), np.int64)
        for row, rule, ages in zip(self.max_age_ns, rules, columns, strict=True):
            of_source = [rule.max_age_s if one.age_s is None else one.age_s for one in ages]
            row[: len(ages)] = [round(min(age_s or rule.every_s, AGE_MAX_S) * NS) for age_s in of_source]
        is_event = np.zeros((len(rules), self.width), np.bool_)
        for flags, of_rule in zip(is_event, columns, strict=True):
            flags[: len(of_rule)] = [one.is_event for one in of_rule]
        n_channels = np.array([len(one) for one in columns])
        n_measured = n_channels - np.count_nonzero(is_event, axis=1)
        self.counts: Bool = is_event & (n_measured > 0)[:, None]
        self.sums: Bool = self.counts.any(axis=1)
        n_needed = np.where(self.sums, n_measured, n_channels)
        quorum = np.array([rule.quorum for rule in rules])
        self.channels_min = np.maximum(np.ceil(quorum * n_needed - 1e-9).astype(np.int64), 1)
        self.grids: Bool = self.every_ns > 0
        self.keeps: Bool = ~self.grids & (self.max_age_ns > 0).any(axis=1)
        self.holds: Bool = self.keeps | (self.sums & ~self.grids)
        self.waits: Bool = self.lateness_ns > 0
        self.fields = [tuple(of_column.name for of_column in one) for one in columns]
        is_measured: Bool = (np.arange(self.width) < n_channels[:, None]) & ~self.counts
        self.is_needed = is_measured & (self.grids | self.keeps)[:, None]
        self._names = [source.name for source in sources]

    def layouts(self, which: Bool) -> dict[str, str]:
        """What the columns of these sources mean, bool [sources]: a digest by the source's name."""
        return {
            name: hashlib.sha256(repr(fields).encode()).hexdigest()[:16]
            for name, fields, is_in in zip(self._names, self.fields, which.tolist(), strict=True)
            if is_in
        }

    def digest(self, which: Bool) -> str:
        """The same of all of them as one."""
        meant = (self.width, sorted(self.layouts(which).items()))
        return hashlib.sha256(repr(meant).encode()).hexdigest()


class _Column(NamedTuple):
    """Of an owner's rows: its field, with the word of an event; how long it is held; whether it counts events."""

    name: str = ""
    age_s: float | None = None
    is_event: bool = False


def _columns(owner: Source, joining: Sequence[Source]) -> list[_Column]:
    """Each column of an owner's rows."""
    columns = [_Column()] * max(owner.width, len(owner.channels))
    for source in (owner, *joining):
        places = source.columns or range(len(source.channels))
        for place, channel in zip(places, source.channels, strict=True):
            name = f"{channel.field} = {channel.event}" if channel.event else channel.field
            columns[place] = _Column(name, channel.max_age_s, channel.event is not None)
    return columns
