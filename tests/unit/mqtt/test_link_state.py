"""The life of a link by its table: what each event leads to, and what is said. Times are given, nothing waits."""

import pytest

from agent.mqtt import retry
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
from agent.mqtt.link_state import TRANSITIONS, Change, LinkState, Notice, Phase
from agent.mqtt.reason_code import ReasonCode

RETRY_MIN_S, ANSWER_S = 0.5, 10.0
CUT = Lost(ReasonCode.UNSPECIFIED_ERROR, "Unspecified error", is_from_broker=False)
TAKEN = Lost(ReasonCode.SESSION_TAKEN_OVER, "Session taken over", is_from_broker=True)
DENIED = Refused(ReasonCode.NOT_AUTHORIZED, "Not authorized")
OLD = Refused(ReasonCode.UNSUPPORTED_PROTOCOL_VERSION, "Unsupported protocol version")
EVENTS = [Begun(), Unreachable("away"), Opened(), Accepted(), DENIED, Subscribed(), CUT, Broken("x"), Unanswered()]
EVENTS += [Left("anew"), Closed()]
WAY = [Begun(), Opened(), Accepted(), Subscribed()]
PHASES = [Phase.WAITING, Phase.OPENING, Phase.CONNECTING, Phase.SUBSCRIBING, Phase.READY]


def link(phase: Phase = Phase.WAITING, *, version: str = "auto", **session: bool) -> LinkState:
    """A link in this phase, at second 0."""
    one = LinkState(version, retry_min_s=RETRY_MIN_S, answer_within_s=ANSWER_S, **session)
    if phase is Phase.CLOSED:
        one.apply(Closed(), 0.0)
    else:
        apply(one, *WAY[: PHASES.index(phase)])
    return one


def apply(one: LinkState, *events, at_s: float = 0.0) -> Change:
    """What comes of the last of these events; a try waits until it is due."""
    change = Change()
    for event in events:
        if isinstance(event, Begun):
            at_s = max(at_s, one.due_s)
        change = one.apply(event, at_s)
    return change


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
@pytest.mark.parametrize("phase", Phase)
def test_each_event_leads_where_the_table_says_and_one_without_a_place_raises_and_changes_nothing(phase, event):
    one = link(phase)
    wanted = TRANSITIONS[phase].get(type(event))
    if wanted is None:
        with pytest.raises(RuntimeError, match=f"while the link is {phase}"):
            one.apply(event, 0.0)
        assert one.phase is phase
    else:
        change = one.apply(event, 0.0)
        assert one.phase is wanted
        assert change.has_ended == (wanted is Phase.WAITING)


def test_a_try_before_it_is_due_raises():
    one = link(Phase.OPENING)
    one.apply(Unreachable("away"), 0.0)
    assert one.due_s > 0
    with pytest.raises(RuntimeError, match="Begun"):
        one.apply(Begun(), 0.0)
    one.apply(Begun(), one.due_s)


@pytest.mark.parametrize("phase", [Phase.SUBSCRIBING, Phase.READY])
@pytest.mark.parametrize("event", [Accepted(), DENIED, OLD])
def test_a_second_connack_ends_the_connection_as_a_protocol_error_of_the_broker(phase, event):
    one = link(phase)
    change = one.apply(event, 0.0)
    assert (one.phase, one.why, one.protocol.name) == (Phase.WAITING, "protocol error: a second CONNACK", "5")
    assert change.is_protocol_error
    assert one.n_connections == 1


@pytest.mark.parametrize(
    ("phase", "event", "why"),
    [
        (Phase.OPENING, Unreachable("[Errno 111] Connection refused"), "[Errno 111] Connection refused"),
        (Phase.CONNECTING, DENIED, "the broker refuses: Not authorized"),
        (Phase.CONNECTING, CUT, "the broker or the network closed the connection before it answered"),
        (Phase.CONNECTING, Unanswered(), "the broker does not answer"),
        (Phase.SUBSCRIBING, Unanswered("the subscription of p"), "the broker does not answer the subscription of p"),
        (Phase.READY, CUT, "the broker or the network closed the connection"),
        (Phase.READY, TAKEN, "the connection ended: Session taken over"),
        (Phase.READY, Lost(0x8D, "Timeout", is_from_broker=False), "the connection ended: Timeout"),
        (Phase.READY, Lost(0x80, "Unspecified error", is_from_broker=True), "the connection ended: Unspecified error"),
        (Phase.READY, Broken("QoS 3"), "protocol error: QoS 3"),
        (Phase.READY, Left("to try MQTT 5 again"), "to try MQTT 5 again"),
    ],
)
def test_each_end_is_said_in_words(phase, event, why):
    one = link(phase)
    change = one.apply(event, 0.0)
    assert one.why == why
    kind = "lost" if phase in (Phase.SUBSCRIBING, Phase.READY) else "not_connected"
    assert change.notices == (Notice(kind, why), *change.notices[1:])
    assert not one.is_connected


