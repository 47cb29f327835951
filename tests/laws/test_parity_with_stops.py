"""Law 1 for machines that stand: a training, a replay of the raw recording, and one of what the training writes down
see the same rows, scores, alerts, exposure and false alarms."""

from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest

from agent.bundle import file
from agent.bundle.file import Bundle
from agent.bundle.manifest import Cadence, RunsWhile
from agent.judge.threshold import choose, parse_budget
from agent.replay.inline import PlayedDevice, play_inline
from agent.replay.messages import source_for, stream
from agent.replay.recorded import Recorded, read_recorded
from agent.replay.result import observed
from agent.score.early_warning import measure
from agent.words import Quality
from tests.bundles import write_small_bundle
from tests.small_anomaly import anomaly_manifest
from tests.small_bundle import CHANNELS, small_manifest
from trainer.config_file import read_config
from trainer.data.history import ChannelInfo, History
from trainer.data.runs import Runs, without_stops
from trainer.data.table import Table, write_table
from trainer.data.table.read import read_table
from trainer.evaluation.playback import play
from trainer.fit import fit

MINUTE, THRESHOLD = 60, 0.5
INFOS = [ChannelInfo(name) for name in CHANNELS]
RUNS = Runs(channel="running", above=0.5, after=5 * MINUTE)
ON = msgspec.structs.replace(small_manifest().channels[0], name="running", low=0.5, high=0.5)
MANIFEST = msgspec.structs.replace(
    anomaly_manifest(with_risk=True),
    time_unit="s",
    cadence=Cadence(MINUTE, 20 * MINUTE, 0.75 * MINUTE),
    runs=RunsWhile(ON, RUNS.above, RUNS.after),
)
WINDOWS = {"h_max_s": 60.0 * MINUTE, "h_min_s": 5.0 * MINUTE}


def raw(device: str, seed: int) -> History:
    """A row a minute, of which some are missing; stops of which one is first and one last, and wear from row 250 on."""
    rng, n = np.random.default_rng(seed), 400
    x = np.concatenate((rng.normal(0, 0.05, (n, 3)), np.ones((n, 1))), axis=1).astype(np.float32)
    x[250:, 2] += np.arange(150) / 40
    for start, end in ((0, 8), (100 + seed, 110), (200, 260), (390, n)):
        x[start:end] = [-9.0, 9.0, 9.0, 0.0]
    x[300:320, 3] = np.nan
    kept = rng.random(n) > 0.02
    return History(device, 1.6e9 + MINUTE * np.arange(n)[kept].astype(np.float64), x[kept], None)


RAW = [raw(f"p{seed}", seed) for seed in range(3)]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return file.read(write_small_bundle(tmp_path_factory.mktemp("bundle") / "stops.fwb", MANIFEST))


def replayed(bundle: Bundle, recorded: list[Recorded]) -> tuple[PlayedDevice, ...]:
    return play_inline(bundle, bundle.model, stream(recorded, source_for(MANIFEST, "r/{device}")), THRESHOLD)


def alike(one: PlayedDevice, other: PlayedDevice) -> None:
    """Scores of rows that were stepped, and alerts, but for the numbers of their messages."""
    for a, b in ((one, other), (other, one)):
        kept, against = a.quality != Quality.STOPPED, b.quality != Quality.STOPPED
        assert a.t_ns[kept].tobytes() == b.t_ns[against].tobytes()
        assert a.quality[kept].tobytes() == b.quality[against].tobytes()
        assert all(a.outputs[head][kept].tobytes() == b.outputs[head][against].tobytes() for head in a.outputs)
    by_content = [[msgspec.structs.replace(event, entry=0) for event in of.events] for of in (one, other)]
    assert by_content[0] == by_content[1] != []


@pytest.mark.slow
def test_a_training_and_replays_say_the_same(bundle: Bundle, tmp_path: Path) -> None:
    kept = without_stops(RAW, INFOS, RUNS)
    trained = play(bundle, bundle.model, kept, THRESHOLD)
    whole = replayed(bundle, [Recorded(one.device, one.t_ns, one.x) for one in RAW])
    write_table(kept, CHANNELS, tmp_path / "play.csv", tmp_path / "truth.csv", runs=RUNS)
    written = replayed(bundle, list(read_recorded([str(tmp_path / "play.csv")], MANIFEST).devices))
    for history, *played in zip(kept, trained, whole, written, strict=True):
        alike(played[0], played[1])
        alike(played[0], played[2])
        assert played[1].t_ns.tobytes() == played[2].t_ns.tobytes(), "rows of stops are written, too"
        assert np.count_nonzero(whole[0].quality == Quality.STOPPED) > 90
        for head in MANIFEST.judging:
            for t_fail in (None, float(RAW[0].t_s[-1])):  # the second fails in its last stop
                devices = [observed(one, head, MANIFEST, t_fail) for one in played]
                assert devices[0] == devices[1] == devices[2]
                results = [msgspec.json.encode(measure([one], **WINDOWS)) for one in devices]
                assert results[0] == results[1] == results[2]
            results = [measure([observed(one, head, MANIFEST, None)], **WINDOWS) for one in played]
            assert results[0].false_alarms > 0
        assert history.t_s[-1] - history.t_s[0] - results[0].exposure_s > 60 * MINUTE


