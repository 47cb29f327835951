"""What the broker says it dropped is counted and said; it is a gap only where it may have been ours."""

from collections import Counter
from types import SimpleNamespace

import pytest

from agent.core.input_log import Recovered
from agent.log import TEXT_MAX
from agent.receive.broker_drops import (
    BREATH_S,
    LATE_S,
    OURS_S,
    PAUSE_S,
    ROUND_TRIPS,
    SAID_WITHIN_S,
    SOCKET_BYTES,
    UNSAID,
    BrokerDrops,
)
from agent.receive.inbox import BROKER_DROPPED
from agent.receive.kept_session import KeptSession
from agent.receive.nap import QUEUE, WINDOW
from agent.receive.received import Received
from agent.store.records import Noted, encode
from bench.mqtt_packets import SUBSCRIBE
from tests.unit.receive.talk import TOPIC, connected, knocking, pump, taken


def said(one, session, *counts, retain=False):
    """What the receiver makes of counts that the broker says, one read for all, behind which a message comes."""
    for count in counts:
        session.publish(BROKER_DROPPED, count, retain=retain)
    session.publish(TOPIC, b"after")
    return pump(one, taken(1))


def test_what_it_said_before_is_only_where_counting_begins(broker, receiver):
    one = receiver()
    found = said(one, connected(broker, one), b"7000", retain=True)
    assert (found.topics, found.drops, found.history_lost) == ([TOPIC.decode()], [], False)
    assert one.inbox.counts == {}


@pytest.mark.parametrize(
    ("n_messages", "count", "may_be_ours"), [(WINDOW, b"9", True), (WINDOW - 1, b"9", False), (WINDOW, b"0", False)]
)
def test_a_first_count_behind_a_backlog_may_have_drops_of_ours(n_messages, count, may_be_ours):
    """As when the disk is full from the start: the count waits behind the first messages."""
    one = BrokerDrops(Counter(), KeptSession(None))
    one.take(Received(packet_ids=[*range(n_messages)]), 0.0)
    found = Received(broker_dropped=count)
    one.take(found, 2.0)
    assert (found.history_lost, found.drops) == (may_be_ours, [])


def test_growth_is_counted_and_is_no_gap_for_who_kept_up(broker, receiver):
    one = receiver()
    session = connected(broker, one)
    said(one, session, b"10", retain=True)
    found = said(one, session, b"14")
    (drop,) = found.drops
    assert (drop.source, drop.device, drop.reason) == ("", "", "broker_dropped")
    assert "probably another client's" in drop.detail
    assert not found.history_lost
    assert one.inbox.counts == {("", "broker_dropped"): 4}
    assert found.topics == [TOPIC.decode()], "it does not enter the core"


@pytest.mark.parametrize(
    ("full", "less"),
    [
        (Received(packet_ids=[*range(1, WINDOW + 1)]), Received(packet_ids=[*range(1, WINDOW)])),
        (Received(topics=["t"] * QUEUE), Received(topics=["t"] * (QUEUE - 1))),
        (Received(is_cut=True), Received()),
        (Received(n_bytes=SOCKET_BYTES), Received(n_bytes=SOCKET_BYTES - 1)),
    ],
)
def test_growth_is_a_gap_where_what_came_not_long_before_looks_like_a_backlog(full, less):
    """A window, a queue, more than one read may bring, or as many bytes as wait before a broker queues."""
    for read, now_s, may_be_ours in ((full, OURS_S - 1, True), (full, OURS_S, False), (less, 1.0, False)):
        one = BrokerDrops(Counter(), KeptSession(None))
        one.take(Received(broker_dropped=b"0"), 0.0)
        one.take(read, 0.0)
        for second in range(1, int(now_s)):
            one.take(Received(), float(second))
        found = Received(broker_dropped=b"3")
        one.take(found, now_s)
        assert found.history_lost == may_be_ours
        assert ("may have been ours" in found.drops[0].detail) == may_be_ours


@pytest.mark.parametrize(("payload", "is_count"), [(b"9" * 18, True), (b"9" * 20, False), (b"-1", False)])
def test_what_the_journal_could_not_keep_is_no_count(payload, is_count):
    """Some brokers let anybody publish it, retained: the agent must not end at it, at each start."""
    session = KeptSession(Recovered())
    BrokerDrops(Counter(), session).take(Received(broker_dropped=payload), 0.0)
    assert list(session.notes.take()) == ["broker_dropped"] * is_count
    if is_count:
        assert encode(Noted("", "broker_dropped", int(payload)))


