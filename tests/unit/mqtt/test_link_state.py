"""When a connection is made again and in which version: times are given, nothing waits."""

import pytest

from agent.mqtt import link_state, protocol
from agent.mqtt.link_state import End, Retry
from agent.mqtt.protocol import Protocol

LEAST_S = 0.5
CUT, TAKEN, AWAY = End("cut", "cut"), End("taken_over", "taken"), End("unreachable", "refused")


def connected(one: Retry, at_s: float, *, stands_s: float, end: End = CUT) -> bool:
    """A connection that ends after a while; whether that tells something new of another client."""
    one.accepted(at_s)
    return one.ended(end, at_s + stands_s)


def test_waits_double_up_to_a_bound_with_jitter_and_are_short_again_after_a_good_connection():
    one, now_s, waits = Retry("auto", LEAST_S), 0.0, []
    for _ in range(10):
        one.ended(AWAY, now_s)
        waits.append(one.due_s - now_s)
        now_s = one.due_s
    for number, wait_s in enumerate(waits):
        most_s = min(link_state.RETRY_MAX_S, LEAST_S * 2**number)
        assert most_s / 2 <= wait_s <= most_s
    connected(one, now_s, stands_s=link_state.STEADY_S + 1)
    assert one.due_s - (now_s + link_state.STEADY_S + 1) <= LEAST_S


def test_a_connection_that_stood_long_is_no_sign_of_another_client():
    one = Retry("auto", LEAST_S)
    assert [connected(one, number * 1000, stands_s=link_state.SOON_S + 1) for number in range(9)] == [False] * 9
    assert one.other == ""


@pytest.mark.parametrize("between", [AWAY, End("explained", "going down"), End("refused", "no")])
def test_a_broker_that_is_away_in_between_or_says_why_is_no_sign_of_another_client(between):
    """One that restarts again and again: another client would have found it there."""
    one = Retry("auto", LEAST_S)
    for number in range(6):
        assert not connected(one, number, stands_s=1)
        assert not one.ended(between, number)


def test_connections_that_are_cut_short_in_a_row_wait_as_for_a_takeover_until_one_stands():
    one = Retry("auto", LEAST_S)
    for number in range(link_state.CUT_SHORT_MAX - 1):
        assert not connected(one, number, stands_s=1)
        assert one.due_s - (number + 1) <= link_state.AT_ONCE_S, "a broker that restarts is not there yet"
    assert [connected(one, number, stands_s=1) for number in (10, 11, 12)] == [True, False, False]
    assert link_state.TAKEN_OVER_S[0] <= one.due_s - 13 <= link_state.TAKEN_OVER_S[1]
    assert one.other
    one.accepted(100)
    one.look(100 + link_state.STEADY_S)
    assert one.other == ""
    one.ended(CUT, 200)
    assert one.due_s - 200 <= LEAST_S


def test_a_takeover_that_is_said_waits_at_once():
    one = Retry("auto", LEAST_S)
    assert connected(one, 0, stands_s=1000, end=TAKEN)
    assert link_state.TAKEN_OVER_S[0] <= one.due_s - 1000 <= link_state.TAKEN_OVER_S[1]
    assert not connected(one, 2000, stands_s=1, end=TAKEN), "said once"


def test_what_the_agent_left_itself_is_made_anew_at_once():
    one = Retry("auto", LEAST_S)
    one.accepted(0)
    one.ended(End("left", ""), 5)
    assert one.due_s == 5


def test_a_broker_that_does_not_speak_5_is_asked_again_ever_less_often():
    one, now_s, gaps = Protocol("auto"), 0.0, []
    for _ in range(9):
        assert one.name == "5"
        assert one.refused(now_s)
        assert one.name == "3.1.1"
        one.accepted()
        assert not one.is_5_worth_a_new_connection(now_s + 1e9), "it said so: it is asked when it comes back"
        gaps.append(one._try_5_at_s - now_s)
        one.begin(one._try_5_at_s - 0.1)
        assert one.name == "3.1.1"
        now_s = one._try_5_at_s
        one.begin(now_s)
    assert gaps[:3] == [60, 240, 960]
    assert gaps[-1] == protocol.TRY_5_MAX_S


def test_a_fall_back_by_chance_is_worth_a_new_connection_after_a_while():
    one = Protocol("auto")
    assert [one.closed_early(0), one.closed_early(1)] == [False, True]
    assert one.name == "3.1.1"
    assert not one.is_5_worth_a_new_connection(60)
    assert one.is_5_worth_a_new_connection(61)


def test_a_version_that_was_accepted_survives_early_closes_and_not_a_refusal():
    """A broker that starts again hangs up; one that was replaced by an older one says no."""
    one = Protocol("auto")
    one.accepted()
    assert not any(one.closed_early(number) for number in range(10))
    assert one.refused(10)
    assert one.name == "3.1.1"


@pytest.mark.parametrize("version", ["5", "3.1.1"])
def test_a_version_that_is_configured_is_the_only_one(version):
    one = Protocol(version)
    assert not one.refused(0)
    assert not any(one.closed_early(number) for number in range(5))
    one.begin(1e9)
    assert one.name == version
