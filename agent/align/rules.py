"""What the sources say of how their readings become rows, as columns by source."""

import hashlib
from collections.abc import Sequence

import numpy as np

from agent.words import Bool, Source

NS = 10**9
AGE_MAX_S = 2**31  # so that a time and an age are never beyond int64


class Rules:
    """The rules of all sources; those of one that joins another are the owner's.

    every_ns      int64 [sources]     step of the grid, 0 for none
    lateness_ns   int64 [sources]     how long readings wait for older ones
    max_age_ns    int64 [sources, F]  how long a value is held; F is the width of the widest rows
    channels_min  int64 [sources]     how many channels of a grid row must have a value
    holds, grids, waits  bool [sources]  rows with values that are held; rows on a grid; readings that wait
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
            of_source = [rule.max_age_s if age_s is None else age_s for _, age_s in ages]
            row[: len(ages)] = [round(min(age_s or rule.every_s, AGE_MAX_S) * NS) for age_s in of_source]
        n_channels = np.array([len(one) for one in columns])
        quorum = np.array([rule.quorum for rule in rules])
        self.channels_min = np.maximum(np.ceil(quorum * n_channels - 1e-9).astype(np.int64), 1)
        self.grids: Bool = self.every_ns > 0
        self.holds: Bool = ~self.grids & (self.max_age_ns > 0).any(axis=1)
        self.waits: Bool = self.lateness_ns > 0
        self.fields = [tuple(field for field, _ in one) for one in columns]
        self.is_needed = (np.arange(self.width) < n_channels[:, None]) & (self.grids | self.holds)[:, None]
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


def _columns(owner: Source, joining: Sequence[Source]) -> list[tuple[str, float | None]]:
    """Field and longest age of each column of an owner's rows."""
    width = max(owner.width, len(owner.channels))
    columns: list[tuple[str, float | None]] = [("", None)] * width
    for source in (owner, *joining):
        places = source.columns or range(len(source.channels))
        for place, channel in zip(places, source.channels, strict=True):
            columns[place] = channel.field, channel.max_age_s
    return columns