@pytest.mark.parametrize("read", [Received(), Received(is_cut=True)])
def test_what_it_means_is_in_the_part_of_a_text_that_is_logged(read):
    one = BrokerDrops(Counter(), KeptSession(None))
    for payload in (b"0", b"4294967295"):
        read.broker_dropped = payload
        one.take(read, 0.0)
    assert len(read.drops[0].detail) <= TEXT_MAX


def test_a_broker_that_grants_the_count_and_never_says_it_is_one_that_has_none():
    """So mosquitto does whose ACL does not name the topic."""
    one = BrokerDrops(Counter(), KeptSession(None))
    client = SimpleNamespace(subscribe=lambda *_: (0, 7))
    limits = []
    for now_s, count in ((0.0, b""), (SAID_WITHIN_S, b""), (SAID_WITHIN_S + 1.0, b"3"), (9e3, b"")):
        if now_s == 0.0:
            one.ask(client, now_s)
            one.answer(7, now_s, is_refused=False)
        one.take(Received(broker_dropped=count), now_s)
        limits.append(one.limits)
    assert limits == [(), (UNSAID,), (), ()]


@pytest.mark.parametrize(
    ("pause_s", "n_after", "may_be_ours"),
    [(PAUSE_S, 0, True), (PAUSE_S, WINDOW, True), (PAUSE_S / 4, 0, False), (PAUSE_S / 4, WINDOW, False)],
)
def test_growth_is_a_gap_after_a_pause_in_which_a_small_window_or_queue_was_filled(pause_s, n_after, may_be_ours):
    """20 messages a second come for 30 s, two a read; then nobody reads for a while."""
    one = BrokerDrops(Counter(), KeptSession(None))
    one.take(Received(broker_dropped=b"0"), 0.0)
    for number in range(1, 301):
        one.take(Received(topics=["t"] * 2), number / 10)
    found = Received(topics=["t"] * n_after, broker_dropped=b"3")
    one.take(found, 30.0 + pause_s)
    assert found.history_lost == may_be_ours


@pytest.mark.parametrize(
    ("n_before", "n_after", "late_s", "may_be_ours"),
    [(7, 13, LATE_S, True), (7, 13, LATE_S - 0.1, False), (7, 12, LATE_S, False)],
)
def test_what_was_acknowledged_late_took_room_in_the_window(n_before, n_after, late_s, may_be_ours):
    """As when the disk is full: what cannot be kept is not acknowledged."""
    one = BrokerDrops(Counter(), KeptSession(None))
    one.take(Received(broker_dropped=b"0", packet_ids=[*range(n_before)]), 0.0)
    one.acknowledge(n_before, late_s)
    one.take(Received(packet_ids=[*range(n_after)]), late_s + 2 * BREATH_S)
    one.acknowledge(n_after, late_s + 2 * BREATH_S)
    found = Received(broker_dropped=b"5")
    one.take(found, late_s + 2 * BREATH_S)
    assert found.history_lost == may_be_ours


@pytest.mark.parametrize(("n_after", "may_be_ours"), [(WINDOW - 2, True), (WINDOW - 3, False)])
@pytest.mark.parametrize("delay_s", [0.0, 0.2])
def test_what_was_acknowledged_just_before_a_read_that_is_held_took_room_too(delay_s, n_after, may_be_ours):
    """A slow disk and reads of one message: the one before, the one that is held, and all that come then at once."""
    one = BrokerDrops(Counter(), KeptSession(None))
    for now_s in (0.0, LATE_S):
        one.take(Received(topics=["t"], packet_ids=[1], broker_dropped=b"" if now_s else b"0"), now_s)
        one.acknowledge(1, now_s + LATE_S)
    now_s = 2 * LATE_S
    for _ in range(n_after):
        now_s += delay_s
        one.take(Received(topics=["t"], packet_ids=[1]), now_s)
        one.acknowledge(1, now_s)
        delay_s = 0.0
    found = Received(broker_dropped=b"5")
    one.take(found, now_s)
    assert found.history_lost == may_be_ours


@pytest.mark.parametrize(("held_s", "may_be_ours"), [(PAUSE_S, True), (PAUSE_S - 0.1, False)])
def test_nothing_is_read_while_a_read_is_held_however_little_it_brought(held_s, may_be_ours):
    """The disk is full before the first message: the grant of the subscriptions is what cannot be recorded."""
    one = BrokerDrops(Counter(), KeptSession(None))
    one.take(Received(broker_dropped=b"0"), 0.0)
    one.acknowledge(0, held_s)
    found = Received(broker_dropped=b"5", packet_ids=[1, 2, 3])
    one.take(found, held_s)
    assert found.history_lost == may_be_ours


