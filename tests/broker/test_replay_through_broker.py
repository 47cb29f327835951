"""A replay through a real broker and a whole agent: equal to inline, and loud when anything is missing."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import numpy as np
import pytest

from agent.bundle import file
from agent.bundle.manifest import Cadence, RunsWhile
from agent.config.broker_settings import Broker
from agent.config.plan import judged_heads
from agent.errors import ForewarnError
from agent.replay.broker import player
from agent.replay.broker.own_broker import find_mosquitto, free_port, mosquitto
from agent.replay.broker.player import play_through_broker
from agent.replay.inline import Observer, play_inline
from agent.replay.messages import source_for, stream
from agent.replay.options import Budgets, model_for
from agent.replay.recorded import Recorded
from agent.score.time_unit import nanoseconds
from agent.words import AlertEvent, Quality
from tests.broker.listener import retained
from tests.bundles import write_small_bundle
from tests.conftest import require
from tests.recorded import worn, write_recorded, write_truth
from tests.replays import model_at
from tests.small_anomaly import anomaly_manifest
from tests.small_bundle import small_manifest

SOURCE = source_for(small_manifest(), "rig/{device}/cycle")
BUDGET, THRESHOLD = "1 per 1000 cycles", 0.5


@pytest.fixture(scope="module")
def broker(tmp_path_factory):
    require("mosquitto", find_mosquitto() is not None, "mosquitto is not installed")
    port = free_port()
    with mosquitto(tmp_path_factory.mktemp("broker"), port=port):
        yield Broker(host="127.0.0.1", port=port)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return file.read(write_small_bundle(tmp_path_factory.mktemp("bundle") / "small.fwb"))


def test_times_of_a_clock_go_through_too(broker, tmp_path):
    manifest = msgspec.structs.replace(small_manifest(), time_unit="s", cadence=Cadence(every_s=0.25, dt_max_s=20.0))
    bundle = file.read(write_small_bundle(tmp_path / "s.fwb", manifest))
    one = worn("p", 60)
    recorded = [Recorded("p", nanoseconds(1_600_000_000 + one.t_s * 0.25), one.x)]
    rows = stream(recorded, source_for(manifest, "rig/{device}/row"))
    inline = play_inline(bundle, bundle.model, rows, THRESHOLD)
    played = play_through_broker(bundle, rows, model_at(bundle, "6 per day"), broker, tmp_path)
    assert inline[0].t_ns.tobytes() == played[0].t_ns.tobytes()
    assert inline[0].risk.tobytes() == played[0].risk.tobytes()


@pytest.mark.parametrize("manifest", [small_manifest(), anomaly_manifest(with_risk=True)], ids=["risk", "both"])
def test_stops_go_through_as_inline_also_as_the_first_rows(broker, tmp_path, manifest):
    """A machine that stands at first and once more later, by a channel that its model does not read."""
    running = RunsWhile(msgspec.structs.replace(small_manifest().channels[0], name="running"), 0.5, 2.0)
    manifest = msgspec.structs.replace(manifest, runs=running)
    bundle = file.read(write_small_bundle(tmp_path / "stops.fwb", manifest))
    one, runs = worn("p", 90), np.ones((90, 1), np.float32)
    runs[:5] = runs[40:44] = 0
    x = np.concatenate((one.x, runs), axis=1)
    rows = stream([Recorded("p", one.t_ns, x)], source_for(manifest, "rig/{device}/row"))
    model = model_at(bundle, BUDGET)
    thresholds = {head: each.chosen.threshold for head, each in judged_heads(model, manifest).items()}
    (inline,) = play_inline(bundle, bundle.model, rows, thresholds)
    (played,) = play_through_broker(bundle, rows, model, broker, tmp_path)
    assert inline.quality.tobytes() == played.quality.tobytes()
    assert inline.quality.tolist().count(Quality.STOPPED) == 5 + 2 + 4 + 2
    assert inline.outputs.keys() == played.outputs.keys()
    assert all(inline.outputs[head].tobytes() == played.outputs[head].tobytes() for head in inline.outputs)
    assert inline.events == played.events != ()


def test_channels_of_any_name_and_mapping_go_through_as_inline(broker, tmp_path):
    """Names that mean something in a path; columns, codes and words, which the agent takes from the bundle too."""
    names = {"temp": "values.temp", "load": "a[0]{b}", "wear": "$.wear"}
    channels = tuple(
        msgspec.structs.replace(one, name=names[one.name], column="T 1", missing=(-9999.0,), words={"ON": 1.0})
        for one in small_manifest().channels
    )
    manifest = msgspec.structs.replace(small_manifest(), channels=channels)
    bundle = file.read(write_small_bundle(tmp_path / "m.fwb", manifest))
    rows = stream([worn("p", 60, missing=[5])], source_for(manifest, "rig/{device}/row"))
    inline = play_inline(bundle, bundle.model, rows, THRESHOLD)
    played = play_through_broker(bundle, rows, model_at(bundle, BUDGET), broker, tmp_path)
    plain = play_inline(bundle, bundle.model, stream([worn("p", 60, missing=[5])], SOURCE), THRESHOLD)
    assert inline[0].risk.tobytes() == played[0].risk.tobytes() == plain[0].risk.tobytes()


def test_each_head_has_its_own_budget_through_a_broker_too(broker, tmp_path):
    """At 2 alarms per 1000 cycles anomaly's threshold is 2 where one per 1000 buys 4."""
    bundle = file.read(write_small_bundle(tmp_path / "both.fwb", anomaly_manifest(with_risk=True)))
    budgets = Budgets(BUDGET, "2 per 1000 cycles", 0.5)
    model = model_for(budgets, bundle.manifest, bundle=bundle.path, n_devices=1)
    thresholds = {head: one.chosen.threshold for head, one in judged_heads(model, bundle.manifest).items()}
    assert thresholds["anomaly"] == 2.0
    rows = stream([worn("p", 90, wear_from=35)], source_for(bundle.manifest, "rig/{device}/cycle"))
    inline = play_inline(bundle, bundle.model, rows, thresholds)
    (tmp_path / "agent").mkdir()
    played = play_through_broker(bundle, rows, model, broker, tmp_path / "agent")
    told = [[(event.alert, event.head, event.t_ns) for event in one[0].events] for one in (inline, played)]
    assert told[0] == told[1]
    assert {head for _, head, _ in told[0]} == {"risk", "anomaly"}


