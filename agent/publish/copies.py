"""What the broker retains of alerts, put right on a connection: what stands is told again, what is nobody's is removed.

Both wait in memory alone, since the next connection begins anew, and go after everything that the cursor has: 20,000
messages that somebody else retained must not hold a new alert up, nor fill the outbox. So they also leave half of the
window free. What stands and is refused becomes a row of the cursor, which is tried again; removals are given up then,
until the next connection.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from structlog.typing import FilteringBoundLogger

from agent.publish.message import Outgoing, outgoing
from agent.publish.topic import Topics
from agent.store.cursor import Cursor, Parked
from agent.words import AlertKey


@dataclass(frozen=True, slots=True)
class Copy:
    """A retained message that is under way. `key` is None for a topic that no alert of ours has.

    is_ours  the alert table has the alert, which stands or has ended
    """

    key: AlertKey | None
    message: Outgoing
    is_ours: bool = False

    @property
    def is_removal(self) -> bool:
        return not self.message.payload


class Copies:
    """Those of one connection that are still to be sent."""

    def __init__(self, cursor: Cursor, topics: Topics, log: FilteringBoundLogger) -> None:
        self._cursor = cursor
        self._topics = topics
        self._log = log
        self._keys: deque[AlertKey] = deque(cursor.standing())
        self._foreign: deque[str] = deque()  # topics

    def __len__(self) -> int:
        return len(self._keys) + len(self._foreign)

    @property
    def n_standing(self) -> int:
        """Of alerts that stand."""
        return len(self._keys)

    def remove(self, topics: Iterable[str]) -> None:
        """The broker retains these, and nobody stands behind them."""
        self._foreign.extend(topics)

    def forget_removals(self) -> None:
        """Nothing more is removed."""
        self._foreign.clear()

    def pop(self) -> Copy | None:
        """The next one, as the alert table has it now; None when there is none."""
        if self._keys:
            return self._copy(self._keys.popleft())
        if not self._foreign:
            return None
        topic = self._foreign.popleft()
        key_of = self._topics.alert_of(topic)  # None as older forewarns named them
        return self._copy(key_of) if key_of else Copy(None, Outgoing(topic, b"", retain=True))

    def accept(self, copy: Copy) -> None:
        """The broker has taken it."""
        if copy.is_removal:
            say = self._log.info if copy.is_ours else self._log.warning
            why = "the alert has ended" if copy.is_ours else "the alert table does not have it"
            say("retained_alert_removed", topic=copy.message.topic, why=why)

    def refuse(self, copy: Copy, kind: Parked, why: str) -> bool:
        """The broker does not take it; True where it is a row now, which is parked."""
        if copy.key is not None and not copy.is_removal:
            self._cursor.park_copy(copy.key, kind)
            return True
        self._log.warning("retained_alerts_left", count=1 + len(self._foreign), why=why)
        self.forget_removals()
        return False

    def _copy(self, key: AlertKey) -> Copy:
        due = self._cursor.copy(key)
        return Copy(key, outgoing(due, self._topics), is_ours=due.event is not None)
