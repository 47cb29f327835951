"""What a fuzz target is, and how its bytes become messages."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from tests.fuzz.costs import Costs

SEPARATOR = b"\xfe\xf0\xfe"  # between the messages of an input
MESSAGES_MAX = 16
FIRST_NS = 1_700_000_000 * 10**9
GAPS_NS = (10**9, 0, 10**7, 3 * 10**9, 3600 * 10**9)  # between the arrivals of two messages


@dataclass(frozen=True, slots=True)
class Target:
    """check: fails by an exception for bytes that show a fault; seeds: bytes to begin with."""

    check: Callable[[bytes, Costs], None]
    seeds: Callable[[], Sequence[bytes]]


class Message(NamedTuple):
    topic: str
    payload: bytes
    arrived_ns: int


def messages_of(data: bytes, topics: Sequence[str]) -> list[Message]:
    """The messages of an input. The first byte of each chooses its topic, and how long after the last one it comes."""
    found = []
    arrived_ns = FIRST_NS
    for part in data.split(SEPARATOR, MESSAGES_MAX)[:MESSAGES_MAX]:
        choice, payload = part[:1] or b"\0", part[1:]
        gap, topic = divmod(choice[0], len(topics))
        arrived_ns += GAPS_NS[gap % len(GAPS_NS)]
        found.append(Message(topics[topic], payload, arrived_ns))
    return found


def input_of(*messages: tuple[int, bytes]) -> bytes:
    """The bytes that `messages_of` makes messages of: the first byte, such as the index of a topic, and the payload."""
    return SEPARATOR.join(bytes([topic]) + payload for topic, payload in messages)
