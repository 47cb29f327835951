"""Devices that only the alert table knows: what it says of the newest row of each, until one of its rows comes."""

from collections.abc import Mapping

from agent.devices.slots import NEVER

Key = tuple[str, str]  # source and device
Mark = tuple[int, int]  # clock epoch and event time of the newest event that the alert table has of a device


class Marks:
    """They take no slot; a device that is not heard for `forget_after_ns` of log time is let go."""

    def __init__(self, forget_after_ns: int) -> None:
        self._forget_after_ns = forget_after_ns
        self._marks: dict[Key, Mark] = {}
        self._since_ns = NEVER

    def replace(self, marks: Mapping[Key, Mark]) -> None:
        """They wait from the next tick on."""
        self._since_ns, self._marks = NEVER, dict(marks)

    def keep(self) -> tuple[int, dict[Key, Mark]]:
        """Since when, in log time, they wait, NEVER for not yet; a copy of them."""
        return self._since_ns, dict(self._marks)

    def restore(self, since_ns: int, marks: Mapping[Key, Mark]) -> None:
        """As `keep` gave them."""
        self._since_ns, self._marks = since_ns, dict(marks)

    def pop(self, key: Key) -> Mark | None:
        """The mark of a device of which a row has come, None where there is none."""
        return self._marks.pop(key, None) if self._marks else None

    def forget(self, tick_ns: int) -> list[Key]:
        """Whom to forget by now, at the tick of log time tick_ns."""
        if not self._marks:  # nobody waits, so there is no time to be kept: a snapshot has none either
            self._since_ns = NEVER
            return []
        if self._since_ns == NEVER:
            self._since_ns = tick_ns
        if tick_ns - self._since_ns <= self._forget_after_ns:
            return []
        forgotten = [*self._marks]
        self._marks = {}
        return forgotten
