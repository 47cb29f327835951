"""Which devices are known to be new: their life begins with their first row, and no row came before it.

The first is what a source says of its devices (`first_seen = "new"`). The second the core knows as long as it misses
nothing of that source. After lost history (a restart, a new connection to its broker), or after a device was refused
for want of room, a device that is heard for the first time may have begun unheard. One that lives is heard within
`stale_after`, as far as the operator knows, so that is how long the doubt lasts; until then a device is of unknown age.
"""

from collections.abc import Sequence

import numpy as np

from agent.sources import Source
from agent.words import Bool, Int64

NEXT_ENTRY = 2**62  # ns: it counts from the next entry on; no log time ever comes so far


class Newness:
    """Of each source, log times int64 [n] from which on nobody has begun unheard, and nothing lost may still come.

    NEXT_ENTRY when it counts from the next entry on. A device that was refused moves the first one only.
    """

    def __init__(self, sources: Sequence[Source], stale_after_s: float) -> None:
        self.from_ns = np.zeros(len(sources), np.int64)
        self.complete_from_ns = np.zeros(len(sources), np.int64)
        self._begins_new = [source.first_seen == "new" for source in sources]
        self._doubt_ns = round(stale_after_s * 1e9)
        self._is_waiting = False  # for the next entry

    def restore(self, from_ns: Sequence[int], complete_from_ns: Sequence[int]) -> None:
        """As a snapshot has them, by source."""
        self.from_ns[:], self.complete_from_ns[:] = from_ns, complete_from_ns
        self._is_waiting = True

    def lose_history(self, source: int | slice) -> None:
        """Rows of a source, or of several, may have been missed up to the next entry."""
        self.from_ns[source] = self.complete_from_ns[source] = NEXT_ENTRY
        self._is_waiting = True

    def advance(self, log_time_ns: int) -> None:
        """An entry comes."""
        if self._is_waiting:
            self._is_waiting = False
            for times in (self.from_ns, self.complete_from_ns):
                times[times == NEXT_ENTRY] = log_time_ns + self._doubt_ns

    def has_all(self, source: Int64, log_times: Int64) -> Bool:
        """Whether nothing that was lost may still come, bool [n], with rows that come at log_times int64 [n]."""
        return log_times >= self.complete_from_ns[source]

    def miss(self, source: int, log_time_ns: int) -> None:
        """A row of an unknown device is left out: when it is heard again it is not for the first time."""
        if self._begins_new[source]:
            self.from_ns[source] = log_time_ns + self._doubt_ns

    def begin_new(self, source: Int64) -> Bool:
        """Of whose devices the source says that they begin with their first row, bool [n]; source may be any number."""
        return np.isin(source, np.flatnonzero(self._begins_new))

    def is_new(self, source: int, log_time_ns: int) -> bool:
        """Whether a device of the source begins its life with a row that comes now."""
        return self._begins_new[source] and log_time_ns >= int(self.from_ns[source])
