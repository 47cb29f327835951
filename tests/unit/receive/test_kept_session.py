"""A session that the broker keeps over the ends of connections and of the agent: over both paths alike."""

import pytest
from structlog.testing import LogCapture

from agent.core.input_log import Recovered, digest_of
from agent.receive.inbox import BROKER_DROPPED
from bench.mqtt_packets import CONNACK, PUBACK, SUBSCRIBE, UNSUBACK, UNSUBSCRIBE, packet
from tests.unit.receive.talk import PRESS, PUMP, TOPIC, add, connected, knocking, pump, taken

pytestmark = pytest.mark.slow

FILTER = "filter plant/+/cycle"
SETTLED, IN_DOUBT = 1, 2
PAST = Recovered(notes={"session": SETTLED, FILTER: 1})
AT_PUMPS = Recovered(notes={"session": SETTLED})
VERSIONS = pytest.mark.parametrize("version", ["5", "3.1.1"])


def accepted(broker, one, *, has_session):
    """A session that is accepted, and what was read until then and until it was asked to subscribe."""
    session = knocking(broker, one)
    session.accept(has_session=has_session)
    found = pump(one, lambda _: one.link.is_connected)
    add(found, one.read(0.01))
    return session, found


def test_the_broker_is_asked_to_keep_it(broker, receiver):
    for version in ("5", "3.1.1"):
        one = receiver(kept=Recovered(), protocol=version)
        one.read(0.1)
        connect = broker.session().read_connect()
        assert not connect[7] & 0x02, "neither clean start nor clean session"
        assert (b"\x11" + (3600).to_bytes(4) in connect) == (version == "5")


@pytest.mark.parametrize(
    ("expiry_s", "limits"), [(600, ["a session of 3600 s: it keeps messages for 600 s"]), (3600, [])]
)
def test_a_broker_that_keeps_it_for_less_is_named(broker, receiver, expiry_s, limits):
    one = receiver(kept=Recovered())
    knocking(broker, one).send(packet(CONNACK, b"\0\0\x05\x11" + expiry_s.to_bytes(4)))
    pump(one, lambda _: one.link.is_connected)
    assert list(one.link.limits) == limits


@VERSIONS
def test_what_the_broker_kept_comes_before_the_subscription_is_answered(broker, receiver, version):
    one = receiver(kept=PAST, protocol=version)
    session, found = accepted(broker, one, has_session=True)
    session.publish(TOPIC, b"kept", mid=7)
    pump(one, taken(1), found=found)
    assert (found.payloads, found.packet_ids, found.message_ids) == ([b"kept"], [7], [7])
    assert (found.history_lost, found.is_new_session) == (False, False)
    one.acknowledge(found.packet_ids)
    assert session.read()[0] == SUBSCRIBE
    assert session.read() == (PUBACK, b"\0\x07")


@pytest.mark.parametrize("has_session", [False, True])
@pytest.mark.parametrize("has_past", [False, True])
def test_history_is_lost_with_a_session_that_was_there(broker, receiver, has_session, has_past):
    """Which the log and the status say. An agent that starts for the first time has lost nothing."""
    log = LogCapture()
    one = receiver(kept=PAST if has_past else Recovered(), log=log)
    _, found = accepted(broker, one, has_session=has_session)
    is_lost = has_past and not has_session
    assert (found.history_lost, found.is_new_session) == (is_lost, not has_session)
    assert one.inbox.counts == ({("", "session_lost"): 1} if is_lost else {})
    said = [(line["log_level"], line["why"]) for line in log.entries if line["event"] == "broker_session_lost"]
    assert said == ([("warning", "the broker does not have it any more")] if is_lost else [])


def test_a_connect_is_noted_before_it_is_sent_and_settled_once_all_is_subscribed(broker, receiver):
    """An agent that is killed in between does not know whether the session that it finds is a new one."""
    one = receiver(kept=PAST)
    assert (one.read(0.1).notes, broker.is_asked()) == ({"session": IN_DOUBT}, False)
    connected(broker, one, has_session=True)
    assert one._session.notes.get("session") == SETTLED
    killed = receiver(kept=Recovered(notes={"session": IN_DOUBT}))
    assert accepted(broker, killed, has_session=True)[1].history_lost


def test_a_broker_that_is_away_leaves_no_doubt(broker, receiver):
    one = receiver(kept=PAST)
    broker.__exit__(None, None, None)
    notes = []
    while len(notes) < 4:
        notes += filter(None, [one.read(0.01).notes])
    assert notes == [{"session": IN_DOUBT}, {"session": SETTLED}] * 2


