"""The life of one MQTT link as a machine without I/O: what happened goes in, what to do and to say comes out.

Input and output have one each. The machine alone knows the phase of a connection; its owner does the network's work,
tells the machine what came of it, and does what the phase asks for:

    waiting      nothing stands. At `due_s` the owner applies `Begun` and makes a client of `protocol.name`.
    opening      name, TCP and TLS, each of which may take seconds, in a thread of the owner's.
    connecting   CONNECT is on its way, CONNACK is due.
    subscribing  the broker has accepted. What the owner waits for before it is ready (SUBACK) is due.
    ready        everything was answered; a connection may stand so for months.
    closed       the agent ends.

TRANSITIONS is the whole table, and the drawing in docs/operations.md is made from it. An event that has no place in it
is a mistake of the owner's, and raises. A mistake of the *broker's*, such as a second CONNACK, has one: it ends the
connection as a protocol error, so that nothing a broker says can stop the agent.

Every end leads to `waiting`. How long it lasts is retry.py's to decide, and which MQTT comes next is protocol.py's; a
try whose version has just changed comes at once. A change of state is said once, not with each try: the same loss for
the same reason is no news until the link was connected in between.

A session that the broker keeps (`keeps_session`) brings what it could not deliver with the next connection, that which
has ended this one too. So the second protocol error in a row, for the same reason, makes the next session a clean one.

Such a session is *in doubt* where it may be one that subscribes to nothing: a CONNECT that stays without an answer may
have begun it, or the connection may have ended before all was subscribed. The next CONNACK then says that there is a
session, and not that it missed what came meanwhile. The same holds after another client with our id, which was given
what is ours. So history counts as lost: a gap that is none costs each device one row, and a loss that nobody says may
cost an alert.

Times are seconds of any clock; one that runs back is taken as standing still.
"""

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, cast

from agent.mqtt.link_events import (
    Accepted,
    Begun,
    Broken,
    Closed,
    Ending,
    Event,
    Left,
    Lost,
    Opened,
    Refused,
    Subscribed,
    Unanswered,
    Unreachable,
)
from agent.mqtt.protocol import Protocol
from agent.mqtt.reason_code import ReasonCode
from agent.mqtt.retry import End, Retry


class Phase(StrEnum):
    """See the top of this file."""

    WAITING = "waiting"
    OPENING = "opening"
    CONNECTING = "connecting"
    SUBSCRIBING = "subscribing"
    READY = "ready"
    CLOSED = "closed"


_ANY_END: dict[type[Event], Phase] = {
    Lost: Phase.WAITING,
    Broken: Phase.WAITING,
    Closed: Phase.CLOSED,
}
_SECOND_CONNACK: dict[type[Event], Phase] = {Accepted: Phase.WAITING, Refused: Phase.WAITING}
TRANSITIONS: dict[Phase, dict[type[Event], Phase]] = {
    Phase.WAITING: {Begun: Phase.OPENING, Closed: Phase.CLOSED},
    Phase.OPENING: {Opened: Phase.CONNECTING, Unreachable: Phase.WAITING, Closed: Phase.CLOSED},
    Phase.CONNECTING: {Accepted: Phase.SUBSCRIBING, Refused: Phase.WAITING, Unanswered: Phase.WAITING, **_ANY_END},
    Phase.SUBSCRIBING: {Subscribed: Phase.READY, Unanswered: Phase.WAITING, **_SECOND_CONNACK, **_ANY_END},
    Phase.READY: {Left: Phase.WAITING, **_SECOND_CONNACK, **_ANY_END},
    Phase.CLOSED: {},
}


@dataclass(frozen=True, slots=True)
class Notice:
    """What is worth a line in the log. `lost` is a connection, `not_connected` a try that failed."""

    event: Literal["connected", "lost", "not_connected", "client_id_taken", "session_lost"]
    why: str


