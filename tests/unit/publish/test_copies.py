"""What an output tells again of what stands, and removes of what is nobody's: after its news."""

import pytest

from bench.strict_broker import Published, StrictBroker
from tests.unit.publish.parts import ALERT, AVAILABLE, CLIENT_ID, DENIED, QUOTA, event, told

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("quick")]


@pytest.mark.parametrize("window", [1, 20])
def test_a_raise_is_heard_before_thousands_of_foreign_messages_have_been_removed(make, window):
    """They are no rows of the outbox, and half of the window is free of them."""
    with StrictBroker(receive_maximum=window) as broker:
        for number in range(3000):
            topic = f"f/n/alert/press/old{number}/risk" if number % 2 else f"f/n/alert/older/{number}/of/another/form"
            broker.retained[topic] = Published(topic, b"{}", 1, retain=True)
        parts = make(broker, mirrors=True)
        parts.turn_until(lambda: parts.output._sender is not None and len(parts.output._sender.copies) > 2000)
        assert len(parts.cursor) == 0
        parts.outbox.commit([event("a", device="p1", kind="raised")])
        parts.turn_until(lambda: told(broker) and told(broker, ALERT))
        assert len(broker.retained) > 2000
        assert broker.broken == []
        parts.output.close()
        assert broker.payloads(AVAILABLE) == [b"online", b"stopped"], "a stop does not wait for them"


def test_all_foreign_messages_are_removed_in_the_end(make):
    with StrictBroker() as broker:
        topics = {f"f/n/alert/press/old{number}/risk" for number in range(300)}
        broker.retained |= {topic: Published(topic, b"{}", 1, retain=True) for topic in topics}
        parts = make(broker, mirrors=True)
        parts.stand()
        parts.turn_until(lambda: parts.output.link.is_connected)
        assert (len(parts.cursor), parts.output.due) == (0, 1), "what stands is to be told again"
        parts.turn_until(lambda: topics.isdisjoint(broker.retained) and parts.has_told_all)
        assert parts.output.due == 0
        assert {line["topic"] for line in parts.lines("retained_alert_removed")} == topics
        assert ALERT in broker.retained


def test_what_the_broker_retains_of_an_alert_that_has_ended_is_removed_without_a_warning(make):
    """It ended while the broker was away, or told last before a crash."""
    with StrictBroker() as broker:
        topics = [ALERT, "f/n/alert/press/old/risk"]
        broker.retained |= {topic: Published(topic, b"{}", 1, retain=True) for topic in topics}
        parts = make(broker)
        parts.stand()
        parts.outbox.commit([event("stands", device="p1")])
        parts.cursor.settle([one.number for one in parts.cursor.sendable(9)], {})
        parts.turn_until(lambda: len(parts.lines("retained_alert_removed")) == 2)
        said = {line["topic"]: line["log_level"] for line in parts.lines("retained_alert_removed")}
        assert said == dict(zip(topics, ["info", "warning"], strict=True))
        assert not {*topics} & {*broker.retained}


@pytest.mark.parametrize("reason", [QUOTA, DENIED])
def test_removals_that_are_refused_are_given_up_until_the_next_connection(make, reason):
    with StrictBroker(answer=lambda one: 0 if one.payload else reason) as broker:
        topics = {f"f/n/alert/press/old{number}/risk" for number in range(300)}
        broker.retained |= {topic: Published(topic, b"{}", 1, retain=True) for topic in topics}
        parts = make(broker, mirrors=True)
        parts.turn_until(lambda: parts.lines("retained_alerts_left") and parts.has_told_all)
        assert topics <= set(broker.retained)
        assert len(broker.refused) <= 20
        assert sum(line["count"] for line in parts.lines("retained_alerts_left")) == 300
        broker.change(answer=lambda _: 0)
        broker.cut(CLIENT_ID)
        parts.turn_until(lambda: topics.isdisjoint(broker.retained))


def test_what_stands_and_is_refused_is_tried_again_on_the_same_connection(make):
    with StrictBroker(answer=lambda one: QUOTA if one.topic == ALERT else 0) as broker:
        parts = make(broker, mirrors=True)
        parts.stand()
        parts.turn_until(lambda: parts.output.parked == 1)
        broker.change(answer=lambda _: 0)
        parts.turn_until(lambda: parts.has_told_all)
        assert told(broker, ALERT) == [b"stands"]
        assert parts.output.link.n_connections == 1
