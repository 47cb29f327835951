"""The section of a report on how many alarms a person would have had to answer."""

import json

import msgspec

from agent.bundle import file
from agent.replay.options import Budgets
from agent.replay.report.alarms import alarm_section
from agent.replay.report.html import render
from agent.replay.result import as_json
from agent.score.alarm_load import alarm_loads
from agent.score.time_unit import unit_of
from tests.bundles import write_small_bundle
from tests.recorded import worn
from tests.replays import replay_of
from tests.small_bundle import small_manifest


def test_it_says_what_alerts_cost_and_what_a_flood_would_save():
    html = alarm_section(alarm_loads([5000.0] * 500, 0.0, 86_400.0))
    single, grouped = html.split("<tr>")[2:]
    assert "<td>500</td><td>500</td><td>500</td><td>10</td><td>0.69%</td>" in single
    assert "<td>10</td><td>10</td><td>10</td><td>0</td><td>0.00%</td>" in grouped


def test_it_says_nothing_of_cycles_and_no_number_where_nothing_was_watched():
    assert alarm_section(None) == ""
    assert "nan" not in alarm_section(alarm_loads([], 0.0, 0.0))


def test_a_replay_in_clock_time_counts_the_raises_of_all_its_devices(tmp_path):
    manifest = msgspec.structs.replace(small_manifest(), time_unit="s")
    bundle = file.read(write_small_bundle(tmp_path / "clock.fwb", manifest))
    fleet = [worn(f"p{number}", 90) for number in range(3)]
    replay = replay_of(bundle, fleet, dict.fromkeys(("p0", "p1", "p2"), 90.0), Budgets("1 per device per 30d"))
    n_raised = sum(event.kind == "raised" for one in replay.devices for event in one.events)
    assert replay.alarm_load is not None
    assert replay.alarm_load.single.alarms == n_raised == 3
    assert json.loads(as_json(replay))["alarm_load"]["grouped"]["alarms"] == 3
    assert "Alarm load" in render(replay, unit_of(manifest))