@dataclass(frozen=True, slots=True)
class Change:
    """What came of an event.

    has_ended         the connection, or the try, is over: the owner lets go of its client
    is_protocol_error it ended for what the broker said
    is_history_lost   the broker has accepted, and messages may have been missed since the connection before
    is_new_session    the broker has accepted, and the session before is gone: its packet identifiers mean nothing
    """

    notices: tuple[Notice, ...] = ()
    has_ended: bool = False
    is_protocol_error: bool = False
    is_history_lost: bool = False
    is_new_session: bool = False


class LinkState:
    """One link. Everything that may be read is written here alone.

    phase          see the top of this file
    protocol       the MQTT version of this connection, or of the next one
    why            why it is not connected, "" when it is
    limits         what the broker says that it cannot do, in words
    n_connections  how many the broker has accepted
    is_in_doubt    the session that the broker keeps may have missed messages, and nobody says so
    """

    def __init__(
        self,
        version: str,
        *,
        retry_min_s: float,
        answer_within_s: float,
        keeps_session: bool = False,
        has_past: bool = False,
        is_in_doubt: bool = False,
    ) -> None:
        """How it connects.

        version          `5`, `3.1.1` or `auto`
        answer_within_s  how long CONNACK, and then SUBACK, may take
        keeps_session    the broker is asked to keep the session over the end of a connection
        has_past         an earlier process had a session: what it brought until now is missed where that is gone
        is_in_doubt      as it was when that process ended
        """
        self.phase = Phase.WAITING
        self.protocol = Protocol(version)
        self.why = "not connected yet"
        self.limits: tuple[str, ...] = ()
        self.n_connections = 0
        self._retry = Retry(retry_min_s)
        self._answer_within_s = answer_within_s
        self._answer_by_s = math.inf
        self.is_in_doubt = keeps_session and is_in_doubt
        self._keeps_session = keeps_session
        self._has_past = has_past
        self._last_error = ""  # the protocol error before, of a connection that was not steady
        self._is_session_spoilt = False
        self._last_notice: Notice | None = None
        self._now_s = -math.inf

    @property
    def is_connected(self) -> bool:
        """Whether the broker has accepted the connection, and it stands."""
        return self.phase in (Phase.SUBSCRIBING, Phase.READY)

    @property
    def due_s(self) -> float:
        """When the next try is due, while it waits."""
        return self._retry.due_s

    @property
    def starts_clean(self) -> bool:
        """Whether the next CONNECT asks the broker to forget the session before."""
        return not self._keeps_session or self._is_session_spoilt

    @property
    def other_client(self) -> str:
        """What speaks for another client with our id, "" for nothing."""
        return self._retry.other_client

    def is_overdue(self, now_s: float) -> bool:
        """Whether the broker should have answered by now: the owner then applies `Unanswered`."""
        return now_s >= self._answer_by_s

    def hear(self, now_s: float) -> None:
        """Messages came: the broker is there, and what it owes may stand behind all that waited in a kept session."""
        if self.phase is Phase.SUBSCRIBING:
            self._answer_by_s = self._forward(now_s) + self._answer_within_s

    def advance(self, now_s: float) -> None:
        """Time goes on: a connection that has stood for long ends every doubt from before it."""
        if self._retry.advance(self._forward(now_s)):
            self._last_error = ""

    def apply(self, event: Event, now_s: float) -> Change:
        """Take an event. Raises RuntimeError for one that has no place in this phase, or a try before it is due."""
        now_s = self._forward(now_s)
        phase = TRANSITIONS[self.phase].get(type(event))
        if phase is None or (isinstance(event, Begun) and now_s < self.due_s):
            raise RuntimeError(f"{event} while the link is {self.phase}")
        before, self.phase = self.phase, phase
        self._answer_by_s = math.inf
        if phase is Phase.WAITING:
            is_second = isinstance(event, Accepted | Refused) and before is not Phase.CONNECTING
            return self._end(Broken("a second CONNACK") if is_second else cast(Ending, event), before, now_s)
        if isinstance(event, Accepted):
            return self._accept(event, now_s)
        if isinstance(event, Begun):
            self.protocol.begin(now_s)
        elif isinstance(event, Opened):
            self._answer_by_s = now_s + self._answer_within_s
        elif isinstance(event, Subscribed):
            self.is_in_doubt = False
        return Change()

    def _accept(self, event: Accepted, now_s: float) -> Change:
        is_new_session = self.starts_clean or not event.has_session
        is_history_lost = self._has_past and (is_new_session or self.is_in_doubt)
        why_lost = "the broker does not have it any more" if is_new_session else "it may have missed messages"
        why_lost = "it brought the same protocol error twice" if self._is_session_spoilt else why_lost
        self._has_past = True
        self.is_in_doubt = self._keeps_session and (self.is_in_doubt or is_new_session)
        self.protocol.accept()
        self._retry.accept(now_s)
        self._answer_by_s = now_s + self._answer_within_s
        self._is_session_spoilt = False
        self.limits = event.limits
        self.n_connections += 1
        self.why = ""
        session = ("a new session" if is_new_session else "the session was kept",) if self._keeps_session else ()
        words = [f"MQTT {self.protocol.name}", *session, *event.limits]
        notices = self._news(Notice("connected", "; ".join(words)))
        if is_history_lost and self._keeps_session:
            notices += (Notice("session_lost", why_lost),)
        return Change(notices, is_history_lost=is_history_lost, is_new_session=is_new_session)

    def _end(self, event: Ending, before: Phase, now_s: float) -> Change:
        self.advance(now_s)
        was_accepted = before in (Phase.SUBSCRIBING, Phase.READY)
        end, self.why = _meaning(event, was_accepted=was_accepted)
        if isinstance(event, Broken):
            self._is_session_spoilt |= event.why == self._last_error
            self._last_error = event.why
        if before is Phase.CONNECTING and not isinstance(event, Refused):
            self.is_in_doubt = self._keeps_session and self._has_past
        is_early = before is Phase.CONNECTING and end is not End.TAKEN_OVER
        if is_early and self._has_other_version(event, now_s):
            end = End.ANEW
        other_before = self.other_client
        self._retry.end(end, now_s)
        notices = self._news(Notice("lost" if was_accepted else "not_connected", self.why))
        if self.other_client not in ("", other_before):
            notices += (Notice("client_id_taken", self.other_client),)
        if self.other_client:
            self.is_in_doubt = self._keeps_session
        return Change(notices, has_ended=True, is_protocol_error=isinstance(event, Broken))

    def _has_other_version(self, event: Ending, now_s: float) -> bool:
        """Whether an end before the broker accepted makes the next try one in another version."""
        if isinstance(event, Refused):
            return event.code == ReasonCode.UNSUPPORTED_PROTOCOL_VERSION and self.protocol.refuse(now_s)
        return self.protocol.close_early(now_s)

    def _news(self, notice: Notice) -> tuple[Notice, ...]:
        """The notice, unless it was the last one too."""
        if notice == self._last_notice:
            return ()
        self._last_notice = notice
        return (notice,)

    def _forward(self, now_s: float) -> float:
        self._now_s = max(self._now_s, now_s)
        return self._now_s


def _meaning(event: Ending, *, was_accepted: bool) -> tuple[End, str]:
    """What an end means for the next try, and why it came, in words."""
    if isinstance(event, Refused):
        return End.ANEW if event.is_mended else End.OTHER, f"the broker refuses: {event.why}"
    if isinstance(event, Broken):
        return End.OTHER, f"protocol error: {event.why}"
    if isinstance(event, Unanswered):
        return End.OTHER, " ".join(filter(None, ["the broker does not answer", event.what]))
    if isinstance(event, Lost):
        if event.code == ReasonCode.SESSION_TAKEN_OVER:
            return End.TAKEN_OVER, f"the connection ended: {event.why}"
        if event.is_from_broker or event.code != ReasonCode.UNSPECIFIED_ERROR:
            return End.OTHER, f"the connection ended: {event.why}"
        when = "" if was_accepted else " before it answered"
        return End.CUT if was_accepted else End.OTHER, f"the broker or the network closed the connection{when}"
    return End.ANEW if isinstance(event, Left) else End.OTHER, event.why
