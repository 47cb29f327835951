"""Which MQTT version to speak with a broker."""

import math

EARLY_CLOSES_BEFORE_OTHER = 2
TRY_5_MIN_S, TRY_5_MAX_S = 60.0, 86_400.0  # after a fall back to 3.1.1; four times longer each time it fails
_GROWTH = 4


class Protocol:
    """MQTT 5 first, 3.1.1 where the broker refuses 5 or hangs up on it; fixed when the configuration says so.

    A broker that is just starting hangs up too, so 3.1.1 never holds for good: MQTT 5 is due again after a while, ever
    later while that fails. `name` is the version for the next connection.
    """

    def __init__(self, version: str) -> None:
        self._is_auto = version == "auto"
        self.name = "5" if self._is_auto else version
        self._early_closes = 0
        self._has_spoken_5 = False
        self._was_refused = False  # the broker said that it does not speak 5
        self._try_5_at_s = math.inf
        self._try_5_after_s = TRY_5_MIN_S

    def begin(self, now_s: float) -> None:
        """A connection is about to be made: the time to try MQTT 5 again when that is due."""
        if now_s >= self._try_5_at_s:
            self._turn(now_s)

    def is_5_worth_a_new_connection(self, now_s: float) -> bool:
        """Whether the fall back may have been by chance, and MQTT 5 is due: a broker that refused 5 is left alone."""
        return now_s >= self._try_5_at_s and not self._was_refused

    def refuse(self, now_s: float) -> bool:
        """The broker does not speak this version; True when the other one is to be tried now."""
        self._was_refused = self.name == "5"
        return self._turn(now_s)

    def close_early(self, now_s: float) -> bool:
        """The connection ended before an answer; True when the other version is to be tried now."""
        self._early_closes += 1
        if self._has_spoken_5 or self._early_closes % EARLY_CLOSES_BEFORE_OTHER:
            return False  # a broker that hangs up while it starts again is still the one that speaks MQTT 5
        self._was_refused = False
        return self._turn(now_s)

    def accept(self) -> None:
        """The version works."""
        self._early_closes = 0
        if self.name == "5":
            self._has_spoken_5 = True
            self._try_5_after_s = TRY_5_MIN_S

    def _turn(self, now_s: float) -> bool:
        if not self._is_auto:
            return False
        self._early_closes = 0
        if self.name == "5":
            self.name = "3.1.1"
            self._has_spoken_5 = False
            self._try_5_at_s = now_s + self._try_5_after_s
            self._try_5_after_s = min(_GROWTH * self._try_5_after_s, TRY_5_MAX_S)
        else:
            self.name = "5"
            self._try_5_at_s = math.inf
        return True
