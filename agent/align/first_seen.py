"""Which devices are known to be new: their life begins with their first row, and no row came before it.

The first is what a source says of its devices (`first_seen = "new"`). The second the core knows as long as it misses
nothing. After lost history (a restart, a new connection), or after a device was refused for want of room, a device that
is heard for the first time may have begun unheard. One that lives is heard within `stale_after`, as far as the operator
knows, so that is how long the doubt lasts; until then a device is of unknown age.
"""

from collections.abc import Sequence

import numpy as np

from agent.words import Bool, Int64, Source


class Newness:
    """Log times from which on nobody has begun unheard, and nothing that was lost may still come.

    None when it counts from the next entry on. A device that was refused moves the first one only.
    """

    def __init__(self, sources: Sequence[Source], stale_after_s: float) -> None:
        self.from_ns: int | None = 0
        self.complete_from_ns: int | None = 0
        self._begins_new = [source.first_seen == "new" for source in sources]
        self._doubt_ns = round(stale_after_s * 1e9)

    def restore(self, from_ns: int | None, complete_from_ns: int | None) -> None:
        """As a snapshot has them."""
        self.from_ns, self.complete_from_ns = from_ns, complete_from_ns

    def lose_history(self) -> None:
        """Rows may have been missed up to the next entry."""
        self.from_ns = self.complete_from_ns = None

    def advance(self, log_time_ns: int) -> None:
        """An entry comes."""
        if self.from_ns is None:
            self.from_ns = log_time_ns + self._doubt_ns
        if self.complete_from_ns is None:
            self.complete_from_ns = log_time_ns + self._doubt_ns

    def has_all(self, log_times: Int64) -> Bool:
        """Whether nothing that was lost may still come, bool [n], with rows that come at log_times int64 [n]."""
        from_ns = self.complete_from_ns
        return log_times >= from_ns if from_ns is not None else np.zeros(len(log_times), np.bool_)

    def miss(self, source: int, log_time_ns: int) -> None:
        """A row of an unknown device is left out: when it is heard again it is not for the first time."""
        if self._begins_new[source]:
            self.from_ns = log_time_ns + self._doubt_ns

    def is_new(self, source: int, log_time_ns: int) -> bool:
        """Whether a device of the source begins its life with a row that comes now."""
        return self._begins_new[source] and self.from_ns is not None and log_time_ns >= self.from_ns
