"""Alert events and scores as JSON: complete, in the bundle's units, exact."""

import json
from dataclasses import replace

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from agent.bundle.label import duration, label_of
from agent.bundle.manifest import RiskHead
from agent.judge import no_model, silence
from agent.publish.message import Outgoing, event_message, outgoing, score_messages, time
from agent.publish.topic import Topics
from agent.store.cursor import Due
from agent.words import UNKNOWN_BUNDLE, AlertEvent, Quality, Scores
from tests.alert_events import event
from tests.small_bundle import small_manifest
from tests.streams import SOURCE

TOPICS = Topics.of("forewarn", "gateway-1")


def messages(one: AlertEvent) -> list[Outgoing]:
    """What is said of an event, and of what stands after it."""
    return [outgoing(Due(1, one.key, one, is_alert=is_alert), TOPICS) for is_alert in (False, True)]


CLOCK_MANIFEST = msgspec.structs.replace(
    small_manifest(), name="hourly", time_unit="s", risk=RiskHead((1800.0, 21_600.0, 172_800.0))
)
CLOCK = label_of(CLOCK_MANIFEST, "c" * 64)


def test_an_event_of_silence_says_how_long_nothing_came():
    raised = silence.raised("press", "", 7, 10**18, 612 * 10**9, 600 * 10**9)
    said = json.loads(event_message(raised))
    assert (said["silent_s"], said["silent_after_s"], said["raised_t"]) == (612.0, 600.0, "2001-09-09T01:46:40+00:00")
    assert (said["head"], said["model"], said["device"], said["bundle"]["name"]) == ("silence", "", "", "none")
    ended = json.loads(event_message(silence.ended(raised, "heard_again", 9, 10**18 + 10**9)))
    assert (ended["cause"], ended["state"], ended.get("silent_s")) == ("heard_again", "normal", None)


def test_an_event_says_all_that_a_reader_needs():
    said = json.loads(event_message(event("raised", "ab12", t=57.0, device="p7")))
    assert said == {
        "event": "raised",
        "alert": "ab12",
        "sequence": 1,
        "device": "p7",
        "source": "press",
        "model": "main",
        "head": "risk",
        "state": "unacknowledged",
        "severity": "minor",
        "t": 57,
        "t_ns": 57_000_000_000,
        "raised_t": 57,
        "raised_t_ns": 57_000_000_000,
        "quality": "ok",
        "cause": "risk",
        "risk": {"15 cycles": 0.1, "30 cycles": 0.3, "60 cycles": 0.7},
        "time_to_fault": {"expected": 30.0, "low": 20.0, "high": 40.0, "at_most": 125.0, "unit": "cycles"},
        "bundle": {"name": "small", "version": "1.0.0", "digest": "d" * 64},
    }


def test_clock_time_is_iso_8601_and_horizons_are_in_the_largest_unit():
    said = json.loads(event_message(event("raised", "ab12", t=1_700_000_000.5, bundle=CLOCK)))
    assert said["t"] == "2023-11-14T22:13:20.500000+00:00"
    assert list(said["risk"]) == ["30 min", "6 h", "2 d"]
    assert said["time_to_fault"]["unit"] == "s"


def test_what_another_bundle_decides_has_its_units_and_the_alert_keeps_the_bundle_that_raised_it():
    """The risks are the deciding model's, under its own horizons; the raise's time is in the raising one's unit."""
    ended = msgspec.structs.replace(event("cleared", "a", t=1_700_000_000.0), raised_t_ns=57 * 10**9, decided_by=CLOCK)
    said = json.loads(event_message(ended))
    assert (said["raised_t"], said["t"]) == (57, "2023-11-14T22:13:20+00:00")
    assert said["bundle"] == {"name": "small", "version": "1.0.0", "digest": "d" * 64}
    assert said["decided_by"] == {"name": "hourly", "version": "1.0.0", "digest": "c" * 64}
    assert list(said["risk"]) == ["30 min", "6 h", "2 d"]
    assert said["time_to_fault"]["unit"] == "s"


def test_of_an_alert_whose_bundle_nobody_knows_nothing_is_made_up():
    """As in a table that an older forewarn wrote."""
    said = json.loads(event_message(event("raised", "a", t=57.0, bundle=UNKNOWN_BUNDLE)))
    assert said["bundle"] == {"name": "unknown", "version": "unknown", "digest": "unknown"}
    assert said["risk"] == {"horizon 1": 0.1, "horizon 2": 0.3, "horizon 3": 0.7}
    assert (said["t"], said["raised_t"]) == (57, 57)
    assert "time_to_fault" not in said


def test_an_alert_that_ended_stands_no_longer():
    """The event is said, and the retained topic is emptied."""
    raised, cleared = (messages(event(kind, "a", t=5.0)) for kind in ("raised", "cleared"))
    assert [(one.topic, one.retain) for one in raised] == [
        ("forewarn/gateway-1/event", False),
        ("forewarn/gateway-1/alert/press/e1/risk", True),
    ]
    assert raised[0].payload == raised[1].payload
    assert json.loads(cleared[0].payload)["event"] == "cleared"
    assert cleared[1].payload == b""
    gone = outgoing(Due(1, ("press", "e1", "main", "risk"), None, is_alert=True), TOPICS)
    assert gone == cleared[1], "or the table has it no more"


