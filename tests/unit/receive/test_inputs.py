"""Several brokers in one agent: whichever speaks is heard, and whichever is away or hangs holds up no other."""

import time
from collections import Counter
from collections.abc import Iterator

import pytest
import structlog

from agent.config.plan import plan
from agent.config.settings import Settings
from agent.receive.client import Receiver
from agent.receive.inputs import Inputs, open_inputs
from agent.words import Request
from bench.fake_broker import FakeBroker
from bench.mqtt_packets import DISCONNECT, PUBLISH
from tests.unit.receive.talk import PRESS, PUMP, TOPIC, connected, knocking, pump, taken

pytestmark = pytest.mark.slow


@pytest.fixture
def other_broker() -> Iterator[FakeBroker]:
    with FakeBroker() as one:
        yield one


@pytest.fixture
def two(broker, other_broker, receiver) -> tuple[Receiver, Receiver]:
    """A receiver of each broker, of the source press and of the source pump."""
    return receiver(PRESS), receiver(PUMP, at=other_broker)


def together(*receivers: Receiver) -> Inputs:
    return Inputs({str(number): one for number, one in enumerate(receivers)}, time.time_ns, Counter())


def rest(inputs: Inputs) -> None:
    """Let what the connections themselves need come to its end."""
    for _ in range(3):
        for one in inputs.receivers:
            one.read(0.01)


@pytest.mark.parametrize("speaks", [0, 1])
def test_a_wait_ends_for_whichever_broker_speaks(broker, other_broker, two, speaks):
    """An hour would be over: the other one is connected and silent."""
    sessions = [connected(broker, two[0]), connected(other_broker, two[1])]
    inputs = together(*two)
    rest(inputs)
    sessions[speaks].publish((TOPIC, b"pumps/p1")[speaks], b"x")
    assert inputs.wait(3600.0) == 0.0
    assert [len(one.read(0.0).topics) for one in two] == [1 - speaks, speaks]


def test_a_broker_that_never_answers_holds_up_no_other(broker, other_broker, two):
    knocking(broker, two[0])
    session = connected(other_broker, two[1])
    inputs = together(*two)
    rest(inputs)
    session.publish(b"pumps/p1", b"x")
    inputs.wait(3600.0)
    assert [one.read(0.0).payloads for one in two] == [[], [b"x"]]


def test_a_broker_that_is_away_is_tried_again_in_its_time(broker, other_broker, two):
    """The wait for the others ends when the next try is due."""
    connected(other_broker, two[1])
    connected(broker, two[0]).close()
    pump(two[0], lambda _: not two[0].link.is_connected)
    inputs = together(*two)
    rest(inputs)
    while not two[0].link.is_connected:
        inputs.wait(0.05)
        for one in two:
            one.read(0.0)
        if two[0]._client is not None:
            session = broker.session()
            session.read_connect()
            session.accept()
            pump(two[0], lambda _: two[0].link.is_connected)


def test_half_a_window_of_any_broker_ends_the_nap(broker, other_broker, two):
    sessions = [connected(broker, two[0]), connected(other_broker, two[1])]
    inputs = together(*two)
    rest(inputs)
    for mid in range(1, 3):
        sessions[0].publish(TOPIC, b"x" * 30, mid=mid)
    pump(two[0], taken(2))
    for mid in range(1, 20):
        sessions[1].publish(b"pumps/p1", b"x" * 30, mid=mid)
    inputs.nap(3600.0)
    pump(two[1], taken(19))


def test_a_request_goes_to_the_broker_of_its_source(broker, other_broker, two):
    sessions = [connected(broker, two[0]), connected(other_broker, two[1])]
    inputs = together(*two)
    inputs.publish([Request("pump", "pumps/p1/cmd", b"birth"), Request("press", "plant/p1/cmd", b"again")])
    for session, message in zip(sessions, (b"plant/p1/cmdXagain", b"pumps/p1/cmdXbirth"), strict=True):
        first, body = session.read()
        assert (first, body[2:].replace(b"\0", b"X" if session.is_v5 else b"")) == (PUBLISH, message)
    assert [one.n_published for one in two] == [1, 1]
    assert inputs.counts == {}


def test_a_request_while_the_broker_is_away_is_counted_and_not_sent_later(broker, other_broker, two):
    connected(other_broker, two[1])
    knocking(broker, two[0]).close()
    pump(two[0], lambda _: two[0]._client is None)
    inputs = together(*two)
    inputs.publish([Request("press", "plant/p1/cmd", b"x")])
    assert (inputs.counts, two[0].n_published) == ({("press", "request_not_sent"): 1}, 0)
    session = connected(broker, two[0])
    two[0].close()
    assert session.read()[0] == DISCONNECT, "nothing came before the goodbye"


def test_shed_and_waiting_rows_of_all_are_joined(broker, two):
    for number, one in enumerate(two, 1):
        one.inbox.overload.shed_of[one.sources[0], "p1"] += number
        one.inbox.overload.backlog.n_rows = number
    inputs = together(*two)
    assert inputs.shed == {("press", "p1"): 1, ("pump", "p1"): 2}
    assert inputs.n_waiting == 3


def test_the_inputs_of_a_configuration_begin_with_its_broker_and_have_names_of_their_own():
    source = {"name": "press", "topic": "plant/{device}", "channels": {"temp": "temp"}}
    west = {**source, "name": "west", "broker": "west", "overload": "oldest", "rate_max": 5}
    settings = Settings(
        agent={"node": "n"}, broker={"port": 1}, brokers={"west": {"port": 2}, "idle": {}}, source=(west, source)
    )
    inputs = open_inputs(settings, plan(settings, {}), structlog.get_logger(), not_before_ns=0)
    assert {name: one.sources for name, one in inputs.by_broker.items()} == {"": ("press",), "west": ("west",)}
    assert list(inputs.by_broker) == ["", "west"]
    assert [one._client_id for one in inputs.receivers] == ["forewarn-n-in", "forewarn-n-in-west"]
    assert [one.inbox.counts is inputs.counts for one in inputs.receivers] == [True, True]
    assert [inputs.among(one) for one in inputs.receivers] == [("press",), ("west",)]


@pytest.mark.parametrize(("kept", "room"), [(None, 2**26), ({}, 2**24)])
def test_with_a_journal_an_eighth_of_it_is_the_room_of_all_rows_that_wait(kept, room):
    press = {"name": "press", "topic": "plant/{device}", "channels": {"temp": "temp"}, "qos": 1}
    settings = Settings(brokers={"west": {}}, source=(press, {**press, "name": "west", "broker": "west"}))
    inputs = open_inputs(settings, plan(settings, {}), structlog.get_logger(), not_before_ns=0, kept=kept)
    assert [one.inbox.overload.backlog.bytes_max for one in inputs.receivers] == [room, room]
