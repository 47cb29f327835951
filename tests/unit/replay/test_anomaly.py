"""A bundle of `anomaly` alone, and one of both heads, through a replay, its report, and all messages on the way."""

import json
from pathlib import Path

import jsonschema
import numpy as np
import pytest

from agent.bundle import file
from agent.judge.threshold import choose, parse_budget
from agent.publish.message import event_message, score_messages
from agent.publish.topic import Topics
from agent.replay.inline import play_inline
from agent.replay.messages import source_for, stream
from agent.replay.report.html import render
from agent.replay.result import assess
from agent.replay.wording import summary, warning
from agent.score.time_unit import unit_of
from agent.words import AlertEvent
from tests.bundles import write_small_bundle
from tests.recorded import worn
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


@pytest.mark.parametrize("with_risk", [False, True], ids=["alone", "both"])
def test_a_replay_measures_the_first_head_and_shows_what_the_other_said(tmp_path, with_risk):
    """Two machines that fail, one after a learnt normal life and one that is worn from the first row on."""
    manifest = anomaly_manifest(with_risk=with_risk)
    bundle = file.read(write_small_bundle(tmp_path / "a.fwb", manifest))
    head, (_, thresholds) = next(iter(manifest.judging.items()))
    allowed = parse_budget("1 per 1000 cycles", fleet_size=2)
    chosen = choose(thresholds, allowed)
    recorded = [worn("p1", 90, wear_from=35), worn("p2", 90, wear_from=900)]
    played = play_inline(bundle, bundle.model, stream(recorded, source_for(manifest, "r/{device}")), chosen.threshold)
    replay = assess(bundle, "inline", allowed, chosen, played, {"p1": 90.0, "p2": None})
    assert (replay.head, replay.early_warning.strict.detected) == (head, 1)
    line = replay.devices[0]
    assert line.anomaly[:LEARNING] == tuple(float(row - LEARNING) for row in range(LEARNING))
    assert np.float32(line.anomaly).tobytes() == played[0].outputs["anomaly"].tobytes()
    assert (len(line.risk[0]), len(line.rul_s[0])) == ((3, 3) if with_risk else (0, 0))
    unit = unit_of(manifest)
    page = render(replay, unit)
    assert f"Every device: {head} against the true failure" in page
    assert ("other horizons" in page) == with_risk
    assert "1 of 1" in summary(replay, unit)
    raised = of_kind(list(played[0].events), "raised")
    assert ("by wear" if not with_risk else "anomaly") in warning(raised, manifest, 90.0, unit)


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