def test_alerts_of_two_models_are_apart():
    """An event names its model; the main one has no level of its own in the topic."""
    other = msgspec.structs.replace(event("raised", "a", t=5.0), model="next")
    said, stands = messages(other)
    assert json.loads(said.payload)["model"] == "next"
    assert stands.topic == "forewarn/gateway-1/alert/press/e1/next/risk"


def test_a_forgotten_device_has_neither_risk_nor_time_to_fault():
    """The fields are empty or absent, never a placeholder."""
    gone = msgspec.structs.replace(event("cleared", "a", t=5.0, cause="forgotten"), outputs={})
    said = json.loads(event_message(gone))
    assert said["risk"] == {}
    assert "time_to_fault" not in said


FLOATS = st.floats(0, 1, width=32) | st.sampled_from([0.0, 1.0, 1e-30, 0.1, 125.0, 3e38])


@pytest.mark.slow
@given(arrays(np.float32, (4, 3), elements=FLOATS))
def test_scores_read_back_as_the_same_bits(risk):
    """Law 1 through a broker: the text of a float32 is enough to have it back."""
    columns = np.arange(4, dtype=np.int64)
    quality = np.array([0, 1, 2, 3], np.uint8)
    devices = np.array(["a", "b/c", "d", "e"], object)
    scores = Scores(
        "main", columns, columns * 0, devices, columns * 10**9, quality, {"risk": risk, "rul": risk[:, ::-1]}
    )
    said = list(score_messages(scores, [SOURCE], small_manifest(), TOPICS))
    assert [topic for topic, _ in said][1] == "forewarn/gateway-1/score/press/b%2Fc"
    topic, payload = next(score_messages(replace(scores, model="next"), [SOURCE], small_manifest(), TOPICS))
    assert (topic, json.loads(payload)["model"]) == ("forewarn/gateway-1/score/press/a/next", "next")
    decoded = [json.loads(payload) for _, payload in said]
    assert np.array([one["risk"] for one in decoded], np.float32).tobytes() == risk.tobytes()
    assert np.array([one["rul"] for one in decoded], np.float32).tobytes() == risk[:, ::-1].tobytes()
    assert [one["quality"] for one in decoded] == [Quality(value).name.lower() for value in range(4)]
    assert [one["t"] for one in decoded] == [0, 1, 2, 3]


def test_a_score_has_the_heads_of_its_bundle_and_no_empty_ones():
    one, at = np.zeros(1, np.int64), np.zeros(1, np.uint8)
    outputs = {"anomaly": np.array([[0.5]], np.float32), "learned": np.array([[0.1]], np.float32)}
    scores = Scores("main", one, one, np.array(["a"], object), one, at, outputs)
    ((_, payload),) = score_messages(scores, [SOURCE], small_manifest(), TOPICS)
    assert json.loads(payload) == {
        "device": "a",
        "model": "main",
        "t": 0,
        "t_ns": 0,
        "quality": "ok",
        "anomaly": [0.5],
        "learned": [0.1],
    }


def test_a_score_of_a_row_that_was_left_out_has_no_number():
    two = np.arange(2)
    outputs = {"risk": np.float32([[0.1, 0.2], [np.nan, np.nan]]), "anomaly": np.float32([[-3.0], [np.nan]])}
    quality = np.array([Quality.OK, Quality.STOPPED], np.uint8)
    scores = Scores("main", two, two * 0, np.array(["a", "a"], object), two * 10**9, quality, outputs)
    stepped, stopped = score_messages(scores, [SOURCE], small_manifest(), TOPICS)
    assert json.loads(stepped[1])["anomaly"] == [-3.0]
    assert json.loads(stopped[1]) == {"device": "a", "model": "main", "t": 1, "t_ns": 10**9, "quality": "stopped"}


@pytest.mark.parametrize(
    ("t_ns", "of_cycles", "of_a_clock"),
    [
        (0, 0, "1970-01-01T00:00:00+00:00"),
        (1_500_000_000, 1.5, "1970-01-01T00:00:01.500000+00:00"),
        (1_709_164_800_000_000_000, 1_709_164_800, "2024-02-29T00:00:00+00:00"),
        (2**62 - 1, 4611686018.427388, "2116-02-20T23:53:38.427387+00:00"),
    ],
)
def test_event_time_for_people(t_ns, of_cycles, of_a_clock):
    assert time(t_ns, "cycle") == time(t_ns, "unknown") == of_cycles
    assert time(t_ns, "s") == of_a_clock


@pytest.mark.parametrize(
    ("span_s", "text"), [(86_400, "1 d"), (5400, "90 min"), (7200, "2 h"), (90, "90 s"), (0.5, "0.5 s")]
)
def test_a_span_is_in_the_largest_unit_that_divides_it(span_s, text):
    assert duration(span_s, CLOCK_MANIFEST) == text
    assert duration(15.0, small_manifest()) == "15 cycles"


def test_a_flood_counts_and_names_and_what_is_in_it_has_its_id():
    flood = no_model.raised("press", "", "flood", "major", 7, 10**18, (500.0, 600.0))
    said = json.loads(event_message(msgspec.structs.replace(flood, devices=("p1", "p2"))))
    assert (said["raises"], said["within_s"], said["devices"], said["device"]) == (500, 600.0, ["p1", "p2"], "")
    assert "group" not in said
    in_flood = msgspec.structs.replace(event("raised", "ab12", t=57.0), group=flood.alert)
    assert json.loads(event_message(in_flood))["group"] == flood.alert
