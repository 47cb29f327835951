"""When a connection is made again: times are given, nothing waits."""

import pytest

from agent.mqtt import retry
from agent.mqtt.retry import End, Retry

RETRY_MIN_S = 0.5


def connect(one: Retry, at_s: float, *, stands_s: float, end: End = End.CUT) -> None:
    """A connection that ends after a while."""
    one.accept(at_s)
    one.end(end, at_s + stands_s)


def test_waits_double_up_to_a_bound_with_jitter_and_are_short_again_after_a_good_connection():
    one, now_s, waits = Retry(RETRY_MIN_S), 0.0, []
    for _ in range(10):
        one.end(End.OTHER, now_s)
        waits.append(one.due_s - now_s)
        now_s = one.due_s
    for number, wait_s in enumerate(waits):
        most_s = min(retry.RETRY_MAX_S, RETRY_MIN_S * 2**number)
        assert most_s / 2 <= wait_s <= most_s
    connect(one, now_s, stands_s=retry.STEADY_S + 1, end=End.OTHER)
    assert one.due_s - (now_s + retry.STEADY_S + 1) <= RETRY_MIN_S


def test_a_connection_that_stood_long_is_no_sign_of_another_client():
    one = Retry(RETRY_MIN_S)
    for number in range(9):
        connect(one, number * 1000, stands_s=retry.SOON_S + 1)
    assert one.other_client == ""


def test_a_broker_that_is_away_in_between_or_says_why_is_no_sign_of_another_client():
    """One that restarts again and again: another client would have found it there."""
    one = Retry(RETRY_MIN_S)
    for number in range(6):
        connect(one, number, stands_s=1)
        one.end(End.OTHER, number)
    assert one.other_client == ""


def test_connections_that_are_cut_short_in_a_row_wait_as_for_a_takeover_until_one_stands():
    one = Retry(RETRY_MIN_S)
    for number in range(retry.CUT_SHORT_MAX - 1):
        connect(one, number, stands_s=1)
        assert one.due_s - (number + 1) <= retry.AT_ONCE_S, "a broker that restarts is not there yet"
    assert one.other_client == ""
    for number in (10, 11, 12):
        connect(one, number, stands_s=1)
        assert one.other_client == "5 connections in a row ended within 20 s, and nobody said why"
    assert retry.TAKEN_OVER_S[0] <= one.due_s - 13 <= retry.TAKEN_OVER_S[1]
    one.accept(100)
    assert not one.advance(99 + retry.STEADY_S)
    assert one.other_client
    assert one.advance(100 + retry.STEADY_S)
    assert one.other_client == ""
    one.end(End.CUT, 200)
    assert one.due_s - 200 <= RETRY_MIN_S


def test_a_takeover_that_is_said_waits_at_once():
    one = Retry(RETRY_MIN_S)
    connect(one, 0, stands_s=1000, end=End.TAKEN_OVER)
    assert retry.TAKEN_OVER_S[0] <= one.due_s - 1000 <= retry.TAKEN_OVER_S[1]
    assert one.other_client == "another client connected with the same client id"


@pytest.mark.parametrize("accepted_at_s", [None, 0.0])
def test_what_is_made_anew_comes_at_once(accepted_at_s):
    one = Retry(RETRY_MIN_S)
    if accepted_at_s is not None:
        one.accept(accepted_at_s)
    one.end(End.ANEW, 5)
    assert one.due_s == 5
