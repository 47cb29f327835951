"""The clock of arrival: wall time that never runs back, whatever is done to the gateway's clock.

Log time is the greatest arrival time so far. Were arrival set back by an hour with the wall, log time would stand still
for that hour: two readings of one device would arrive at the same time, and silence would not be noticed.
"""

import time

from structlog.typing import FilteringBoundLogger

SET_BACK_NS = 10**9  # that much is logged


class ArrivalClock:
    """Goes on by the monotonic clock from the last time that it gave, for as long as the wall is behind that."""

    def __init__(self, log: FilteringBoundLogger, not_before_ns: int) -> None:
        self._log = log
        self._last_ns = not_before_ns
        self._monotonic_ns = time.monotonic_ns()
        self._has_logged = False

    def now_ns(self) -> int:
        """Nanoseconds since 1970, never less than before or than `not_before_ns`."""
        wall_ns = time.time_ns()  # read first: a pause between the two must not put this clock ahead
        monotonic_ns = time.monotonic_ns()
        self._last_ns = max(wall_ns, self._last_ns + monotonic_ns - self._monotonic_ns)
        self._monotonic_ns = monotonic_ns
        is_behind = self._last_ns - wall_ns > SET_BACK_NS
        if is_behind and not self._has_logged:
            next_step = "Readings are taken as arriving by the time before. Let NTP set this machine's clock."
            self._log.warning("clock_set_back", by_s=(self._last_ns - wall_ns) / 1e9, next_step=next_step)
        self._has_logged = is_behind
        return self._last_ns
