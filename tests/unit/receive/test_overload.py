"""What a source's policy does when more comes than can be taken: through the inbox alone, in counts."""

from collections import Counter
from dataclasses import replace

import pytest

from agent.receive import backlog
from agent.receive.inbox import Inbox, ReadBounds
from agent.receive.overload import Policy
from agent.receive.publish_frame import Message
from agent.receive.received import MESSAGES_MAX, Received
from tests.unit.core.test_alert_commands import COMMANDS
from tests.unit.receive.talk import PRESS

YARD = replace(PRESS, name="yard", topics=("yard/{device}/cycle", "shed/{device}/cycle"))
STOP_S = 30.0


def inbox(policy: Policy, *, rows_max: int = 2, sources=(PRESS, YARD)) -> Inbox:
    return Inbox(sources, ReadBounds(1000, rows_max), lambda: 10**9, {"press": policy}, stop_s_max=STOP_S)


def read(one: Inbox, now_s: float, *devices: str) -> Received:
    """A read that brings a message of each, as far as it may bring any; a payload is the message's number."""
    received = one.begin(now_s)
    for device in devices:
        if one.room > 0:
            topic = device if "/" in device else f"plant/{device}/cycle"
            one.take(Message(topic.encode(), b"%d" % len(received.topics), 0, 0, False, False, ()))
    one.stamp()
    return one.settle(now_s)


@pytest.fixture(autouse=True)
def _small(monkeypatch):
    monkeypatch.setattr(backlog, "ROWS_OF_ONE_MAX", 10)


@pytest.mark.parametrize(("overload", "kept"), [("newest", range(2, 12)), ("oldest", range(21, 30))])
def test_newest_and_oldest_shed_one_end_of_what_waits(overload, kept):
    """30 rows come: 2 are the share, 10 may wait, a hole among them. The device says `gap` where they are missing."""
    one = inbox(Policy(overload))
    received = read(one, 0.0, *["hog"] * 30, "p1")
    assert [topic for topic in received.topics if "p1" in topic] == ["plant/p1/cycle"]
    (shed,) = received.shed
    assert (shed.device, shed.n_rows, shed.n_shed) == ("hog", 28, 28 - len(kept))
    assert one.counts == {("press", "shed"): shed.n_shed}
    taken, gaps, now_s = [], [], 1.0
    while one.overload.backlog:
        received = read(one, now_s)
        gaps.append((len(taken), received.gaps))
        taken += received.payloads
        now_s += 1.0
    assert taken == [b"%d" % number for number in kept]
    at = 0 if overload == "oldest" else len(kept)
    assert [gap for gap in gaps if gap[1]] == [(at, [("press", "hog")])]


def test_block_reads_nothing_while_there_is_no_room_and_sheds_nothing():
    """However much is offered: what is not read stays with the broker, and all that is read is taken in time."""
    one = inbox(Policy("block"))
    n_taken = n_offered = 0
    for tenth in range(100):
        received = read(one, tenth / 5, *["hog"] * 100)
        n_taken += len(received.topics)
        n_offered += 100
    assert (n_taken, one.counts) == (2 * 100, {})
    assert one.overload.backlog.n_rows <= 10


def test_block_gives_up_after_half_a_keepalive_and_then_sheds():
    one = inbox(Policy("block"), rows_max=1)
    for now_s in (0.0, 0.01):
        read(one, now_s, *["hog"] * 100)
    found = []
    for now_s in (0.1, 0.1 + STOP_S - 1, 0.1 + STOP_S):
        one.begin(now_s)
        found.append((one.is_shut, one.room))
    assert found == [(True, 0), (True, 0), (False, MESSAGES_MAX)]
    received = read(one, 0.1 + STOP_S, *["hog"] * 100, "p1")
    assert (one.counts["press", "shed"], received.topics.count("plant/p1/cycle")) == (99, 1)


@pytest.mark.parametrize("waiting_bytes_max", [2**23, backlog.BYTES_MAX])
def test_who_gave_up_blocks_again_once_half_of_the_room_is_free(waiting_bytes_max):
    """However little room a journal gives."""
    bounds = ReadBounds(1000, 1, waiting_bytes_max=waiting_bytes_max)
    one = Inbox([PRESS], bounds, lambda: 10**9, {"press": Policy("block")}, stop_s_max=STOP_S)
    for now_s in (0.0, 0.01, 0.1, 0.2 + STOP_S):
        read(one, now_s, *["hog"] * 100)
    assert one.counts["press", "shed"] > 0
    now_s = 1.0 + STOP_S
    while one.overload.backlog:
        read(one, now_s)
        now_s += 1.0
    one.begin(now_s)
    assert one.room == 10


