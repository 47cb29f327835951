"""SenML: what the contract's cases, whose device is in the topic, do not show."""

import json
from dataclasses import replace

import cbor2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.decode import senml
from agent.decode.readings import Address, Batch
from agent.decode.senml import SenmlCodec
from agent.decode.senml_cbor import SenmlCborCodec
from agent.sources import PayloadForm, Source, SourceChannel, plain_channels

THINGS = Source(
    name="things",
    topics=("senml/{gateway}",),
    time_field="t",
    time_unit="s",
    channels=plain_channels("temp", "motor:temp", "energy sum", "[%RH]", "[J] sum"),
    device="{thing}",
    tags=(("thing", "n"),),
    codec="senml",
)
NOW_NS = 1_700_000_000 * 10**9


def decode(source, *packs, codec=None):
    """Of packs, as Python has them, that all arrive at one time."""
    payloads = [pack if isinstance(pack, bytes) else json.dumps(pack).encode() for pack in packs]
    batch = Batch(payloads, np.full(len(packs), NOW_NS), [Address(0, "", ("g1",))] * len(packs))
    return (codec or SenmlCodec(source)).decode(batch)


def test_what_stands_before_the_channel_may_name_the_device():
    pack = [
        {"bn": "urn:dev:ow:10e2073a01080063:", "n": "temp", "v": 23.1},
        {"n": "motor:temp", "v": 60},
        {"bn": "2001:db8::1/", "n": "temp", "v": 5},
        {"bn": "", "n": "temp", "v": 6},
    ]
    decoded = decode(THINGS, pack)
    assert decoded.device.tolist() == ["urn:dev:ow:10e2073a01080063", "2001:db8::1", ""]
    assert decoded.x[:, :2].tolist()[0] == [23.1, 60]
    assert decoded.x[1:, 0].tolist() == [5, 6]


@pytest.mark.parametrize(
    ("second", "is_one"),
    [
        ({"n": "m1:motor:temp", "v": 2}, True),  # the longest field, so m1 as well
        ({"n": "temp", "v": 2}, True),  # names no thing
        ({"n": "rh-1", "u": "%RH", "v": 2}, True),  # the whole name may be that of a sensor in it
        ({"n": "m2:motor:temp", "v": 2}, False),
        ({"n": "m2:temp", "v": 2, "t": -5}, False),
    ],
)
def test_a_pack_of_two_machines_is_dropped_where_the_topic_names_one(second, is_one):
    source = replace(THINGS, topics=("senml/{device}",), device="{device}", tags=())
    good = [{"n": "m2:temp", "v": 3}]
    decoded = decode(source, good, [{"n": "m1:temp", "v": 1}, second], good)
    assert decoded.row.tolist() == [0, *[1] * is_one, 2]
    assert [(fault.row, fault.reason) for fault in decoded.faults] == ([] if is_one else [(1, "device_id")])
    sensors = [{"n": "rh-1", "u": "%RH", "v": 1}, {"n": "rh-2", "u": "%RH", "v": 2}]
    (fault,) = decode(source, sensors).faults
    assert fault.detail.startswith("the pack names two things, 'rh-1' and 'rh-2': say device =")


def test_a_sum_is_a_channel_of_its_own():
    pack = [{"bn": "m1:", "n": "energy", "u": "J", "v": 40.5, "s": 7}, {"n": "heat", "u": "J", "bs": 100}]
    decoded = decode(THINGS, pack)
    assert decoded.x[:, 2].tolist()[0] == 7
    assert decoded.x[:, 4].tolist()[1] == 100
    assert decoded.device.tolist() == ["m1", "m1:heat"]


def test_a_sum_beyond_a_double_is_missing_and_a_doubt():
    decoded = decode(THINGS, [{"bn": "m1:", "n": "energy", "bs": 1e308, "s": 1e308}, {"n": "temp", "v": 1}])
    np.testing.assert_array_equal(decoded.x, [[1, *[np.nan] * 4]])
    assert [fault.reason for fault in decoded.faults] == ["bad_value"]


def test_a_name_is_looked_up_before_its_unit():
    decoded = decode(THINGS, [{"n": "m1:temp", "u": "%RH", "v": 1}, {"n": "m1", "u": "%RH", "v": 2}])
    assert decoded.device.tolist() == ["m1"]
    assert decoded.x[0, [0, 3]].tolist() == [1, 2]


def test_texts_and_booleans_are_numbers_by_the_value_rules():
    source = replace(THINGS, channels=(SourceChannel("temp", words=(("hot", 90.0),)), *THINGS.channels[1:]))
    pack = [
        {"bn": "m1:", "n": "temp", "vs": "hot"},
        {"n": "motor:temp", "vb": True},
        {"n": "x", "u": "%RH", "vd": "aGk"},
    ]
    decoded = decode(source, pack)
    assert decoded.x[0, :2].tolist() == [90, 1]
    assert [fault.reason for fault in decoded.faults] == ["bad_value"]


def test_a_source_that_takes_the_time_of_arrival_takes_no_other():
    source = replace(THINGS, time_field="", time_unit="arrival")
    decoded = decode(source, [{"n": "m1:temp", "v": 1, "t": 1795814327}, {"n": "m1:motor:temp", "v": 2, "t": -5}])
    assert decoded.t_ns.tolist() == [NOW_NS]


