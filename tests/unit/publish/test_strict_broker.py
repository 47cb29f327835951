"""The output against a broker that enforces what it announces, MQTT 5 and 3.1.1."""

import json
import random

import pytest

from agent.mqtt import protocol
from agent.publish import mqtt, others
from agent.publish.message import event_message
from bench.strict_broker import TOO_LARGE, Published, StrictBroker
from tests.broker.running_agent import wait_until
from tests.unit.publish.parts import (
    ALERT,
    AVAILABLE,
    CLIENT_ID,
    DENIED,
    EVENT,
    INSTANCE,
    QUOTA,
    event,
    name_of,
    names,
    told,
)

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("quick")]


@pytest.mark.parametrize("window", [1, 2, 10, 1000])
def test_in_flight_follows_the_receive_maximum_and_everything_leaves(make, window):
    """`online` and the agent's other words count too; the window is used, and never gone beyond."""
    with StrictBroker(receive_maximum=window) as broker:
        parts = make(broker)
        parts.stand()
        parts.outbox.commit([event(name.decode()) for name in names(30)])
        parts.turn_until(lambda: parts.has_told_all)
        parts.output.close()
        assert (broker.broken, told(broker)) == ([], names(30))
        assert broker.payloads(AVAILABLE) == [b"online", b"stopped"]
        assert told(broker, ALERT) == [b"stands"]
        assert broker.fullest() == min(window, 20)


def test_what_is_under_way_when_the_connection_breaks_is_not_sent_beyond_the_next_ones_window(make):
    with StrictBroker(answer=lambda one: 0) as broker:
        parts = make(broker)
        parts.turn_until(lambda: parts.output.link.is_connected)
        parts.outbox.commit([event(name.decode()) for name in names(30)])
        parts.turn()
        broker.change(receive_maximum=3)
        broker.cut(CLIENT_ID)
        parts.turn_until(lambda: parts.output.link.n_connections == 2 and len(parts.cursor) == 0)
        assert broker.broken == []
        assert broker.clients[CLIENT_ID].fullest == 3
        assert set(told(broker)) == set(names(30))


def test_without_retained_messages_events_leave_and_it_is_said_once(make):
    """The will is without retain then, too: a strict broker refuses the connection for it."""
    with StrictBroker(retain=False) as broker:
        parts = make(broker)
        parts.stand()
        parts.outbox.commit([event("a")])
        parts.turn_until(lambda: parts.has_told_all)
        parts.output.publish("f/n/status", b"{}", retain=True)
        parts.turn_until(lambda: broker.payloads("f/n/status"))
        assert told(broker) == [b"a"]
        assert told(broker, ALERT) == [b"stands"], "who listens hears it"
        assert broker.retained == {}
        assert broker.broken == [0x9A], "the first CONNECT"
        assert parts.output.link.n_connections == 1
        (limit,) = parts.output.limits
        assert limit.startswith("no retained messages: standing alerts")
        (line,) = parts.lines("output_connected")
        assert limit in line["why"]


def test_a_will_is_retained_again_when_the_broker_takes_it_again(make):
    with StrictBroker(retain=False) as broker:
        parts = make(broker)
        parts.turn_until(lambda: parts.output.link.is_connected)
        broker.change(retain=True)
        for connection in (2, 3):
            broker.cut(CLIENT_ID)
            parts.turn_until(lambda due=connection: parts.output.link.n_connections == due)
            assert broker.clients[CLIENT_ID].will.retain == (connection == 3)


def test_without_qos_1_events_leave_when_they_are_written(make):
    with StrictBroker(qos_max=0) as broker:
        parts = make(broker)
        parts.stand()
        parts.outbox.commit([event(name.decode()) for name in names(50)])
        parts.turn_until(lambda: parts.output.link.is_connected and len(parts.cursor) == 0)
        parts.output.close()
        assert told(broker) == names(50)
        assert broker.broken == [0x9B], "the first CONNECT, for its will"
        assert {one.qos for one in broker.accepted} == {0}
        assert parts.output.counts.delivered == 50
        assert "nothing is acknowledged" in parts.output.limits[0]


