"""A replay through a real broker and a whole agent: equal to inline, and loud when anything is missing."""

import json
import subprocess
import sys

import msgspec
import numpy as np
import pytest

from agent.bundle import file
from agent.bundle.manifest import Cadence
from agent.errors import ForewarnError
from agent.replay import through_broker
from agent.replay.agent_process import Address
from agent.replay.broker import find_mosquitto, free_port, mosquitto
from agent.replay.play import play_inline
from agent.replay.stream import source_for, stream
from agent.replay.through_broker import play_through_broker
from agent.replay.truth import Recorded
from tests.bundles import write_small_bundle
from tests.conftest import require
from tests.recorded import worn, write_recorded, write_truth
from tests.small_bundle import small_manifest

SOURCE = source_for(small_manifest(), "rig/{device}/cycle")
BUDGET, THRESHOLD = "1 per 1000 cycles", 0.5


@pytest.fixture(scope="module")
def broker(tmp_path_factory):
    require("mosquitto", find_mosquitto() is not None, "mosquitto is not installed")
    port = free_port()
    with mosquitto(tmp_path_factory.mktemp("broker"), port=port):
        yield Address("127.0.0.1", port)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return file.read(write_small_bundle(tmp_path_factory.mktemp("bundle") / "small.fwb"))


def test_times_of_a_clock_go_through_too(broker, tmp_path):
    manifest = msgspec.structs.replace(small_manifest(), time_unit="s", cadence=Cadence(every_s=1.0, dt_max_s=20.0))
    bundle = file.read(write_small_bundle(tmp_path / "s.fwb", manifest))
    one = worn("p", 60)
    recorded = [Recorded("p", 1_600_000_000 + one.t_s * 0.25, one.x)]
    rows = stream(recorded, source_for(manifest, "rig/{device}/row"))
    inline = play_inline(bundle, bundle.model, rows, THRESHOLD)
    played = play_through_broker(bundle, rows, "6 per day", broker, tmp_path)
    assert inline[0].t_ns.tobytes() == played[0].t_ns.tobytes()
    assert inline[0].risk.tobytes() == played[0].risk.tobytes()


def test_nothing_stays_retained_on_the_broker(bundle, broker, tmp_path):
    rows = stream([worn("p", 90)], SOURCE)
    played = play_through_broker(bundle, rows, BUDGET, broker, tmp_path)
    assert played[0].events[-1].kind != "cleared"  # its alert still stood
    left = subprocess.run(
        [sys.executable, "-c", LIST_RETAINED, broker.host, str(broker.port)], capture_output=True, text=True, check=True
    )
    assert left.stdout.split() == []


LIST_RETAINED = """
import sys, time
import paho.mqtt.client as paho
client = paho.Client(paho.CallbackAPIVersion.VERSION2)
client.on_message = lambda _, __, message: print(message.topic) if message.retain else None
client.on_subscribe = lambda client, *_: client.publish("end", b"", qos=1)
client.on_connect = lambda client, *_: client.subscribe([("forewarn/#", 1), ("end", 1)])
client.on_publish = lambda client, *_: client.disconnect()
client.connect(sys.argv[1], int(sys.argv[2]))
client.loop_forever()
"""


def test_a_row_that_the_agent_drops_is_a_loud_failure(bundle, broker, tmp_path, monkeypatch):
    monkeypatch.setattr(through_broker, "STILL_TIMEOUT_S", 2.0)
    twice = Recorded("p", np.array([1.0, 2.0, 2.0]), np.zeros((3, 3), np.float32))
    with pytest.raises(ForewarnError, match=r"does not take and score all 3 rows.*4 taken, 2 scored.*'repeated': 1"):
        play_through_broker(bundle, stream([twice], SOURCE), BUDGET, broker, tmp_path)


def test_an_agent_that_fails_is_shown_with_its_log(bundle, broker, tmp_path):
    (tmp_path / "state").write_text("in the way")
    with pytest.raises(
        ForewarnError, match=r"(?s)ended by itself with exit code 2.*Its log ends:.*state is not a folder"
    ):
        play_through_broker(bundle, stream([worn("p", 5)], SOURCE), BUDGET, broker, tmp_path)


def test_a_broker_that_is_not_there_is_named(bundle, tmp_path):
    nobody = Address("127.0.0.1", free_port())
    with pytest.raises(ForewarnError, match=rf"127.0.0.1:{nobody.port}: no broker answers"):
        play_through_broker(bundle, stream([worn("p", 5)], SOURCE), BUDGET, nobody, tmp_path)


def test_the_environment_of_the_user_does_not_reach_the_agent(bundle, broker, tmp_path, monkeypatch):
    monkeypatch.setenv("FOREWARN_BROKER__PORT", "1")
    assert len(play_through_broker(bundle, stream([worn("p", 5)], SOURCE), BUDGET, broker, tmp_path)[0].t_ns) == 5


def test_the_command_writes_the_same_json_both_ways(tmp_path, broker):
    """By a mosquitto of its own and by the one that is named; they differ in the field `through` alone."""
    files = [
        "--bundle", write_small_bundle(tmp_path / "small.fwb"),
        "--data", write_recorded(tmp_path / "data.csv", [worn("sound", 60, wear_from=900), worn("worn", 90)]),
        "--truth", write_truth(tmp_path / "truth.csv", {"sound": None, "worn": 90.0}),
    ]  # fmt: skip
    ways = [["inline"], ["mqtt"], ["mqtt", "--broker", f"{broker.host}:{broker.port}", "--topic", "my/{device}/rows"]]
    made = []
    for number, way in enumerate(ways):
        out = tmp_path / str(number)
        command = [sys.executable, "-m", "agent.cli", "replay", *files, "--no-html", "--out", out, "--through", *way]
        done = subprocess.run(list(map(str, command)), check=False, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        made.append((out / "replay.json").read_text())
    assert json.loads(made[0])["through"] == "inline"
    assert made[1] == made[2] == made[0].replace('"through":"inline"', '"through":"mqtt"')