def test_what_a_pack_may_bring_is_bounded(monkeypatch):
    record = {"n": "m1:temp", "v": 1}
    wide = replace(THINGS, channels=plain_channels("temp", *(f"c{number}" for number in range(1023))))
    long_name = [{"bn": "x" * 40_000}, {"n": "m1:temp", "v": 1}]
    times = [{"n": "m1:temp", "v": 1, "t": -number} for number in range(65)]
    for source, pack, reason in (
        (THINGS, [record] * (senml.RECORDS_MAX + 1), "too_many_readings"),
        (THINGS, long_name, "too_large"),
        (wide, times, "too_many_readings"),
    ):
        decoded = decode(source, pack)
        assert ([fault.reason for fault in decoded.faults], len(decoded.x)) == ([reason], 0)
    bomb = b"\x9f" + b"\xa0" * 60_000 + b"\xff"
    assert [fault.reason for fault in decode(THINGS, bomb, codec=SenmlCborCodec(THINGS)).faults] == [
        "too_many_readings"
    ]
    monkeypatch.setattr(senml, "NAMES_MAX", 3)
    codec = SenmlCodec(THINGS)
    names = [{"n": f"m{number}:temp", "v": 1} for number in range(20)]
    assert decode(THINGS, names, codec=codec).device.tolist() == [f"m{number}" for number in range(20)]
    assert len(codec._names._known) <= 3


TIME = st.integers(-(2**20), 2**31).map(float) | st.integers(0, 2**40).map(lambda number: number / 1024)
RECORD = st.fixed_dictionaries(
    {},
    optional={
        "bn": st.sampled_from(["", "m1:", "m2:", "m3/motor:"]),
        "bt": TIME,
        "bv": st.integers(-100, 100),
        "bs": st.integers(0, 100),
        "n": st.sampled_from(["temp", "motor:temp", "energy", "speed"]),
        "t": st.integers(-100, 100),
        "v": st.integers(-1000, 1000) | st.booleans(),
        "s": st.integers(0, 1000),
    },
)


@pytest.mark.slow
@given(st.lists(RECORD, max_size=8))
def test_a_pack_means_what_its_resolved_form_means(pack):
    """Section 4.6: no base fields, every name and time in full. The resolved form here is made in another way."""
    resolved = []
    last = {}
    for record in pack:
        last |= {key: value for key, value in record.items() if key.startswith("b")}
        one = {"n": last.get("bn", "") + record.get("n", ""), "t": last.get("bt", 0) + record.get("t", 0)}
        if isinstance(record.get("v"), bool):
            one["vb"] = record["v"]
        elif "v" in record or ("n" in record and "bv" in last):
            one["v"] = last.get("bv", 0) + record.get("v", 0)
        if "bs" in last or "s" in record:
            one["s"] = last.get("bs", 0) + record.get("s", 0)
        resolved.append(one)
    whole, other = decode(THINGS, pack), decode(THINGS, resolved)
    assert (whole.x.tobytes(), whole.t_ns.tolist()) == (other.x.tobytes(), other.t_ns.tolist())
    assert whole.device.tolist() == other.device.tolist()
    assert [fault.reason for fault in whole.faults] == [fault.reason for fault in other.faults]


@pytest.mark.slow
@given(st.lists(RECORD, max_size=8))
def test_a_pack_means_the_same_as_cbor(pack):
    """Section 6: labels may be numbers."""
    numbers = {label: number for number, label in senml.CBOR_LABELS.items()}
    as_json = decode(THINGS, pack)
    for records in (pack, [{numbers[label]: value for label, value in record.items()} for record in pack]):
        as_cbor = decode(THINGS, cbor2.dumps(records), codec=SenmlCborCodec(THINGS))
        assert as_cbor.x.tobytes() == as_json.x.tobytes()
        assert (as_cbor.t_ns.tolist(), as_cbor.device.tolist()) == (as_json.t_ns.tolist(), as_json.device.tolist())
        assert as_cbor.faults == as_json.faults


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.sampled_from(["m1:temp", "x_", "NaN", "\ud800"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from([*senml.CBOR_LABELS.values(), "x", "x_"]), inner, max_size=5)
    ),
    max_leaves=12,
)


@pytest.mark.slow
@given(st.lists(ANYTHING, max_size=4) | ANYTHING, st.binary(max_size=3))
def test_no_payload_raises(pack, more):
    payloads = [decode(THINGS, pack), decode(THINGS, more), decode(THINGS, more, codec=SenmlCborCodec(THINGS))]
    if "\\ud800" not in json.dumps(pack):  # no text of CBOR
        payloads.append(decode(THINGS, cbor2.dumps(pack), codec=SenmlCborCodec(THINGS)))
    for decoded in payloads:
        assert len(decoded.x) or [fault.reason for fault in decoded.faults]


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"time_unit": "ms"}, "time"),
        ({"time_field": "ts"}, "time"),
        ({"tags": (("thing", "bn"),)}, "tags.thing"),
        ({"channel": "{gateway}"}, "channel"),
        ({"payload": PayloadForm(form="pairs")}, "payload"),
    ],
)
def test_what_it_cannot_use_is_a_problem(changes, key):
    assert list(SenmlCodec.problems(THINGS)) == []
    assert [problem for problem, _ in SenmlCodec.problems(replace(THINGS, **changes))] == [key]
