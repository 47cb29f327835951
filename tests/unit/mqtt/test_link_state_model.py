"""The link's machine against a small model of it, which remembers every end and works all out from that anew.

Hypothesis is the broker, the network and the clock: any event that may come in a phase comes, at any time.
"""

import math
from dataclasses import dataclass

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from agent.mqtt.link_events import (
    Accepted,
    Begun,
    Broken,
    Closed,
    Left,
    Lost,
    Opened,
    Refused,
    Subscribed,
    Unanswered,
    Unreachable,
)
from agent.mqtt.link_state import Change, LinkState, Phase
from agent.mqtt.reason_code import ReasonCode

pytestmark = pytest.mark.slow

RETRY_MIN_S, RETRY_MAX_S, STEADY_S, SOON_S, ANSWER_S = 0.5, 30.0, 60.0, 20.0, 10.0
MINUTE_S, DAY_S = 60.0, 86_400.0
STEPS_S = [0.0, 0.05, 1.0, 9.0, 11.0, 19.0, 21.0, 61.0, 250.0, 4000.0, 90_000.0]
CONNECTED = (Phase.SUBSCRIBING, Phase.READY)


@dataclass(frozen=True)
class Ended:
    """An end, as the model remembers it.

    stood_s   seconds since the broker had accepted, -1 where it had not
    kind      `anew`, `cut`, `taken` or `other`; `turned` where the version changed with it
    grows     whether the wait after it was one of those that double
    error     the protocol error that it was, "" for none
    """

    stood_s: float
    kind: str
    grows: bool
    error: str


