"""A broker that says what it must not, or nothing at all: noticed, named, waited out, and none of it ends the agent."""

import time
from itertools import pairwise

import pytest

from bench.fake_broker import FakeBroker, Session
from bench.mqtt_packets import SUBSCRIBE, packet
from tests.broker.running_agent import wait_until, with_output
from tests.streams import message

QOS_3 = packet(0x36, b"\0\1t\0\1\0x")


@pytest.fixture
def fake():
    with FakeBroker() as one:
        yield one


@pytest.fixture
def impatient(fake, broker, make_agent):
    """An agent whose input is the fake broker and whose output is a real one."""
    text = with_output(fake.port, broker.port).replace("[broker]", '[broker]\nconnect_timeout = "1s"')
    agent = make_agent(text)
    agent.start()
    return agent


def accepted(fake: FakeBroker) -> tuple[Session, bytes]:
    """A session that is accepted, and the body of its SUBSCRIBE."""
    session = fake.session()
    session.read_connect()
    session.accept()
    first, body = session.read()
    assert first == SUBSCRIBE
    return session, body


def granted(fake: FakeBroker) -> Session:
    session, body = accepted(fake)
    session.grant(body, 1)
    return session


def assert_it_works(agent, session: Session) -> None:
    """Messages of this session are taken."""
    agent.wait_until_it_listens()
    for mid in (1, 2):
        topic, payload = message("p1", mid)
        session.publish(topic.encode(), payload, mid=mid)
    wait_until(lambda: agent.status()["taken"] == 2, "two messages are taken")


@pytest.mark.slow
def test_a_protocol_error_at_every_connection_is_waited_out_and_never_holds_a_stop_up(fake, impatient):
    """Each try waits longer than the one before could; one line a change of state; SIGTERM ends the wait."""
    tried_s = []
    for _ in range(3):
        session = granted(fake)
        tried_s.append(time.monotonic())
        session.send(QOS_3)
    for number, (before_s, after_s) in enumerate(pairwise(tried_s)):
        assert after_s - before_s >= 0.25 * 2**number
    session = granted(fake)
    assert_it_works(impatient, session)
    assert impatient.status()["drops"] == {"": {"protocol_error": 3}}
    session.send(QOS_3)
    wait_until(lambda: len(impatient.log("broker_lost")) == 4, "the last loss in the log")
    assert impatient.stop() == 0
    assert not fake.is_asked(), "it has waited for the next try"
    changes = [line["event"] for line in impatient.log_lines() if line["event"].startswith("broker_")]
    assert changes == ["broker_connected", "broker_lost"] * 4
    assert {line["why"] for line in impatient.log("broker_lost")} == {
        "protocol error: a PUBLISH of QoS 3, which was not asked for"
    }


@pytest.mark.slow
def test_a_broker_that_says_nothing_at_all_or_nothing_more_is_given_up_and_tried_again(fake, impatient):
    """No CONNACK, then no SUBACK, within connect_timeout. Without the latter the agent would be deaf for ever, since
    such a broker may well answer its pings."""
    fake.session().read_connect()
    session, _ = accepted(fake)
    assert session.is_ended()
    assert_it_works(impatient, granted(fake))
    assert [line["why"] for line in impatient.log("broker_not_connected")] == ["the broker does not answer"]
    assert [line["why"] for line in impatient.log("broker_lost")] == [
        "the broker does not answer the subscription of press"
    ]
    assert impatient.status()["broker"]["input"]["why"] == ""
