"""What of a recording cannot be right, and what to do about a source that brought nothing."""

from collections.abc import Mapping, Sequence

import numpy as np
from structlog.typing import FilteringBoundLogger

from agent.devices.rows import Rows
from agent.sources import Source
from agent.table.times_meant import CLOCKS, YEAR_2000_NS, meant

ASK = "no row, since no Sparkplug birth was heard: --ask asks the edge nodes for theirs, which names their metrics"


class Doubts:
    """Times before the year 2000, said once of each source: mostly a number in another unit than `time.unit`.

    of_source  what was said, by the name of the source
    """

    def __init__(self, sources: Sequence[Source], log: FilteringBoundLogger) -> None:
        self.of_source: dict[str, str] = {}
        self._sources = sources
        self._log = log
        self._counts_cycles = np.array([one.time_unit == "cycle" for one in sources])

    def hear(self, parts: Sequence[Rows]) -> None:
        """Rows that are recorded."""
        for rows in parts:
            is_early = (rows.t_ns < YEAR_2000_NS) & ~self._counts_cycles[rows.source]
            for index in np.unique(rows.source[is_early]).tolist():
                self._say(self._sources[index], int(rows.t_ns[is_early & (rows.source == index)][0]))

    def _say(self, source: Source, t_ns: int) -> None:
        if source.name in self.of_source:
            return
        time, unit = str(np.datetime64(t_ns, "ns").astype("M8[s]")), source.time_unit
        looks = next((meant(t_ns / ns, name) for name, (_, ns) in CLOCKS.items() if name == unit), "")
        hint = f" They look like {looks}." if looks else ""
        self._log.warning("times_before_2000", source=source.name, time=time, next_step=f"Is time.unit right?{hint}")
        self.of_source[source.name] = f"times of {time[:4]}: is time.unit right?{hint}"


def unborn(
    sources: Sequence[Source], n_rows: Mapping[str, int], drops: Mapping[str, Mapping[str, int]], *, asks: bool
) -> dict[str, str]:
    """Of Sparkplug sources without a row, for want of births that nobody asked for: what to do."""
    return {
        one.name: ASK
        for one in sources
        if not asks and not n_rows.get(one.joins or one.name) and drops.get(one.name, {}).get("no_birth")
    }
