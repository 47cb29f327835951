"""Law 1 for tables of one machine: what a training joins is what the agent has of topics that join each other."""

from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace
from pydantic import ValidationError

from agent.bundle import file
from agent.bundle.manifest import Cadence
from agent.config.plan import plan
from agent.config.settings import Settings
from agent.core import Bounds, Core
from agent.core.entries import Messages
from agent.core.model import Model
from agent.errors import DataRefused
from agent.replay.options import Labelled, asked
from agent.replay.recorded import read_labelled
from agent.step.engine import Engine
from agent.table.lives import align
from tests.bundles import write_small_bundle
from tests.small_anomaly import anomaly_manifest
from trainer.data.table import Table, read_table

CHANNELS = ("temp", "load", "wear")
START_S = 1_750_000_000

TOML = """
[data]
dataset = "table"
rows = "process.csv"
channels = ["temp", "load", "wear"]
faults = "faults.csv"

[data.align]
every = "1m"
max_age = "5m"

[[data.joined]]
rows = "vibration.csv"
channels = ["load"]
separator = ";"
device = "machine"
time = "when"
time_unit = "ms"

[[data.joined]]
rows = "oil.csv"
channels = ["wear"]
max_age = "2h"
"""
JOINED = [
    {
        "rows": "vibration.csv", "channels": ["load"], "separator": ";", "device": "machine", "time": "when",
        "time_unit": "ms",
    },
    {"rows": "oil.csv", "channels": ["wear"], "max_age": "2h"},
]  # fmt: skip
DATA = {
    "dataset": "table", "rows": "process.csv", "channels": list(CHANNELS), "faults": "faults.csv",
    "align": {"every": "1m", "max_age": "5m"}, "joined": JOINED,
}  # fmt: skip


def readings() -> dict[str, list[tuple[str, float, float]]]:
    """Device, time and value by channel: a row a minute that is late or missing, one in some seconds, one an hour."""
    rng = np.random.default_rng(3)
    of: dict[str, list[tuple[str, float, float]]] = {name: [] for name in CHANNELS}
    for device in ("p1", "p2"):
        minutes = START_S + 60 * np.arange(300) + rng.choice([0, 0, 1.5, 12.25, 40], 300)
        minutes = minutes[(rng.random(300) > 0.1) & ~((minutes > START_S + 6000) & (minutes < START_S + 7500))]
        times = {
            "temp": minutes,
            "load": np.unique(START_S + rng.integers(0, 18_000, 2000)),
            "wear": START_S + 3600 * np.arange(2 if device == "p2" else 5) + 7,
        }
        for name, of_channel in times.items():
            of[name] += [(device, float(t), round(float(rng.normal()), 4)) for t in of_channel]
    return of


def write(folder: Path, of: dict[str, list[tuple[str, float, float]]]) -> None:
    def text(head: str, lines: list[str]) -> str:
        return "\n".join([head, *lines, ""])

    (folder / "process.csv").write_text(text("device,t,temp", [f"{d},{t:.13g},{v}" for d, t, v in of["temp"]]))
    (folder / "vibration.csv").write_text(
        text("machine;when;load", [f"{d};{1000 * t:.0f};{v}" for d, t, v in of["load"]])
    )
    (folder / "oil.csv").write_text(text("device,t,wear", [f"{d},{t:.13g},{v}" for d, t, v in of["wear"]]))
    (folder / "faults.csv").write_text(f"device,start,end\np2,{START_S + 3000},{START_S + 3600}\n")
    (folder / "train.toml").write_text(TOML)


def live(
    bundle: file.Bundle, of: dict[str, list[tuple[str, float, float]]], oil: dict[str, object]
) -> dict[str, tuple[list[int], bytes]]:
    """The rows of the agent's core: three topics, of which two join the first; oil: how the last has its channel."""
    time = {"field": "t", "unit": "s"}
    rule = {"every": "1m", "max_age": "5m"}
    source = {"topic": "plant/{device}/temp", "time": time, "channels": {"temp": "temp"}, "align": rule}
    wear = {"wear": {"field": "wear"} | oil}
    joined = [
        {"name": name, "topic": f"plant/{{device}}/{name}", "time": time, "joins": "temp", "channels": channels}
        for name, channels in (("load", {"load": "load"}), ("wear", wear))
    ]
    settings = {"model": [{"bundle": bundle.path}], "source": [source | {"name": "temp"}, *joined]}
    planned = plan(Settings.model_validate(settings), {"main": bundle})
    (reads,) = planned.models
    model = Model(
        "main", bundle, Engine(bundle.model, bundle.manifest), {"anomaly": 4.0}, reads.sources, reads.channels
    )
    core = Core(planned.sources, (model,), Bounds(), keeps_rows=True)
    messages = [(t, place, name, device, value) for place, name in enumerate(CHANNELS) for device, t, value in of[name]]
    t_ns: dict[str, list[int]] = {"p1": [], "p2": []}
    x: dict[str, list[bytes]] = {"p1": [], "p2": []}
    for t, _, name, device, value in sorted(messages):
        payload = f'{{"t": {t}, "{name}": {value}}}'.encode()
        for rows in core.apply(Messages([f"plant/{device}/{name}"], [payload], [int(t * 1e9)])).rows:
            t_ns[device] += rows.t_ns.tolist()
            x[device].append(rows.x.tobytes())
    return {device: (t_ns[device], b"".join(x[device])) for device in t_ns}


