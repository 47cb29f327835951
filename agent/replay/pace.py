"""How fast recorded rows are played: at a multiple of real time by their own event times, or at once."""

import math
import time

import numpy as np

from agent.score.early_warning import Float64

AT_ONCE = math.inf


class Pace:
    """When each row is due. The first one is due now."""

    def __init__(self, t_s: Float64, speed: float) -> None:
        """t_s float64 [n] event times, not falling; `speed` > 0 times real time, a cycle counting as a second."""
        self._due_s = (t_s - t_s[0]) / speed
        self._begin_s = time.monotonic()

    def n_due(self) -> int:
        """How many rows are due by now."""
        return int(np.searchsorted(self._due_s, time.monotonic() - self._begin_s, side="right"))

    def wait_for(self, row: int) -> int:
        """Sleep until row `row` is due; returns how many are due then."""
        while (n_due := self.n_due()) <= row:
            time.sleep(max(0.0, self._begin_s + float(self._due_s[row]) - time.monotonic()))
        return n_due
