"""configs/sources: `forewarn check` accepts each without a doubt, and what it is written for is read."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from agent.bundle import file
from agent.cli import main
from agent.config.load import load
from agent.config.plan import Plan, bounds, plan
from agent.core import Core
from agent.core.entries import Messages

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "configs" / "sources").glob("*.toml"))
HOUR_NS = 3600 * 10**9
T_NS = 490_000 * HOUR_NS  # 2025
CHANNELS = ("speed", "suction_pressure", "discharge_pressure", "flow", "power", "thrust_bearing", "radial_bearing",
            "oil", "ambient")  # fmt: skip


def installed(folder: Path, example: Path) -> Path:
    """The example beside the bundle that it is written for."""
    shutil.copy(ROOT / "tests" / "data" / "pumps" / "pumps-0.1.0.fwb", folder / "bundle.fwb")
    return Path(shutil.copy(example, folder / "forewarn.toml"))


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_is_accepted_without_a_doubt(tmp_path, example):
    path = installed(tmp_path, example)
    result = CliRunner().invoke(main, ["check", str(path)], env={"FOREWARN_AGENT__STATE_DIR": str(tmp_path)})
    assert (result.exit_code, result.stderr) == (0, "")


def rows_of(folder: Path, name: str, *messages: tuple[str, str, int]) -> list[tuple[str, str, list[float]]]:
    """(source, device, channels in the bundle's order) of the rows that messages make by an example.

    messages  topic, payload, arrival
    """
    path = installed(folder, ROOT / "configs" / "sources" / f"{name}.toml")
    settings = load(path, {"FOREWARN_AGENT__STATE_DIR": str(folder)})
    planned: Plan = plan(settings, {"main": file.read(settings.model[0].bundle)})
    core = Core(planned.sources, [], bounds(settings.agent), keeps_rows=True)
    columns = dict(zip(planned.models[0].sources, planned.models[0].channels, strict=True))
    found = []
    for topic, payload, arrived_ns in messages:
        taken = core.apply(Messages([topic], [payload.encode()], [arrived_ns]))
        assert not [drop for drop in taken.drops if drop.reason != "missing_channel"]
        for rows in taken.rows:
            for source, device, x in zip(rows.source.tolist(), rows.device, rows.x, strict=True):
                found.append((planned.sources[source].name, str(device), np.round(x[[*columns[source]]], 3).tolist()))
    return found


def test_one_value_a_topic(tmp_path):
    """A value of each channel within an hour, by the name of its topic; then the next hour's first."""
    names = [{"thrust_bearing": "bearing_de", "ambient": "outdoor_f"}.get(name, name) for name in CHANNELS]
    messages = [(f"plant/hall-2/pump-7/{name}", f"{10 + n}", T_NS + n) for n, name in enumerate(names)]
    ((source, device, x),) = rows_of(
        tmp_path, "one-value-per-topic", *messages, ("plant/hall-2/pump-7/flow", "1", T_NS + HOUR_NS + 1)
    )
    assert (source, device) == ("pumps", "hall-2/pump-7")
    assert x == [10, 11, 12, 13, 14, 15, 16, 17, pytest.approx((18 - 32) / 1.8, abs=0.01)]


def test_channels_of_one_machine_on_several_topics(tmp_path):
    """The owner's row has the bearings of the source that joins it, whose time is written another way.

    The first row is of a time at which only the owner had been heard.
    """
    process = {name: 10 + n for n, name in enumerate(CHANNELS) if "bearing" not in name}
    bearings = {"t": "2025-11-24T16:00:30Z", "de": 58.5, "nde": 55.5}  # half a minute after T_NS
    messages = [
        ("plant/pump-7/process", json.dumps({"ts": T_NS // 10**9, **process}), T_NS),
        ("cm/pump-7", json.dumps(bearings), T_NS + 10**9),
        ("plant/pump-7/process", json.dumps({"ts": T_NS // 10**9 + 5400, **process}), T_NS + 2 * HOUR_NS),
        ("plant/pump-7/process", json.dumps({"ts": T_NS // 10**9 + 7200, **process}), T_NS + 2 * HOUR_NS),
        ("work/pump-7", "repaired", T_NS + 3 * HOUR_NS),
    ]
    rows = rows_of(tmp_path, "several-topics", *messages)
    assert rows[1] == ("process", "pump-7", [10, 11, 12, 13, 14, 58.5, 55.5, 17, 18])
    assert [row[:2] for row in rows] == [("process", "pump-7")] * len(rows)


def test_two_plants(tmp_path):
    reading = json.dumps({"ts": T_NS // 10**6, **{name: 10 + n for n, name in enumerate(CHANNELS)}})
    messages = [("hall-1/p1/telemetry", reading, T_NS), ("pumps/p2", reading, T_NS)]
    values = list(range(10, 19))
    assert rows_of(tmp_path, "several-brokers", *messages) == [("north", "p1", values), ("south", "p2", values)]


def test_objects_in_objects_that_name_their_device(tmp_path):
    """And a local time, an hour ahead of UTC."""
    told = {
        "deviceInfo": {"name": "pump-7", "tenant": "x"},
        "time": "2025-11-24T17:00:00",
        "object": {"speed": 10, "suction": {"value": 11}, "discharge": {"value": 12}, "flow": 13, "power": 14,
                   "bearings": {"de": 15, "nde": 16}, "oil": {"value": 17}, "ambient": 18},
    }  # fmt: skip
    rows = rows_of(tmp_path, "nested-json", ("application/7/device/a4/event/up", json.dumps(told), T_NS))
    assert rows == [("pumps", "pump-7", list(range(10, 19)))]
