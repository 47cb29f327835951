"""Bad input is counted by reason and said once; a healthy device's bytes stay what they are without it (law 2)."""

import json
from collections import Counter

import pytest

from tests.broker.running_agent import ROOT, configuration
from tests.broker.told import events_inline, scores_inline
from tests.streams import interleaved, life, message

TOPIC = "plant/bad/cycle"
DROPPED = {
    "not json": (b"{temp: 1", "malformed"),
    "cut off": (b'{"cycle": 1, "temp": 0.5', "malformed"),
    "not utf-8": (b'{"cycle": 1, "temp": "\xff\xfe"}', "malformed"),
    "NaN and Infinity": (b'{"cycle": 1, "temp": NaN, "load": nan, "wear": -Infinity}', "no_channels"),
    "two objects": (b'{"cycle": 1, "temp": 0}{"cycle": 2, "temp": 0}', "malformed"),
    "deep nesting": (b'{"cycle": 1, "temp": ' + b"[" * 20_000 + b"]" * 20_000 + b"}", "malformed"),
    "deep nesting beside": (b'{"cycle": 1, "temp": 0, "more": ' + b"[" * 20_000 + b"]" * 20_000 + b"}", "malformed"),
    "1e400": (b'{"cycle": 1, "temp": 1e400}', "no_channels"),
    "10^400": (b'{"cycle": 1, "temp": 1' + b"0" * 400 + b"}", "no_channels"),
    "text": (b'{"cycle": 1, "temp": "21,4", "load": "", "wear": {}}', "no_channels"),
    "time is 1e400": (b'{"cycle": 1e400, "temp": 0, "load": 0, "wear": 0}', "impossible_time"),
    "list": (b"[1, 2, 3]", "wrong_type"),
    "null": (b"null", "wrong_type"),
    "time is text": (b'{"cycle": "1", "temp": 0, "load": 0, "wear": 0}', "impossible_time"),
    "no time": (b'{"temp": 0, "load": 0, "wear": 0}', "no_time"),
    "impossible time": (b'{"cycle": -5, "temp": 0, "load": 0, "wear": 0}', "impossible_time"),
    "time 1e30": (b'{"cycle": 1e30, "temp": 0, "load": 0, "wear": 0}', "impossible_time"),
    "empty": (b"", "empty"),
    "no channel": (b'{"cycle": 1}', "no_channels"),
    "all null": (b'{"cycle": 1, "temp": null, "load": null, "wear": null}', "no_channels"),
}


def junk(topic: str) -> list[tuple[str, bytes]]:
    return [(topic, payload) for payload, _ in DROPPED.values()]


def test_junk_is_counted_and_healthy_devices_are_as_without_it(agent):
    """Law 2. `p1` is healthy beside a device that sends nothing but junk; `p2` sends the same between good rows."""
    n = len(DROPPED)
    p1, p2 = life("p1", 60), life("p2", 60, seed=1)
    mixed = [one for pair in zip(p2, junk("plant/p2/cycle"), strict=False) for one in pair] + p2[n:]
    status = agent.feed(interleaved(p1, junk(TOPIC), mixed))
    assert status["drops"] == {"press": {r: 2 * count for r, count in Counter(r for _, r in DROPPED.values()).items()}}
    assert agent.scores("p1") == scores_inline(p1, "p1")
    assert agent.scores("p2") == scores_inline(p2, "p2")
    said = [one.payload for one in agent.listener.heard if one.topic == f"{ROOT}/event"]
    assert sorted(said) == sorted(events_inline(p1 + p2, agent.folder / "small.fwb"))
    assert sum(status["devices"].values()) == 2, "junk makes no device"


def test_a_reason_is_logged_once_and_names_the_culprit(agent):
    """However often it comes within ten seconds: one line a source and reason, with device, topic and count."""
    for _ in range(4):
        agent.feed(junk(TOPIC))
    lines = agent.log("reading_dropped")
    assert Counter(line["reason"] for line in lines) == Counter({reason for _, reason in DROPPED.values()})
    for line in lines:
        assert (line["source"], line["example_device"], line["example_topic"]) == ("press", "bad", TOPIC)
        assert line["count"] >= 1
        assert line["detail"]
        assert len(json.dumps(line)) < 1000


