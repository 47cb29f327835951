"""When a connection is made again, by how the ones before it ended; the same for input and output.

Two clients of one id take the connection from each other for ever, and only some brokers say so. What gives them away
elsewhere: the broker accepts, and ends the connection soon after without a reason, again and again, and never is it
away in between. So the first try after such an end comes at once: a broker that restarts is not there yet. Where it is
there each time, the next try waits one to two minutes, as after a takeover that is said.
"""

import random
from dataclasses import dataclass
from typing import Literal

from paho.mqtt.client import DisconnectFlags
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from structlog.typing import FilteringBoundLogger

from agent.mqtt.protocol import Protocol

RETRY_MAX_S = 30.0
STEADY_S = 60.0  # a connection that stood so long was a good one: the next wait is short again
SOON_S = 20.0  # one that ended before that, without a reason, was cut short
CUT_SHORT_MAX = 5  # in a row: more than chance
AT_ONCE_S = 0.1  # a hundred gateways are not to come in one instant
TAKEN_OVER_S = (60, 120)
_TAKEN_OVER, _SESSION_TAKEN_OVER = 0x8E, "Session taken over"
_UNSUPPORTED_PROTOCOL = "Unsupported protocol version"
_NO_WORD = "Unspecified error"  # what paho makes of a connection that just ends

Kind = Literal["unreachable", "refused", "wrong_version", "early", "cut", "explained", "taken_over", "left"]


@dataclass(frozen=True, slots=True)
class End:
    """How a connection ended, or came to nothing.

    unreachable    nobody answered, or the secret cannot be read
    refused        the broker said no, `wrong_version` where it does not speak this MQTT
    early          it ended before the broker had answered
    cut            it ended after the broker had accepted it, and nobody said why
    explained      broker or agent gave a reason, `taken_over` where another client came with our id
    left           the agent ended it, to make it anew
    """

    kind: Kind
    why: str

    @classmethod
    def of_refusal(cls, reason: ReasonCode, properties: Properties | None) -> "End":
        kind: Kind = "wrong_version" if str(reason) == _UNSUPPORTED_PROTOCOL else "refused"
        return cls(kind, f"the broker refuses: {reason}{_more(properties)}")

    @classmethod
    def of_loss(
        cls, flags: DisconnectFlags, reason: ReasonCode, properties: Properties | None, *, was_accepted: bool
    ) -> "End":
        why = f"the connection ended: {reason}{_more(properties)}"
        if str(reason) == _SESSION_TAKEN_OVER:
            return cls("taken_over", why)
        if flags.is_disconnect_packet_from_server or str(reason) != _NO_WORD:
            return cls("explained" if was_accepted else "early", why)
        when = "" if was_accepted else " before it answered"
        return cls("cut" if was_accepted else "early", f"the broker or the network closed the connection{when}")


def _more(properties: Properties | None) -> str:
    """What the broker says beyond the reason: in its own words, and which server to use instead."""
    said = getattr(properties, "ReasonString", "")
    server = getattr(properties, "ServerReference", "")
    return (f" ({said})" if said else "") + (f"; it names another server: {server}" if server else "")


def say_taken(log: FilteringBoundLogger, client_id: str, why: str) -> None:
    """Two agents of one client id, said or surmised."""
    next_step = f"Is another agent called {client_id}? Give each its own agent.node or broker.client_id."
    log.error("client_id_taken", client_id=client_id, why=why, next_step=next_step)


class Retry:
    """The waits of one link, and the MQTT version it speaks. Times are of any clock that only goes forward."""

    def __init__(self, wanted: str, least_s: float) -> None:
        self.protocol = Protocol(wanted)
        self._least_s = least_s  # the first wait, and that after a connection that stood long
        self.due_s = 0.0  # when to connect next
        self.other = ""  # what speaks for another client with our id, "" for nothing
        self._accepted_at_s: float | None = None
        self._wait_s = least_s
        self._n_cut_short = 0

    def accepted(self, now_s: float) -> None:
        """The broker took the connection."""
        self.protocol.accepted()
        self._accepted_at_s = now_s

    def look(self, now_s: float) -> None:
        """While a connection stands: one that outlasts every doubt ends it."""
        if self._accepted_at_s is not None and now_s - self._accepted_at_s >= STEADY_S:
            self.other = ""
            self._n_cut_short = 0
            self._wait_s = self._least_s

    def ended(self, end: End, now_s: float) -> bool:
        """Decide when the next connection is due; True when `other` says something new."""
        self.look(now_s)
        stood_s = now_s - self._accepted_at_s if self._accepted_at_s is not None else 0.0
        self._accepted_at_s = None
        self._n_cut_short = self._n_cut_short + 1 if end.kind == "cut" and stood_s < SOON_S else 0
        is_taken = end.kind == "taken_over" or self._n_cut_short >= CUT_SHORT_MAX
        before, self.other = self.other, self._say_other(end) if is_taken else self.other
        if end.kind == "left" or self._has_turned(end, now_s):
            self.due_s = now_s
        elif is_taken:
            self.due_s = now_s + random.uniform(*TAKEN_OVER_S)
        elif end.kind == "cut":
            self.due_s = now_s + random.uniform(0, AT_ONCE_S)
        else:
            self.due_s = now_s + self._wait_s * random.uniform(0.5, 1.0)
            self._wait_s = min(2 * self._wait_s, RETRY_MAX_S)
        return self.other != before

    def _has_turned(self, end: End, now_s: float) -> bool:
        if end.kind == "wrong_version":
            return self.protocol.refused(now_s)
        return end.kind == "early" and self.protocol.closed_early(now_s)

    def _say_other(self, end: End) -> str:
        if end.kind == "taken_over":
            return "another client connected with the same client id"
        return f"{CUT_SHORT_MAX} connections in a row ended within {SOON_S:.0f} s, and nobody said why"
