"""How a test drives a receiver and the broker at its other end."""

import time
from collections.abc import Callable

from agent.receive.client import Receiver
from agent.receive.inbox import BROKER_DROPPED
from agent.receive.received import Received
from agent.sources import Source, plain_channels
from bench.fake_broker import FakeBroker, Session
from bench.mqtt_packets import SUBSCRIBE

PRESS = Source(
    name="press",
    topics=("plant/{device}/cycle",),
    time_field="cycle",
    time_unit="cycle",
    channels=plain_channels("temp"),
)
PUMP = Source(
    name="pump", topics=("pumps/{device}",), time_field="", time_unit="arrival", channels=plain_channels("temp")
)
TOPIC = b"plant/p1/cycle"


def add(found: Received, got: Received) -> None:
    """Append what another read has brought."""
    for name in ("topics", "payloads", "arrived_ns", "packet_ids", "drops"):
        getattr(found, name).extend(getattr(got, name))
    found.n_bytes += got.n_bytes
    found.history_lost |= got.history_lost
    found.is_new_session |= got.is_new_session
    found.lost_sources = [*found.lost_sources, *got.lost_sources]
    found.notes |= got.notes
    if got.message_ids is not None:
        found.message_ids = [*(found.message_ids or []), *got.message_ids]


def pump(
    one: Receiver, done: Callable[[Received], bool], *, timeout_s: float = 8.0, found: Received | None = None
) -> Received:
    """Read until `done`, given all that was received so far, `found` included."""
    found = found or Received()
    deadline = time.monotonic() + timeout_s
    while not done(found):
        assert time.monotonic() < deadline, found
        add(found, one.read(0.01))
    return found


def taken(n: int) -> Callable[[Received], bool]:
    return lambda found: len(found.topics) >= n


def knocking(broker: FakeBroker, one: Receiver, *, version: int | None = None) -> Session:
    """A session whose CONNECT has come, of the expected version."""
    pump(one, lambda _: one._client is not None)
    session = broker.session()
    connect = session.read_connect()
    assert version in (None, connect[6])
    return session


def connected(broker: FakeBroker, one: Receiver, *reasons: int, has_session: bool = False) -> Session:
    """A session that is accepted, and subscribed with these reasons, or granted."""
    session = knocking(broker, one)
    session.accept(has_session=has_session)
    pump(one, lambda _: one.link.is_connected)
    one.read(0.01)
    for number in range(len(one.subscriptions.of_source)):
        first, body = session.read()
        assert first == SUBSCRIBE
        session.grant(body, reasons[number] if reasons else 1)
    pump(one, lambda _: "pending" not in one.subscriptions.of_source.values())
    one.read(0.01)
    first, body = session.read()  # what the broker drops is asked for, and answered before anything else happens
    assert (first, BROKER_DROPPED in body) == (SUBSCRIBE, True)
    session.grant(body, 0)
    pump(one, lambda _: one._broker_drops._message_id is None)
    return session
