"""What an output reads back of its own topics: alerts that the broker retains, and what other agents of its node say.

An alert that the broker retains and the alert table does not know is removed, unless another agent of this node is
alive: it may be that one's. So nobody is judged before all others have had the time to answer (others.py).
"""

from collections.abc import Collection

from structlog.typing import FilteringBoundLogger

from agent.errors import Unreadable
from agent.publish.others import Others
from agent.publish.topic import Topics

RETAINED_MAX = 100_000  # alerts that are read back of one connection


class OwnTopics:
    """Times are seconds of any clock that only goes forward.

    refusals  subscriptions that the broker refuses, in words
    others    the other agents of this node
    """

    def __init__(self, topics: Topics, instance: str, client_id: str, log: FilteringBoundLogger) -> None:
        self.refusals: list[str] = []
        self.others = Others(instance, client_id)
        self._topics = topics
        self._log = log
        self._retained: set[str] = set()  # topics of alerts that the broker retains, until they have been looked at
        self._has_logged_unreadable = False

    @property
    def filters(self) -> tuple[str, str]:
        """What the output subscribes to."""
        return self._topics.alerts, self._topics.instance

    def connect(self, now_s: float) -> None:
        """A new connection, on which all that is retained comes again."""
        self.refusals = []
        self._retained.clear()
        self._has_logged_unreadable = False
        self.others.connect(now_s)

    def refuse(self, why: str) -> None:
        """The broker refuses a subscription."""
        limit = f"no subscription ({why}): what it retains, or other agents of this name, cannot be seen"
        if limit not in self.refusals:
            self.refusals.append(limit)
            self._log.warning("output_limited", why=limit, next_step="Let it read forewarn's own topics: its ACL.")

    def take(self, topic: str, payload: bytes, now_s: float, *, retain: bool) -> None:
        """A message of the broker."""
        if topic != self._topics.instance:
            if retain and payload and len(self._retained) < RETAINED_MAX:  # what is said now is not ours to judge
                self._retained.add(topic)
        elif not retain:  # a retained one is of whoever asked last, and may be dead
            self._take_instance(payload, now_s)

    def advance(self, now_s: float) -> list[tuple[bytes, bool]]:
        """Time goes on: what is to be said to other agents now, payload and whether it is retained."""
        if self.others.advance(now_s):
            self._log.info("other_agent_gone", node=self._topics.root)
        return self.others.take()

    def is_settled(self, now_s: float) -> bool:
        """Whether retained alerts may be judged: there are some, and other agents have had the time to answer."""
        return bool(self._retained) and self.others.is_settled(now_s)

    def foreign(self, standing: Collection[str]) -> list[str]:
        """Once `is_settled`: topics of retained alerts that are to be removed, all but those of what stands."""
        foreign = sorted(self._retained.difference(standing))
        self._retained.clear()
        if foreign and self.others.other is not None:
            self._log.warning("retained_alerts_left", count=len(foreign), why=self.others.describe())
            return []
        return foreign

    def _take_instance(self, payload: bytes, now_s: float) -> None:
        try:
            is_new = self.others.receive(payload, now_s)
        except Unreadable as error:
            if not self._has_logged_unreadable:
                next_step = "Only agents of this node are to write it: the broker's ACL."
                topic = self._topics.instance
                self._log.warning("instance_unreadable", topic=topic, why=str(error), next_step=next_step)
            self._has_logged_unreadable = True
            return
        if is_new:
            next_step = "Give each agent its own agent.node; nothing of the other one is removed."
            why = self.others.describe()
            self._log.error("other_agent_connected", node=self._topics.root, why=why, next_step=next_step)
