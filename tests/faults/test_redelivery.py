"""What a broker sends again, or twice: each message of a publisher is one reading, however often it arrives.

The streams have no time in their payloads, so that nothing but the delivery itself tells a message that comes again
from a machine that says the same twice.
"""

import time

import pytest

from tests.broker.running_agent import Json, configuration, wait_until, with_output
from tests.faults.proxy import GOOD, LOST
from tests.faults.twin import Twin, risks_of, untimed, without_time
from tests.streams import Message, life


@pytest.fixture
def behind(broker, proxy, make_agent, durability, tmp_path):
    """An agent that hears through the proxy a stream without times."""
    text = with_output(proxy.port, broker.port, durability=durability)
    agent = make_agent(without_time(text, tmp_path / "agent"))
    agent.go()
    return agent


def feed_one_by_one(agent, messages: list[Message]) -> Json:
    """Messages of one read have one time of arrival, and a device has one row a time."""
    for message in messages:
        status = agent.feed([message])
    return status


def twin_risks(agent, messages: list[Message], *, has_time: bool = True) -> list[list[float]]:
    twin = Twin(agent.folder / "small.fwb", has_time=has_time)
    twin.take(messages)
    return risks_of(twin.scores["p1"])


def check(agent, taken: list[Message]) -> None:
    """Each of these once, and in this order."""
    risks = risks_of(agent.scores("p1", all_lives=True))
    assert risks == twin_risks(agent, taken, has_time=False)


@pytest.mark.slow
def test_what_comes_again_since_its_acknowledgement_was_lost_is_one_reading(behind, broker, proxy, durability):
    """They were taken and scored, and the broker never heard so. In snapshot mode the session is a new one each time,
    and nothing comes again."""
    messages = untimed(life("p1", 20))
    feed_one_by_one(behind, messages[:5])
    proxy.treat(up=LOST)
    feed_one_by_one(behind, messages[5:12])

    def lose() -> None:
        proxy.cut()
        proxy.treat(up=GOOD)

    behind.reconnect(lose)
    status = feed_one_by_one(behind, messages[12:])
    check(behind, messages)
    assert status["drops"] == ({"press": {"duplicate_delivery": 7}} if durability == "journal" else {})


@pytest.mark.slow
def test_what_comes_again_to_another_process_is_one_reading(behind, broker, proxy, durability):
    """As above, and the agent is killed before the broker has heard of anything."""
    messages = untimed(life("p1", 20))
    feed_one_by_one(behind, messages[:5])
    proxy.treat(up=LOST)
    feed_one_by_one(behind, messages[5:12])
    behind.kill()
    proxy.cut()
    proxy.treat(up=GOOD)
    behind.go()
    feed_one_by_one(behind, messages[12:])
    if durability == "journal":
        check(behind, messages)
        wait_until(lambda: behind.status()["drops"] == {"press": {"duplicate_delivery": 7}}, "the count")


@pytest.mark.slow
def test_the_same_payload_said_twice_is_two_readings(behind):
    """A machine that stands still says the same again and again; so does one that sends after each connection."""
    messages = untimed(life("p1", 1)) * 10
    status = feed_one_by_one(behind, messages)
    check(behind, messages)
    assert status["drops"] == {}


@pytest.mark.long
@pytest.mark.parametrize(("protocol", "window"), [("3.1.1", 1), ("3.1.1", 20), ("5", 1)])
def test_a_broker_with_a_small_window_waits_for_no_timer(broker, make_agent, durability, protocol, window):
    """It sends no more before the first are acknowledged: a group is committed when nothing more comes, or 300 messages
    one by one would take the longest nap each."""
    broker.close()
    broker.settings += (f"max_inflight_messages {window}",)
    broker.start()
    agent = make_agent(configuration(broker.port, protocol=protocol, durability=durability))
    agent.go()
    messages = life("p1", 300, wear_from=1000)
    agent.feed(messages)
    assert risks_of(agent.scores("p1")) == twin_risks(agent, messages)


@pytest.mark.long
def test_retained_input_is_not_taken_as_fresh_however_often_the_agent_subscribes(behind, broker, proxy):
    """A broker sends it with each subscription; without a time of its own it would be a new reading."""
    messages = untimed(life("p1", 10))
    feed_one_by_one(behind, messages[:5])
    broker.publish_all(messages[:1], retain=True)  # to those that have subscribed it comes as any other
    behind.expect(1)
    for _ in range(3):
        behind.reconnect(proxy.cut)
    status = feed_one_by_one(behind, messages[5:])
    check(behind, [*messages[:5], messages[0], *messages[5:]])
    assert status["drops"]["press"]["retained"] == 3


@pytest.mark.long
def test_a_session_that_ended_while_the_agent_was_away_is_lost_history(broker, make_agent, durability):
    """The broker kept nothing: the next row says `gap`, and what was sent meanwhile is gone, not taken half."""
    text = configuration(broker.port, durability=durability)
    agent = make_agent(text.replace("[broker]", '[broker]\nsession_expiry = "1s"') if durability == "journal" else text)
    agent.go()
    messages = life("p1", 40, wear_from=1000)
    agent.feed(messages[:20])
    agent.stop()
    time.sleep(2.5)  # mosquitto looks for sessions that have ended once a second
    broker.publish_all(messages[20:30])
    agent.go()
    agent.feed(messages[30:])
    assert agent.qualities("p1") == ["gap"] + ["ok"] * 9
    assert risks_of(agent.scores("p1", all_lives=True)) == twin_risks(agent, messages[:20] + messages[30:])
