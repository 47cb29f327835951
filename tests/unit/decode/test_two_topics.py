import json
from dataclasses import replace

import numpy as np
import pytest

from agent.decode import two_topics as two_topics_module
from agent.decode.intake import Intake
from agent.decode.readings import Readings
from agent.decode.topic import Pattern
from agent.decode.two_topics import TwoTopics
from agent.sources import Source, plain_channels
from tests.streams import SOURCE, core, life, take

OVEN = Source("oven", ("oven/+/{device}",), "ts", "s", plain_channels("t"))


def told(*topics, source=OVEN, readers=(), device=""):
    """(topic, device) of each doubt, one read a message."""
    intake = Intake([source, *readers], payload_bytes_max=1000, device_id_bytes_max=20)
    found = []
    for number, topic in enumerate(topics):
        payload = json.dumps({"ts": number, "t": 1, "id": device})
        readings = intake.read([topic], [payload.encode()], np.int64([0]))
        found += [(topic, name) for group in intake.two_topics([topic], readings, None) for name in group.device]
    return found


def readings(message, device):
    zeros = np.zeros(len(message), np.int64)
    return Readings(np.array(message), zeros, np.array(device, np.object_), zeros, np.zeros((len(message), 1)), [])


def test_one_device_from_two_topics_is_a_doubt_once_a_topic():
    """`oven/+/{device}`: two machines of one name in two lines would become one."""
    topics = ["oven/a/o1", "oven/b/o1", "oven/a/o2", "oven/b/o1", "oven/a/o1", "oven/c/o1"]
    assert told(*topics) == [("oven/b/o1", "o1"), ("oven/c/o1", "o1")]


def test_the_doubt_names_the_other_topic():
    intake = Intake([OVEN], payload_bytes_max=1000, device_id_bytes_max=20)
    topics = ["oven/a/o1", "oven/b/o1"]
    readings = intake.read(topics, [b'{"ts": 1, "t": 1}'] * 2, np.zeros(2, np.int64))
    (group,) = intake.two_topics(topics, readings, None)
    doubt = group.sample(0, topics, ["oven"])
    assert (doubt.source, doubt.device, doubt.topic, doubt.reason) == ("oven", "o1", "oven/b/o1", "two_topics")
    assert doubt.detail == "the device comes from oven/a/o1 and from oven/b/o1"


@pytest.mark.parametrize(
    ("topics", "changes", "n_told"),
    [
        (("oven/{line}/{device}",), {}, 1),
        (("oven/{line}/{device}",), {"device": "{line}/{device}"}, 0),
        (("oven/{line}/{device}",), {"device": "{line}/{device}", "channel": ""}, 0),
        (("oven/{channel}/{device}",), {"channel": "{channel}"}, 0),
        (("oven/a/{device}", "oven/b/{device}"), {}, 0),
    ],
)
def test_only_topics_that_do_not_tell_devices_apart_are_doubted(topics, changes, n_told):
    assert len(told("oven/a/o1", "oven/b/o1", source=replace(OVEN, topics=topics, **changes))) == n_told


def test_the_second_topic_is_told_of_the_next_reading_that_is_used():
    """Of two machines of one name one is often late or repeated, and that is what is said of those rows."""
    intake = Intake([OVEN], payload_bytes_max=1000, device_id_bytes_max=20)
    topics = ["oven/a/o1", "oven/b/o1"]
    readings = intake.read(topics, [b'{"ts": 1, "t": 1}'] * 2, np.zeros(2, np.int64))
    assert intake.two_topics(topics, readings, np.array([True, False])) == []
    readings = intake.read(topics[:1], [b"{"], np.zeros(1, np.int64))
    assert intake.two_topics(topics[:1], readings, None) == []
    readings = intake.read(topics[:1], [b'{"ts": 2, "t": 1}'], np.zeros(1, np.int64))
    assert [group.reason for group in intake.two_topics(topics[:1], readings, None)] == ["two_topics"]


def test_devices_that_payloads_name_are_looked_at_too():
    two_topics = TwoTopics()
    pattern = Pattern.parse("gateway/+/up")
    for topic in ("gateway/a/up", "gateway/b/up"):
        two_topics.hear(topic, 0, pattern, names_device=False)
    topics = ["gateway/a/up", "gateway/b/up", "gateway/b/up"]
    some = readings([0, 0, 1, 1, 2], ["p1", "p2", "p2", "p3", "p2"])
    assert [(one.message, one.device, one.detail) for one in two_topics.doubts(topics, some, None)] == [
        (1, "p2", "the device comes from gateway/a/up and from gateway/b/up")
    ]
    assert two_topics.doubts(topics, some, None) == []


def test_what_is_remembered_is_bounded(monkeypatch):
    monkeypatch.setattr(two_topics_module, "TOPICS_MAX", 10)
    two_topics, pattern = TwoTopics(), Pattern.parse("gateway/+/up")
    for number in range(100):
        topic = f"gateway/{number}/up"
        two_topics.hear(topic, 0, pattern, names_device=False)
        two_topics.doubts([topic], readings([0] * 3, [f"p{number}", f"q{number}", "r"]), np.zeros(3, np.bool_))
        memories = (two_topics._new, two_topics._open, two_topics._heard, two_topics._first, two_topics._untold)
        assert sum(map(len, memories)) <= 10 + 7


def test_two_machines_of_one_name_are_told_apart_by_both_levels_and_doubted_by_one():
    """Case S5. One machine is healthy, the other worn out; each message comes a moment after the other's."""
    merged = replace(SOURCE, topics=("plant/+/{device}/tele",))
    apart = replace(SOURCE, topics=("plant/{line}/{device}/tele",), device="{line}/{device}")
    healthy, worn = life("x", 60, wear_from=1000), life("x", 60, wear_from=20, seed=1)
    messages = []
    for one, other in zip(healthy, worn, strict=True):
        messages += [("plant/lineA/press1/tele", one[1]), ("plant/lineB/press1/tele", other[1])]
    for source, devices in ((merged, {"press1"}), (apart, {"lineA/press1", "lineB/press1"})):
        agent = core(source)
        take(agent, messages)
        assert {*agent.view().device} == devices
        assert agent.counts["press", "two_topics"] == (source is merged)
        assert (agent.counts.total() == 0) is (source is apart)


def test_split_reads_tell_the_same():
    merged = replace(SOURCE, topics=("plant/+/{device}/tele",))
    messages = [
        (f"plant/{line}/press{device}/tele", payload)
        for device in range(3)
        for number, (_, payload) in enumerate(life("x", 12))
        for line in "ab"[: 1 + number // 6]
    ]
    whole, cut = core(merged), core(merged)
    take(whole, messages)
    for place, message in enumerate(messages):
        take(cut, [message], arrived_ns=10**9 + 10**7 * place)
    assert whole.counts == cut.counts
