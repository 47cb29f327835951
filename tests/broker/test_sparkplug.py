"""An agent that is started after the births of an edge node asks for them, and then scores its devices."""

import json
import time
from collections.abc import Callable, Iterator

import msgspec
import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from tests.broker.listener import Heard, Listener
from tests.broker.private_broker import PrivateBroker
from tests.broker.running_agent import ROOT, RunningAgent, configuration, wait_until
from tests.bundles import write_small_bundle
from tests.configurations import SOURCE
from tests.edge_node import EdgeNode, Message, metric, payload
from tests.small_bundle import CHANNELS, small_manifest

PLANT = '[[source]]\nname = "plant"\ncodec = "sparkplug"\ntopic = "spBv1.0/#"\n'
DEVICE = "Press 1"
ID = f"Press Shop/Line 1/{DEVICE}"


class LiveNode:
    """An edge node at the broker, with one device. It gives birth when it is asked; `n_births` counts."""

    def __init__(self, port: int) -> None:
        self.node = EdgeNode(group="Press Shop", name="Line 1")
        self.n_births = 0
        self.second = round(time.time()) - 40  # of the newest data
        self._client = paho.Client(CallbackAPIVersion.VERSION2)
        self._client.will_set(*self.node.death(), qos=1)
        self._client.on_message = self._on_message
        self._client.connect("127.0.0.1", port)
        self._client.subscribe(self.node.topic("NCMD"), qos=1)
        self._client.loop_start()
        self.asked: list[bytes] = []

    def _on_message(self, _: paho.Client, __: object, message: paho.MQTTMessage) -> None:
        self.asked.append(message.payload)
        self.be_born()

    def be_born(self) -> None:
        time_ms = self.second * 1000
        self.publish(self.node.birth(time_ms), self.node.device_birth(DEVICE, time_ms, self.values(0.0)))
        self.n_births += 1

    def values(self, wear: float) -> dict[str, tuple[str, object]]:
        return {name: ("Float", wear if name == "wear" else 0.0) for name in CHANNELS}

    def data(self, wear: float) -> Message:
        """Of the next second."""
        self.second += 1
        return self.node.data(DEVICE, self.second * 1000, self.values(wear))

    def publish(self, *messages: Message) -> None:
        """At QoS 0, as Sparkplug says."""
        for topic, data in messages:
            self._client.publish(topic, data)

    def vanish(self) -> None:
        """Without a goodbye, so that the broker says NDEATH."""
        sock = self._client.socket()
        assert sock is not None
        self._client.loop_stop()
        sock.close()

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


@pytest.fixture
def live(broker: PrivateBroker) -> Iterator[LiveNode]:
    one = LiveNode(broker.port)
    yield one
    one.close()


@pytest.fixture
def agent(broker: PrivateBroker, make_agent: Callable[..., RunningAgent]) -> RunningAgent:
    text = configuration(broker.port).replace(SOURCE, PLANT)
    one = make_agent(text.replace("[[model]]", '[[model]]\nbudget = "1 per device per 30d"'))
    manifest = msgspec.structs.replace(small_manifest(), time_unit="s")
    (one.folder / "small.fwb").unlink()
    write_small_bundle(one.folder / "small.fwb", manifest)
    return one


def scores(listener: Listener) -> list[dict[str, object]]:
    return [json.loads(one.payload) for one in listener.heard if one.topic.startswith(f"{ROOT}/score/plant/")]


def wait_for_score(listener: Listener, second: int) -> dict[str, object]:
    """The score of the row of that second."""

    def is_it(one: Heard) -> bool:
        is_score = one.topic.startswith(f"{ROOT}/score/plant/")
        return is_score and json.loads(one.payload)["t_ns"] == second * 10**9

    return json.loads(listener.wait_for(is_it, f"the score of second {second}").payload)


def test_an_agent_that_starts_after_the_births_asks_for_them_and_scores(live, agent, listener, broker):
    with Listener(broker.port, "spBv1.0/#") as plant:
        live.be_born()
        live.publish(live.data(0.0))
        agent.go()
        live.publish(live.data(0.0))
        command = plant.wait_for(lambda one: one.topic == "spBv1.0/Press Shop/NCMD/Line 1", "a rebirth is requested")
        plant.wait_for(lambda one: "/DBIRTH/" in one.topic, "births", since=plant.heard.index(command))
    assert command.qos == 0
    assert not command.retain
    rebirth = metric(1, "Boolean", name="Node Control/Rebirth", time_ms=(asked_ms := time_of(command.payload)))
    assert command.payload == payload(rebirth, time_ms=asked_ms)
    assert live.n_births == 2
    for _ in range(20):
        live.publish(live.data(1.0))
    score = wait_for_score(listener, live.second)
    assert (score["device"], score["quality"]) == (ID, "ok")
    live.publish(live.data(1.0))
    wait_for_score(listener, live.second)
    wait_until(lambda: "plant" in agent.status()["drops"], "the status counts what was dropped")
    status = agent.status()
    assert status["drops"]["plant"]["no_birth"] == 1
    assert status["broker"]["input"]["requests"] == 1
    (line,) = agent.log("rebirth_requested")
    assert (line["source"], line["topic"], line["count"]) == ("plant", "spBv1.0/Press Shop/NCMD/Line 1", 1)

    agent.wait_for_snapshots(1)
    assert agent.stop() == 0
    agent.go()
    live.publish(live.data(1.0))
    wait_for_score(listener, live.second)
    assert live.n_births == 2, "the births were in the snapshot"


def test_a_node_that_vanishes_is_dead_and_its_next_birth_is_enough(live, agent, listener, broker):
    agent.go()
    with Listener(broker.port, "spBv1.0/#") as plant:
        live.be_born()
        live.publish(live.data(0.0))
        wait_for_score(listener, live.second)
        live.vanish()
        plant.wait_for(lambda one: "/NDEATH/" in one.topic, "the last will")
    again = LiveNode(broker.port)
    again.second, again.node.bd_seq = live.second, 1
    again.be_born()
    again.publish(again.data(0.0))
    wait_for_score(listener, again.second)
    again.close()
    assert (again.n_births, again.asked) == (1, [])


def time_of(command: bytes) -> int:
    """The timestamp that a payload begins with."""
    assert command[0] == 1 << 3
    return sum((byte & 127) << 7 * place for place, byte in enumerate(command[1:7]))
