"""What a fuzzed call may cost, in processor time and in memory."""

import math
import tracemalloc
from collections.abc import Callable
from time import process_time
from typing import TypeVar

T = TypeVar("T")
TRIES = 7  # a busy machine may take eight times as long; the least of the tries counts


class Costs:
    """Measures calls, and fails one that costs more than may be.

    slowest_s  the longest that a call has taken; most_bytes  the most memory that one has held, while tracing
    """

    def __init__(self, *, seconds_max: float = math.inf, bytes_max: float = math.inf) -> None:
        """bytes_max: of memory that a call holds while it works; tracemalloc must be on for it."""
        self._seconds_max = seconds_max
        self._bytes_max = bytes_max
        self.slowest_s = 0.0
        self.most_bytes = 0

    def of(self, prepare: Callable[[], Callable[[], T]]) -> T:
        """What the call that `prepare` makes gives; it is made anew for each try. Raises AssertionError."""
        least_s = math.inf
        for _ in range(TRIES):
            call = prepare()
            before_bytes = self._bytes_before()
            start_s = process_time()
            given = call()
            least_s = min(least_s, process_time() - start_s)
            if least_s <= self._seconds_max:
                break
        if tracemalloc.is_tracing():
            held = tracemalloc.get_traced_memory()[1] - before_bytes
            assert held <= self._bytes_max, f"it held {held} bytes, at most {self._bytes_max:.0f} may be"
            self.most_bytes = max(self.most_bytes, held)
        assert least_s <= self._seconds_max, f"it took {least_s * 1e3:.0f} ms, at most {self._seconds_max * 1e3:.0f}"
        self.slowest_s = max(self.slowest_s, least_s)
        return given

    @staticmethod
    def _bytes_before() -> int:
        if not tracemalloc.is_tracing():
            return 0
        tracemalloc.reset_peak()
        return tracemalloc.get_traced_memory()[0]
