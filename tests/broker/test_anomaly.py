"""A bundle without labels, as `forewarn-train fit` makes it, in a whole agent: a machine is learnt, an alert names its
channel, kill -9 costs nothing that was learnt, and a repair makes it be learnt anew. Error codes come on a topic of
their own."""

import json
from pathlib import Path

import numpy as np
import pytest

from agent.bundle import file
from tests.broker import schemas
from tests.broker.running_agent import configuration
from tests.trainer.fleet import small_config
from tests.trainer.recordings import table
from trainer.config import Anomaly, Model
from trainer.data.history import History
from trainer.data.split import Parts, Split
from trainer.fit import make_folder, train_and_write

LEARNING = 40
CHANNELS = ("speed", "flow", "error3")
COUNTS = """
[source.interventions]
field = "done"
words = { repaired = "repaired" }

[[source]]
name = "codes"
topic = "plant/{device}/code"
qos = 1
time = { field = "cycle", unit = "cycle" }
joins = "press"
channels = { error3 = { field = "errorID", event = "error3" } }
"""


def values(number: int, n_rows: int) -> np.ndarray:
    """A cycle of twenty rows under noise at a level of the device's own, and an error now and then."""
    rng, t = np.random.default_rng(number), np.arange(n_rows)
    x = np.sin(2 * np.pi * t / 20)[:, None] * [1, 2] + rng.normal(size=2) + 0.2 * rng.normal(size=(n_rows, 2))
    return np.hstack([x, rng.random((n_rows, 1)) < 0.05]).astype(np.float32)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    columns = {"error3": {"event": True}}
    config = small_config(
        heads=("anomaly",),
        data=table(time_unit="cycle", channels=CHANNELS, columns=columns),
        split=Split(fit=4, calibrate=3, play=2),
        model=Model(cadence=1, dt_max=20),
        anomaly=Anomaly(learning=LEARNING, ahead=4, hidden=8, steps=30, batch=8),
    )
    lives = [History(f"m{number}", np.arange(300.0), values(number, 300), None) for number in range(9)]
    folder = tmp_path_factory.mktemp("plant")
    make_folder(folder)
    return train_and_write(config, Parts(tuple(lives[:4]), tuple(lives[4:7]), tuple(lives[7:])), "0" * 64, folder)


def row(cycle: int, x: np.ndarray, **others: str) -> tuple[str, bytes]:
    telemetry = {"cycle": cycle, "speed": float(x[0]), "flow": float(x[1]), **others}
    return "plant/p1/cycle", json.dumps(telemetry).encode()


def code(cycle: float) -> tuple[str, bytes]:
    return "plant/p1/code", json.dumps({"cycle": cycle, "errorID": "error3"}).encode()


def anomaly(agent) -> list[float]:
    """Of each row since the agent started."""
    return [json.loads(payload)["anomaly"][0] for payload in agent.scores("p1")]


@pytest.mark.slow
def test_a_machine_is_learnt_warned_of_kept_through_kill_9_and_learnt_anew(bundle, broker, make_agent):
    x = values(7, 400)
    agent = make_agent(configuration(broker.port).replace("small.fwb", str(bundle)) + COUNTS)
    assert [channel.event for channel in file.read(bundle).manifest.channels] == [False, False, True]
    agent.go()
    status = agent.feed([row(cycle, x[cycle]) for cycle in range(1, LEARNING)])
    assert status["models"]["main"]["learning"] == 1
    assert anomaly(agent)[-1] == -2, "rows to come"
    assert set(agent.qualities("p1")) == {"warming_up"}

    fault = x.copy()
    fault[100:, 1] += 3
    messages = [message for cycle in range(LEARNING, 160) for message in (code(cycle - 0.5), row(cycle, fault[cycle]))]
    status = agent.feed(messages)
    assert (status["models"]["main"]["learning"], status["drops"]) == (0, {})
    assert len(agent.scores("p1")) == 159, "no row of a code alone"
    (alert,) = agent.standing().values()
    assert (alert["head"], alert["quality"]) == ("anomaly", "ok")
    assert alert["contribution"][0]["channel"] == "flow", alert["contribution"]

    agent.stop()  # which leaves a snapshot
    agent.go()
    agent.feed([row(160, fault[160])])
    agent.kill()
    agent.go()
    agent.feed([row(cycle, fault[cycle]) for cycle in range(161, 180)])
    assert min(anomaly(agent)) > -LEARNING / 2, "forecasts begin again at most, and nothing is learnt again"
    assert anomaly(agent)[-1] > 0

    agent.feed([row(180, fault[180], done="repaired")])
    assert anomaly(agent)[-1] == -LEARNING
    assert agent.standing() == {}
    schemas.check(agent.listener.heard)
