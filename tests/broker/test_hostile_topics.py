"""Topics that no device of good will has: counted by reason, escaped wherever they are said, in no path of a file."""

import re
import socket
from contextlib import suppress

import pytest

from bench.fake_broker import FakeBroker, Session
from bench.mqtt_packets import CONNECT, SUBSCRIBE, packet, text
from tests.broker.running_agent import ROOT, configuration, wait_until, with_output
from tests.broker.told import scores_inline
from tests.streams import life, message

REFUSED = {
    "wildcard +": (b"plant/+/cycle", "topic"),
    "wildcard #": (b"plant/#/cycle", "topic"),
    "NUL": (b"plant/p\0/cycle", "topic"),
    "not UTF-8": (b"plant/\xff\xfe/cycle", "topic"),
    "surrogate": (b"plant/\xed\xa0\x80/cycle", "topic"),
    "control": (b"plant/p\x01/cycle", "device_id"),
    "line feed": (b'plant/p\n{"event":"alert_cleared"}/cycle', "device_id"),
    "terminal": (b"plant/\x1b[2J/cycle", "device_id"),
    "delete": (b"plant/\x7f/cycle", "device_id"),
    "right to left": ("plant/p\u202e1/cycle".encode(), "device_id"),
    "non-character": ("plant/p\uffff/cycle".encode(), "device_id"),
    "empty": (b"plant//cycle", "device_id"),
    "long": (b"plant/" + b"x" * 129 + b"/cycle", "device_id"),
    "longest": (b"plant/" + b"x" * 65_523 + b"/cycle", "device_id"),
}
TAKEN = {"..": "..", ".": ".", "a%2Fb": "a%252Fb", "ü$ \\": "%C3%BC%24%20%5C", "x" * 128: "x" * 128}
FILES = re.compile(r"lock|instance|alerts\.db(-wal|-shm)?|(snapshot-\d{12}|stopped)(\.new)?")


def assert_nothing_leaked(agent) -> None:
    """Neither into a name of a file nor, as it is, into a line of the log."""
    assert all(FILES.fullmatch(path.name) for path in agent.state.rglob("*"))
    assert {path.name for path in agent.folder.iterdir()} == {"agent.log", "forewarn.toml", "small.fwb", "state"}
    raw = (agent.folder / "agent.log").read_bytes()
    assert raw.isascii()
    assert set(range(32)) & set(raw) == {ord("\n")}
    assert all(len(str(value)) < 1000 for line in agent.log_lines() for value in line.values())


def granted(fake: FakeBroker) -> Session:
    session = fake.session()
    session.read_connect()
    session.accept()
    first, body = session.read()
    assert first == SUBSCRIBE
    session.grant(body, 1)
    return session


def test_hostile_topics_are_counted_by_reason_and_their_neighbours_are_as_without_them(broker, make_agent):
    """From a broker that lets everything through, beside lives whose device ids are odd and allowed."""
    with FakeBroker() as fake:
        agent = make_agent(with_output(fake.port, broker.port))
        agent.start()
        session = granted(fake)
        agent.wait_until_it_listens()
        payload = message("p1", 1)[1]
        for topic, _ in REFUSED.values():
            session.publish(topic, payload)
        lives = {device: life(device, 50, seed=number) for number, device in enumerate(TAKEN)}
        for whole in lives.values():
            for topic, payload in whole:
                session.publish(topic.encode(), payload)
        n_taken = 50 * len(TAKEN) + sum(reason != "topic" for _, reason in REFUSED.values())
        wait_until(
            lambda: agent.status()["taken"] == n_taken and agent.status()["queues"]["outbox"] == 0, "all are taken"
        )
        reasons = [reason for _, reason in REFUSED.values()]
        assert agent.status()["drops"] == {"press": {reason: reasons.count(reason) for reason in set(reasons)}}
        assert sum(agent.status()["devices"].values()) == len(TAKEN)
        for device, escaped in TAKEN.items():
            assert agent.scores(escaped) == scores_inline(lives[device], device)
            assert agent.standing()[f"press/{escaped}/risk"]["device"] == device
        assert {one.topic for one in agent.listener.heard if "/score/" in one.topic} == {
            f"{ROOT}/score/press/{escaped}" for escaped in TAKEN.values()
        }
        assert agent.log("broker_lost") == []
        assert agent.stop() == 0
        assert_nothing_leaked(agent)


def test_what_mosquitto_lets_through_harms_nobody(agent):
    """Each topic raw, over a connection of its own, since mosquitto ends those that say what may not be."""
    healthy = life("p1", 30)
    agent.feed(healthy[:10])
    for number, (topic, _) in enumerate(REFUSED.values()):
        with socket.create_connection(("127.0.0.1", agent.broker.port)) as raw:
            raw.sendall(packet(CONNECT, text(b"MQTT") + b"\x04\x02\0\x3c" + text(b"raw-%d" % number)))
            assert raw.recv(4) == b"\x20\x02\0\0"
            raw.sendall(packet(0x30, text(topic) + healthy[0][1]) + b"\xc0\0")
            with suppress(ConnectionResetError):
                raw.recv(2)  # the answer to a ping, or the end: it has looked at the topic
    agent.broker.publish_all(healthy[10:])
    wait_until(lambda: len(agent.scores("p1")) == 30, "the healthy device's scores")
    assert agent.scores("p1") == scores_inline(healthy, "p1")
    assert sum(agent.status()["devices"].values()) == 1
    assert agent.log("broker_lost") == []
    assert agent.stop() == 0
    assert_nothing_leaked(agent)


@pytest.mark.parametrize("receiver", ["auto", "paho"])
def test_what_the_agent_says_is_not_read_back(broker, make_agent, receiver):
    """A topic of three named levels matches `PREFIX/NODE/status` and the like: they are neither taken nor counted."""
    text = configuration(broker.port).replace('"plant/{device}/cycle"', '"{line}/{device}/{kind}"')
    agent = make_agent(text.replace("[broker]", f'receiver = "{receiver}"\n[broker]'))
    agent.go()
    worn = life("p1", 60, wear_from=35)
    status = agent.feed(worn)
    assert (status["drops"], sum(status["devices"].values())) == ({}, 1)
    assert agent.scores("p1") == scores_inline(worn, "p1")
    assert agent.events()