def test_a_message_above_the_brokers_packet_size_is_parked_and_said_and_costs_no_connection(make):
    """The rest leaves, and so does this one when the broker takes it."""
    with StrictBroker(packet_bytes_max=1000) as broker:
        parts = make(broker)
        large = event("x" * 1000, device="a1")
        parts.outbox.commit([large, event("after it", device="a1"), event("b", device="b1")])
        parts.turn_until(lambda: parts.output.link.is_connected and parts.output.waiting == 0)
        parts.output.publish("f/n/status", b"y" * 1000, retain=True)
        parts.turn_for(0.1)
        assert (broker.broken, told(broker), broker.payloads("f/n/status")) == ([], [b"b"], [])
        assert (parts.output.parked, parts.output.counts.too_large) == (2, 1)
        (line,) = parts.lines("publish_refused")
        assert line["why"] == f"{EVENT}: {len(event_message(large)) + 17} bytes, the broker takes 1000"
        assert "maximum packet size" in line["next_step"]
        broker.change(packet_bytes_max=10_000)
        broker.cut(CLIENT_ID)
        parts.turn_until(lambda: len(parts.cursor) == 0)
        assert told(broker) == [b"b", b"x" * 1000, b"after it"]


def test_a_packet_of_just_the_size_that_the_broker_takes_is_sent(make):
    """Every size around the bound, where the length takes one byte more too."""
    with StrictBroker(packet_bytes_max=16_395) as broker:
        parts = make(broker)
        empty = len(event_message(event("", device="of 12345")))
        parts.outbox.commit([event("x" * (size - empty), device=f"of {size}") for size in range(16_350, 16_391)])
        parts.turn_until(lambda: parts.output.link.is_connected and parts.output.waiting == 0)
        parts.turn_until(lambda: parts.output._sender.is_idle)
        assert broker.broken == []
        assert [len(payload) for payload in broker.payloads(EVENT)] == list(range(16_350, 16_378))
        assert parts.output.parked == 13
    assert TOO_LARGE not in broker.broken


def test_a_refusal_that_passes_is_tried_again_on_the_same_connection(make):
    """And holds nobody else up: what is taken leaves meanwhile, in the order within each chain."""
    with StrictBroker() as broker:
        quota_for = {b"a1", b"c1"}
        broker.change(answer=lambda one: QUOTA if name_of(one.payload) in quota_for else 0)
        parts = make(broker)
        parts.outbox.commit([event(f"{name}{step}", device=name) for name in "abc" for step in (1, 2, 3)])
        parts.turn_until(lambda: parts.output.link.is_connected and told(broker) == [b"b1", b"b2", b"b3"])
        parts.turn_until(lambda: len(broker.refused) >= 8)
        assert (parts.output.parked, parts.output.waiting) == (6, 0)
        parts.outbox.commit([event("a4", device="a"), event("d1", device="d")])
        parts.turn_until(lambda: b"d1" in told(broker))
        assert parts.output.parked == 7
        quota_for.clear()
        parts.turn_until(lambda: len(parts.cursor) == 0)
        assert parts.output.link.n_connections == 1
        for name in "abc":
            said = [payload for payload in told(broker) if payload.startswith(name.encode())]
            assert said == [f"{name}{step}".encode() for step in range(1, 4 + (name == "a"))]
        assert {line["why"] for line in parts.lines("publish_refused")} == {"Quota exceeded"}


def test_what_is_refused_for_good_is_tried_again_too_and_leaves_in_order_once_the_acl_is_mended(make):
    """Without a new connection, raised before cleared; what stands is replaced while it is parked, and counted once."""
    with StrictBroker(answer=lambda one: DENIED if one.topic in (EVENT, ALERT) else 0) as broker:
        parts = make(broker, mirrors=True)
        parts.outbox.commit([event("a", device="p1", kind="raised")])
        parts.turn_until(lambda: parts.output.parked == 2)
        parts.outbox.commit([event("a", device="p1", kind="cleared")])
        parts.turn_until(lambda: parts.output.parked == 3 and parts.output.waiting == 0)
        assert parts.output.counts.parked >= 3, "a refusal is an answer: the output is not stuck"
        assert len(parts.cursor) == 3
        broker.change(answer=lambda _: 0)
        parts.turn_until(lambda: len(parts.cursor) == 0)
        assert parts.output.link.n_connections == 1
        assert [json.loads(payload)["event"] for payload in broker.payloads(EVENT)] == ["raised", "cleared"]
        assert broker.payloads(ALERT) == [b""]


