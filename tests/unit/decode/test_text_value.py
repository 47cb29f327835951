"""One value per topic: what the contract's cases, which have one channel, do not show."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.decode.readings import Address, Batch, Intervened
from agent.decode.text_value import TextValueCodec
from agent.sources import InterventionRule, PayloadForm, Source, SourceChannel, plain_channels

TREE = Source(
    name="tree",
    topics=("plant/{device}/{group}/{channel}",),
    time_field="",
    time_unit="arrival",
    channels=plain_channels("motor/temp", "motor/vib", "pump/temp"),
    channel="{group}/{channel}",
    codec="text",
)
RULE = InterventionRule("", (("fixed", "repaired"), ("new", "replaced")))


def decode(source, *messages):
    """Of messages (topic, payload), a second apart."""
    addresses = [Address(0, topic.split("/")[0], tuple(topic.split("/"))) for topic, _ in messages]
    payloads = [payload for _, payload in messages]
    return TextValueCodec(source).decode(Batch(payloads, np.arange(len(messages)) * 10**9, addresses))


def test_the_topic_names_the_channel():
    """Case S1."""
    decoded = decode(TREE, ("p1/motor/temp", b"55.1"), ("p1/pump/temp", b"40"), ("p1/motor/vib", b"1.2"))
    np.testing.assert_array_equal(decoded.x, [[55.1, np.nan, np.nan], [np.nan, np.nan, 40], [np.nan, 1.2, np.nan]])
    assert decoded.t_ns.tolist() == [0, 10**9, 2 * 10**9]
    assert (decoded.row, decoded.faults, decoded.device) == (None, [], None)


def test_a_topic_whose_channel_nobody_reads_is_told_and_gives_no_reading():
    messages = [
        ("p1/motor/temp", b"55.1"),
        ("p1/motor/speed", b"3000"),
        ("p1/pump/vib", b"off"),
        ("p1/motor/vib", b"1"),
    ]
    decoded = decode(TREE, *messages)
    assert decoded.row.tolist() == [0, 3]
    assert [(fault.row, fault.reason) for fault in decoded.faults] == [(1, "extra_topic"), (2, "extra_topic")]
    assert "'motor/speed'" in decoded.faults[0].detail
    quiet = decode(replace(TREE, report_extra=False), *messages)
    assert (quiet.row.tolist(), quiet.faults) == ([0, 3], [])


def test_words_are_of_the_channel_that_the_topic_names():
    on = SourceChannel("motor/temp", words=(("ON", 1.0), ("unavailable", math.nan)))
    source = replace(TREE, channels=(on, *TREE.channels[1:]))
    decoded = decode(source, ("p1/motor/temp", b" ON\n"), ("p1/motor/temp", b"unavailable"), ("p1/motor/vib", b"ON"))
    np.testing.assert_array_equal(decoded.x, [[1, np.nan, np.nan], [np.nan] * 3])
    assert [(fault.row, fault.reason) for fault in decoded.faults] == [(2, "wrong_type")]
    assert decoded.faults[0].detail == "motor/vib is 'ON'; if it means no value: words = { 'ON' = nan }"


def test_a_payload_may_be_an_intervention_whatever_the_topic_names():
    source = replace(TREE, interventions=RULE)
    decoded = decode(source, ("p1/service/done", b"fixed"), ("p1/motor/temp", b"new"), ("p1/service/done", b"seen"))
    assert decoded.interventions == [Intervened(0, None, 0, "repaired"), Intervened(1, None, 10**9, "replaced")]
    assert [(fault.row, fault.reason) for fault in decoded.faults] == [(2, "extra_topic")]
    assert decoded.x.shape == (0, 3)


def test_a_source_of_interventions_alone_has_no_channels():
    source = replace(TREE, channel="", channels=(), topics=("plant/{device}/service",), interventions=RULE)
    decoded = decode(source, ("p1", b"fixed"), ("p1", b"seen"))
    assert [one.kind for one in decoded.interventions] == ["repaired"]
    assert [(fault.row, fault.reason) for fault in decoded.faults] == [(1, "no_channels")]
    assert list(TextValueCodec.problems(source)) == []


TEXTS = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.integers(-(10**20), 10**20).map(str),
    st.sampled_from(["nan", "inf", "1_000", "1e400", "", " ", "true", "Infinity", "-", "1" * 401, "٣", "0x1F", "1,5"]),
    st.text(max_size=5),
)


@pytest.mark.slow
@given(st.lists(st.tuples(st.sampled_from(["p1/motor/temp", "p2/motor/vib", "p1/none/none"]), TEXTS), max_size=8))
def test_a_payload_means_the_same_alone_and_among_others(messages):
    messages = [(topic, text.encode("utf-8", "surrogatepass")) for topic, text in messages]
    together = decode(TREE, *messages)
    rows = range(len(messages)) if together.row is None else together.row.tolist()
    alone = [decode(TREE, message) for message in messages]
    assert [row for row in range(len(messages)) if len(alone[row].x)] == list(rows)
    assert together.x.tobytes() == b"".join(one.x.tobytes() for one in alone)
    assert together.faults == [fault._replace(row=row) for row, one in enumerate(alone) for fault in one.faults]


@given(st.floats(allow_nan=False, allow_infinity=False), st.sampled_from(["{!r}", " {!r}", "{!r}\r\n", "\ufeff{!r}"]))
def test_a_written_number_is_read_back(number, form):
    decoded = decode(TREE, ("p1/motor/vib", form.format(number).encode()))
    assert decoded.x[0, 1] == number


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"channel": ""}, "channel"),
        ({"interventions": InterventionRule("event", RULE.words)}, "interventions.field"),
        ({"tags": (("machine", "id"),)}, "tags"),
        ({"time_field": "ts", "time_unit": "s"}, "time"),
        ({"payload": PayloadForm(form="pairs")}, "payload"),
    ],
)
def test_what_it_cannot_use_is_a_problem(changes, key):
    assert list(TextValueCodec.problems(TREE)) == []
    assert key in [problem for problem, _ in TextValueCodec.problems(replace(TREE, **changes))]
