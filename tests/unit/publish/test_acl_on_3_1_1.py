"""MQTT 3.1.1, whose brokers acknowledge what their ACL throws away, and grant what they never serve."""

import random

import pytest

from agent.publish import sender
from bench.strict_broker import StrictBroker
from tests.unit.publish.parts import CLIENT_ID, DENIED, EVENT, INSTANCE, event, names, told

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("quick")]


@pytest.mark.parametrize("seed", range(4))
def test_whatever_an_acl_throws_away_until_it_is_mended_each_event_is_told_in_the_order_of_its_device(
    make, monkeypatch, seed
):
    """3.1.1: the broker acknowledges all of it, is cut at random, and is mended at some time."""
    monkeypatch.setattr(sender, "PATIENCE_S", 0.1)
    chance = random.Random(seed)
    with StrictBroker(versions=(4,), answer=lambda one: DENIED if one.topic == EVENT else 0) as broker:
        parts = make(broker, mirrors=True)
        due = []
        mended_after = chance.randint(1, 5)
        for step in range(1, 6):
            for name in ("a", "b", "c"):
                parts.outbox.commit([event(f"{name}{step}", device=name)])
                due.append(f"{name}{step}".encode())
                parts.turn_for(0.02 * chance.random())
                if chance.random() < 0.1:
                    broker.cut(CLIENT_ID)
            if step == mended_after:
                broker.change(answer=lambda _: 0)
        parts.turn_until(lambda: parts.has_told_all)
        heard = told(broker)
        assert set(heard) == set(due)
        for name in (b"a", b"b", b"c"):
            firsts = list(dict.fromkeys(payload for payload in heard if payload.startswith(name)))
            assert firsts == sorted(firsts)


def test_what_may_not_be_read_is_not_proven_and_kept(make, monkeypatch):
    monkeypatch.setattr(sender, "PATIENCE_S", 0.05)
    with StrictBroker(versions=(4,), may_read=lambda client_id, _: client_id != CLIENT_ID) as broker:
        parts = make(broker)
        parts.outbox.commit([event(name.decode()) for name in names(50)])
        parts.turn_until(lambda: set(told(broker)) == set(names(50)) and parts.output.waiting == 0)
        assert parts.output.parked == 50
        assert parts.output.limits[0].startswith("alerts not deliverable")
        n_told = len(told(broker))
        parts.turn_for(0.5)
        assert len(told(broker)) - n_told < 20, "one at a time, ever less often"
        trusting = make(broker, "b", client_id="trusting", trusts_puback=True)
        trusting.outbox.commit([event("x")])
        trusting.turn_until(lambda: trusting.has_told_all)


def test_once_proven_events_do_not_come_back_any_more(make):
    with StrictBroker(versions=(4,)) as broker:
        parts = make(broker)
        parts.outbox.commit([event("a")])
        parts.turn_until(lambda: parts.has_told_all and EVENT not in broker.sessions[CLIENT_ID].filters)
        assert set(broker.sessions[CLIENT_ID].filters) == {"f/n/alert/#", INSTANCE}