@VERSIONS
def test_what_no_source_subscribes_to_any_more_is_left(broker, receiver, version):
    one = receiver(kept=Recovered(notes={**PAST.notes, "filter old/#": 1, "filter older/#": 0}), protocol=version)
    session, _ = accepted(broker, one, has_session=True)
    first, body = session.read()
    assert (first, b"old/#" in body, b"older" in body) == (UNSUBSCRIBE, True, False)
    session.send(packet(UNSUBACK, body[:2] + (b"\0\0" if session.is_v5 else b"")))
    pump(one, lambda _: one._session.notes.get("filter old/#") == 0)
    session.grant(session.read()[1], 1)
    pump(one, lambda _: one.subscriptions.of_source == {"press": "granted"})
    session.close()
    pump(one, lambda _: not one.link.is_connected)
    session, _ = accepted(broker, one, has_session=True)
    assert session.read()[0] == SUBSCRIBE, "it is not left again"


@VERSIONS
def test_a_message_whose_acknowledgement_was_lost_is_dropped_and_acknowledged_and_no_other(broker, receiver, version):
    """The second of two equal ones is a reading of its own, and so is what never arrived before."""
    one = receiver(PUMP, kept=AT_PUMPS, protocol=version)
    topic = b"pumps/p1"
    session = connected(broker, one, has_session=True)
    for mid in (7, 8):
        session.publish(topic, b"equal", mid=mid)
    found = pump(one, taken(2))
    one.inbox.remember(found)
    session.reset()
    one.acknowledge(found.packet_ids)
    pump(one, lambda _: not one.link.is_connected)
    session = connected(broker, one, has_session=True)
    session.publish(topic, b"equal", mid=7, dup=True)
    session.publish(topic, b"equal", mid=8, dup=True)
    session.publish(topic, b"other", mid=9, dup=True)
    session.publish(topic, b"other", mid=9, dup=True)
    session.publish(topic, b"equal", mid=7)
    found = pump(one, taken(2))
    assert (found.payloads, found.message_ids) == ([b"other", b"equal"], [9, 7])
    assert (found.packet_ids, found.history_lost) == ([7, 8, 9, 9, 7], False)
    assert one.inbox.counts == {("pump", "duplicate_delivery"): 3}


def test_what_an_earlier_process_recorded_is_dropped_until_the_broker_begins_a_new_session(broker, receiver):
    recent = {7: digest_of("pumps/p1", b"x")}
    for has_session in (True, False):
        one = receiver(PUMP, kept=Recovered(recent=recent, notes=AT_PUMPS.notes))
        session, found = accepted(broker, one, has_session=has_session)
        session.publish(b"pumps/p1", b"x", mid=7, dup=True)
        session.publish(b"pumps/p1", b"y", mid=8)
        pump(one, lambda found: b"y" in found.payloads, found=found)
        assert found.payloads == ([b"y"] if has_session else [b"x", b"y"])


@pytest.mark.parametrize(
    ("before", "now", "n_dropped"), [(10, 14, 4), (10, 10, 0), (10, 3, 3), (10, 0, 0), (None, 5, 5)]
)
def test_what_the_broker_dropped_while_the_agent_was_away_is_counted_and_a_gap(
    broker, receiver, before, now, n_dropped
):
    """A count that is lower is that of a broker that began anew meanwhile; one that said none had dropped none."""
    notes = PAST.notes if before is None else {**PAST.notes, "broker_dropped": before}
    one = receiver(kept=Recovered(notes=notes))
    session = connected(broker, one, has_session=True)
    session.publish(BROKER_DROPPED, b"%d" % now, retain=True)
    session.publish(TOPIC, b"after", mid=1)
    found = pump(one, taken(1))
    assert (one.inbox.counts["", "broker_dropped"], found.history_lost) == (n_dropped, n_dropped > 0)
    assert one._session.notes.get("broker_dropped") == now


def test_what_the_broker_dropped_before_the_agent_came_first_is_none_of_its_business(broker, receiver):
    one = receiver(kept=Recovered())
    session = connected(broker, one)
    session.publish(BROKER_DROPPED, b"7000", retain=True)
    session.publish(TOPIC, b"after", mid=1)
    assert (pump(one, taken(1)).history_lost, one.inbox.counts) == (False, {})


