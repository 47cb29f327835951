"""What was heard of a broker: every topic with its first payloads, within bounds. No clock, no network."""

from dataclasses import dataclass, field
from typing import Final, NamedTuple

TOPICS_MAX: Final = 5_000  # topics beyond are counted
MESSAGES_MAX: Final = 1_000_000
PAYLOADS_MAX: Final = 20  # kept of a topic
PAYLOAD_BYTES_MAX: Final = 2**16  # larger ones are counted: the agent drops them too, by its default
KEPT_BYTES_MAX: Final = 4 * 2**20  # of all payloads and topics: as plain objects they are ten times as large
TOPIC_CHARS_MAX: Final = 1024  # a source takes no longer ones
TIMES_MAX: Final = 200  # arrivals kept of a topic


class Message(NamedTuple):
    """One kept message. is_retained: it may be old."""

    topic: str
    payload: bytes
    arrived_ns: int
    is_retained: bool


@dataclass(slots=True)
class Topic:
    """One topic: live messages, retained ones, and the first of both. times_ns: arrivals of the first live ones."""

    n_live: int = 0
    n_retained: int = 0
    n_large: int = 0
    kept: list[Message] = field(default_factory=list)
    times_ns: list[int] = field(default_factory=list)


class Traffic:
    """All that was heard.

    topics       by their names, in the order of their first messages
    n_unlisted   messages of topics beyond TOPICS_MAX, and of topics too long
    n_messages   all
    """

    def __init__(self) -> None:
        self.topics: dict[str, Topic] = {}
        self.n_messages = self.n_unlisted = 0
        self._kept_bytes = 0

    @property
    def is_full(self) -> bool:
        """Whether nothing more needs to be heard."""
        return self.n_messages >= MESSAGES_MAX

    def add(self, message: Message) -> None:
        """Count a message, and keep it where there is room."""
        self.n_messages += 1
        topic = self.topics.get(message.topic)
        if topic is None:
            room = KEPT_BYTES_MAX - self._kept_bytes
            if len(self.topics) >= TOPICS_MAX or len(message.topic) > min(TOPIC_CHARS_MAX, room):
                self.n_unlisted += 1
                return
            topic = self.topics[message.topic] = Topic()
            self._kept_bytes += len(message.topic)
        if message.is_retained:
            topic.n_retained += 1
        else:
            topic.n_live += 1
            if len(topic.times_ns) < TIMES_MAX:
                topic.times_ns.append(message.arrived_ns)
        if len(message.payload) > PAYLOAD_BYTES_MAX:
            topic.n_large += 1
        elif len(topic.kept) < PAYLOADS_MAX and self._kept_bytes + len(message.payload) <= KEPT_BYTES_MAX:
            topic.kept.append(message)
            self._kept_bytes += len(message.payload)