def test_nothing_stays_retained_on_the_broker(bundle, broker, tmp_path):
    rows = stream([worn("p", 90)], SOURCE)
    played = play_through_broker(bundle, rows, model_at(bundle, BUDGET), broker, tmp_path)
    assert played[0].events[-1].kind != "cleared"  # its alert still stood
    assert retained(broker.port, "forewarn/#") == {}


def in_haste(monkeypatch: pytest.MonkeyPatch, name: str, still_s: float) -> None:
    """One step of a replay gives up after so many seconds; a start, which a busy machine makes slow, does not."""
    step = getattr(player._BrokerReplay, name)

    def hasten(*given: object) -> None:
        with monkeypatch.context() as meanwhile:
            meanwhile.setattr(player, "STILL_TIMEOUT_S", still_s)
            step(*given)

    monkeypatch.setattr(player._BrokerReplay, name, hasten)


def test_a_row_that_the_agent_drops_is_a_loud_failure(bundle, broker, tmp_path, monkeypatch):
    in_haste(monkeypatch, "wait_until_all_is_taken", 2.0)
    twice = Recorded("p", nanoseconds(np.array([1.0, 2.0, 2.0])), np.zeros((3, 3), np.float32))
    with pytest.raises(ForewarnError, match=r"does not take and score all 3 rows.*4 taken, 2 scored.*'repeated': 1"):
        play_through_broker(bundle, stream([twice], SOURCE), model_at(bundle, BUDGET), broker, tmp_path)


def test_an_agent_that_fails_is_shown_with_its_log(bundle, broker, tmp_path):
    (tmp_path / "state").write_text("in the way")
    with pytest.raises(
        ForewarnError, match=r"(?s)ended by itself with exit code 2.*Its log ends:.*state is not a folder"
    ):
        play_through_broker(bundle, stream([worn("p", 5)], SOURCE), model_at(bundle, BUDGET), broker, tmp_path)


def test_a_broker_that_is_not_there_is_named(bundle, tmp_path):
    nobody = Broker(host="127.0.0.1", port=free_port())
    with pytest.raises(ForewarnError, match=rf"127.0.0.1:{nobody.port}: no broker answers"):
        play_through_broker(bundle, stream([worn("p", 5)], SOURCE), model_at(bundle, BUDGET), nobody, tmp_path)


def test_a_broker_of_our_own_that_cannot_start_says_why(tmp_path):
    require("mosquitto", find_mosquitto() is not None, "mosquitto is not installed")
    with (
        pytest.raises(ForewarnError, match=r"mosquitto: ended at once: .*Error found at .*mosquitto.conf:4"),
        mosquitto(tmp_path, port=free_port(), settings=("no_such_setting 1",)),
    ):
        pass


def test_the_environment_of_the_user_does_not_reach_the_agent(bundle, broker, tmp_path, monkeypatch):
    monkeypatch.setenv("FOREWARN_BROKER__PORT", "1")
    assert (
        len(
            play_through_broker(bundle, stream([worn("p", 5)], SOURCE), model_at(bundle, BUDGET), broker, tmp_path)[
                0
            ].t_ns
        )
        == 5
    )


def test_rows_are_sent_at_the_speed_that_is_asked_for(bundle, broker, tmp_path):
    """30 cycles at 30 a second; the first score may be heard a little late."""
    heard_s: list[float] = []
    observer = Observer(on_rows=lambda count: heard_s.append(time.monotonic()) if count else None)
    played = play_through_broker(
        bundle, stream([worn("p", 30)], SOURCE), model_at(bundle, BUDGET), broker, tmp_path, observer, 30.0
    )
    assert heard_s[-1] - heard_s[0] > 0.6
    assert len(played[0].t_ns) == 30