def test_a_later_event_never_overtakes_one_that_is_under_way(make):
    """Both at once would be refused and taken."""
    with StrictBroker() as broker:
        refusals = iter([QUOTA])
        broker.change(answer=lambda one: next(refusals, 0) if one.topic == EVENT else 0)
        parts = make(broker)
        parts.outbox.commit([event("raised", device="a1"), event("cleared", device="a1")])
        parts.turn_until(lambda: parts.output.link.is_connected and len(parts.cursor) == 0)
        assert told(broker) == [b"raised", b"cleared"]


def test_many_refused_are_tried_a_window_at_a_time_and_one_that_never_leaves_holds_up_none(make):
    with StrictBroker(receive_maximum=5, answer=lambda one: DENIED if one.topic == EVENT else 0) as broker:
        parts = make(broker)
        parts.outbox.commit([event(name.decode(), device=name.decode()) for name in names(60)])
        parts.turn_until(lambda: parts.output.parked == 60)
        broker.change(answer=lambda one: DENIED if name_of(one.payload) in (b"0", b"7") else 0)
        parts.turn_until(lambda: len(parts.cursor) == 2)
        assert broker.broken == []
        tried = len(broker.refused)
        parts.turn_for(0.5)
        assert len(broker.refused) - tried <= 20, "ever less often"


def test_a_refused_word_of_its_own_is_said_again(make, monkeypatch):
    """Else `available` would go on saying `offline`, the will of the connection before."""
    monkeypatch.setattr("agent.publish.own_messages.RETRY_MIN_S", 0.02)
    with StrictBroker() as broker:
        refusals = iter([QUOTA])
        broker.change(answer=lambda one: next(refusals, 0) if one.topic == AVAILABLE else 0)
        parts = make(broker)
        parts.turn_until(lambda: broker.payloads(AVAILABLE) == [b"online"])


def test_a_stop_says_stopped_although_another_word_is_refused(make):
    """An ACL that denies the instance topic costs the finding of other agents, and nothing else."""
    with StrictBroker(answer=lambda one: DENIED if one.topic == INSTANCE else 0) as broker:
        parts = make(broker)
        parts.turn_until(lambda: parts.output.link.is_connected and parts.output._sender.is_idle and broker.refused)
        parts.output.close()
        assert broker.payloads(AVAILABLE) == [b"online", b"stopped"]
        assert parts.lines("publish_refused")[0]["why"] == f"{INSTANCE}: Not authorized"


def test_a_stop_whose_last_word_is_refused_leaves_it_to_the_broker(make, monkeypatch):
    """Else `online` would stay."""
    monkeypatch.setattr(mqtt, "STOP_TIMEOUT_S", 0.3)
    with StrictBroker(answer=lambda one: DENIED if one.payload == b"stopped" else 0) as broker:
        parts = make(broker)
        parts.turn_until(lambda: broker.payloads(AVAILABLE))
        parts.output.close()
        wait_until(lambda: broker.retained[AVAILABLE].payload == b"offline", "the will")


def test_a_stop_says_stopped_at_once_although_online_was_refused(make):
    with StrictBroker(answer=lambda one: DENIED if one.payload == b"online" else 0) as broker:
        parts = make(broker)
        parts.turn_until(lambda: broker.refused)
        parts.turn_for(0.05)
        parts.output.close()
        assert broker.payloads(AVAILABLE) == [b"stopped"]


def test_a_subscription_that_is_refused_is_said(make):
    with StrictBroker(wildcards=False) as broker:
        parts = make(broker)
        parts.turn_until(lambda: parts.lines("output_limited"))
        assert any("no subscription (Wildcard subscription not supported)" in limit for limit in parts.output.limits)