def test_growth_soon_after_the_agent_came_back_is_a_gap_too(broker, receiver):
    """The broker says its count now and then, not at once."""
    one = receiver(kept=Recovered(notes={**PAST.notes, "broker_dropped": 10}))
    session = connected(broker, one, has_session=True)
    found = []
    for count in (b"10", b"4010"):
        session.publish(BROKER_DROPPED, count)
        session.publish(TOPIC, b"after", mid=1)
        found.append(pump(one, taken(1)).history_lost)
    assert (found, one.inbox.counts["", "broker_dropped"]) == ([False, True], 4000)


def test_a_source_whose_devices_publish_at_qos_0_has_lost_history_with_each_connection(broker, receiver):
    """The session keeps nothing of it. A source of which this connection has brought nothing so is not concerned."""
    log = LogCapture()
    one = receiver(PRESS, PUMP, kept=AT_PUMPS, log=log)
    session = connected(broker, one, has_session=True)
    for payload in (b"a", b"b"):
        session.publish(TOPIC, payload)
    session.publish(b"pumps/p1", b"c", mid=1)
    assert pump(one, taken(3)).message_ids == [0, 0, 1]
    assert [line["source"] for line in log.entries if line["event"] == "source_at_qos_0"] == ["press"]
    for lost in (["press"], []):
        session.close()
        pump(one, lambda _: not one.link.is_connected)
        session, found = accepted(broker, one, has_session=True)
        assert (found.lost_sources, found.history_lost) == (lost, False)
        session.grant(session.read()[1], 1)
        session.grant(session.read()[1], 1)
        pump(one, lambda _: "pending" not in one.subscriptions.of_source.values())
    notes = {**AT_PUMPS.notes, "at QoS 0 press": 1, "at QoS 0 of an earlier configuration": 1}
    assert accepted(broker, receiver(PRESS, kept=Recovered(notes=notes)), has_session=True)[1].lost_sources == ["press"]


def test_a_clean_session_notes_nothing(broker, receiver):
    one = receiver()
    session = connected(broker, one)
    session.publish(BROKER_DROPPED, b"7")
    session.publish(TOPIC, b"x", mid=1)
    found = pump(one, taken(1))
    assert (found.message_ids, one._session.notes.take(), one.inbox.begin(0.0).message_ids) == (None, {}, None)
    assert PRESS.name in one.sources


@VERSIONS
@pytest.mark.parametrize(("note", "lost"), [({}, ["press"]), ({FILTER: 0}, ["press"]), ({FILTER: 1}, [])])
def test_a_source_that_the_session_did_not_subscribe_to_has_lost_what_came_before(
    broker, receiver, version, note, lost
):
    """A source that was added, had another topic or another broker, or was taken out for a while."""
    one = receiver(kept=Recovered(notes={"session": SETTLED, **note}), protocol=version)
    _, found = accepted(broker, one, has_session=True)
    assert (found.history_lost, list(found.lost_sources)) == (False, lost)


@VERSIONS
def test_a_source_that_the_broker_refused_has_lost_what_came_until_it_was_granted(broker, receiver, version):
    """And it is left once no source has it: who refuses it now may have granted it before."""
    one = receiver(PRESS, PUMP, kept=Recovered(notes={**PAST.notes, "filter pumps/+": 1}), protocol=version)
    refusal = 0x87 if version == "5" else 0x80
    session = connected(broker, one, refusal, 1, has_session=True)
    session.close()
    pump(one, lambda _: not one.link.is_connected)
    session, found = accepted(broker, one, has_session=True)
    assert (found.history_lost, list(found.lost_sources)) == (False, ["press"])
    without = receiver(PUMP, kept=Recovered(notes={**one._session.notes._values, FILTER: 2}), protocol=version)
    assert without.subscriptions.former == ["plant/+/cycle"]


@VERSIONS
def test_a_subscription_that_was_not_answered_may_not_have_come(broker, receiver, version):
    """The connection ended behind SUBSCRIBE: until the broker has granted it, each connection may have missed rows."""
    one = receiver(kept=AT_PUMPS, protocol=version)
    for _ in range(2):
        session, found = accepted(broker, one, has_session=True)
        assert (found.history_lost, list(found.lost_sources)) == (False, ["press"])
        session.close()
        pump(one, lambda _: not one.link.is_connected)
    connected(broker, one, has_session=True).close()
    pump(one, lambda _: not one.link.is_connected)
    assert accepted(broker, one, has_session=True)[1].lost_sources == []