def test_a_change_of_state_is_said_once_until_there_is_another():
    one = link()
    away = [Begun(), Unreachable("away")]
    assert apply(one, *away).notices == (Notice("not_connected", "away"),)
    assert apply(one, *away).notices == ()
    assert apply(one, Begun(), Unreachable("unknown host")).notices == (Notice("not_connected", "unknown host"),)
    accepted = Accepted(("no wildcards",))
    assert apply(one, Begun(), Opened(), accepted).notices == (Notice("connected", "MQTT 5; no wildcards"),)
    assert one.limits == ("no wildcards",)
    assert apply(one, Subscribed(), Broken("x"), at_s=1).notices == (Notice("lost", "protocol error: x"),)


def test_another_client_is_said_with_the_loss_and_once():
    one = link(Phase.READY)
    first = apply(one, TAKEN, at_s=1000)
    assert [notice.event for notice in first.notices] == ["lost", "client_id_taken"]
    assert first.notices[1].why == one.other_client == "another client connected with the same client id"
    assert retry.TAKEN_OVER_S[0] <= one.due_s - 1000 <= retry.TAKEN_OVER_S[1]
    second = apply(one, *WAY, TAKEN, at_s=2000)
    assert [notice.event for notice in second.notices] == ["lost"]
    apply(one, *WAY, at_s=3000)
    one.advance(3000 + retry.STEADY_S)
    assert one.other_client == ""


def test_connack_and_what_is_subscribed_each_have_their_own_time():
    one = link()
    assert not one.is_overdue(1e9)
    apply(one, Begun(), at_s=100)
    assert not one.is_overdue(1e9), "names, TCP and TLS have a time-out of their own"
    apply(one, Opened(), at_s=105)
    assert [one.is_overdue(now_s) for now_s in (114.9, 115.0)] == [False, True]
    apply(one, Accepted(), at_s=114)
    assert [one.is_overdue(now_s) for now_s in (123.9, 124.0)] == [False, True]
    apply(one, Subscribed(), at_s=120)
    assert not one.is_overdue(1e9)


def test_an_answer_may_stand_behind_messages_of_a_kept_session():
    """As long as they come, the broker is there, and an answer to the subscription is not overdue."""
    one = link(Phase.SUBSCRIBING)
    one.hear(9.0)
    assert [one.is_overdue(now_s) for now_s in (18.9, 19.0)] == [False, True]
    apply(one, Subscribed(), at_s=18.0)
    one.hear(20.0)
    assert not one.is_overdue(1e9)


@pytest.mark.parametrize(
    ("keeps_session", "has_session", "is_lost"),
    [(False, False, True), (False, True, True), (True, False, True), (True, True, False)],
)
def test_history_is_lost_with_each_connection_but_the_first_unless_the_broker_kept_the_session(
    keeps_session, has_session, is_lost
):
    one = link(keeps_session=keeps_session)
    assert not apply(one, Begun(), Opened(), Accepted()).is_history_lost
    again = apply(one, Subscribed(), CUT, Begun(), Opened(), Accepted(has_session=has_session))
    assert again.is_history_lost == is_lost


@pytest.mark.parametrize(("keeps_session", "has_session"), [(False, True), (True, False)])
def test_a_session_that_the_process_before_had_is_lost_with_the_first_connection_too(keeps_session, has_session):
    one = link(keeps_session=keeps_session, has_past=True)
    lost = apply(one, Begun(), Opened(), Accepted(has_session=has_session))
    said = [notice.why for notice in lost.notices if notice.event == "session_lost"]
    assert (lost.is_history_lost, said) == (True, ["the broker does not have it any more"] if keeps_session else [])
    kept = link(keeps_session=True, has_past=True)
    change = apply(kept, Begun(), Opened(), Accepted(has_session=True))
    assert (change.is_history_lost, change.is_new_session) == (False, False)
    assert change.notices == (Notice("connected", "MQTT 5; the session was kept"),)


