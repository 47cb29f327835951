"""Where the channels of a source stand in a row: the row of a machine may come in parts, by several sources.

A source that *joins* another brings readings of that one's devices: it is their *owner*, whose rows have columns for
the channels of both. Where a source neither joins nor is joined, its channels are its columns.
"""

from collections.abc import Sequence

import numpy as np

from agent.sources import Source
from agent.words import Float32, Int64


class Layout:
    """The columns of all sources.

    owner      index of the source whose devices each source's readings are of
    n_columns  F, the most that an owner's rows have
    """

    def __init__(self, sources: Sequence[Source]) -> None:
        """Raises ValueError where a source joins one that there is not, or a column is beyond its owner's."""
        index = {source.name: place for place, source in enumerate(sources)}
        self.owner = [index[source.joins or source.name] for source in sources]
        self._columns = [_columns(source) for source in sources]
        widths = [sources[owner].width or len(sources[owner].channels) for owner in self.owner]
        for source, columns, width in zip(sources, self._columns, widths, strict=True):
            if len(columns) != len(source.channels) or max(columns, default=-1) >= width:
                what = f"{len(source.channels)} channels in the columns {columns} of {width}"
                raise ValueError(f"source {source.name!r} has {what}")
        self.n_columns = max(widths)
        self._is_whole = [columns == [*range(self.n_columns)] for columns in self._columns]

    def rows(self, source: int, x: Float32) -> Float32:
        """float32 [n, F] of a source's channels float32 [n, its own]; NaN in the columns that it has not."""
        if self._is_whole[source]:
            return x
        rows = np.full((len(x), self.n_columns), np.nan, np.float32)
        rows[:, self._columns[source]] = x
        return rows

    def put(self, rows: Float32, place: Int64, source: int, x: Float32) -> None:
        """Write a source's channels float32 [k, its own] into the rows at int64 [k] `place`."""
        if self._is_whole[source]:
            rows[place] = x
        else:
            rows[place[:, None], self._columns[source]] = x


def brings_parts(source: Source, owner: Source) -> bool:
    """Whether a reading that lacks channels is an update of the others, and nothing is wrong with it."""
    rules = (source.align, owner.align)
    ages_s = [channel.max_age_s for channel in (*source.channels, *owner.channels)]
    return bool(source.channel) or any(ages_s) or any(rule.every_s or rule.max_age_s for rule in rules)


def _columns(source: Source) -> list[int]:
    return [*source.columns] if source.columns else [*range(len(source.channels))]