def test_a_device_that_is_shed_already_stops_nobody():
    one = inbox(Policy("block"), rows_max=1)
    for now_s in (0.0, 0.01, 0.02, 1.0 + STOP_S):
        read(one, now_s, *["hog"] * 100)
    assert one.counts["press", "shed"] > 0
    one.begin(1.02 + STOP_S)
    assert (one.is_shut, one.room) == (False, 10)


def test_a_source_of_another_policy_stops_nobody():
    one = inbox(Policy("block"))
    read(one, 0.0, *["yard/hog/cycle"] * 10)
    read(one, 0.01, *["shed/hog/cycle"] * 10)
    one.begin(0.02)
    assert (one.is_shut, one.counts) == (False, {("yard", "shed"): 8})


def test_rows_of_one_device_from_several_topics_of_a_source_share_one_share():
    one = inbox(Policy(), rows_max=2, sources=(YARD,))
    received = read(one, 0.0, "yard/hog/cycle", "shed/hog/cycle", "shed/hog/cycle")
    assert (received.topics, one.overload.backlog.n_rows) == (["yard/hog/cycle", "shed/hog/cycle"], 1)


def test_what_is_beyond_the_rate_is_dropped_counted_and_a_gap():
    """Of its own source alone; the gap stands where the rows are missing, behind those that were taken."""
    one = inbox(Policy(rate_max=5), rows_max=100)
    received = read(one, 0.0, *["hog"] * 8, "yard/y1/cycle", "p1")
    assert received.topics == ["plant/hog/cycle"] * 5 + ["yard/y1/cycle"]
    assert (one.counts, received.gaps) == ({("press", "rate"): 4}, [])
    (drop,) = received.drops
    assert (drop.source, drop.reason, drop.detail) == ("press", "rate", "4 of 9 messages of a read are beyond rate_max")
    received = read(one, 1.0, "hog", "p1", "p2")
    assert sorted(received.gaps) == [("press", "hog"), ("press", "p1")]
    assert received.topics == ["plant/hog/cycle", "plant/p1/cycle", "plant/p2/cycle"]


def test_where_the_payload_names_the_device_the_topic_stands_in_for_it():
    """Nobody knows whose rows are shed or dropped, so all devices of the source say `gap`."""
    gateway = replace(PRESS, topics=("gw/+",), device="{machine}", tags=(("machine", "id"),))
    one = inbox(Policy(), sources=(gateway,))
    received = read(one, 0.0, *["gw/a"] * 20, "gw/b")
    assert (received.topics, one.overload.shed_of) == (["gw/a", "gw/a", "gw/b"], {("press", "gw/a"): 8})
    gaps = []
    for second in range(1, 8):
        gaps += read(one, float(second)).gaps
    assert gaps == [("press", "")]


def test_inboxes_that_are_given_the_same_counts_count_together():
    """A line of the log says how many there were since the last one, whichever broker brought them."""
    counts: Counter = Counter()
    for _ in range(2):
        one = Inbox([PRESS], ReadBounds(1), lambda: 10**9, counts=counts)
        one.begin(0.0)
        one.take(Message(b"\xff", b"", 0, 0, False, False, ()))
    assert counts == {("", "topic"): 2}


def test_what_the_agent_itself_publishes_is_neither_taken_nor_counted():
    """Where a source's topic begins with a name, the broker sends that back, too."""
    everything = replace(PRESS, topics=("{device}/{line}/cycle",))
    one = Inbox([everything], ReadBounds(1000), lambda: 10**9, passes_over="forewarn/")
    one.begin(0.0)
    for topic in (b"forewarn/n/cycle", b"forewarned/n/cycle", b"forewarn/n/cycle"):
        one.take(Message(topic, b"{}", 0, 7, False, False, ()))
    one.drop_large(b"forewarn/n/cycle", 8, 10**6)
    assert (one.received.topics, one.received.packet_ids) == (["forewarned/n/cycle"], [7, 7, 7, 8])
    assert (one.received.drops, one.counts, [*one.topic_texts]) == ([], {}, [b"forewarned/n/cycle"])