def test_what_a_training_reads_of_files_is_what_a_replay_leaves_in(tmp_path: Path) -> None:
    """By way of the readers of each, with the channel as text in a column of its own."""
    lines = [
        f"{one.device},{t:.17g},{','.join(map(str, row[:3]))},{'' if row[3] != row[3] else 'on' if row[3] else 'off'}\n"
        for one in RAW
        for t, row in zip(one.t_s, one.x.tolist(), strict=True)
    ]
    (tmp_path / "rows.csv").write_text("device,t,temp,load,wear,state\n" + "".join(lines))
    columns = {"running": {"column": "state", "words": {"on": 1, "off": 0}}}
    data = {"dataset": "table", "rows": "rows.csv", "time_unit": "s", "channels": CHANNELS, "columns": columns}
    table = Table.model_validate(data)
    read = read_table(table, (*CHANNELS, "running"), tmp_path)
    kept = without_stops(read, INFOS, RUNS)
    channel = msgspec.structs.replace(ON, column="state", words={"on": 1.0, "off": 0.0})
    manifest = msgspec.structs.replace(MANIFEST, runs=replace_channel(channel))
    devices = read_recorded([str(tmp_path / "rows.csv")], manifest).devices
    for history, one, before in zip(kept, devices, without_stops(RAW, INFOS, RUNS), strict=True):
        assert one.x.shape[1] == len(CHANNELS) + 1
        assert np.isin(one.t_ns, history.stopped.t_ns).sum() == len(history.stopped)
        assert history.stopped.t_ns.tobytes() == before.stopped.t_ns.tobytes()
        assert history.x.tobytes() == replace(before).x.tobytes()


def replace_channel(channel: object) -> RunsWhile:
    return msgspec.structs.replace(MANIFEST.runs, channel=channel)


BEGIN = 30_000_000  # minutes since 1970
STOPS = ((500, 540), (1000, 1040), (1500, 1540))
FIT_TOML = """
name = "plant"
version = "0.1.0"
heads = ["anomaly"]
[data]
dataset = "table"
rows = "rows.csv"
time_unit = "s"
channels = ["temp", "load", "wear"]
[split]
fit = 3
calibrate = 3
play = 2
[model]
cadence = "1m"
dt_max = "10m"
[anomaly]
learning = "6h"
ahead = 4
hidden = 8
steps = 40
[judge]
h_max = "2h"
h_min = "1m"
"""


def write_plant(path: Path, *, running: str = "running") -> None:
    """Eight machines with a row a minute, which stop together three times; `wear` of the last one jumps later on."""
    lines = []
    for number in range(8):
        rng, n = np.random.default_rng(number), 2000
        x = rng.normal(size=3) + 0.2 * rng.normal(size=(n, 3))
        on = np.ones(n)
        for start, end in STOPS:
            on[start:end] = 0
            x[start : end + 5] -= 9
        if number == 7:
            x[1700:, 2] += 3
        lines += [
            f"m{number},{60 * (30_000_000 + t)},{','.join(f'{v:.6g}' for v in row)},{on[t]:g}\n"
            for t, row in enumerate(x)
        ]
    path.write_text(f"device,t,temp,load,wear,{running}\n" + "".join(lines))


@pytest.mark.slow
def test_a_bundle_that_knows_of_stops_is_silent_in_them_and_warns_of_the_rest(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """From fit to replay, with and without [runs]: without it each stop is alarmed, and fit says what they may be."""
    write_plant(tmp_path / "rows.csv")
    found = {}
    for name, runs in (("without", ""), ("with", '[runs]\nchannel = "running"\nafter = "10m"\n')):
        (tmp_path / "fit.toml").write_text(FIT_TOML + runs)
        path = fit(read_config(tmp_path / "fit.toml"), tmp_path, tmp_path / name)
        bundle = file.read(path)
        chosen = choose(bundle.manifest.anomaly.thresholds, parse_budget("1 per device per 10h", fleet_size=0))
        devices = list(read_recorded([str(tmp_path / "rows.csv")], bundle.manifest).devices)
        rows = stream(devices, source_for(bundle.manifest, "r/{device}"))
        found[name] = bundle, play_inline(bundle, bundle.model, rows, chosen.threshold), capsys.readouterr().err
    raised = {
        name: [
            [event.t_ns // 60_000_000_000 - BEGIN for event in one.events if event.kind == "raised"] for one in played
        ]
        for name, (_, played, _) in found.items()
    }
    in_stops = {
        name: [sum(start <= t < end + 10 for of in of_machines for t in of) for start, end in STOPS]
        for name, of_machines in raised.items()
    }
    assert min(in_stops["without"]) >= 6, "of 8 machines; where an alert stands already none is raised"
    assert in_stops["with"] == [0, 0, 0]
    assert "on most of the 3 machines at the same time: probably planned stops" in found["without"][2]
    assert any(1700 <= t < 1800 for t in raised["with"][7])
    assert "1200 rows of stops and starts are left out (7.5%)" in found["with"][2]
    assert "incident" not in found["with"][2]
    assert found["with"][0].manifest.runs.after_s == 600