def test_a_longer_keepalive_of_the_broker_is_said(make):
    with StrictBroker(keepalive_s=600) as broker:
        parts = make(broker)
        parts.turn_until(lambda: parts.output.link.is_connected)
        assert parts.output.limits == ["a keepalive of 600 s: a dead connection is noticed within twice that"]


def test_ordinary_limits_are_no_news(make):
    with StrictBroker(receive_maximum=20, packet_bytes_max=1_048_576, keepalive_s=60) as broker:
        parts = make(broker)
        parts.turn_until(lambda: parts.output.link.is_connected)
        assert parts.output.limits == []
        assert parts.lines("output_connected")[0]["why"] == "MQTT 5"


# Two agents ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["5", "3.1.1"])
def test_two_agents_of_one_node_say_so_and_remove_nothing_of_each_other(make, monkeypatch, version):
    """Whoever came first answers whoever comes; neither takes what the other keeps for leftovers of its own."""
    monkeypatch.setattr(others, "ANSWER_WITHIN_S", 1.0)
    with StrictBroker() as broker:
        first = make(broker, "a", protocol=version, instance="a" * 16)
        first.stand()
        first.turn_until(lambda: first.has_told_all)
        second = make(broker, "b", protocol=version, instance="b" * 16, client_id="other-out")
        second.stand("p2")
        second.turn_until(lambda: second.lines("retained_alerts_left"), first)
        for one, client_id in ((first, "other-out"), (second, CLIENT_ID)):
            (line,) = one.lines("other_agent_connected")
            assert client_id in line["why"]
            assert one.output.other_agent == line["why"]
        second.turn_until(lambda: second.has_told_all, first)
        assert set(broker.retained) == {AVAILABLE, "f/n/instance", ALERT, "f/n/alert/press/p2/risk"}
        first.turn_for(0.1)
        second.turn_for(0.1)
        assert first.lines("retained_alert_removed") == second.lines("retained_alert_removed") == []


def test_an_agent_of_the_past_answers_nobody_and_is_cleaned_up_after(make):
    """The id that the broker retains is not a sign of life; each removal is logged."""
    with StrictBroker() as broker:
        old = make(broker, "a", instance="a" * 16)
        old.stand()
        old.turn_until(lambda: old.has_told_all)
        old.output.close()
        new = make(broker, "b", instance="b" * 16)
        new.turn_until(lambda: ALERT not in broker.retained and new.has_told_all)
        assert new.output.other_agent == ""
        assert [line["topic"] for line in new.lines("retained_alert_removed")] == [ALERT]


def test_another_agent_that_has_gone_is_forgotten(make, monkeypatch):
    monkeypatch.setattr(others, "ASK_EVERY_S", 0.05)
    monkeypatch.setattr(others, "GONE_S", 0.5)
    with StrictBroker() as broker:
        first, second = make(broker, "a"), make(broker, "b", instance="b" * 16, client_id="other-out")
        first.turn_until(lambda: first.output.other_agent and second.output.other_agent, second)
        end = iter(range(150))
        first.turn_until(lambda: next(end, None) is None, second)
        assert first.lines("other_agent_gone") == [], "it is asked now and then, and answers"
        second.output.close()
        first.turn_until(lambda: first.output.other_agent == "")
        assert len(first.lines("other_agent_gone")) == 1


def test_two_clients_of_one_id_are_surmised_where_the_broker_gives_no_reason(make, monkeypatch):
    """They take the connection from each other by turns; then they wait, and do not."""
    with StrictBroker(says_takeover=False) as broker:
        parts = make(broker)
        other = make(broker, "b")
        parts.turn_until(lambda: parts.lines("client_id_taken") or other.lines("client_id_taken"), other)
        one = parts if parts.lines("client_id_taken") else other
        (line,) = one.lines("client_id_taken")
        assert line["why"] == "5 connections in a row ended within 20 s, and nobody said why"
        assert line["next_step"].startswith(f"Is another agent called {CLIENT_ID}?")
        assert one.output.other_agent == line["why"]
        n_connects = len(broker.connects)
        parts.turn_for(0.3)
        other.turn_for(0.3)
        assert len(broker.connects) <= n_connects + 1