@pytest.mark.slow
def test_a_training_and_a_replay_have_the_rows_that_the_agent_makes_of_topics(tmp_path, monkeypatch):
    manifest = replace(anomaly_manifest(), time_unit="s", cadence=Cadence(every_s=60.0, dt_max_s=36_000.0, least_s=1.0))
    bundle = file.read(write_small_bundle(tmp_path / "joined.fwb", manifest))
    of = readings()
    write(tmp_path, of)
    table = Table.model_validate(DATA)
    monkeypatch.setattr(align, "AT_ONCE", 777)
    trained = read_table(table, CHANNELS, tmp_path)
    rows = {one.device: (one.t_ns.tolist(), one.x.tobytes()) for one in trained}
    assert rows == live(bundle, of, {"max_age": "2h"})
    assert {one.device: one.faults.tolist() for one in trained if len(one.faults)} == {
        "p2": [[START_S + 3000, START_S + 3600]]
    }
    held = [int((~np.isnan(one.x)).sum(axis=0).min()) for one in trained]
    assert held[1] < 200 < held[0], "the oil of p2 is too old after two hours"
    monkeypatch.setattr(align, "AT_ONCE", 50_000)
    replayed = read_labelled(asked(Labelled((), tmp_path / "train.toml"), manifest))
    assert {one.device: (one.t_ns.tolist(), one.x.tobytes()) for one in replayed.devices} == rows
    assert {name: of.tolist() for name, of in replayed.faults.items() if len(of)} == {
        "p2": [[START_S + 3000, START_S + 3600]]
    }


@pytest.mark.slow
def test_events_of_a_joined_table_are_counted_into_the_next_row(tmp_path):
    """A count beside the rows, such as alarms since the one before: nothing of it is held or lost."""
    manifest = replace(anomaly_manifest(), time_unit="s", cadence=Cadence(every_s=60.0, dt_max_s=36_000.0, least_s=1.0))
    channels = tuple(replace(one, event=one.name == "wear") for one in manifest.channels)
    bundle = file.read(write_small_bundle(tmp_path / "events.fwb", replace(manifest, channels=channels)))
    of = readings()
    rng = np.random.default_rng(5)
    times = np.sort(rng.choice(np.arange(60, 17_000), 200, replace=False))
    of["wear"] = [(f"p{1 + index % 2}", float(START_S + t) + 0.5, index % 3) for index, t in enumerate(times.tolist())]
    write(tmp_path, of)
    trained = read_table(Table.model_validate(DATA | {"columns": {"wear": {"event": True}}}), CHANNELS, tmp_path)
    rows = {one.device: (one.t_ns.tolist(), one.x.tobytes()) for one in trained}
    assert rows == live(bundle, of, {})
    counted = sum(float(one.x[:, 2].sum()) for one in trained)
    assert counted == pytest.approx(sum(index % 3 for index in range(200)), abs=6), "but those after the last row"


def test_machines_of_one_table_alone_are_told(tmp_path, capsys):
    of = readings()
    write(tmp_path, of | {"wear": [one for one in of["wear"] if one[0] == "p1"]})
    assert len(read_table(Table.model_validate(DATA), CHANNELS, tmp_path)) == 2
    assert "1 device(s) are in one table and not in another that joins it: p2" in capsys.readouterr().err


def test_a_wrong_cell_of_a_joined_table_is_refused_with_its_place(tmp_path):
    write(tmp_path, readings())
    path = tmp_path / "vibration.csv"
    path.write_text(path.read_text() + "p2;1e15;much\n")
    with pytest.raises(DataRefused, match=r"vibration.csv: line \d+: column 'load' is 'much', not a number"):
        read_table(Table.model_validate(DATA), CHANNELS, tmp_path)
    write(tmp_path, readings())
    path.write_text(path.read_text().replace("when", "wann"))
    with pytest.raises(DataRefused, match=r"line 1: no column 'when' \(data.joined"):
        read_table(Table.model_validate(DATA), CHANNELS, tmp_path)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"align": None}, "joined tables need data.align"),
        ({"align": {"every": "1h", "max_age": "5m"}}, "max_age is below every"),
        ({"channels": ["temp", "load"]}, "joined has channel 'wear', which is none of data.channels"),
        ({"joined": [JOINED[0], JOINED[0]]}, "channel 'load' is of two tables"),
        ({"joined": [JOINED[0] | {"time_unit": "cycle"}]}, "cycles and times of a clock cannot be joined"),
        ({"joined": [{"rows": "all.csv", "channels": list(CHANNELS)}]}, "those of data.rows make the first table"),
    ],
)
def test_tables_that_cannot_be_joined_are_refused(change, told):
    with pytest.raises(ValidationError, match=told):
        Table.model_validate(DATA | change)
