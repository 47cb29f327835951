"""Law 1, parity: offline evaluation = inline replay = replay through a broker = live.

The same core, engine and bundle run in all of them; for the same input scores and alerts are equal bit for bit on one
machine. (That any split of the input gives the same is in test_split.py.)
"""

import numpy as np
import pytest

from agent.bundle import file
from agent.config.broker_settings import Broker
from agent.replay.broker import player
from agent.replay.broker.own_broker import find_mosquitto, free_port, mosquitto
from agent.replay.broker.player import play_through_broker
from agent.replay.inline import Observer, PlayedDevice, play_inline
from agent.replay.messages import source_for, stream
from agent.words import Quality
from tests.bundles import write_small_bundle
from tests.conftest import require
from tests.recorded import worn
from tests.replays import model_at
from trainer.data.history import History
from trainer.evaluation import playback as evaluation

BUDGET, THRESHOLD = "1 per 1000 cycles", 0.5
COLUMNS = ("t_ns", "quality", "risk", "rul")


@pytest.fixture(scope="module")
def recorded():
    """Missing values, awkward names, extreme values, late starts: in the order of the names."""
    wild = worn("wild", 40, seed=5)
    wild.x[10] = np.float32([1e30, -3.4e38, 1e-45])
    lives = [
        worn("100 % p$1 {x} ü", 150, missing=[3, 4], seed=1),
        worn("late", 200, start=60, seed=2),
        *(worn(f"p{number}", 80 + number, wear_from=10 + number, seed=number) for number in range(6)),
        wild,
    ]
    return sorted(lives, key=lambda one: one.device)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return file.read(write_small_bundle(tmp_path_factory.mktemp("bundle") / "small.fwb"))


@pytest.fixture(scope="module", params=["unknown", "new"])
def first_seen(request):
    return request.param


@pytest.fixture(scope="module")
def inline(bundle, recorded, first_seen):
    rows = stream(recorded, source_for(bundle.manifest, "rig/{device}/cycle", first_seen=first_seen))
    assert len(rows) > player.AHEAD_MAX  # more than may be under way at once
    played = play_inline(bundle, bundle.model, rows, THRESHOLD)
    assert sum(len(one.events) for one in played) > 8
    assert {one.quality[0] for one in played} == {Quality.OK if first_seen == "new" else Quality.WARMING_UP}
    return played


def bits(one: PlayedDevice) -> tuple[object, ...]:
    return (one.device, one.events, *(getattr(one, name).tobytes() for name in COLUMNS))


@pytest.mark.slow
def test_the_trainers_evaluation_equals_inline_replay(bundle, recorded, inline, first_seen):
    histories = [History(one.device, one.t_s, one.x, None) for one in recorded]
    evaluated = evaluation.play(bundle, bundle.model, histories, THRESHOLD, first_seen=first_seen)
    assert list(map(bits, evaluated)) == list(map(bits, inline))


@pytest.mark.slow
def test_a_whole_agent_behind_a_real_broker_equals_inline_replay(bundle, recorded, inline, first_seen, tmp_path):
    require("mosquitto", find_mosquitto() is not None, "mosquitto is not installed")
    rows = stream(recorded, source_for(bundle.manifest, "rig/{device}/cycle", first_seen=first_seen))
    warned, counts = [], []
    port = free_port()
    (tmp_path / "broker").mkdir()
    (tmp_path / "agent").mkdir()
    with mosquitto(tmp_path / "broker", port=port):
        observer = Observer(warned.append, counts.append)
        address = Broker(host="127.0.0.1", port=port)
        live = play_through_broker(bundle, rows, model_at(bundle, BUDGET), address, tmp_path / "agent", observer)
    assert list(map(bits, live)) == list(map(bits, inline))
    assert sum(counts) == len(rows)
    in_order = sorted((event for one in inline for event in one.events), key=lambda event: event.entry)
    assert [(event.alert, event.sequence) for event in warned] == [(event.alert, event.sequence) for event in in_order]