class Links(RuleBasedStateMachine):
    """`phase`, `now_s` and `ends` are the model, `link` is what is tested."""

    @initialize(version=st.sampled_from(["auto", "auto", "5", "3.1.1"]), keeps_session=st.booleans())
    def start(self, version, keeps_session):
        self.link = LinkState(version, retry_min_s=RETRY_MIN_S, answer_within_s=ANSWER_S, keeps_session=keeps_session)
        self.version, self.keeps_session = version, keeps_session
        self.phase, self.now_s = Phase.WAITING, 1000.0
        self.ends: list[Ended] = []
        self.said: tuple[str, str] | None = None
        self.other_client = ""
        self.back_s = 0.0
        self.accepted_at_s = self.asked_at_s = self.due_from_s = self.due_to_s = 0.0
        self.n_connections = self.n_early = 0
        self.fell_at_s = math.inf
        self.is_in_doubt = False
        self.has_spoken = False  # the version of now, since it was turned to

    # Time ------------------------------------------------------------------------------------------------------------

    @rule(step_s=st.sampled_from(STEPS_S))
    def time_passes(self, step_s):
        self.now_s += step_s

    @precondition(lambda self: self.phase in CONNECTED)
    @rule()
    def it_stands_for_long(self):
        self.now_s += STEADY_S + 1

    @rule(back_s=st.sampled_from([0.5, 100.0, 1e6]))
    def the_clock_runs_back(self, back_s):
        """What the link is told next is taken as of the newest time before."""
        self.back_s = back_s

    # A try -----------------------------------------------------------------------------------------------------------

    @precondition(lambda self: self.phase is Phase.WAITING)
    @rule()
    def begin(self):
        before = self.link.protocol.name
        if self.now_s < self.link.due_s:
            with pytest.raises(RuntimeError):
                self.link.apply(Begun(), self.now_s)
            self.now_s = self.link.due_s
        assert self._apply(Begun(), Phase.OPENING) == []
        if self.now_s >= self.fell_at_s + DAY_S:
            assert self.link.protocol.name == "5", "3.1.1 never holds for good"
        if self.link.protocol.name != before:
            assert (before, self.version) == ("3.1.1", "auto")
            assert self.now_s >= self.fell_at_s + MINUTE_S
            self._turn()

    @precondition(lambda self: self.phase is Phase.WAITING)
    @rule(has_session=st.booleans(), is_subscribed=st.booleans())
    def connect(self, has_session, is_subscribed):
        """All of the way at once, so that many connections come in a row."""
        self.begin()
        self.open(is_there=True)
        self.accept(has_session=has_session, limits=())
        if is_subscribed:
            self.subscribe()

    @precondition(lambda self: self.phase is Phase.WAITING)
    @rule(n=st.integers(1, 6), stands_s=st.sampled_from([0.5, 19.0, 21.0]))
    def another_client_takes_the_connection(self, n, stands_s):
        """And the broker does not say so."""
        for _ in range(n):
            self.connect(has_session=False, is_subscribed=True)
            self.now_s += stands_s
            self.cut()

    @precondition(lambda self: self.phase is Phase.WAITING)
    @rule(
        answers=st.lists(st.sampled_from(["refuses", "hangs up", "hangs up", "accepts"]), min_size=1, max_size=6),
        later_s=st.sampled_from([0.0, 61.0, 90_000.0]),
    )
    def the_broker_does_not_take_this_version(self, answers, later_s):
        """It says so, or just hangs up, or takes it all the same and hangs up later."""
        for answer in answers:
            self.begin()
            self.open(is_there=True)
            if answer == "refuses":
                self.refuse_version()
                continue
            if answer == "accepts":
                self.accept(has_session=False, limits=())
            self.cut()
        self.now_s += later_s

    @precondition(lambda self: self.phase is not Phase.WAITING)
    @rule()
    def begin_again(self):
        """Never two tries at once."""
        with pytest.raises(RuntimeError):
            self.link.apply(Begun(), self.now_s)

    @precondition(lambda self: self.phase is Phase.OPENING)
    @rule(is_there=st.booleans())
    def open(self, is_there):
        if is_there:
            assert self._apply(Opened(), Phase.CONNECTING) == []
            self.asked_at_s = self.now_s
        else:
            self._end(Unreachable("nobody there"), "other", "nobody there")

    @precondition(lambda self: self.phase is Phase.CONNECTING)
    @rule(has_session=st.booleans(), limits=st.sampled_from([(), ("no wildcards",)]))
    def accept(self, has_session, limits):
        is_clean = self._starts_clean()
        change = self._tell(Accepted(limits, has_session))
        self.phase, self.accepted_at_s, self.asked_at_s = Phase.SUBSCRIBING, self.now_s, self.now_s
        is_new = is_clean or not has_session
        assert change.is_history_lost == (self.n_connections > 0 and (is_new or self.is_in_doubt))
        assert change.is_new_session == is_new
        self.is_in_doubt = self.keeps_session and (is_new or self.is_in_doubt)
        self.n_connections += 1
        self.n_early, self.has_spoken = 0, True
        self.ends.append(Ended(-1, "accepted", False, "clean" if is_clean else ""))
        session = ["a new session" if is_new else "the session was kept"] if self.keeps_session else []
        words = "; ".join([f"MQTT {self.link.protocol.name}", *session, *limits])
        lost: list[tuple[str, str]] = []
        if self.keeps_session and change.is_history_lost:
            why = "the broker does not have it any more" if is_new else "it may have missed messages"
            lost = [("session_lost", "it brought the same protocol error twice" if is_clean else why)]
        self._check_said(change.notices, ("connected", words), *lost)

    @precondition(lambda self: self.phase is Phase.CONNECTING)
    @rule(reason=st.sampled_from([ReasonCode.NOT_AUTHORIZED, ReasonCode.RETAIN_NOT_SUPPORTED]), is_mended=st.booleans())
    def refuse(self, reason, is_mended):
        why = f"the broker refuses: {reason.name}"
        self._end(Refused(reason, reason.name, is_mended), "anew" if is_mended else "other", why)

    @precondition(lambda self: self.phase is Phase.CONNECTING)
    @rule()
    def refuse_version(self):
        self._end(
            Refused(ReasonCode.UNSUPPORTED_PROTOCOL_VERSION, "version"),
            "other",
            "the broker refuses: version",
            turns=self.version == "auto",
        )

    @precondition(lambda self: self.phase is Phase.SUBSCRIBING)
    @rule()
    def subscribe(self):
        assert self._apply(Subscribed(), Phase.READY) == []
        self.is_in_doubt = False

    # Ends ------------------------------------------------------------------------------------------------------------

    @precondition(lambda self: self.phase in (Phase.CONNECTING, Phase.SUBSCRIBING))
    @rule()
    def answer_never(self):
        self.now_s = max(self.now_s, self.asked_at_s + ANSWER_S)
        assert self.link.is_overdue(self.now_s)
        self._end(Unanswered(), "other", "the broker does not answer", is_early=self.phase is Phase.CONNECTING)

    @precondition(lambda self: self.phase in (Phase.CONNECTING, *CONNECTED))
    @rule()
    def cut(self):
        is_early = self.phase is Phase.CONNECTING
        why = "the broker or the network closed the connection" + (" before it answered" if is_early else "")
        kind = "other" if is_early else "cut"
        self._end(Lost(ReasonCode.UNSPECIFIED_ERROR, "", is_from_broker=False), kind, why, is_early=is_early)

    @precondition(lambda self: self.phase in (Phase.CONNECTING, *CONNECTED))
    @rule()
    def say_goodbye(self):
        is_early = self.phase is Phase.CONNECTING
        lost = Lost(ReasonCode.UNSPECIFIED_ERROR, "going down", is_from_broker=True)
        self._end(lost, "other", "the connection ended: going down", is_early=is_early)

    @precondition(lambda self: self.phase in (Phase.CONNECTING, *CONNECTED))
    @rule()
    def take_over(self):
        lost = Lost(ReasonCode.SESSION_TAKEN_OVER, "taken", is_from_broker=True)
        self._end(lost, "taken", "the connection ended: taken")

    @precondition(lambda self: self.phase in (Phase.CONNECTING, *CONNECTED))
    @rule(error=st.sampled_from(["QoS 3", "junk"]))
    def break_protocol(self, error):
        is_early = self.phase is Phase.CONNECTING
        self._end(Broken(error), "other", f"protocol error: {error}", is_early=is_early, error=error)

    @precondition(lambda self: self.phase in CONNECTED)
    @rule(event=st.sampled_from([Accepted(), Refused(ReasonCode.UNSUPPORTED_PROTOCOL_VERSION, "version")]))
    def answer_twice(self, event):
        self._end(event, "other", "protocol error: a second CONNACK", error="a second CONNACK")

    @precondition(lambda self: self.phase is Phase.READY)
    @rule()
    def leave(self):
        self._end(Left("anew"), "anew", "anew")

    # What must hold always -------------------------------------------------------------------------------------------

    @invariant()
    def what_is_read_is_what_the_model_says(self):
        link = self.link
        assert link.phase is self.phase
        assert link.is_connected == (self.phase in CONNECTED)
        assert (link.why == "") == link.is_connected
        assert link.n_connections == self.n_connections
        assert link.starts_clean == self._starts_clean()
        assert link.is_in_doubt == self.is_in_doubt
        if self.phase is Phase.WAITING and self.ends:
            assert self.due_from_s <= link.due_s <= self.due_to_s
        if self.version != "auto":
            assert link.protocol.name == self.version
        link.advance(self.now_s)
        self._forget_doubts()
        assert link.other_client == self.other_client

    def teardown(self):
        if hasattr(self, "link"):
            self._apply(Closed(), Phase.CLOSED)

    # The model -------------------------------------------------------------------------------------------------------

    def _apply(self, event, phase: Phase) -> list:
        change = self._tell(event)
        self.phase = phase
        return list(change.notices)

    def _tell(self, event) -> Change:
        """By a clock that may have run back since the link saw it last."""
        if self.back_s:
            self.link.advance(self.now_s)
        change = self.link.apply(event, self.now_s - self.back_s)
        self.back_s = 0.0
        return change

    def _end(self, event, kind: str, why: str, *, is_early: bool = False, turns: bool = False, error: str = "") -> None:
        was_accepted = self.phase in CONNECTED
        if self.phase is Phase.CONNECTING and not isinstance(event, Refused):
            self.is_in_doubt = self.keeps_session and self.n_connections > 0
        stood_s = self.now_s - self.accepted_at_s if was_accepted else -1.0
        self._forget_doubts()
        self.n_early += is_early
        if is_early and self.version == "auto":
            turns = self.n_early == 2 and not (self.has_spoken and self.link.protocol.name == "5")
        if is_early and self.n_early == 2:
            self.n_early = 0
        before = self.link.protocol.name
        change = self._tell(event)
        self.phase = Phase.WAITING
        assert change.has_ended
        assert change.is_protocol_error == bool(error)
        assert (self.link.protocol.name != before) == turns
        if turns:
            self._turn()
            kind = "turned"
        n_cut = self._n_cut_short() + 1 if kind == "cut" and stood_s < SOON_S else 0
        is_taken = kind == "taken" or n_cut >= 5
        low_s, high_s, grows = self._wait(kind, stood_s, is_taken=is_taken)
        self.due_from_s, self.due_to_s = self.now_s + low_s, self.now_s + high_s
        self.ends.append(Ended(stood_s, kind, grows, error))
        was_other = self.other_client
        if kind == "taken":
            self.other_client = "another client connected with the same client id"
        elif n_cut >= 5:
            self.other_client = "5 connections in a row ended within 20 s, and nobody said why"
        self.is_in_doubt |= self.keeps_session and bool(self.other_client)
        taken = [("client_id_taken", self.other_client)] if self.other_client not in ("", was_other) else []
        self._check_said(change.notices, ("lost" if was_accepted else "not_connected", why), *taken)

    def _wait(self, kind: str, stood_s: float, *, is_taken: bool) -> tuple[float, float, bool]:
        """Least and longest wait after an end, and whether the next one is to be longer."""
        if kind in ("anew", "turned"):
            return 0.0, 0.0, False
        if is_taken:
            return 60.0, 120.0, False
        if kind == "cut":
            return 0.0, 0.1, False
        n_before = 0
        if stood_s < STEADY_S:
            for end in reversed(self.ends):
                n_before += end.grows
                if end.stood_s >= STEADY_S:
                    break
        most_s = min(RETRY_MIN_S * 2**n_before, RETRY_MAX_S)
        return most_s / 2, most_s, True

    def _n_cut_short(self) -> int:
        """Connections in a row, up to now, that were cut short."""
        n = 0
        for end in reversed([end for end in self.ends if end.kind != "accepted"]):
            if end.kind != "cut" or end.stood_s >= SOON_S:
                break
            n += 1
        return n

    def _starts_clean(self) -> bool:
        """Unless the broker keeps sessions, and the newest is not one that ended twice for the same error in a row."""
        last, is_spoilt = "", False
        for end in self.ends:
            if end.kind == "accepted":
                is_spoilt = False
                continue
            if end.stood_s >= STEADY_S:
                last = ""
            if end.error:
                is_spoilt |= end.error == last
                last = end.error
        return not self.keeps_session or is_spoilt

    def _forget_doubts(self) -> None:
        if self.phase in CONNECTED and self.now_s - self.accepted_at_s >= STEADY_S:
            self.other_client = ""

    def _turn(self) -> None:
        self.n_early, self.has_spoken = 0, False
        self.fell_at_s = self.now_s if self.link.protocol.name == "3.1.1" else math.inf

    def _check_said(self, notices, *expected: tuple[str, str]) -> None:
        """Each change of state once: what was said last is not said again."""
        news = list(expected[1:])
        if expected[0] != self.said:
            news.insert(0, expected[0])
            self.said = expected[0]
        assert [(notice.event, notice.why) for notice in notices] == news


TestLinks = Links.TestCase
TestLinks.settings = settings(max_examples=150, stateful_step_count=60, deadline=None)
