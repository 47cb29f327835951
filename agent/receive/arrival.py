"""The clock of arrival: wall time that never runs back, and leaps only where the wall stays there.

Log time is the greatest arrival time so far. Were arrival set back by an hour with the wall, log time would stand still
for that hour: two readings of one device would arrive at the same time, and silence would not be noticed.

What it has once told it cannot take back. So a wall that leaps by more than a day is not followed before it has stayed
there for a minute: a glitch of a clock chip or of an NTP server would else date all that comes after it. Time in which
the machine slept is no leap, since the clock beside the wall counts it. A wall that was behind was wrong, as on a
gateway that boots in 1970: where that one leaps ahead, somebody has set it right.
"""

import time

from structlog.typing import FilteringBoundLogger

SET_BACK_NS = 10**9  # that much is logged
LEAP_NS = 86_400 * 10**9
STAYS_NS = 60 * 10**9


class ArrivalClock:
    """Goes on by the time since the boot from the last time that it gave, while the wall is behind that or leaps."""

    def __init__(self, log: FilteringBoundLogger, not_before_ns: int) -> None:
        self._log = log
        self._last_ns = not_before_ns
        self._boot_ns = _since_boot_ns()
        self._is_first = True  # nobody knows how long the agent was away
        self._leapt_ns: int | None = None  # since when, by the time since the boot, the wall is ahead by a leap
        self._is_behind = False  # the wall, by so much that it was said

    def now_ns(self) -> int:
        """Nanoseconds since 1970, never less than before or than `not_before_ns`."""
        wall_ns = time.time_ns()  # read first: a pause between the two must not put this clock ahead
        boot_ns = _since_boot_ns()
        goes_on_ns = self._last_ns + boot_ns - self._boot_ns
        follows = self._follows(wall_ns - goes_on_ns, boot_ns)
        self._last_ns = max(wall_ns, goes_on_ns) if follows else goes_on_ns
        self._boot_ns, self._is_first = boot_ns, False
        self._say_set_back(self._last_ns - wall_ns)
        return self._last_ns

    def _follows(self, ahead_ns: int, boot_ns: int) -> bool:
        """Whether the wall is to be believed, which is so far ahead."""
        if ahead_ns <= LEAP_NS or self._is_first or self._is_behind:
            if self._leapt_ns is not None:
                self._leapt_ns = None
                self._log.info("clock_came_back", ahead_s=ahead_ns / 1e9)
            return True
        if self._leapt_ns is None:
            self._leapt_ns = boot_ns
            next_step = "It is followed when it stays there for a minute. Which clock sets this machine's?"
            self._log.warning("clock_leapt", by_s=ahead_ns / 1e9, next_step=next_step)
        if boot_ns - self._leapt_ns < STAYS_NS:
            return False
        self._leapt_ns = None
        self._log.warning("clock_leap_followed", by_s=ahead_ns / 1e9)
        return True

    def _say_set_back(self, ahead_ns: int) -> None:
        """Once each time that the wall is behind what this clock tells."""
        is_behind = ahead_ns > SET_BACK_NS
        if is_behind and not self._is_behind:
            next_step = "Readings are taken as arriving by the time before. Let NTP set this machine's clock."
            if ahead_ns > LEAP_NS:
                days = f"{ahead_ns / LEAP_NS:.0f} days ahead of the wall"
                next_step = (
                    f"Arrival, and alerts with it, are dated {days} until that catches up. If the wall is right, see "
                    '"A clock that was days ahead" in docs/operations.md.'
                )
            self._log.warning("clock_set_back", by_s=ahead_ns / 1e9, next_step=next_step)
        self._is_behind = is_behind


def _since_boot_ns() -> int:
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)