def test_a_broker_that_queues_as_little_as_by_default_loses_nothing(bundle, tmp_path):
    """mosquitto holds 1,000 messages for a slow reader and drops the rest; 6,000 come faster than they are scored."""
    require("mosquitto", find_mosquitto() is not None, "mosquitto is not installed")
    port = free_port()
    rows = stream([worn(f"p{number}", 300, seed=number) for number in range(20)], SOURCE)
    with mosquitto(tmp_path, port=port, settings=()):
        played = play_through_broker(
            bundle, rows, model_at(bundle, BUDGET), Broker(host="127.0.0.1", port=port), tmp_path
        )
    assert sum(len(one.t_ns) for one in played) == 6000


def test_of_an_agent_that_was_killed_nothing_stays_retained(bundle, broker, tmp_path):
    """Not even its last will."""

    def kill(event: AlertEvent) -> None:
        found = subprocess.run(["pgrep", "-f", str(tmp_path / "forewarn.toml")], capture_output=True, check=False)
        for agent in found.stdout.split():  # none, when this is what the agent said before it was killed
            os.kill(int(agent), signal.SIGKILL)

    rows = stream([worn("p", 90)], SOURCE)
    with pytest.raises(ForewarnError, match="ended by itself with exit code -9"):
        play_through_broker(bundle, rows, model_at(bundle, BUDGET), broker, tmp_path, Observer(on_event=kill), 100.0)
    assert retained(broker.port, "forewarn/#") == {}


def test_a_pause_between_rows_is_no_fault_of_the_agents(bundle, broker, tmp_path, monkeypatch):
    in_haste(monkeypatch, "send_all", 1.5)
    rows = stream([Recorded("p", nanoseconds(np.array([1.0, 2.0, 4.5])), np.zeros((3, 3), np.float32))], SOURCE)
    assert len(play_through_broker(bundle, rows, model_at(bundle, BUDGET), broker, tmp_path, speed=1.0)[0].t_ns) == 3


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_when_it_is_ended_nothing_is_left(tmp_path, broker, number):
    """No agent, no retained message on a broker that is not ours, no trace in the temporary folder.

    The signal goes to all of the process group, as from a terminal.
    """
    files = [
        "--bundle", write_small_bundle(tmp_path / "small.fwb"),
        "--data", write_recorded(tmp_path / "data.csv", [worn("worn", 90)]),
        "--truth", write_truth(tmp_path / "truth.csv", {"worn": 90.0}),
        "--out", tmp_path / "out", "--no-html", "--through", "mqtt", "--broker", f"{broker.host}:{broker.port}",
    ]  # fmt: skip
    (tmp_path / "tmp").mkdir()
    command = [sys.executable, "-m", "agent.cli", "replay", *files, "--live", "--live-max", "1", "--speed", "40"]
    with subprocess.Popen(
        list(map(str, command)),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(tmp_path / "tmp")},
        start_new_session=True,
    ) as process:
        assert process.stderr.readline() == f"broker: {broker.host}:{broker.port}\n"
        assert " worn " in process.stderr.readline()  # an alert stands
        agent = subprocess.check_output(["pgrep", "-f", str(tmp_path / "tmp")], text=True).split()
        os.killpg(process.pid, number)
        told, complaint = process.communicate(timeout=30)
    assert (process.returncode, told, complaint.strip()) == (1, "", "Aborted!")
    assert len(agent) == 1
    assert not Path(f"/proc/{agent[0]}").exists()
    assert list((tmp_path / "tmp").glob("forewarn*")) == []
    assert retained(broker.port, "forewarn/#") == {}


def test_the_command_writes_the_same_json_both_ways(tmp_path, broker):
    """By a mosquitto of its own, at a speed, and by the one that is named; they differ in the field `through` alone."""
    files = [
        "--bundle", write_small_bundle(tmp_path / "small.fwb"),
        "--data", write_recorded(tmp_path / "data.csv", [worn("sound", 60, wear_from=900), worn("worn", 90)]),
        "--truth", write_truth(tmp_path / "truth.csv", {"sound": None, "worn": 90.0}),
    ]  # fmt: skip
    ways = [
        ["inline"],
        ["mqtt", "--speed", "40"],
        ["mqtt", "--broker", f"{broker.host}:{broker.port}", "--topic", "my/{device}/rows"],
    ]
    made, took_s = [], []
    for number, way in enumerate(ways):
        out = tmp_path / str(number)
        command = [sys.executable, "-m", "agent.cli", "replay", *files, "--no-html", "--out", out, "--through", *way]
        begin_s = time.monotonic()
        done = subprocess.run(list(map(str, command)), check=False, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        took_s.append(time.monotonic() - begin_s)
        made.append((out / "replay.json").read_text())
    assert took_s[1] > 89 / 40
    assert json.loads(made[0])["through"] == "inline"
    assert made[1] == made[2] == made[0].replace('"through":"inline"', '"through":"mqtt"')
