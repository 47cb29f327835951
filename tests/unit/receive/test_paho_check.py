"""A paho that is not the one the fast path was written for is found out at the start, and plain paho runs."""

import socket
from unittest.mock import Mock

import paho.mqtt.client as paho
import pytest
from structlog.testing import LogCapture

from agent.receive.paho_check import difference
from tests.unit.receive.talk import TOPIC, connected, pump, taken


@pytest.fixture
def path() -> str:
    return "paho"


def renamed(name: str):
    """A paho that does the same under another name: ours no longer takes part in it."""

    def change(monkeypatch) -> None:
        monkeypatch.delattr(paho.Client, name)

    return change


def other_clock(monkeypatch) -> None:
    """The keepalive looks at something that nobody moves when data comes."""
    own = paho.Client._check_keepalive

    def check(client: paho.Client) -> None:
        kept, client._last_bytes_received = client._last_bytes_received, client._last_msg_out
        own(client)
        if client._sock is not None and client._last_bytes_received == client._last_msg_out:
            client._last_bytes_received = kept

    monkeypatch.setattr(paho.Client, "_check_keepalive", check)


def no_pings(monkeypatch) -> None:
    monkeypatch.setattr(paho.Client, "_check_keepalive", lambda _: None)


def deaf_to_pings(monkeypatch) -> None:
    monkeypatch.setattr(paho.Client, "_handle_pingresp", lambda _: paho.MQTT_ERR_SUCCESS)


def queue_that_keeps(monkeypatch) -> None:
    """Packets leave with the next one."""
    own = paho.Client._packet_queue

    def queue(client: paho.Client, command: int, *more):
        return own(client, command, *more) if command != 0x40 else paho.MQTT_ERR_SUCCESS

    monkeypatch.setattr(paho.Client, "_packet_queue", queue)


def silent_end(monkeypatch) -> None:
    monkeypatch.setattr(paho.Client, "_loop_rc_handle", lambda _, rc: rc)


def greedy(monkeypatch) -> None:
    """It takes bytes of the next packet with its own."""
    own = paho.Client._sock_recv
    monkeypatch.setattr(paho.Client, "_sock_recv", lambda client, n_bytes: own(client, n_bytes + 1)[:n_bytes])


def no_time(monkeypatch) -> None:
    monkeypatch.delattr(paho, "time_func")


def no_socket_pairs(monkeypatch) -> None:
    """A sandbox that forbids them."""
    monkeypatch.setattr(socket, "socketpair", Mock(side_effect=PermissionError))


CHANGES = {
    "_create_socket renamed": renamed("_create_socket"),
    "_packet_queue renamed": renamed("_packet_queue"),
    "_loop_rc_handle renamed": renamed("_loop_rc_handle"),
    "another clock": other_clock,
    "no pings": no_pings,
    "deaf to pings": deaf_to_pings,
    "acknowledgements kept": queue_that_keeps,
    "a silent end": silent_end,
    "reads ahead": greedy,
    "no time": no_time,
    "no socket pairs": no_socket_pairs,
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_paho_that_behaves_differently_is_found(monkeypatch, name):
    CHANGES[name](monkeypatch)
    assert difference()


def test_the_pinned_paho_is_the_one_it_was_written_for():
    assert difference() == ""


def test_the_fall_back_is_said_and_takes_the_same_messages(broker, receiver, monkeypatch):
    """Although the fast path was wanted."""
    log = LogCapture()
    deaf_to_pings(monkeypatch)
    one = receiver(log=log, wanted="auto")
    assert [(line["event"], line["log_level"]) for line in log.entries] == [("receiver_fallback", "warning")]
    assert log.entries[0]["why"].startswith("MQTT 5: a ping after an answer")
    session = connected(broker, one)
    session.publish(TOPIC, b"a", mid=3)
    found = pump(one, taken(1))
    assert (found.payloads, found.packet_ids) == ([b"a"], [3])


def test_plain_paho_on_request_is_no_fall_back(receiver):
    log = LogCapture()
    receiver(log=log, wanted="paho")
    assert log.entries == []
