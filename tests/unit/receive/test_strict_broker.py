"""Both receivers against a broker that enforces what it announces, and keeps to what they ask of it themselves."""

import time

import pytest
from structlog.testing import LogCapture

from agent.core.input_log import Recovered
from agent.receive.connect import RECEIVE_MAXIMUM
from agent.receive.received import Received
from bench.strict_broker import StrictBroker
from tests.unit.receive.conftest import PAYLOAD_BYTES_MAX
from tests.unit.receive.talk import PRESS, PUMP, TOPIC, add, pump, taken

pytestmark = pytest.mark.slow

VERSIONS = pytest.mark.parametrize("version", ["5", "3.1.1"])
CLIENT_ID = "fw-in"


def subscribed(one) -> None:
    pump(one, lambda _: set(one.subscriptions.of_source.values()) == {"granted"})


def take(one, found: Received, *, until, acknowledges: bool = True) -> None:
    """As the daemon does: read, keep in mind what came, acknowledge."""
    deadline_s = time.monotonic() + 20
    while not until():
        assert time.monotonic() < deadline_s, found
        got = one.read(0.01)
        one.inbox.remember(got)
        add(found, got)
        if acknowledges:
            one.acknowledge(got.packet_ids)


def payloads(n: int) -> list[bytes]:
    return [b"%d" % number for number in range(n)]


@VERSIONS
@pytest.mark.parametrize("window", [1, 20, 5000])
def test_all_comes_in_order_and_is_acknowledged_in_order_however_small_the_window(receiver, version, window):
    with StrictBroker(window=window) as broker:
        one = receiver(at=broker, protocol=version)
        subscribed(one)
        n = 3 * window if window < RECEIVE_MAXIMUM else 2 * RECEIVE_MAXIMUM
        for payload in payloads(n):
            broker.publish(TOPIC.decode(), payload)

        found = Received()
        take(one, found, until=lambda: len(found.payloads) >= n)
        assert found.payloads == payloads(n)
        pump(one, lambda _: not broker.sessions[CLIENT_ID].under_way)
        assert broker.broken == []
        asked = RECEIVE_MAXIMUM if version == "5" else window
        assert broker.clients[CLIENT_ID].fullest_to_it == min(window, asked, n)


@VERSIONS
def test_a_payload_above_the_bound_costs_no_connection(receiver, version):
    """MQTT 5 asks the broker not to send what is far above it; what comes is counted and acknowledged in its place."""
    with StrictBroker() as broker:
        one = receiver(at=broker, protocol=version)
        subscribed(one)
        for payload in (b"x" * (PAYLOAD_BYTES_MAX + 1), b"x" * 300_000, b"small"):
            broker.publish(TOPIC.decode(), payload)
        found = pump(one, taken(1))
        one.acknowledge(found.packet_ids)
        pump(one, lambda _: not broker.sessions[CLIENT_ID].under_way)
        assert found.payloads == [b"small"]
        assert broker.clients[CLIENT_ID].n_too_large == (version == "5")
        assert one.inbox.counts["press", "too_large"] == (1 if version == "5" else 2)
        assert (broker.broken, len(broker.connects)) == ([], 1)


@VERSIONS
def test_a_kept_session_goes_on_in_order_over_cuts_without_a_breach(receiver, version):
    """What was not acknowledged comes again first, is dropped as a duplicate, and acknowledged in its place."""
    with StrictBroker(window=5) as broker:
        one = receiver(PUMP, at=broker, protocol=version, kept=Recovered())
        subscribed(one)
        found, due = Received(), []
        for cut in range(3):
            for payload in payloads(8):
                due.append(b"%d.%s" % (cut, payload))
                broker.publish("pumps/p1", due[-1])
            take(one, found, until=lambda n=8 * cut + 2: len(found.payloads) >= n)
            take(one, found, until=lambda n=8 * cut + 4: len(found.payloads) >= n, acknowledges=False)
            broker.cut(CLIENT_ID)
            take(one, found, until=lambda: not one.link.is_connected, acknowledges=False)
        take(one, found, until=lambda: len(found.payloads) == len(due))
        take(one, found, until=lambda: not broker.sessions[CLIENT_ID].under_way)
        assert found.payloads == due, "each once"
        assert not found.history_lost
        assert broker.broken == []
        assert one.inbox.counts["pump", "duplicate_delivery"] > 0


def test_a_shorter_keepalive_of_the_broker_is_kept_to(receiver):
    with StrictBroker(keepalive_s=1) as broker:
        one = receiver(at=broker, protocol="5")
        subscribed(one)
        end_s = time.monotonic() + 3
        pump(one, lambda _: time.monotonic() > end_s)
        assert (broker.broken, one.link.n_connections) == ([], 1)


def test_a_broker_without_wildcards_refuses_the_source_by_name(receiver):
    log = LogCapture()
    with StrictBroker(wildcards=False, identifiers=False, retain=False, qos_max=0) as broker:
        one = receiver(PRESS, at=broker, protocol="5", log=log)
        pump(one, lambda _: one.subscriptions.of_source["press"] not in ("pending", ""))
        (line,) = [line for line in log.entries if line["event"] == "source_refused"]
        assert (line["source"], line["why"]) == ("press", "Wildcard subscription not supported")
        assert broker.broken == []


MOVES = {
    "shutting down": (0x8B, "", "Server shutting down"),
    "use another server": (0x9C, "b2.example:1883", "Use another server; it names another server: b2.example:1883"),
    "server moved": (0x9D, "b2.example", "Server moved; it names another server: b2.example"),
    "quota": (0x97, "", "Quota exceeded"),
}


@pytest.mark.parametrize(("reason", "server", "why"), MOVES.values(), ids=MOVES)
def test_a_server_that_ends_the_connection_is_quoted_and_come_back_to(receiver, reason, server, why):
    """A24. Never to the server that it names: that would be no broker of the configuration."""
    log = LogCapture()
    with StrictBroker() as broker:
        one = receiver(at=broker, protocol="5", log=log)
        subscribed(one)
        broker.disconnect(CLIENT_ID, reason, server=server)
        found = pump(one, lambda _: one.link.n_connections == 2)
        subscribed(one)
        (line,) = [line for line in log.entries if line["event"] == "broker_lost"]
        assert line["why"] == f"the connection ended: {why}"
        assert found.history_lost