def test_where_sessions_are_kept_it_is_said_that_one_is_new():
    change = apply(link(keeps_session=True), Begun(), Opened(), Accepted(("no wildcards",)))
    assert change.notices == (Notice("connected", "MQTT 5; a new session; no wildcards"),)


@pytest.mark.parametrize(
    "way",
    [
        (Begun(), Opened(), CUT),
        (Begun(), Opened(), Unanswered()),
        (Begun(), Opened(), Broken("junk")),
        (Begun(), Opened(), Accepted(), CUT),
        (Begun(), Opened(), CUT, Begun(), Opened(), Accepted(has_session=True), CUT),
    ],
)
def test_a_session_that_may_subscribe_to_nothing_counts_as_lost_until_all_is_subscribed(way):
    """The broker had lost the session before, and we do not hear of it: the CONNACK or the SUBSCRIBE never came."""
    one = link(keeps_session=True)
    apply(one, *WAY, CUT)
    apply(one, *way, at_s=1e6)
    assert one.is_in_doubt
    change = apply(one, Begun(), Opened(), Accepted(has_session=True), at_s=2e6)
    assert (change.is_history_lost, change.is_new_session, one.is_in_doubt) == (True, False, True)
    assert Notice("session_lost", "it may have missed messages") in change.notices
    apply(one, Subscribed())
    assert not apply(one, CUT, Begun(), Opened(), Accepted(has_session=True), at_s=3e6).is_history_lost


def test_a_session_that_another_client_took_meanwhile_counts_as_lost():
    one = link(keeps_session=True)
    apply(one, *WAY, TAKEN)
    assert apply(one, Begun(), Opened(), Accepted(has_session=True), at_s=1e6).is_history_lost


def test_a_connect_that_is_refused_or_finds_nobody_begins_no_session():
    one = link(keeps_session=True)
    apply(one, *WAY, CUT)
    apply(one, Begun(), Opened(), Refused(ReasonCode.NOT_AUTHORIZED, "no"), at_s=1e6)
    apply(one, Begun(), Unreachable("nobody there"), at_s=2e6)
    assert not apply(one, Begun(), Opened(), Accepted(has_session=True), at_s=3e6).is_history_lost


def test_the_second_protocol_error_in_a_row_for_one_reason_starts_a_clean_session():
    one = link(keeps_session=True)
    apply(one, *WAY, Broken("QoS 3"))
    apply(one, *WAY, Broken("another"))
    apply(one, *WAY, CUT)
    assert not one.starts_clean
    apply(one, *WAY, Broken("another"))
    assert one.starts_clean
    change = apply(one, Begun(), Opened(), Accepted(has_session=True))
    assert change.is_history_lost, "whatever the broker says"
    assert Notice("session_lost", "it brought the same protocol error twice") in change.notices
    assert not one.starts_clean, "once"


def test_a_protocol_error_after_a_long_good_connection_is_the_first_of_its_row():
    one = link(keeps_session=True)
    apply(one, *WAY, Broken("QoS 3"))
    apply(one, *WAY, at_s=100)
    apply(one, Broken("QoS 3"), at_s=100 + retry.STEADY_S)
    assert not one.starts_clean


def test_a_broker_that_does_not_speak_5_is_asked_in_3_1_1_at_once():
    one = link(Phase.CONNECTING)
    one.apply(OLD, 7.0)
    assert (one.protocol.name, one.due_s) == ("3.1.1", 7.0)


def test_a_broker_that_hangs_up_twice_before_it_answers_is_asked_in_3_1_1():
    one = link(Phase.CONNECTING)
    one.apply(CUT, 0.0)
    assert one.protocol.name == "5"
    apply(one, Begun(), Opened(), CUT)
    assert one.protocol.name == "3.1.1"


def test_a_takeover_before_the_broker_answered_says_nothing_of_its_version():
    one = link(Phase.CONNECTING)
    for number in range(4):
        apply(one, TAKEN, Begun(), Opened(), at_s=1000 * number)
    assert one.protocol.name == "5"


def test_what_was_refused_and_is_mended_is_tried_at_once():
    one = link(Phase.CONNECTING)
    one.apply(Refused(ReasonCode.RETAIN_NOT_SUPPORTED, "Retain not supported", is_mended=True), 7.0)
    assert one.due_s == 7.0


def test_time_that_runs_back_stands_still():
    one = link(Phase.READY)
    one.advance(100.0)
    one.apply(Broken("x"), 20.0)
    assert one.due_s >= 100.0
