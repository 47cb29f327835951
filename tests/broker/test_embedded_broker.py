"""The broker for a machine without mosquitto: what a replay relies on, and that it never outlives who started it."""

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from agent.bundle import file
from agent.config.broker_settings import Broker
from agent.errors import ForewarnError
from agent.replay.broker import own_broker as brokers
from agent.replay.broker.own_broker import embedded, free_port, own_broker
from agent.replay.broker.player import play_through_broker
from agent.replay.inline import Observer, play_inline
from agent.replay.messages import source_for, stream
from tests.broker.listener import TIMEOUT_S, Heard
from tests.bundles import write_small_bundle
from tests.conftest import require
from tests.recorded import worn
from tests.replays import model_at
from tests.small_bundle import small_manifest


@pytest.fixture
def broker(tmp_path):
    require("amqtt", find_spec("amqtt") is not None, "amqtt is not installed")
    (tmp_path / "broker").mkdir()
    with embedded(tmp_path / "broker", port=free_port()) as one:
        yield one


def test_a_replay_through_it_equals_inline_replay(broker, tmp_path):
    """Law 1: scores and events, bit for bit, with several times as many rows as may be under way."""
    bundle = file.read(write_small_bundle(tmp_path / "small.fwb"))
    recorded = [worn(f"p{number}", 200, wear_from=60 + number, seed=number, missing=[9]) for number in range(10)]
    rows = stream(recorded, source_for(small_manifest(), "rig/{device}/cycle"))
    warned = []
    played = play_through_broker(
        bundle, rows, model_at(bundle, "1 per 1000 cycles"), broker, tmp_path, Observer(on_event=warned.append)
    )
    inline = play_inline(bundle, bundle.model, rows, 0.5)
    assert len(warned) == sum(len(one.events) for one in inline) > 9
    for one, other in zip(played, inline, strict=True):
        for name in ("t_ns", "quality", "risk", "rul"):
            assert getattr(one, name).tobytes() == getattr(other, name).tobytes()
        assert one.events == other.events


def test_retained_messages_large_payloads_and_a_last_will_hold(broker):
    """What a status, a score and a killed agent need. QoS 1 throughout."""
    large = bytes(range(256)) * 256
    with client(broker, will=True) as (_, one):
        one.publish("kept", b"1", qos=1, retain=True)
        one.publish("kept", large, qos=1, retain=True)
        one.publish("gone", b"2", qos=1, retain=True)
        one.publish("gone", b"", qos=1, retain=True).wait_for_publish(TIMEOUT_S)
        with client(broker) as (told, other):
            other.subscribe("#", 1)
            other.publish("end", b"", qos=1)
            assert until(told, "end") == [Heard("kept", large, True), Heard("end", b"", False)]
            one.socket().shutdown(socket.SHUT_RDWR)
            assert until(told, "will") == [Heard("will", b"offline", False)]
            with client(broker) as (told, late):
                late.subscribe("will", 1)
                # amqtt also sends who connects what is retained for the subscriptions of others
                assert until(told, "will")[-1] == Heard("will", b"offline", True)


def test_it_ends_with_its_parent_even_by_kill_9(tmp_path):
    require("amqtt", find_spec("amqtt") is not None, "amqtt is not installed")
    port = free_port()
    parent = subprocess.Popen([sys.executable, "-c", STARTS_ONE, str(tmp_path), str(port)], stdout=subprocess.PIPE)
    assert parent.stdout.readline() == b"it listens\n"
    assert listens(port)
    parent.kill()
    parent.wait()
    parent.stdout.close()
    deadline = time.monotonic() + TIMEOUT_S
    while listens(port) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not listens(port)


STARTS_ONE = """
import sys, time
from pathlib import Path
from agent.replay.broker.own_broker import embedded
with embedded(Path(sys.argv[1]), port=int(sys.argv[2])):
    print("it listens", flush=True)
    time.sleep(60)
"""


def test_it_is_taken_where_there_is_no_mosquitto(tmp_path, monkeypatch):
    require("amqtt", find_spec("amqtt") is not None, "amqtt is not installed")
    without_mosquitto(monkeypatch, tmp_path)
    with own_broker(tmp_path) as own:
        assert own.name.startswith("embedded (amqtt ")
        assert own.broker.protocol == "3.1.1"
        assert listens(own.broker.port)
    assert not listens(own.broker.port)


def test_without_any_broker_it_is_said_what_to_install(tmp_path, monkeypatch):
    without_mosquitto(monkeypatch, tmp_path)
    monkeypatch.setitem(sys.modules, "amqtt", None)
    told = r"apt install mosquitto, or pip install 'forewarn\[demo\]'"
    with pytest.raises(ForewarnError, match=told), own_broker(tmp_path):
        pass


@contextmanager
def client(broker: Broker, *, will: bool = False) -> Iterator[tuple[list[Heard], paho.Client]]:
    """A client that runs, and what it hears; ends without a goodbye when it has a last will."""
    told: list[Heard] = []
    one = paho.Client(CallbackAPIVersion.VERSION2)
    one.on_message = lambda _, __, message: told.append(Heard(message.topic, bytes(message.payload), message.retain))
    one.reconnect_delay_set(60, 60)
    if will:
        one.will_set("will", b"offline", qos=1, retain=True)
    one.connect(broker.host, broker.port)
    one.loop_start()
    yield told, one
    one.disconnect()
    one.loop_stop()


def until(told: list[Heard], topic: str) -> list[Heard]:
    """What was heard up to the first message on `topic`; it is forgotten."""
    deadline = time.monotonic() + TIMEOUT_S
    while all(one.topic != topic for one in told):
        assert time.monotonic() < deadline, f"nothing on {topic}: {told}"
        time.sleep(0.01)
    n_heard = [one.topic for one in told].index(topic) + 1
    heard = told[:n_heard]
    del told[:n_heard]
    return heard


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def without_mosquitto(monkeypatch, empty) -> None:
    monkeypatch.setenv("PATH", str(empty))
    monkeypatch.setattr(brokers, "_ALSO_ON_PATH", str(empty))
    assert brokers.find_mosquitto() is None
