"""What is written to the journal is read again as the same entries."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core.entries import AlertsKept, Forget, Heartbeat, HistoryLost, Listening, Messages
from agent.core.input_log import HoleTaken, OldestShed, Origin, RowsMissing, RowWaits
from agent.store.records import (
    VERSION,
    Begun,
    Kept,
    KeptInput,
    Noted,
    SessionBegun,
    Unknown,
    decode,
    encode,
    entry_of,
    record_of,
)

TIMES = st.integers(-1, 2**62)
TEXT = st.text(max_size=8)
CHANGES = st.lists(
    st.builds(RowWaits, TEXT, TEXT, TEXT, st.binary(max_size=9), TIMES, st.integers(0, 65_535))
    | st.builds(RowsMissing, TEXT, TEXT)
    | st.builds(OldestShed, TEXT, TEXT)
    | st.builds(HoleTaken, TEXT, TEXT),
    max_size=4,
)


@given(st.lists(st.tuples(TEXT, st.binary(max_size=9), TIMES, st.integers(0, 65_535)), min_size=1, max_size=5), TEXT)
def test_messages_and_their_origin_are_read_again(messages, broker):
    topics, payloads, arrived_ns, packet_ids = (list(column) for column in zip(*messages, strict=True))
    entry = Messages(topics, payloads, arrived_ns, ("press",))
    record = decode(encode(record_of(entry, Origin(broker, packet_ids, 1))))
    assert entry_of(record) == entry
    assert (record.broker, record.packet_ids, record.n_waited) == (broker, packet_ids, 1)


@pytest.mark.parametrize(
    "entry",
    [
        Heartbeat(5),
        Listening(("press", "oven")),
        HistoryLost("", []),
        HistoryLost("press", ["p1", "p2"]),
        Forget([("press", "p1")]),
    ],
)
def test_other_entries_are_read_again(entry):
    assert entry_of(decode(encode(record_of(entry, Origin())))) == entry


@pytest.mark.slow
@given(TEXT, CHANGES)
def test_what_tells_of_inputs_is_read_again(broker, changes):
    inputs = {broker: KeptInput({7: b"d" * 16}, changes, {"dropped": 3})}
    for record in (Begun(VERSION, 9, "rules", inputs), Kept(broker, changes), Noted(broker, "a", 1)):
        assert decode(encode(record)) == record
        assert entry_of(record) is None
    assert decode(encode(SessionBegun(broker))) == SessionBegun(broker)


def test_an_entry_of_a_start_is_never_recorded():
    with pytest.raises(TypeError, match="AlertsKept is of a start"):
        record_of(AlertsKept([], {}), Origin())


@given(st.binary(max_size=30))
def test_other_bytes_are_unknown(body):
    with suppress(Unknown):  # and nothing else is raised
        decode(body)


def test_a_file_of_another_version_is_unknown_by_its_number():
    with pytest.raises(Unknown, match=f"its version is {VERSION + 1}, this forewarn reads version {VERSION}"):
        decode(encode(Begun(VERSION + 1, 0, "", {})))
