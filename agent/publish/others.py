"""Whether another agent of the same node is alive: agents of one name ask and answer on one topic.

Two agents of one node write the same topics, and each would take the other's standing alerts for leftovers of its own.
So an agent asks, with its instance id, when it has connected, and every other agent of that node answers. While one
has answered within the last GONE_S, nothing is removed from the broker. The id of a dead agent, which the broker still
retains, answers nobody.
"""

import socket
from typing import Annotated

import msgspec

BYTES_MAX = 8_192  # of a payload: the longest lines, with every character escaped
ANSWER_WITHIN_S = 5.0  # who has not answered by then is not there
ASK_EVERY_S, GONE_S = 60.0, 150.0  # while another one is there
ANSWER_EVERY_S = 1.0  # at most: whoever floods the topic is not answered at its rate


Line = Annotated[str, msgspec.Meta(max_length=256, pattern=r"^[^\x00-\x1f\x7f]*\Z")]


class Instance(msgspec.Struct, frozen=True):
    """The payload of the instance topic. `asks`: every other agent of this node is to answer."""

    instance: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{16}\Z")]
    client_id: Line
    host: Line
    asks: bool


class Others:
    """What an output knows of other agents of its node. Times are of any clock that only goes forward.

    `other` is the one that has spoken last, None when there is none.
    """

    def __init__(self, instance: str, client_id: str) -> None:
        self.other: Instance | None = None
        self._to_send: list[tuple[bytes, bool]] = []
        self._own = Instance(instance, client_id, socket.gethostname(), asks=True)
        self._last_at_s = self._ask_at_s = self._settled_at_s = 0.0
        self._answer_at_s = 0.0  # not before

    def connect(self, now_s: float) -> None:
        """A new connection: ask, and let the broker retain who has asked last."""
        self._settled_at_s = now_s + ANSWER_WITHIN_S
        self._to_send = []
        self._ask(now_s, retain=True)

    def take(self) -> list[tuple[bytes, bool]]:
        """What is to be said now: payload, and whether it is retained."""
        messages, self._to_send = self._to_send, []
        return messages

    def is_settled(self, now_s: float) -> bool:
        """Whether all who are there have had the time to answer."""
        return now_s >= self._settled_at_s

    def receive(self, payload: bytes, now_s: float) -> bool:
        """Take what a live client said; True for an agent that was not there before. Raises what is `Unreadable`."""
        if len(payload) > BYTES_MAX:
            raise msgspec.DecodeError(f"it is longer than {BYTES_MAX} bytes")
        sender = msgspec.json.decode(payload, type=Instance)
        if _who(sender) == _who(self._own):
            return False
        before, self.other = self.other, sender
        self._last_at_s = now_s
        if sender.asks and now_s >= self._answer_at_s:
            self._answer_at_s = now_s + ANSWER_EVERY_S
            self._to_send.append((msgspec.json.encode(msgspec.structs.replace(self._own, asks=False)), False))
        if before is None:
            self._ask_at_s = now_s + ASK_EVERY_S
        return before is None or _who(before) != _who(sender)

    def describe(self) -> str:
        """The other one in words, "" when there is none."""
        return f"{self.other.client_id} on host {self.other.host} is connected" if self.other is not None else ""

    def advance(self, now_s: float) -> bool:
        """Ask again when it is time; True when the other one has answered no more for GONE_S."""
        if self.other is None:
            return False
        if now_s - self._last_at_s >= GONE_S:
            self.other = None
            return True
        if now_s >= self._ask_at_s:
            self._ask(now_s, retain=False)
        return False

    def _ask(self, now_s: float, *, retain: bool) -> None:
        self._ask_at_s = now_s + ASK_EVERY_S
        self._to_send.append((msgspec.json.encode(self._own), retain))


def _who(agent: Instance) -> tuple[str, str]:
    """A copied state directory has the same id, and cannot be connected with the same client id."""
    return agent.instance, agent.client_id
