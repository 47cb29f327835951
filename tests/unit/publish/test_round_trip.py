"""When a PUBACK of MQTT 3.1.1 counts: what was thrown away before the path was mended is never taken for delivered."""

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import LogCapture

from agent.publish.others import BYTES_MAX
from agent.publish.round_trip import RoundTrip
from agent.publish.topic import Topics

EVENT, ALERT = "f/n/event", "f/n/alert/press/p1/risk"


def path(*, is_5: bool = False, is_asked_for: bool = True) -> tuple[RoundTrip, LogCapture]:
    log = LogCapture()
    one = RoundTrip(Topics.of("f", "n"), structlog.wrap_logger(None, processors=[log]), is_asked_for=is_asked_for)
    one.connect(is_5=is_5)
    return one, log


def test_mqtt_5_and_who_trusts_the_broker_need_no_proof():
    for one, _ in (path(is_5=True), path(is_asked_for=False)):
        assert one.is_proven(one.send(EVENT, b"a"), EVENT)


def test_what_comes_back_proves_itself_and_what_was_sent_after_it_and_nothing_before():
    one, _ = path()
    before, itself, after = (one.send(EVENT, payload) for payload in (b"a", b"b", b"c"))
    assert not any(one.is_proven(number, EVENT) for number in (before, itself, after))
    assert one.receive(EVENT, b"b")
    assert [one.is_proven(number, EVENT) for number in (before, itself, after)] == [False, True, True]
    assert not one.is_proven(one.send(ALERT, b"x"), ALERT), "another kind of topic has a path of its own"
    assert not one.receive(EVENT, b"c"), "it is proven once"


def test_a_message_that_was_sent_twice_proves_the_second_time():
    """The first may have been thrown away, with what was sent between the two."""
    one, _ = path()
    numbers = [one.send(EVENT, payload) for payload in (b"a", b"between", b"a")]
    one.receive(EVENT, b"a")
    assert [one.is_proven(number, EVENT) for number in numbers] == [False, False, True]


def test_another_connection_is_another_path():
    one, _ = path()
    one.send(EVENT, b"a")
    one.receive(EVENT, b"a")
    one.connect(is_5=False)
    assert not one.is_proven(one.send(EVENT, b"a"), EVENT)


def test_a_long_message_is_known_by_its_beginning():
    one, _ = path()
    number = one.send(EVENT, b"x" * 100_000)
    assert one.receive(EVENT, b"x" * (BYTES_MAX + 1))
    assert one.is_proven(number, EVENT)


def test_a_path_that_fails_is_said_once_and_again_when_it_is_mended():
    one, log = path()
    numbers = [one.send(topic, b"a") for topic in (EVENT, ALERT)]
    for topic in (EVENT, EVENT, ALERT):
        one.give_up(topic)
    assert one.why == (
        f"alerts not deliverable: the broker acknowledges it, and it does not come back under {EVENT} and {ALERT}"
    )
    assert [line["event"] for line in log.entries] == ["alerts_not_deliverable"] * 2
    assert "publish.delivered_by" in log.entries[0]["next_step"]
    one.connect(is_5=False)
    assert one.why, "a new connection proves nothing"
    numbers = [one.send(topic, b"a") for topic in (EVENT, ALERT)]
    one.receive(EVENT, b"a")
    assert (len(log.entries), one.why.endswith(f"under {ALERT}")) == (2, True)
    one.receive(ALERT, b"a")
    assert (one.why, log.entries[-1]["event"]) == ("", "alerts_deliverable")
    assert all(one.is_proven(number, topic) for number, topic in zip(numbers, (EVENT, ALERT), strict=True))


@pytest.mark.slow
@given(st.lists(st.tuples(st.sampled_from([EVENT, ALERT]), st.integers(0, 3), st.booleans()), max_size=30))
def test_nothing_that_was_thrown_away_is_ever_proven(sent):
    """A broker in order: what it passes on comes back in its order, whatever its ACL says from one to the next; from
    the first that it passes on it passes on all.
    """
    one, _ = path()
    is_open, numbers = {EVENT: False, ALERT: False}, []
    for topic, payload, opens in sent:
        is_open[topic] |= opens
        number = one.send(topic, bytes([payload]))
        numbers.append((number, topic, is_open[topic]))
        if is_open[topic]:
            one.receive(topic, bytes([payload]))
    for number, topic, is_passed_on in numbers:
        assert one.is_proven(number, topic) == is_passed_on