@pytest.mark.parametrize("round_trip_s", [0.0, 0.04])
def test_what_comes_before_the_broker_hears_an_acknowledgement_is_one_window(round_trip_s):
    """In however many reads: each is acknowledged, and the broker does not know it yet."""
    apart_s = max(ROUND_TRIPS * round_trip_s, BREATH_S) / 3
    for factor, may_be_ours in ((1.45, True), (1.55, False)):  # from the first to the third: what came since, too
        one = BrokerDrops(Counter(), KeptSession(None))
        one.ask(SimpleNamespace(subscribe=lambda *_: (0, 7)), 0.0)
        one.answer(7, round_trip_s, is_refused=False)
        one.take(Received(broker_dropped=b"0"), 0.1)
        for number in range(4):
            now_s = 1.0 + number * apart_s * factor
            one.take(Received(packet_ids=[*range(WINDOW // 4)]), now_s)
            one.acknowledge(WINDOW // 4, now_s)
        found = Received(broker_dropped=b"5")
        one.take(found, 2.0)
        assert found.history_lost == may_be_ours


@pytest.mark.parametrize(("n_before", "n_after", "may_be_ours"), [(18, 2, True), (18, 1, False), (10, 19, False)])
def test_what_is_read_after_a_nap_may_have_come_with_what_was_read_before(n_before, n_after, may_be_ours):
    """The rest of a window came while nobody looked; but half a window in each nap is how a quick stream looks."""
    one = BrokerDrops(Counter(), KeptSession(None))
    one.take(Received(broker_dropped=b"0"), 0.0)
    one.take(Received(packet_ids=[*range(n_before)]), 1.0)
    one.acknowledge(n_before, 1.0)
    one.take(Received(packet_ids=[*range(n_after)]), 1.1)
    one.acknowledge(n_after, 1.1)
    found = Received(broker_dropped=b"3")
    one.take(found, 2.0)
    assert found.history_lost == may_be_ours


def test_a_pause_in_which_hardly_anything_is_due_is_no_sign():
    one = BrokerDrops(Counter(), KeptSession(None))
    for number in range(10):
        one.take(Received(topics=["t"], broker_dropped=b"%d" % number), number * 10.0)
    found = Received(broker_dropped=b"70")
    one.take(found, 200.0)
    assert not found.history_lost


def test_a_lower_count_is_that_of_a_broker_begun_anew(broker, receiver):
    one = receiver()
    session = connected(broker, one)
    said(one, session, b"10", retain=True)
    said(one, session, b"2")
    said(one, session, b"5")
    assert one.inbox.counts == {("", "broker_dropped"): 3}


@pytest.mark.slow
@pytest.mark.parametrize("junk", [b"", b"-4", b"many", b"9" * 30, b"\xff"])
def test_what_is_no_count_is_nothing(broker, receiver, junk):
    one = receiver()
    session = connected(broker, one)
    said(one, session, b"10", retain=True)
    assert said(one, session, junk).drops == []
    assert one.inbox.counts == {}


def test_a_broker_that_refuses_is_asked_again_with_the_next_connection(broker, receiver):
    one = receiver()
    session = subscribed(broker, one)
    session.grant(session.read()[1], 0x87)
    pump(one, lambda _: one._broker_drops._message_id is None)
    assert (one.subscriptions.of_source, one.limits) == ({"press": "granted"}, (UNSAID,))
    session.close()
    pump(one, lambda _: not one.link.is_connected)
    said(one, connected(broker, one), b"7", retain=True)
    assert one.limits == ()


def test_a_broker_that_hangs_up_on_the_question_twice_is_not_asked_again(broker, receiver):
    """Once may be a connection that broke by chance."""
    one = receiver()
    for _ in range(2):
        session = subscribed(broker, one)
        assert session.read()[0] == SUBSCRIBE
        session.close()
        pump(one, lambda _: not one.link.is_connected)
    session = subscribed(broker, one)
    session.publish(TOPIC, b"a", mid=9)
    one.acknowledge(pump(one, taken(1)).packet_ids)
    assert session.read() == (0x40, b"\0\x09"), "no question came before it"


def subscribed(broker, one):
    """A session whose sources are granted, and whose next packet has not been read."""
    session = knocking(broker, one)
    session.accept()
    pump(one, lambda _: one.link.is_connected)
    one.read(0.01)
    session.grant(session.read()[1], 1)
    pump(one, lambda _: one.subscriptions.of_source == {"press": "granted"})
    one.read(0.01)
    return session