GARBAGE = {
    "nothing": b"",
    "half an object": b"{",
    "a control character": b'{"instance":"0123456789abcdef","client_id":"\\n","host":"","asks":true}',
    "no UTF-8": b'{"instance":"0123456789abcdef","client_id":"\xc3\x28","host":"h","asks":true}',
    "no UTF-8 in no field of ours": b'{"x":"\xff\xfe"}',
    "nested too deep": b'{"x":' + b"[" * 100_000,
    "too long": b'{"instance":"0123456789abcdef","client_id":"c","host":"h","asks":true}' + b" " * others.BYTES_MAX,
}


@pytest.mark.parametrize("payload", GARBAGE.values(), ids=GARBAGE)
def test_garbage_on_the_instance_topic_is_said_once_and_no_agent(make, payload):
    with StrictBroker() as broker:
        parts = make(broker)
        parts.turn_until(lambda: parts.output.link.is_connected and parts.output._sender.is_idle)
        talker = make(broker, "b", client_id="talker")
        talker.turn_until(lambda: talker.output.link.is_connected, parts)
        parts.turn_until(lambda: parts.output.other_agent, talker)
        for one in (payload, payload, b"[]"):
            talker.output._sender.publish("f/n/instance", one, retain=False)
        talker.output._sender.publish("f/n/instance", b"last", retain=False)
        parts.turn_until(lambda: parts.lines("instance_unreadable"), talker)
        parts.turn_for(0.1)
        (line,) = parts.lines("instance_unreadable")
        assert line["topic"] == "f/n/instance"
        assert "ACL" in line["next_step"]
        assert "talker" in parts.output.other_agent


def test_no_more_is_kept_of_a_message_than_can_be_an_agents(make, monkeypatch):
    """Whoever may write a topic of ours costs the agent no memory with long payloads."""
    with StrictBroker() as broker:
        broker.retained[ALERT] = Published(ALERT, b"x" * 1_000_000, 1, retain=True)
        parts = make(broker)
        taken = []
        monkeypatch.setattr(parts.output._own_topics, "take", lambda *message, retain: taken.append(message))
        parts.turn_until(lambda: taken)
        assert [(topic, len(payload)) for topic, payload, _ in taken] == [(ALERT, others.BYTES_MAX + 1)]


# MQTT versions ------------------------------------------------------------------------------------------------------


def test_a_fall_back_by_chance_comes_back_to_mqtt_5(make, monkeypatch):
    """Two connections closed early, as by a broker that starts; 3.1.1 is left as soon as nothing is under way."""
    monkeypatch.setattr(protocol, "TRY_5_MIN_S", 0.1)
    with StrictBroker(hangs_up_on=(5,)) as broker:
        parts = make(broker)
        parts.turn_until(lambda: parts.output.link.is_connected)
        assert [version for _, version in broker.connects] == [5, 5, 4]
        broker.change(hangs_up_on=())
        parts.turn_until(lambda: parts.output.link.is_connected and parts.output.link.protocol.name == "5")
        parts.outbox.commit([event("a")])
        parts.turn_until(lambda: told(broker) == [b"a"])
        parts.turn_until(lambda: broker.retained[AVAILABLE].payload == b"online")


def test_a_broker_of_3_1_1_takes_everything_and_is_left_alone(make):
    with StrictBroker(versions=(4,)) as broker:
        parts = make(broker)
        parts.stand()
        parts.outbox.commit([event(name.decode()) for name in names(30)])
        parts.turn_until(lambda: parts.output.link.is_connected and len(parts.cursor) == 0)
        assert told(broker) == names(30)
        assert [version for _, version in broker.connects] == [5, 4]
        assert parts.output.limits == []


