"""A bundle of `anomaly` alone, and one of both heads, through a replay, its report, and all messages on the way."""

import json
from pathlib import Path

import jsonschema
import msgspec
import numpy as np
import pytest

from agent.bundle import file
from agent.bundle.manifest import RunsWhile
from agent.publish.message import event_message, score_messages
from agent.publish.topic import Topics
from agent.replay.options import Budgets
from agent.replay.recorded import Recorded
from agent.replay.report.html import render
from agent.replay.report.junit import as_junit
from agent.replay.require import Requirement, check
from agent.replay.result import as_json, by_head
from agent.replay.wording import summary, warning
from agent.score.time_unit import unit_of
from agent.words import AlertEvent
from tests.bundles import write_small_bundle
from tests.recorded import worn
from tests.replays import replay_of
from tests.small_anomaly import LEARNING, anomaly_manifest
from tests.streams import SOURCE, core, life, take

SCHEMAS = Path(__file__).parents[3] / "docs" / "schemas"


def valid(name: str, payload: bytes) -> dict[str, object]:
    """The message, which its schema accepts."""
    told = json.loads(payload)
    jsonschema.validate(told, json.loads((SCHEMAS / f"{name}.schema.json").read_text()))
    return told


def of_kind(events: list[AlertEvent], kind: str) -> AlertEvent:
    return next(event for event in events if event.head == "anomaly" and event.kind == kind)


@pytest.mark.slow
def test_rows_of_stops_are_shown_and_no_exposure(tmp_path):
    """A machine that stands for 40 of its 90 cycles; its channel is none of the model's."""
    channel = msgspec.structs.replace(anomaly_manifest().channels[0], name="running")
    manifest = msgspec.structs.replace(anomaly_manifest(with_risk=True), runs=RunsWhile(channel, 0.5, 0.0))
    bundle = file.read(write_small_bundle(tmp_path / "s.fwb", manifest))
    on = np.ones((90, 1), np.float32)
    on[40:80] = 0
    one = worn("p1", 90, wear_from=900)
    recorded = [Recorded("p1", one.t_ns, np.concatenate((one.x, on), axis=1))]
    replay = replay_of(bundle, recorded, {"p1": None}, Budgets("1 per 1000 cycles"))
    assert replay.rows_by_quality["stopped"] == 40
    assert [view.early_warning.exposure_s for view in by_head(replay).values()] == [50, 50 - LEARNING]
    assert "40 of 90 rows are of machines that stand or have just started" in summary(replay, unit_of(manifest))
    assert "40 stopped" in render(replay, unit_of(manifest))
    kept = json.loads(as_json(replay))["devices"][0]
    assert (kept["quality"][40], kept["anomaly"][40], kept["risk"][40]) == ("stopped", None, [None] * 3)


@pytest.mark.slow
@pytest.mark.parametrize("with_risk", [False, True], ids=["alone", "both"])
def test_a_replay_measures_each_head_at_its_own_threshold(tmp_path, with_risk):
    """Two machines that learn a normal life first; one is worn and fails, the other is sound."""
    manifest = anomaly_manifest(with_risk=with_risk)
    bundle = file.read(write_small_bundle(tmp_path / "a.fwb", manifest))
    recorded = [worn("p1", 90, wear_from=35), worn("p2", 90, wear_from=900)]
    budgets = Budgets("1 per 1000 cycles", "2 per 1000 cycles")
    replay = replay_of(bundle, recorded, {"p1": 90.0, "p2": None}, budgets)
    views = by_head(replay)
    assert list(views) == list(manifest.judging) == (["risk", "anomaly"] if with_risk else ["anomaly"])
    assert views["anomaly"].limit.budget == "2 per 1000 cycles"
    assert views["anomaly"].limit.threshold == 2.0, "the budget of anomaly buys a lower threshold than 4"
    assert all(view.early_warning.strict.detected == 1 for view in views.values())
    assert views["anomaly"].early_warning.exposure_s == 180 - 2 * LEARNING, "it can give no alarm while it learns"
    line = replay.devices[0]
    assert line.anomaly[:LEARNING] == tuple(float(row - LEARNING) for row in range(LEARNING))
    assert (len(line.risk[0]), len(line.rul_s[0])) == ((3, 3) if with_risk else (0, 0))
    unit = unit_of(manifest)
    page, text = render(replay, unit), summary(replay, unit)
    for head, view in views.items():
        assert f"Every device: {head} against the true failure" in page
        assert view.limit.verdict in page
        assert view.limit.verdict in text
    assert ("The head anomaly" in page) == with_risk == ("anomaly\n" in text)
    assert ("other horizons" in page) == with_risk
    told = [event for event in line.events if event.kind == "raised"]
    assert {event.head for event in told} == set(views)
    assert ("by wear" if not with_risk else "anomaly") in warning(of_kind(told, "raised"), manifest, 90.0, unit)


