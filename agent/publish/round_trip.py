"""Whether what a broker of MQTT 3.1.1 acknowledges is also passed on: a PUBACK of 3.1.1 has no reason.

Such a broker acknowledges what its ACL throws away too (mosquitto does), so an outbox that trusted it would lose every
alert without a word. So the output subscribes to what it publishes itself, and what comes back proves the path: for the
message itself, and for what is sent after it under a topic of the same kind, as long as the connection stands. What was
sent before it proves itself or is sent again: somebody may have mended the ACL in between.

MQTT 5 says the reason in its PUBACK, and needs no proof.
"""

from structlog.typing import FilteringBoundLogger

from agent.publish.others import BYTES_MAX
from agent.publish.topic import Topics

PATIENCE_S = 5.0  # after its PUBACK a message has come back, or does not


class RoundTrip:
    """What one output knows of its paths, over its connections.

    is_needed  whether a PUBACK on this connection means nothing by itself
    """

    def __init__(self, topics: Topics, log: FilteringBoundLogger, *, is_asked_for: bool) -> None:
        """is_asked_for: False trusts every PUBACK."""
        self.is_needed = False
        self._topics = topics
        self._log = log
        self._is_asked_for = is_asked_for
        self._n_sent = 0
        self._due: dict[tuple[str, bytes], int] = {}  # number of the newest message of this topic and payload
        self._proven_from: dict[str, int] = {}  # kind of topic -> number of the first message that came back
        self._failed: dict[str, str] = {}  # kind of topic -> a topic under which nothing comes back

    @property
    def why(self) -> str:
        """What is not delivered, in words, "" where nothing is wrong."""
        topics = " and ".join(self._failed.values())
        what = "the broker acknowledges it, and it does not come back"
        return f"alerts not deliverable: {what} under {topics}" if topics else ""

    def connect(self, *, is_5: bool) -> None:
        """A new connection, on which nothing is proven."""
        self.is_needed = self._is_asked_for and not is_5
        self._proven_from.clear()
        self._due.clear()
        if not self.is_needed:
            self._mend(*self._failed)

    def send(self, topic: str, payload: bytes) -> int:
        """A message goes out: its number."""
        self._n_sent += 1
        if self.is_needed and self._kind(topic) not in self._proven_from:
            self._due[topic, payload[: BYTES_MAX + 1]] = self._n_sent
        return self._n_sent

    def receive(self, topic: str, payload: bytes) -> bool:
        """A message comes that is not retained; True where it proves the path of its kind, which it does once.

        Of a longer payload the first BYTES_MAX + 1 bytes come.
        """
        number = self._due.get((topic, payload))
        if number is None:
            return False
        kind = self._kind(topic)
        self._proven_from[kind] = number
        self._due = {key: due for key, due in self._due.items() if self._kind(key[0]) != kind}
        self._mend(kind)
        return True

    def is_proven(self, number: int, topic: str) -> bool:
        """Whether the PUBACK of the message of this number means that it was passed on."""
        return not self.is_needed or number >= self._proven_from.get(self._kind(topic), number + 1)

    def give_up(self, topic: str) -> None:
        """A message was acknowledged and did not come back within PATIENCE_S."""
        kind = self._kind(topic)
        if kind in self._failed:
            return
        self._failed[kind] = topic
        next_step = (
            f"Let this user write and read {self._topics.root}/# (the broker's ACL); where it may not read that, "
            'publish.delivered_by = "acknowledgement" trusts the broker.'
        )
        self._log.error("alerts_not_deliverable", why=self.why, next_step=next_step)

    def _kind(self, topic: str) -> str:
        """A path to prove: an ACL gives the topics of alerts by one pattern."""
        return "event" if topic == self._topics.event else "alert"

    def _mend(self, *kinds: str) -> None:
        mended = [self._failed.pop(kind, None) for kind in kinds]
        if any(mended) and not self._failed:
            self._log.info("alerts_deliverable")