def test_commands_are_read_where_the_agent_publishes():
    """They are sources whose topics have no names; another node's commands are passed over."""
    commands = replace(PRESS, name="cmd/press", device="all", topics=("forewarn/n/cmd/intervention/press",))
    one = Inbox([commands], ReadBounds(1000), lambda: 10**9, passes_over="forewarn/")
    one.begin(0.0)
    for topic in (b"forewarn/n/cmd/intervention/press", b"forewarn/m/cmd/intervention/press", b"forewarn/n/status"):
        one.take(Message(topic, b"{}", 0, 7, False, False, ()))
    assert one.received.topics == ["forewarn/n/cmd/intervention/press"]


def test_without_a_policy_nothing_but_the_share_counts():
    one = Inbox([PRESS], ReadBounds(1000), lambda: 10**9)
    assert len(read(one, 0.0, *(f"p{number}" for number in range(3000))).topics) == 3000
    assert one.room == MESSAGES_MAX - 3000


def give(one: Inbox, now_s: float, *messages: tuple[str, bytes]) -> list[tuple[str, bytes]]:
    """What a read gives of these, in its order."""
    one.begin(now_s)
    for topic, payload in messages:
        one.take(Message(topic.encode(), payload, 0, 0, False, False, ()))
    one.stamp()
    received = one.settle(now_s)
    return [*zip(received.topics, received.payloads, strict=True)]


def rows(device: str, numbers: range) -> list[tuple[str, bytes]]:
    return [(f"plant/{device}/cycle", b"%d" % number) for number in numbers]


def order(action: str, device: str) -> tuple[str, bytes]:
    return f"forewarn/n/cmd/{action}/press", b'{"device":"%s"}' % device.encode()


def test_commands_have_no_share_and_keep_their_order():
    one = inbox(Policy(), sources=(PRESS, COMMANDS))
    orders = [order("suppress", f"p{number}") for number in range(9)] + [order("unsuppress", "p8")]
    assert give(one, 0.0, *orders) == orders


def test_a_command_goes_behind_the_rows_of_its_device_that_came_before_and_no_others():
    one = inbox(Policy(), sources=(PRESS, COMMANDS))
    assert give(one, 0.0, *rows("hog", range(6)), *rows("p2", range(6))) == [
        *rows("hog", range(2)),
        *rows("p2", range(2)),
    ]
    more = [*rows("hog", range(6, 8)), order("suppress", "hog"), *rows("hog", range(8, 10)), order("suppress", "")]
    given = give(one, 0.01, *more)
    assert given == [*rows("hog", range(2, 8)), order("suppress", "hog"), order("suppress", "")]
    assert sorted(give(one, 1.0)) == [*rows("hog", range(8, 10)), *rows("p2", range(2, 4))]


def test_a_command_that_cannot_be_read_moves_nothing():
    one = inbox(Policy(), sources=(PRESS, COMMANDS))
    give(one, 0.0, *rows("hog", range(6)))
    junk = ("forewarn/n/cmd/suppress/press", b'{"device":')
    assert give(one, 0.01, junk) == [junk]


def test_rows_behind_a_hole_are_not_brought_forward_for_a_command():
    """Their device must say `gap` between them, which needs a read of its own."""
    one = inbox(Policy("newest"), sources=(PRESS, COMMANDS))
    give(one, 0.0, *rows("hog", range(30)))
    one.overload.backlog.lose_rows(("press", "hog"))
    taken = give(one, 0.01, *rows("hog", range(30, 32)), order("suppress", "hog"))
    assert taken[-1] == order("suppress", "hog")
    assert [int(payload) for topic, payload in taken[:-1]] == list(range(2, 12))


def test_the_rate_of_another_source_moves_no_command():
    policies = {"yard": Policy("newest", rate_max=2)}
    one = Inbox((PRESS, YARD, COMMANDS), ReadBounds(1000, 2), lambda: 10**9, policies, stop_s_max=STOP_S)
    yard = [("yard/y1/cycle", b"%d" % number) for number in range(5)]
    given = give(one, 0.0, *rows("hog", range(6)), order("suppress", "hog"), *yard)
    assert given[:7] == [*rows("hog", range(6)), order("suppress", "hog")]
    assert one.counts["yard", "rate"] > 0


def test_rows_behind_a_hole_go_first_where_their_gap_can_be_told():
    one = inbox(Policy("oldest"), sources=(PRESS, COMMANDS))
    give(one, 0.0, *rows("hog", range(20)))
    one.begin(0.01)
    one.take(Message(b"forewarn/n/cmd/suppress/press", order("suppress", "hog")[1], 0, 0, False, False, ()))
    received = one.settle(0.01)
    assert received.gaps == [("press", "hog")]
    assert [int(payload) for payload in received.payloads[:-1]] == list(range(11, 20))
    assert received.n_waited == 9