def test_what_is_required_is_of_the_first_head_or_of_the_one_that_is_named(tmp_path):
    manifest = anomaly_manifest(with_risk=True)
    bundle = file.read(write_small_bundle(tmp_path / "a.fwb", manifest))
    budgets = Budgets("1 per 1000 cycles", "2 per 1000 cycles")
    replay = replay_of(bundle, [worn("p1", 90, wear_from=35)], {"p1": 90.0}, budgets)
    unit, views = unit_of(manifest), by_head(replay)

    def measured(text: str) -> str:
        return check(Requirement.parse(text, counts_cycles=True, heads=manifest.judging), replay, unit).measured

    for head in manifest.judging:
        assert measured(f"{head}.mean_lead>=1") == unit.text(views[head].early_warning.strict.mean_lead_s)
    assert measured("mean_lead>=1") == measured("risk.mean_lead>=1") != measured("anomaly.mean_lead>=1")
    with pytest.raises(ValueError, match=r"'wear' in 'wear.missed==0' is no head of the bundle; it has risk, anomaly"):
        measured("wear.missed==0")


@pytest.mark.slow
def test_labelled_faults_are_what_counts_where_nothing_failed(tmp_path):
    """One machine is not normal from row 41 on, and nothing failed: an alert tells of the fault, and none is false."""
    manifest = anomaly_manifest()
    bundle = file.read(write_small_bundle(tmp_path / "a.fwb", manifest))
    recorded = [worn("p1", 90, wear_from=40), worn("p2", 90, wear_from=900)]
    faults = {"p1": np.array([[41.0, 91.0]])}
    became = {"p1": None, "p2": None}
    blind = replay_of(bundle, recorded, became, Budgets("1 per 1000 cycles"))
    replay = replay_of(bundle, recorded, became, Budgets("1 per 1000 cycles"), faults)
    assert blind.fault_intervals is None
    assert blind.early_warning.false_alarms >= 1
    found = replay.fault_intervals
    assert found is not None
    assert (found.faults, found.strict.detected, found.false_alarms, replay.early_warning.false_alarms) == (1, 1, 0, 0)
    raised_s = next(event.t_ns / 1e9 for event in replay.devices[0].events if event.kind == "raised")
    assert found.strict.mean_delay_s == raised_s - 41
    unit = unit_of(manifest)
    text, page = summary(replay, unit), render(replay, unit)
    assert "told of 1 of 1 labelled faults" in text
    assert "0 of 0" not in text, "no table of failures where nothing failed"
    assert "Labelled faults" in page
    assert "Labelled faults" not in render(blind, unit)
    required = [
        check(Requirement.parse(one, counts_cycles=True), replay, unit)
        for one in ("fault_detection>=1", "fault_delay<=20", "faults==1", "fault_delay<=-100", "false_alarms==0")
    ]
    assert [one.is_met for one in required] == [True, True, True, False, True]
    junit = as_junit(replay, required, unit).decode()
    assert "told of 1 of 1 labelled faults" in junit
    missing = check(Requirement.parse("fault_detection>=1", counts_cycles=True), blind, unit)
    assert (missing.is_met, missing.measured) == (False, "not measured: no labelled fault could be judged")


def test_an_alert_says_its_head_how_far_from_normal_and_by_which_channels():
    taken = take(core(threshold=0.5, manifest=anomaly_manifest()), life("p1", 60))
    raised = of_kind(taken.alerts, "raised")
    told = valid("event", event_message(raised))
    assert (told["head"], told["cause"], told["risk"]) == ("anomaly", "anomaly", {})
    assert np.float32(told["anomaly"]) == np.float32(raised.outputs["anomaly"][0])
    shares = {one["channel"]: one["share"] for one in told["contribution"]}
    assert list(shares.values()) == sorted(shares.values(), reverse=True)
    assert sum(shares.values()) == pytest.approx(1, abs=1e-4)
    assert "learned_from_unusual_rows" not in told
    assert valid("alert", event_message(raised)) == told


def test_an_alert_of_a_device_that_was_learnt_from_unusual_rows_says_so():
    """Its wear was 2.5 from the first row on, and then falls to 0: far from what was taken for normal."""
    rows = [*life("p1", 12, wear_from=-50), *life("p1", 20, start=13, wear_from=900)]
    taken = take(core(threshold=0.5, manifest=anomaly_manifest()), rows)
    told = valid("event", event_message(of_kind(taken.alerts, "raised")))
    assert told["learned_from_unusual_rows"] is True


def test_a_score_has_each_head_as_the_model_gave_it():
    manifest = anomaly_manifest(with_risk=True)
    taken = take(core(threshold=0.5, manifest=manifest), life("p1", LEARNING + 4))
    said = [payload for _, payload in score_messages(taken.scores[0], [SOURCE], manifest, Topics.of("forewarn", "n"))]
    told = [valid("score", payload) for payload in said]
    for name, output in taken.scores[0].outputs.items():
        assert np.array([one[name] for one in told], np.float32).tobytes() == output.tobytes(), name