@pytest.mark.parametrize("receiver", ["auto", "paho"])
@pytest.mark.parametrize(("protocol", "n_counted"), [("3.1.1", 2), ("5", 1)])
def test_a_payload_above_the_bound_is_counted_and_silences_nobody(broker, make_agent, protocol, n_counted, receiver):
    """Of 100 kB and of 10 MB; the larger is one that mosquitto keeps to itself when MQTT 5 tells it the bound."""
    text = configuration(broker.port, protocol=protocol).replace("[broker]", f'receiver = "{receiver}"\n[broker]')
    agent = make_agent(text)
    agent.go()
    p1 = life("p1", 40)
    agent.feed(p1[:20])
    broker.publish_all([("plant/p1/cycle", b"x" * 100_000), ("plant/p1/cycle", b"x" * 10_000_000)])
    status = agent.feed(p1[20:])
    assert status["drops"] == {"press": {"too_large": n_counted}}
    assert status["broker"]["input"]["path"] == ("fast" if receiver == "auto" else "paho")
    assert agent.scores("p1") == scores_inline(p1, "p1")
    assert agent.log("broker_lost") == []


DOUBTED = {
    "missing": (message("odd", 4, load=None), "missing_channel"),
    "absent": (("plant/odd/cycle", b'{"cycle": 5, "temp": 0, "wear": 0}'), "missing_channel"),
    "extra": (message("odd", 6, more=1), "extra_channel"),
}


def test_a_missing_or_extra_channel_is_counted_and_the_reading_used(agent):
    """The row is scored all the same: `load` may be missing, and a field that no channel names harms nothing."""
    status = agent.feed(life("odd", 3) + [one for one, _ in DOUBTED.values()])
    assert status["drops"] == {"press": {"missing_channel": 2, "extra_channel": 1}}
    assert agent.qualities("odd")[3:] == ["ok"] * 3
    assert {line["reason"] for line in agent.log("reading_doubtful")} == {"missing_channel", "extra_channel"}


def test_values_no_machine_has_are_scored_as_out_of_domain(agent):
    """1e30, and what float32 calls infinite, reach the model; nobody is alarmed by them, and no neighbour sees them."""
    healthy, wild = life("p1", 40), [message("wild", cycle, wear=1e30) for cycle in range(1, 5)]
    wild += [message("wild", cycle, wear=1e300) for cycle in range(5, 9)]
    agent.feed(interleaved(healthy, wild))
    assert agent.qualities("wild") == ["warming_up"] * 2 + ["out_of_domain"] * 6
    assert [event["device"] for event in agent.events() if event["device"] == "wild"] == []
    assert agent.scores("p1") == scores_inline(healthy, "p1")


def test_rows_that_come_late_or_twice_are_counted(agent):
    """By the device's own newest row."""
    rows = life("p1", 20)
    status = agent.feed([*rows, rows[-1], rows[5], rows[6]])
    assert status["drops"] == {"press": {"repeated": 1, "late": 2}}
    assert agent.scores("p1") == scores_inline(rows, "p1")


def test_device_ids_that_cannot_be_are_counted(agent):
    """An empty one, and one longer than device_id_bytes_max."""
    rows = life("p1", 20)
    status = agent.feed([*rows, message("", 1), message("x" * 129, 1)])
    assert status["drops"] == {"press": {"device_id": 2}}
    assert sum(status["devices"].values()) == 1
    assert agent.scores("p1") == scores_inline(rows, "p1")


def test_a_retained_reading_is_not_taken_as_fresh(broker, make_agent):
    """Nobody knows how old it is: it is counted and left out, and the same topic's live readings are taken."""
    broker.publish(*message("p1", 900), retain=True)
    agent = make_agent()
    agent.go()
    status = agent.feed(life("p1", 10))
    assert status["drops"] == {"press": {"retained": 1}}
    (line,) = agent.log("reading_dropped")
    assert (line["source"], line["example_device"], line["reason"]) == ("press", "p1", "retained")
    assert agent.scores("p1") == scores_inline(life("p1", 10), "p1")


def test_a_device_over_the_bound_is_refused_and_counted(broker, make_agent):
    """Law 5. The devices that are known go on; the new one is counted and said."""
    agent = make_agent(configuration(broker.port).replace("[agent]", "[agent]\ndevices_max = 2"))
    agent.go()
    streams = [life(f"p{number}", 20, seed=number) for number in range(3)]
    status = agent.feed(interleaved(*streams))
    assert status["drops"] == {"press": {"devices_max": 20}}
    assert sum(status["devices"].values()) == 2
    for number in range(2):
        assert agent.scores(f"p{number}") == scores_inline(streams[number], f"p{number}")
    assert agent.log("reading_dropped")[0]["example_device"] == "p2"
