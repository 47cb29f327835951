"""From a broker that nobody has described to a running agent: sample, check, record, run, and no line edited."""

import json
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime

import msgspec
import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from tests.broker.listener import Listener
from tests.broker.running_agent import wait_until
from tests.bundles import write_small_bundle
from tests.edge_node import EdgeNode
from tests.small_bundle import CHANNELS, small_manifest

BESIDE = """
[agent]
node = "g"
status_every = "100ms"
[[model]]
bundle = "small.fwb"
budget = "1 per device per 30d"
[publish]
scores = "all"
"""
EVERY_S = 0.1


def forewarn(*arguments, folder):
    return subprocess.run(
        [sys.executable, "-m", "agent.cli", *map(str, arguments)],
        cwd=folder, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


class Publishers:
    """One value a topic, Sparkplug B, and nested JSON that names its device: each sends again and again."""

    def __init__(self, broker):
        self._broker, self._node, self._is_over = broker, EdgeNode(), threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.n_rounds = 0

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._is_over.set()
        self._thread.join()

    def _run(self):
        while not self._is_over.wait(EVERY_S):
            self._broker.publish_all(self._round())
            self.n_rounds += 1

    def _round(self):
        now_ms = round(time.time() * 1000)
        metrics = dict.fromkeys(CHANNELS, ("Float", 0.25))
        is_birth = self.n_rounds % 10 == 0
        messages = [self._node.birth(now_ms), self._node.device_birth("press 1", now_ms, metrics)] if is_birth else []
        messages.append(self._node.data("press 1", now_ms, metrics))
        for pump in ("pump7", "pump8"):
            messages += [(f"plant/line1/{pump}/{name}", b"0.5") for name in CHANNELS]
        at = datetime.now(UTC).isoformat(timespec="milliseconds")
        for mill in ("mill-1", "mill-2"):
            body = {"machine": {"id": mill, "firmware": "2.1.0"}, "time": at, "data": dict.fromkeys(CHANNELS, 0.125)}
            messages.append(("factory/telemetry", json.dumps(body).encode()))
        return messages


@pytest.fixture
def publishers(broker):
    with Publishers(broker) as running:
        yield running


def test_a_newcomer_comes_from_three_publishers_to_recordings_and_scores(broker, publishers, tmp_path):
    """`sample` writes a file, `check` accepts it, `record` records by it, and `run` scores, with a bundle in conf.d."""
    sampled = forewarn("sample", f"127.0.0.1:{broker.port}", "--for", "4s", "--out", "forewarn.toml", folder=tmp_path)
    assert sampled.returncode == 0, sampled.stderr
    assert "unread" not in sampled.stderr
    text = (tmp_path / "forewarn.toml").read_text()
    checked = forewarn("check", "forewarn.toml", folder=tmp_path)
    assert (checked.returncode, checked.stderr) == (0, ""), text + checked.stderr

    recorded = forewarn("record", "--config", "forewarn.toml", "--out", "rec", "--for", "4s", "--json", folder=tmp_path)
    assert recorded.returncode == 0, recorded.stderr
    assert {path.name for path in (tmp_path / "rec").iterdir() if path.is_dir()} == {source for source, _ in EXPECTED}

    (tmp_path / "conf.d").mkdir()
    (tmp_path / "conf.d" / "model.toml").write_text(BESIDE.replace("small.fwb", str(tmp_path / "small.fwb")))
    write_small_bundle(tmp_path / "small.fwb", msgspec.structs.replace(small_manifest(), time_unit="s"))
    with Listener(broker.port, "forewarn/#") as listener, (tmp_path / "log").open("wb") as log:
        command = [sys.executable, "-m", "agent.cli", "run", "--config", "forewarn.toml"]
        agent = subprocess.Popen(command, cwd=tmp_path, stderr=log)
        try:
            wait_until(lambda: scored(listener) >= EXPECTED, "all devices are scored")
        finally:
            agent.terminate()
            assert agent.wait(20) == 0, (tmp_path / "log").read_text()


EXPECTED = {
    ("plant", "line1/pump7"),
    ("plant", "line1/pump8"),
    ("factory-telemetry", "mill-1"),
    ("factory-telemetry", "mill-2"),
    ("sparkplug", "G/n1/press 1"),
}


def scored(listener):
    """Source and device of every score."""
    scores = [one for one in listener.heard if one.topic.startswith("forewarn/g/score/")]
    return {(one.topic.split("/")[3], json.loads(one.payload)["device"]) for one in scores}


def test_nothing_heard_says_what_to_look_at(broker, tmp_path):
    sampled = forewarn("sample", f"mqtt://127.0.0.1:{broker.port}", "--for", "1s", folder=tmp_path)
    assert (sampled.returncode, sampled.stdout) == (1, "")
    assert "nothing was heard on #" in sampled.stderr
    assert "ACL" in sampled.stderr


def test_a_broker_that_is_not_there_is_said(tmp_path):
    sampled = forewarn("sample", "127.0.0.1:1", "--for", "1s", folder=tmp_path)
    assert sampled.returncode == 1
    assert "127.0.0.1:1: cannot be reached" in sampled.stderr


def test_retained_messages_are_looked_at_and_told(broker, tmp_path):
    broker.publish("plant/p1/temp", b"21.5", retain=True)
    broker.publish("plant/p1/vib", b"1.5", retain=True)
    sampled = forewarn("sample", f"127.0.0.1:{broker.port}", "--for", "1s", "--json", folder=tmp_path)
    assert sampled.returncode == 0, sampled.stderr
    told = json.loads(sampled.stdout)
    assert [(one["topic"], one["messages"], one["retained"]) for one in told["sources"]] == [
        ("plant/{device}/{channel}", 0, 2)
    ]
    assert "all retained" in told["configuration"]


def test_a_node_that_was_born_before_is_asked_on_demand_alone(broker, tmp_path):
    """Its data come by number. With --ask it gives birth again; without, nothing is published and the way is told."""
    node, asked = EdgeNode(), threading.Event()
    client = paho.Client(CallbackAPIVersion.VERSION2)
    client.on_message = lambda *_: asked.set()
    client.connect("127.0.0.1", broker.port)
    client.subscribe(node.topic("NCMD"), qos=1)
    client.loop_start()
    is_over = threading.Event()

    def run():
        births = []
        while not is_over.wait(EVERY_S):
            now_ms = round(time.time() * 1000)
            values = dict.fromkeys(CHANNELS, ("Float", 0.25))
            if not births or asked.is_set():
                births = [node.birth(now_ms), node.device_birth("d1", now_ms, values)]
                if asked.is_set():
                    broker.publish_all(births)
                    asked.clear()
            broker.publish_all([node.data("d1", now_ms, values)])

    thread = threading.Thread(target=run)
    thread.start()
    try:
        silent = forewarn("sample", f"127.0.0.1:{broker.port}", "--for", "2s", folder=tmp_path)
        assert silent.returncode == 1
        assert "ask for births with --ask" in silent.stderr
        assert not asked.is_set()
        spoken = forewarn("sample", f"127.0.0.1:{broker.port}", "--for", "4s", "--ask", folder=tmp_path)
        assert spoken.returncode == 0, spoken.stderr
        assert 'codec = "sparkplug"' in spoken.stdout
    finally:
        is_over.set()
        thread.join()
        client.disconnect()
        client.loop_stop()
