"""The clock of a simulated world: time passes only where somebody waits, and what is due happens meanwhile."""

import heapq
import math
from collections.abc import Callable

START_NS = 1_700_000_000 * 10**9  # wall time at the beginning, in nanoseconds since 1970
TICK_NS = 1_000  # at least so long takes each wait, as on a machine: no loop can turn without time
Action = Callable[[], None]


class Clock:
    """Monotonic and wall time. `now_ns` counts from 0; the wall may be set."""

    def __init__(self) -> None:
        self.now_ns = 0
        self._wall_ns = START_NS
        self._due: list[tuple[int, int, Action]] = []
        self._n = 0

    @property
    def now_s(self) -> float:
        return self.now_ns / 1e9

    def monotonic(self) -> float:
        return self.now_ns / 1e9

    def monotonic_ns(self) -> int:
        return self.now_ns

    def time(self) -> float:
        return self.time_ns() / 1e9

    def time_ns(self) -> int:
        return self._wall_ns + self.now_ns

    def set_wall(self, by_s: float) -> None:
        """Somebody sets the wall clock."""
        self._wall_ns += round(by_s * 1e9)

    def at(self, at_s: float, action: Action) -> None:
        """Let `action` happen at monotonic at_s, or now where that has passed."""
        self._n += 1
        heapq.heappush(self._due, (max(self.now_ns, round(at_s * 1e9)), self._n, action))

    def after(self, delay_s: float, action: Action) -> None:
        self.at(self.now_s + delay_s, action)

    def sleep(self, span_s: float) -> None:
        self.wait(lambda: False, span_s)

    def wait(self, is_over: Callable[[], bool], longest_s: float) -> bool:
        """Let time pass until `is_over`, at most longest_s; whether it was over."""
        until_ns = self.now_ns + max(0, math.ceil(longest_s * 1e9)) + TICK_NS
        while not is_over():
            if not self._due or self._due[0][0] > until_ns:
                self.now_ns = until_ns
                return False
            self._go_on()
            while self._due and self._due[0][0] <= self.now_ns:  # what comes at once comes together
                self._go_on()
        return True

    def _go_on(self) -> None:
        at_ns, _, action = heapq.heappop(self._due)
        self.now_ns = max(self.now_ns, at_ns)
        action()
