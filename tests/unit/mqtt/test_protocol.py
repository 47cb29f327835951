"""In which version a connection is made: times are given, nothing waits."""

import pytest

from agent.mqtt import protocol
from agent.mqtt.protocol import Protocol


def test_a_broker_that_does_not_speak_5_is_asked_again_ever_less_often():
    one, now_s, gaps = Protocol("auto"), 0.0, []
    for _ in range(9):
        assert one.name == "5"
        assert one.refuse(now_s)
        assert one.name == "3.1.1"
        one.accept()
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
    assert [one.close_early(0), one.close_early(1)] == [False, True]
    assert one.name == "3.1.1"
    assert not one.is_5_worth_a_new_connection(60)
    assert one.is_5_worth_a_new_connection(61)


def test_early_closes_count_only_in_a_row_of_one_version():
    one = Protocol("auto")
    assert not one.close_early(0)
    assert one.refuse(0)
    assert not one.close_early(1), "the first in 3.1.1"
    one.accept()
    assert not one.close_early(2), "the first since it was accepted"
    assert one.close_early(3)
    assert one.name == "5"


def test_a_version_that_was_accepted_survives_early_closes_and_not_a_refusal():
    """A broker that starts again hangs up; one that was replaced by an older one says no."""
    one = Protocol("auto")
    one.accept()
    assert not any(one.close_early(number) for number in range(10))
    assert one.refuse(10)
    assert one.name == "3.1.1"


@pytest.mark.parametrize("version", ["5", "3.1.1"])
def test_a_version_that_is_configured_is_the_only_one(version):
    one = Protocol(version)
    assert not one.refuse(0)
    assert not any(one.close_early(number) for number in range(5))
    one.begin(1e9)
    assert one.name == version
