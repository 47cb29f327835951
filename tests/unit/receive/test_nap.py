"""A nap ends when what can wait is half full, at any rate and for any size of message."""

import math
import socket
import time
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.receive import wait
from agent.receive.inputs import Inputs
from agent.receive.nap import LOOK_EVERY, LOOKS, QUEUE, TRY_EVERY, TRY_S, WINDOW, bytes_that_wake, smallest_frame
from agent.receive.received import Received
from agent.receive.wait import Nap
from bench.mqtt_packets import PUBACK
from tests.unit.receive.talk import TOPIC, connected, pump, taken

SIZES = st.integers(1, 2**24)


@given(SIZES, SIZES, st.booleans())
def test_it_wakes_before_more_than_half_waits(frame_bytes, buffer_bytes, has_window):
    """Of the window or queue in messages, and of the buffer in bytes; there is always a byte to wait for."""
    wakes = bytes_that_wake(frame_bytes, buffer_bytes, has_window=has_window)
    assert wakes >= 1
    assert wakes == 1 or wakes <= buffer_bytes / 2
    assert wakes == 1 or wakes / frame_bytes <= (WINDOW if has_window else QUEUE) / 2


@given(st.lists(SIZES, min_size=1))
def test_the_smallest_frame_falls_at_once_and_rises_by_doubling(frames):
    before = 0
    for frame in frames:
        now = smallest_frame(before, frame)
        assert 1 <= now <= frame
        assert now == frame or now == 2 * before
        before = now


def nap(one, longest_s):
    Inputs({"": one}, time.time_ns, one.inbox.counts).nap(longest_s)


def received(receiver, broker, n, **settings):
    one = receiver(**settings)
    session = connected(broker, one)
    session.send(b"".join(session.publish_bytes(TOPIC, b"x" * 30, mid=mid) for mid in range(1, n + 1)))
    pump(one, taken(n))
    return one, session


@pytest.mark.parametrize("version", ["3.1.1", "5"])
def test_half_a_window_ends_it_however_long_it_may_be(broker, receiver, version):
    """At QoS 1: a nap of an hour is over when ten messages wait."""
    one, session = received(receiver, broker, 1, protocol=version)
    session.send(b"".join(session.publish_bytes(TOPIC, b"x" * 30, mid=mid) for mid in range(2, 2 + WINDOW // 2)))
    nap(one, 3600.0)
    assert len(one.read(0.0).topics) == WINDOW // 2


def test_the_end_of_the_connection_ends_it(broker, receiver):
    one, session = received(receiver, broker, 1)
    session.close()
    nap(one, 3600.0)
    pump(one, lambda _: not one.link.is_connected)


def test_without_a_message_there_is_none(broker, receiver):
    one = receiver()
    connected(broker, one)
    one.read(0.0)
    nap(one, 3600.0)
    assert one.link.is_connected


def test_where_the_kernel_cannot_tell_it_is_short(broker, receiver, monkeypatch):
    one, _ = received(receiver, broker, 1)
    naps = []
    monkeypatch.setattr(time, "sleep", naps.append)

    def refuse(*_):
        raise OSError("no such option")

    monkeypatch.setattr(type(one._client.socket()), "setsockopt", refuse, raising=False)
    nap(one, 3600.0)
    assert naps == [0.002]


def test_few_bytes_do_not_end_it_and_the_next_read_has_them(broker, receiver):
    """It is as long as it may be, and the kernel is asked for any byte again afterwards."""
    one, session = received(receiver, broker, WINDOW // 2)
    session.publish(TOPIC, b"x" * 30, mid=WINDOW)
    nap(one, 0.05)
    found = pump(one, taken(1))
    assert found.packet_ids == [WINDOW]
    sock = one._client.socket()
    assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT) == 1


@pytest.mark.parametrize("window", [1, 5])
def test_a_small_window_is_not_slept_through(broker, receiver, window):
    """The broker sends more with the acknowledgements: no nap of an hour is slept then."""
    one, session = received(receiver, broker, window)
    for first in range(window + 1, 5 * window, window):
        one.acknowledge(range(first - window, first))
        assert {session.read()[0] for _ in range(window)} == {PUBACK}
        session.send(b"".join(session.publish_bytes(TOPIC, b"x" * 30, mid=first + mid) for mid in range(window)))
        nap(one, 3600.0)
        pump(one, taken(window))


def test_a_stream_that_is_only_slow_is_seldom_looked_behind():
    """Each look is a waking. One that brings something makes the next small reads worth a look again."""
    mine, theirs = socket.socketpair()
    with mine, theirs:
        client, slow = SimpleNamespace(socket=lambda: mine, want_write=lambda: False), Nap(has_window=True)
        read = Received(topics=["plant/p1"], payloads=[b"x" * 30], packet_ids=[1])
        for _ in range(10 * LOOK_EVERY):
            mark = slow.mark(client, read)
            wait.nap([mark], 0.0)
        looks = [slow.mark(client, read).learn is not None for _ in range(10 * LOOK_EVERY)]
        assert sum(looks) == 10
        theirs.send(b"more")
        while (mark := slow.mark(client, read)).learn is None:
            pass
        wait.nap([mark], 0.0)
        assert all(slow.mark(client, read).learn is not None for _ in range(LOOKS))


def test_a_quick_stream_is_no_broker_that_is_held_back():
    """Its next message answers each look. A short nap then shows that more come than the window was taken for."""
    mine, theirs = socket.socketpair()
    with mine, theirs:
        client, quick = SimpleNamespace(socket=lambda: mine, want_write=lambda: False), Nap(has_window=True)
        theirs.send(b"more")
        reads = [Received(topics=["plant/p1"] * n, payloads=[b"x"] * n, packet_ids=[*range(n)]) for n in range(4)]
        for _ in range(TRY_EVERY):
            mark = quick.mark(client, reads[1])
            assert (mark.learn is not None, mark.longest_s) == (True, math.inf)
            wait.nap([mark], 3600.0)
        tried = quick.mark(client, reads[1])
        assert (tried.learn, tried.longest_s) == (None, TRY_S)
        quick.mark(client, reads[3])
        assert quick.mark(client, reads[1]).learn is None, "it was no whole window"
        other = SimpleNamespace(socket=lambda: mine, want_write=lambda: False)
        assert quick.mark(other, reads[1]).learn is not None, "another connection has another window"