@pytest.mark.parametrize("seed", range(6))
def test_any_schedule_of_refusals_and_cuts_delivers_each_event_in_the_order_of_its_device(make, seed):
    """A broker that refuses at random and is cut at random; at least once each, none before an earlier one."""
    chance = random.Random(seed)
    with StrictBroker(receive_maximum=chance.randint(1, 6)) as broker:
        calm = [False]

        def answer(one: Published) -> int:
            return 0 if calm[0] or chance.random() > 0.3 else chance.choice([QUOTA, DENIED, 0x80])

        broker.change(answer=answer)
        parts = make(broker)
        due = []
        for step in range(1, 5):
            for name in ("a", "b", "c"):
                parts.outbox.commit([event(f"{name}{step}", device=name)])
                due.append(f"{name}{step}".encode())
                for _ in range(chance.randint(0, 20)):
                    parts.turn()
                if chance.random() < 0.1:
                    broker.cut(CLIENT_ID)
        calm[0] = True
        parts.turn_until(lambda: len(parts.cursor) == 0)
        heard = told(broker)
        assert set(heard) == set(due)
        for name in (b"a", b"b", b"c"):
            firsts = list(dict.fromkeys(payload for payload in heard if payload.startswith(name)))
            assert firsts == sorted(firsts)
        assert broker.broken == []


# How a broker ends and refuses --------------------------------------------------------------------------------------


MOVES = {
    "shutting down": (0x8B, "", "Server shutting down"),
    "use another server": (0x9C, "b2.example:1883", "Use another server; it names another server: b2.example:1883"),
    "server moved": (0x9D, "b2.example", "Server moved; it names another server: b2.example"),
}


@pytest.mark.parametrize(("reason", "server", "why"), MOVES.values(), ids=MOVES)
def test_a_server_that_ends_the_connection_is_quoted_and_what_was_under_way_leaves_with_the_next_one(
    make, reason, server, why
):
    """A24. Orderly: said once, the will is not wanted for long, nothing lost, nothing out of order."""
    with StrictBroker() as broker:
        parts = make(broker)
        parts.turn_until(lambda: parts.output.link.is_connected)
        parts.outbox.commit([event(name.decode()) for name in names(30)])
        parts.turn()
        broker.disconnect(CLIENT_ID, reason, server=server)
        parts.turn_until(lambda: parts.output.link.n_connections == 2 and parts.has_told_all)
        (line,) = parts.lines("output_lost")
        assert line["why"] == f"the connection ended: {why}"
        assert list(dict.fromkeys(told(broker))) == names(30)
        assert broker.retained[AVAILABLE].payload == b"online"
        assert broker.broken == []


def test_a_quota_is_waited_out_without_loss_and_what_is_said_at_qos_0_waits_for_nothing(make):
    """A25. Alerts are kept however long it lasts; scores and status, which nobody keeps, go on meanwhile."""
    alerts = (EVENT, "f/n/alert/")
    with StrictBroker(answer=lambda one: QUOTA if one.topic.startswith(alerts) else 0) as broker:
        parts = make(broker, mirrors=True)
        parts.outbox.commit([event("a", device="p1", kind="raised")])
        parts.turn_until(lambda: parts.output.parked == 2)
        for number in range(50):
            parts.output.publish("f/n/score/press/p1", b"%d" % number, retain=False)
            parts.outbox.commit([event(f"{number}", device=f"{number}")])
        parts.turn_until(lambda: len(broker.payloads("f/n/score/press/p1")) == 50 and parts.output.waiting == 0)
        assert len(parts.cursor) == 102
        broker.change(answer=lambda _: 0)
        parts.turn_until(lambda: parts.has_told_all)
        assert set(told(broker)) == {b"a", *names(50)}
        assert told(broker, ALERT) == [b"a"]
        assert parts.output.link.n_connections == 1


def test_a_shorter_keepalive_of_the_broker_is_kept_to(make):
    with StrictBroker(keepalive_s=1) as broker:
        parts = make(broker)
        parts.turn_until(lambda: parts.output.link.is_connected)
        parts.turn_for(3)
        assert (broker.broken, parts.output.link.n_connections) == ([], 1)
