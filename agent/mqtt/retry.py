"""How long a link waits before it connects again, by how the connections before it ended.

Two clients of one id take the connection from each other for ever, and only some brokers say so. What gives them away
elsewhere: the broker accepts, and ends the connection soon after without a reason, again and again, and never is it
away in between. So the first try after such an end comes at once: a broker that restarts is not there yet. Where it is
there each time, the next try waits one to two minutes, as after a takeover that is said.
"""

import random
from enum import Enum

RETRY_MAX_S = 30.0
STEADY_S = 60.0  # a connection that stood so long was a good one: the next wait is short again
SOON_S = 20.0  # one that ended before that, without a reason, was cut short
CUT_SHORT_MAX = 5  # in a row: more than chance
AT_ONCE_S = 0.1  # a hundred gateways are not to come in one instant
TAKEN_OVER_S = (60.0, 120.0)


class End(Enum):
    """What the end of a connection, or of a try, means for the next try."""

    ANEW = "the next try may come at once: something was changed for it"
    CUT = "the broker had accepted, and nobody said why it ended"
    TAKEN_OVER = "the broker said that another client came with our id"
    OTHER = "the broker is away, refuses, or one of the two ends said why"


class Retry:
    """The waits of one link. Times are seconds of any clock that only goes forward.

    due_s         when to connect next
    other_client  what speaks for another client with our id, "" for nothing
    """

    def __init__(self, retry_min_s: float) -> None:
        """retry_min_s: the first wait, and that after a connection that stood for STEADY_S."""
        self.due_s = 0.0
        self.other_client = ""
        self._retry_min_s = retry_min_s
        self._wait_s = retry_min_s
        self._accepted_at_s: float | None = None
        self._n_cut_short = 0

    def accept(self, now_s: float) -> None:
        """The broker took the connection."""
        self._accepted_at_s = now_s

    def advance(self, now_s: float) -> bool:
        """Whether the connection has stood for STEADY_S: then every doubt from before it is over."""
        is_steady = self._accepted_at_s is not None and now_s - self._accepted_at_s >= STEADY_S
        if is_steady:
            self.other_client = ""
            self._wait_s = self._retry_min_s
        return is_steady

    def end(self, end: End, now_s: float) -> None:
        """Decide when the next try is due, and whether another client is behind this end."""
        self.advance(now_s)
        stood_s = now_s - self._accepted_at_s if self._accepted_at_s is not None else 0.0
        self._accepted_at_s = None
        self._n_cut_short = self._n_cut_short + 1 if end is End.CUT and stood_s < SOON_S else 0
        if end is End.TAKEN_OVER:
            self.other_client = "another client connected with the same client id"
        elif self._n_cut_short >= CUT_SHORT_MAX:
            self.other_client = f"{CUT_SHORT_MAX} connections in a row ended within {SOON_S:.0f} s, and nobody said why"
        self.due_s = now_s + self._wait_after(end)

    def _wait_after(self, end: End) -> float:
        if end is End.ANEW:
            return 0.0
        if end is End.TAKEN_OVER or self._n_cut_short >= CUT_SHORT_MAX:
            return random.uniform(*TAKEN_OVER_S)
        if end is End.CUT:
            return random.uniform(0, AT_ONCE_S)
        wait_s = self._wait_s * random.uniform(0.5, 1.0)
        self._wait_s = min(2 * self._wait_s, RETRY_MAX_S)
        return wait_s
