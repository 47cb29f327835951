"""Clocks that are wrong, end to end: devices hours ahead or in 1970, and a gateway whose own clock was set back."""

import json
import time
from collections import Counter
from dataclasses import replace
from datetime import datetime

import msgspec
import pytest

from agent.bundle import file
from agent.bundle.manifest import Cadence
from agent.core import Bounds, Core
from agent.core.entries import Heartbeat, Messages
from agent.core.model import Model
from agent.publish.message import score_messages
from agent.publish.topic import Topics
from agent.step.engine import Engine
from agent.store import snapshot
from agent.store.disk import StateFolder
from tests.broker.running_agent import ROOT, configuration
from tests.bundles import write_small_bundle
from tests.small_bundle import small_manifest
from tests.streams import SOURCE, core

WALL = replace(SOURCE, time_field="ts", time_unit="s", future_max_s=300.0, past_max_s=3600.0)
SECONDS = msgspec.structs.replace(  # its rows come as fast as a test sends them
    small_manifest(), time_unit="s", cadence=Cadence(every_s=1.0, dt_max_s=20.0, least_s=1e-6)
)
CYCLES = 'time = { field = "cycle", unit = "cycle" }'
EVERY_S = 0.4
AHEAD_S = 8 * 3600


def with_times(broker, folder, time: str) -> str:
    """A configuration for a bundle that counts seconds, which is put where an agent of `folder` has its own."""
    (folder / "agent").mkdir()
    write_small_bundle(folder / "agent" / "small.fwb", SECONDS)
    text = configuration(broker.port).replace(CYCLES, time)
    return text.replace("[[model]]", '[[model]]\nbudget = "1 per device per 1h"')


def reading(device: str, said: dict[str, float], wear: float) -> tuple[str, bytes]:
    return f"plant/{device}/cycle", json.dumps(said | {"temp": 0.0, "load": 0.0, "wear": wear}).encode()


def scores_as_if_alone(messages: list[tuple[str, bytes]]) -> list[bytes]:
    """A healthy device's, from a core that knows no other; each message arrives when it says."""
    into = core(WALL, manifest=SECONDS)
    arrived_ns = [round(json.loads(payload)["ts"] * 1e9) for _, payload in messages]
    taken = into.apply(Messages([topic for topic, _ in messages], [payload for _, payload in messages], arrived_ns))
    return [payload for _, payload in score_messages(taken.scores[0], [WALL], SECONDS, Topics(ROOT))]


@pytest.mark.slow
def test_devices_in_1970_and_hours_ahead_are_heard_and_keep_their_alerts_over_a_crash(broker, make_agent, tmp_path):
    """Killed while the one in 1970 has its alert and before it is re-based, and again when both are. The healthy device
    beside them is told what it is told alone."""
    agent = make_agent(with_times(broker, tmp_path, 'time = { field = "ts", unit = "s" }'))
    agent.go()
    began_s = time.time()
    of_healthy: list[tuple[str, bytes]] = []

    def rounds(n: int) -> None:
        for _ in range(n):
            now_s = time.time()
            of_healthy.append(reading("healthy", {"ts": now_s}, 0.5))
            agent.feed([
                of_healthy[-1],
                reading("boots", {"ts": 100 + now_s - began_s}, 3.0),
                reading("ahead", {"ts": now_s + AHEAD_S}, 3.0),
            ])  # fmt: skip
            time.sleep(EVERY_S)

    rounds(8)
    assert [event["device"] for event in agent.events() if event["event"] == "raised"] == ["boots"]
    assert agent.scores("healthy") == scores_as_if_alone(of_healthy)
    assert agent.scores("ahead") == []
    agent.wait_for_snapshots(2)
    agent.kill()
    agent.go()
    rounds(20)
    assert agent.status()["drops"]["press"]["clock_rebased"] == 2
    standing = agent.standing()
    assert sorted(standing) == ["press/ahead/risk", "press/boots/risk"]
    agent.kill()
    agent.go()
    rounds(3)
    assert agent.standing() == standing
    raised = Counter(event["device"] for event in agent.events(all_lives=True) if event["event"] == "raised")
    assert raised == {"ahead": 1, "boots": 1}
    for device in ("healthy", "boots", "ahead"):
        assert agent.qualities(device) == ["gap", "warming_up", "ok"]  # killed: rows may be missing
        newest = datetime.fromisoformat(json.loads(agent.scores(device)[-1])["t"])
        assert abs(newest.timestamp() - time.time()) < 60


def test_a_gateway_whose_clock_was_set_back_goes_on_hearing_its_devices(broker, make_agent, tmp_path):
    """The snapshot is of an hour that is still to come: time of arrival goes on from there, and that is said."""
    agent = make_agent(with_times(broker, tmp_path, ""))
    agent.go()
    agent.feed([reading("p1", {}, 0.5)])
    assert agent.stop() == 0
    bundle = file.read(agent.folder / "small.fwb")
    source = replace(SOURCE, time_field="", time_unit="arrival")
    own = Model("main", bundle, Engine(bundle.model, bundle.manifest), {"risk": 0.5}, (0,), ((0, 1, 2),))
    into = Core([source], [own], Bounds())
    snapshot.restore(StateFolder(agent.state), into.restore)
    into.apply(Heartbeat(time.time_ns() + 3600 * 10**9))
    into.n_messages += 1
    snapshot.write(StateFolder(agent.state), into.snapshot())
    agent.go()
    for _ in range(5):
        agent.feed([reading("p1", {}, 0.5)])
    assert len(agent.scores("p1")) == 5
    assert agent.status()["drops"] == {}
    (line,) = agent.log("clock_set_back")
    assert 3500 < line["by_s"] <= 3601
    assert 3500 < agent.status()["clock_ahead_s"] <= 3601
